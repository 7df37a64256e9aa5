package lab

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/masu-lab/masu"
)

// TestReserveFairly: what one member may have reserved is bounded in GPU hours, and who is refused reads what is theirs.
func TestReserveFairly(t *testing.T) {
	w := newWorld(t)
	w.gpus = a100s(4)
	w.policy = func(p *Policy) { p.ReserveMost, p.ReserveGPUHours = 8, 12 }
	l, stop := w.daemon()
	defer stop()
	at := time.Now().Add(24 * time.Hour).Truncate(time.Hour)
	wish := func(day, gpus int, lasts time.Duration) masu.ReserveWish {
		from := at.AddDate(0, 0, day)
		return masu.ReserveWish{Want: masu.Want{Count: gpus}, From: from, Until: from.Add(lasts)}
	}
	weekly := wish(4, 2, time.Hour)
	weekly.Weeks = 2
	all := wish(5, 0, time.Hour)
	all.Want = masu.Want{All: true}
	for _, c := range []struct {
		name string
		who  masu.Username
		wish masu.ReserveWish
		code string // "" is possible
	}{
		{"too much at once", "alice", wish(0, 4, 4*time.Hour), "reserve_hours"},
		{"six", "alice", wish(0, 2, 3*time.Hour), ""},
		{"and twenty minutes of three, which are one", "alice", wish(1, 3, 20*time.Minute), ""},
		{"and one more", "alice", wish(2, 1, time.Hour), ""},
		{"which make eight: little more than four is too much", "alice", wish(3, 1, 4*time.Hour+time.Minute), "reserve_hours"},
		{"but four in two weeks are not", "alice", weekly, ""},
		{"now nothing does", "alice", wish(6, 1, 10*time.Minute), "reserve_hours"},
		{"another has their own", "bob", all, ""},
	} {
		_, err := w.as(c.who).Reserve(t.Context(), c.wish)
		if code(err) != c.code {
			t.Errorf("%s: %v, want %q", c.name, err, c.code)
		}
	}
	_, err := w.as("alice").Reserve(t.Context(), wish(6, 2, time.Hour))
	var args []string
	if e, ok := errors.AsType[*masu.Error](err); ok {
		args = e.Args
	}
	if len(args) != 4 || args[0] != "12" || args[1] != "12" || args[2] != "2" || !strings.Contains(args[3], "2 GPU "+at.Local().Format("01-02 15:04")+"–") || strings.Count(args[3], " GPU ") != 5 {
		t.Errorf("refused with %q", args)
	}
	teacher := l.As(masu.Actor{User: masu.User{Name: "alice", UID: 30000, Role: masu.RoleTeacher}})
	if _, err := teacher.Reserve(t.Context(), wish(6, 1, time.Hour)); err != nil {
		t.Errorf("a teacher: %v", err)
	}
	boss := l.As(masu.Actor{User: masu.User{Name: "boss", Admin: true}})
	more := 20.0
	if err := boss.SetRules(t.Context(), masu.Rules{ReserveGPUHours: &more}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.as("alice").Reserve(t.Context(), wish(7, 1, time.Hour)); err != nil {
		t.Errorf("after the rule was changed: %v", err)
	}
}

// TestReservedHours counts what is to come of what has begun.
func TestReservedHours(t *testing.T) {
	now := time.Date(2026, 12, 1, 12, 0, 0, 0, time.UTC)
	list := []masu.Reservation{
		{GPUs: []masu.GPUID{"a", "b"}, From: now.Add(-3 * time.Hour), Until: now.Add(time.Hour)},
		{GPUs: []masu.GPUID{"a"}, From: now.Add(time.Hour), Until: now.Add(90 * time.Minute)},
		{GPUs: []masu.GPUID{"a"}, From: now.Add(-2 * time.Hour), Until: now.Add(-time.Hour)},
	}
	if got := gpuHours(list, now); got != 2.5 {
		t.Errorf("%v GPU hours", got)
	}
}
