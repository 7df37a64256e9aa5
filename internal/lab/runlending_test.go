package lab

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/masu-lab/masu"
)

// TestRunsKeepAndGive: what is lent to a run is kept on a word, asked for and given back as a workspace's is.
func TestRunsKeepAndGive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWeek(t, 3, func(p *Policy) { p.GPUs.IdleFor = time.Hour })
		w.plug(func() { w.busy() })
		_, stop := w.daemon()
		defer func() { w.over(stop) }()
		ctx := t.Context()
		w.listens("alice", "carol")
		r := w.submits("alice", masu.RunWish{Name: "train", Want: &masu.Want{Count: 1}}, "sleep 360000")
		w.runIs(r.ID, "running", runIn(masu.RunRunning))
		front := w.inForeground("carol", masu.Want{Count: 1}, "sleep", "360000")
		time.Sleep(time.Minute)
		w.wants("bob", 3)
		time.Sleep(61 * time.Minute)
		w.runIs(r.ID, "told", func(r masu.Run) bool { return r.EndWhy == masu.EndIdle })
		for _, x := range []struct {
			who  masu.Username
			name string
		}{{"alice", string(r.ID)}, {"carol", "front"}} {
			if lease, err := w.as(x.who).Extend(ctx, x.name, 2*time.Hour); err != nil || lease.KeptUntil.IsZero() || lease.EndsAt != (time.Time{}) {
				t.Errorf("%s keeps %+v, %v", x.who, lease, err)
			}
		}
		if got := w.runIs(r.ID, "kept", runIn(masu.RunRunning)); got.EndWhy != "" || !got.EndsAt.IsZero() {
			t.Errorf("kept, and ends at %v for %q", got.EndsAt, got.EndWhy)
		}
		if _, err := w.as("bob").Extend(ctx, string(r.ID), time.Hour); masu.CodeOf(err) != "no_workspace" {
			t.Errorf("somebody else's: %v", err)
		}
		w.heard()
		for _, lease := range w.leases() {
			for range 2 { // once is enough
				if err := w.as("bob").AskFor(ctx, lease.ID); err != nil {
					t.Errorf("ask %s: %v", lease.Holder, err)
				}
			}
		}
		time.Sleep(time.Second)
		if told := w.heard(); len(told) != 2 {
			t.Errorf("asked for both, and told %q", told)
		}
		if got, want := w.readAtTerminals(), []string{"notice_ending_run", "ending_run_idle", "notice_asked", "notice_asked_run"}; !slices.Equal(got, want) {
			t.Errorf("carol's terminal said %q, want %q", got, want)
		}
		if got := w.runIs(r.ID, "asked for", func(r masu.Run) bool { return len(r.Asked) == 1 }); got.Asked[0] != "bob" {
			t.Errorf("asked for by %v", got.Asked)
		}
		w.submits("alice", masu.RunWish{Name: "train", Want: &masu.Want{Count: 1}, Limit: time.Hour}, "sleep 3000")
		time.Sleep(10 * time.Second)
		if len(w.leases()) == 3 { // it fills the gap: now a name is not enough
			if _, err := w.as("alice").Release(ctx, "train"); masu.CodeOf(err) != "run_which" {
				t.Errorf("one of two: %v", err)
			}
		}
		if _, err := w.as("alice").Release(ctx, string(r.ID)); err != nil {
			t.Error(err)
		}
		w.runIs(r.ID, "given back", runIn(masu.RunCancelled))
		if _, err := w.as("carol").Release(ctx, "front"); err != nil {
			t.Error(err)
		}
		<-front
	})
}
