package main

import (
	"slices"
	"strconv"
	"strings"
	"time"
)

var weekdays = []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}

// when reads a time to come, in the local zone: "now", "18:00" (the next one),
// "thu-18:00", "tomorrow-9:00", "12-24-18:00", "2026-12-24-18:00", or "+90m".
// A space or a T may stand for the last dash.
func when(s string, now time.Time) (time.Time, bool) {
	s = strings.ToLower(strings.TrimSpace(s))
	if s == "now" {
		return now, true
	}
	if rest, ok := strings.CutPrefix(s, "+"); ok {
		d, err := duration(rest).value()
		return now.Add(d), err == nil && d > 0 && d < 10*365*24*time.Hour
	}
	day, clock := "", s
	if i := strings.LastIndexAny(s, "- t"); i == 0 {
		return time.Time{}, false
	} else if i > 0 {
		day, clock = s[:i], s[i+1:]
	}
	hour, minute, ok := clockTime(clock)
	if !ok {
		return time.Time{}, false
	}
	on := func(year int, month time.Month, d int) (time.Time, bool) {
		at := time.Date(year, month, d, hour, minute, 0, 0, now.Location())
		return at, at.Month() == month // no 31st of February
	}
	y, m, d := now.Date()
	switch i := slices.Index(weekdays, day); {
	case day == "" || day == "today":
		at, ok := on(y, m, d)
		if day == "" && !at.After(now) {
			return at.AddDate(0, 0, 1), true
		}
		return at, ok
	case day == "tomorrow":
		at, _ := on(y, m, d)
		return at.AddDate(0, 0, 1), true
	case i >= 0:
		at, _ := on(y, m, d)
		at = at.AddDate(0, 0, (i-int(now.Weekday())+7)%7)
		if !at.After(now) {
			at = at.AddDate(0, 0, 7)
		}
		return at, true
	}
	return dated(day, now, on)
}

// dated reads "12-24" or "2026-12-24".
func dated(day string, now time.Time, on func(int, time.Month, int) (time.Time, bool)) (time.Time, bool) {
	var n []int
	for part := range strings.SplitSeq(day, "-") {
		i, err := strconv.Atoi(part)
		if err != nil || i < 1 || i > 9999 {
			return time.Time{}, false
		}
		n = append(n, i)
	}
	switch {
	case len(n) == 2 && n[0] <= 12 && n[1] <= 31:
		at, ok := on(now.Year(), time.Month(n[0]), n[1])
		if at.Before(now) {
			return on(now.Year()+1, time.Month(n[0]), n[1])
		}
		return at, ok
	case len(n) == 3 && n[0] > 2000 && n[1] <= 12 && n[2] <= 31:
		return on(n[0], time.Month(n[1]), n[2])
	}
	return time.Time{}, false
}

func clockTime(s string) (hour, minute int, ok bool) {
	h, m, found := strings.Cut(s, ":")
	hour, err := strconv.Atoi(h)
	if err != nil || !found || len(h) > 2 || len(m) != 2 {
		return 0, 0, false
	}
	minute, err = strconv.Atoi(m)
	return hour, minute, err == nil && hour >= 0 && hour < 24 && minute >= 0 && minute < 60
}
