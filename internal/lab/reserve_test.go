package lab

import (
	"testing"
	"time"

	"github.com/masu-lab/masu"
)

// TestWeeksLater: a course stays at its hour when the clocks change, whatever that does to its length.
func TestWeeksLater(t *testing.T) {
	for _, c := range []struct {
		zone, from, until string
		weeks             int
		wantFrom, lasts   string
	}{
		{"Asia/Tokyo", "2026-03-24 13:00", "2026-03-24 14:30", 1, "2026-03-31T13:00:00+09:00", "1h30m0s"},
		{"Europe/Berlin", "2026-03-24 13:00", "2026-03-24 14:30", 0, "2026-03-24T13:00:00+01:00", "1h30m0s"},
		{"Europe/Berlin", "2026-03-24 13:00", "2026-03-24 14:30", 1, "2026-03-31T13:00:00+02:00", "1h30m0s"}, // 12:00 of before
		{"Europe/Berlin", "2026-10-20 13:00", "2026-10-20 14:30", 1, "2026-10-27T13:00:00+01:00", "1h30m0s"},
		{"America/New_York", "2026-10-27 13:00", "2026-10-27 14:30", 25, "2027-04-20T13:00:00-04:00", "1h30m0s"}, // over two changes
		{"Europe/Berlin", "2026-03-22 01:00", "2026-03-22 05:00", 1, "2026-03-29T01:00:00+01:00", "3h0m0s"},      // a night that lacks an hour
		{"Europe/Berlin", "2026-10-18 01:00", "2026-10-18 05:00", 1, "2026-10-25T01:00:00+02:00", "5h0m0s"},      // and one that has it twice
		{"Europe/Berlin", "2026-03-22 02:30", "2026-03-22 03:15", 1, "2026-03-29T03:30:00+02:00", "45m0s"},       // an hour that is skipped
		{"Europe/Berlin", "2026-03-22 02:15", "2026-03-22 02:45", 1, "2026-03-29T03:15:00+02:00", "30m0s"},
	} {
		zone, err := time.LoadLocation(c.zone)
		if err != nil {
			t.Skip(err) // a machine without time zones
		}
		at := func(s string) time.Time {
			x, err := time.ParseInLocation("2006-01-02 15:04", s, zone)
			if err != nil {
				t.Fatal(err)
			}
			return x
		}
		from, until := weeksLater(at(c.from), at(c.until), c.weeks)
		if got, lasts := from.In(zone).Format(time.RFC3339), until.Sub(from).String(); got != c.wantFrom || lasts != c.lasts {
			t.Errorf("%s in %s, %d weeks later: %s for %s, want %s for %s", c.from, c.zone, c.weeks, got, lasts, c.wantFrom, c.lasts)
		}
	}
}

// TestSeriesIsNotReservedTwice: a week that the clocks shorten does not get the same GPU for two weeks of its series.
func TestSeriesIsNotReservedTwice(t *testing.T) {
	zone, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Skip(err)
	}
	local := time.Local
	defer func() { time.Local = local }()
	time.Local = zone
	w := newWorld(t)
	w.gpus = a100s(2)
	w.policy = func(p *Policy) { p.Horizon = 3 * yearMost }
	_, stop := w.daemon()
	defer stop()
	from := lastSunday(time.March, zone).AddDate(0, 0, -1).Add(12 * time.Hour)
	list, err := w.as("alice").Reserve(t.Context(), masu.ReserveWish{Want: masu.Want{Count: 1}, From: from, Until: from.Add(7 * 24 * time.Hour), Weeks: 2})
	if err != nil || len(list) != 2 {
		t.Fatalf("%v, %v", list, err)
	}
	if a, b := list[0], list[1]; !b.From.Before(a.Until) || a.GPUs[0] == b.GPUs[0] {
		t.Errorf("%s until %v, and %s from %v", a.GPUs, a.Until, b.GPUs, b.From)
	}
}

// lastSunday is that of a month that is to come.
func lastSunday(m time.Month, zone *time.Location) time.Time {
	now := time.Now()
	at := time.Date(now.Year()+1, m+1, 1, 0, 0, 0, 0, zone).AddDate(0, 0, -1)
	return at.AddDate(0, 0, -int(at.Weekday()))
}

// TestWantsThatCanNeverBe are refused at once, wherever they come from: none
// may wait for ever, or get what is another's.
func TestWantsThatCanNeverBe(t *testing.T) {
	w := newWorld(t)
	w.gpus = a100s(4)
	w.policy = func(p *Policy) { p.GPUs.PerMember, p.GPUs.PerGroup = 3, map[string]int{"b4": 1} }
	l, stop := w.daemon()
	defer stop()
	for name, c := range map[string]struct {
		who  masu.Username
		want masu.Want
		code string // "" is possible
	}{
		"one":                        {"alice", masu.Want{Count: 1}, ""},
		"as many as one may":         {"alice", masu.Want{Count: 3}, ""},
		"more than one may":          {"alice", masu.Want{Count: 4}, "gpus_too_many"},
		"all, which are too many":    {"alice", masu.Want{All: true}, "gpus_too_many"},
		"more than the group may":    {"fresher", masu.Want{Count: 2}, "gpus_too_many"},
		"as many as the group may":   {"fresher", masu.Want{Count: 1}, ""},
		"more than there are":        {"alice", masu.Want{Count: 1 << 40}, "gpus_impossible"},
		"fewer than none":            {"alice", masu.Want{Count: -1}, "gpus_impossible"},
		"less than no part":          {"alice", masu.Want{Count: 1, Share: -masu.GiB}, "gpus_impossible"},
		"all, and less than no part": {"alice", masu.Want{All: true, Share: -masu.GiB}, "gpus_impossible"},
		"less than no memory":        {"alice", masu.Want{Count: 1, Memory: -masu.GiB}, "gpus_impossible"},
		"a part of a larger card":    {"alice", masu.Want{Share: 1 << 62}, "gpus_impossible"},
	} {
		if err := l.possible(t.Context(), c.who, c.want); code(err) != c.code {
			t.Errorf("%s: %v, want %q", name, err, c.code)
		}
		at := time.Now().Add(time.Hour)
		list, err := w.as(c.who).Reserve(t.Context(), masu.ReserveWish{Want: c.want, From: at, Until: at.Add(time.Hour)})
		if code(err) != c.code {
			t.Errorf("reserving %s: %v, want %q", name, err, c.code)
		}
		for _, r := range list {
			if err := w.as(c.who).Unreserve(t.Context(), r.ID, false); err != nil {
				t.Error(err)
			}
		}
	}
}

func code(err error) string {
	if err == nil {
		return ""
	}
	return masu.CodeOf(err)
}
