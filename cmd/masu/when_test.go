package main

import (
	"testing"
	"time"
)

func TestWhen(t *testing.T) {
	tokyo, err := time.LoadLocation("Asia/Tokyo")
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 11, 24, 14, 30, 0, 0, tokyo) // a Tuesday
	for s, want := range map[string]string{
		"now": "2026-11-24 14:30", "18:00": "2026-11-24 18:00", "9:00": "2026-11-25 09:00", "14:30": "2026-11-25 14:30",
		"today-9:00": "2026-11-24 09:00", "tomorrow-09:00": "2026-11-25 09:00", "thu-18:00": "2026-11-26 18:00", "THU 18:00": "2026-11-26 18:00",
		"tue-18:00": "2026-11-24 18:00", "tue-9:00": "2026-12-01 09:00", "mon-00:00": "2026-11-30 00:00",
		"12-24-18:00": "2026-12-24 18:00", "01-07-10:00": "2027-01-07 10:00", "2026-12-24T18:00": "2026-12-24 18:00", "2026-12-24 18:00": "2026-12-24 18:00",
		"+90m": "2026-11-24 16:00", "+2d": "2026-11-26 14:30",
		"": "", "soon": "", "25:00": "", "18": "", "18:5": "", "18:60": "", "-1:00": "", "2-31-10:00": "", "13-01-10:00": "", "foo-18:00": "", "+": "", "+-1h": "", "+9999999d": "",
	} {
		at, ok := when(s, now)
		if got := at.Format("2006-01-02 15:04"); ok != (want != "") || ok && got != want {
			t.Errorf("%q: %s, %v, want %q", s, got, ok, want)
		}
	}
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	if at, ok := when("tomorrow-9:00", time.Date(2026, 10, 24, 12, 0, 0, 0, berlin)); !ok || at.Hour() != 9 { // the clocks change in between
		t.Errorf("over a change of clocks: %v", at)
	}
}

func FuzzWhen(f *testing.F) {
	for _, s := range []string{"thu-18:00", "+2h", "12-24-18:00", "2026-12-24T18:00", "24:00"} {
		f.Add(s)
	}
	now := time.Date(2026, 11, 24, 14, 30, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, s string) {
		if at, ok := when(s, now); ok && (at.Year() < 2001 || at.Year() > 9999) {
			t.Errorf("%q: %v", s, at)
		}
	})
}
