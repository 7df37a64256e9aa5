package web

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/masu-lab/masu"
)

func TestICalendar(t *testing.T) {
	at := time.Date(2026, 11, 26, 9, 0, 0, 0, time.UTC)
	got := iCalendar(masu.English, "gpu1", []masu.Reservation{
		{ID: "r1", Holder: "alice", GPUs: []masu.GPUID{"a", "b"}, From: at, Until: at.Add(4 * time.Hour), Note: "a, b; c\nBEGIN:VEVENT\r\n\x00" + strings.Repeat("締切", 40)},
		{ID: "r2", Holder: "bob", From: at, Until: at, Missed: true}}, at)
	if strings.Count(got, "BEGIN:VEVENT\r\n") != 1 || strings.Contains(got, "r2") {
		t.Errorf("events:\n%s", got)
	}
	for _, want := range []string{"DTSTART:20261126T090000Z\r\n", "DTEND:20261126T130000Z\r\n", "UID:r1@gpu1\r\n", "SUMMARY:GPU × 2 · alice\r\n", `DESCRIPTION:a\, b\; c\nBEGIN:VEVENT\n締切`} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is missing in\n%s", want, got)
		}
	}
	for l := range strings.SplitSeq(strings.TrimSuffix(got, "\r\n"), "\r\n") {
		if len(l) > 75 || !utf8.ValidString(l) || strings.ContainsAny(l, "\r\n\x00") {
			t.Errorf("line %q", l)
		}
	}
}

func FuzzICalendar(f *testing.F) {
	f.Add("a, b; c\nEND:VEVENT", "alice")
	f.Fuzz(func(t *testing.T, note, who string) {
		got := iCalendar(masu.Japanese, "h", []masu.Reservation{{ID: "r", Holder: masu.Username(who), Note: note}}, time.Now())
		if strings.Count(got, "\r\nEND:VEVENT\r\n") != 1 {
			t.Errorf("%q by %q makes\n%s", note, who, got)
		}
	})
}
