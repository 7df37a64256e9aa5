package lab

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/masu-lab/masu"
)

// TestRunsAreWarned: who holds GPUs for a run is told before they are taken
// back, and what the run failed with says why; at a terminal too.
func TestRunsAreWarned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWeek(t, 2, func(p *Policy) { p.GPUs.IdleFor = time.Hour })
		w.plug(func() { w.busy() })
		_, stop := w.daemon()
		defer func() { w.over(stop) }()
		w.listens("alice", "carol")
		r := w.submits("alice", masu.RunWish{Name: "train", Want: &masu.Want{Count: 1}}, "sleep 36000")
		w.runIs(r.ID, "running", runIn(masu.RunRunning))
		front := w.inForeground("carol", masu.Want{Count: 1}, "sleep", "36000")
		time.Sleep(time.Minute)
		w.wants("bob", 2)
		time.Sleep(61 * time.Minute)
		if got := w.runIs(r.ID, "told", func(r masu.Run) bool { return r.EndWhy == masu.EndIdle }); got.EndsAt.IsZero() {
			t.Errorf("it ends for %q at no time", got.EndWhy)
		}
		time.Sleep(20 * time.Minute)
		got := w.runIs(r.ID, "failed", runIn(masu.RunFailed))
		if got.Trouble == nil || got.Trouble.Code != "run_idle" || !got.EndsAt.IsZero() {
			t.Errorf("it failed as %+v", got)
		}
		if err := <-front; masu.CodeOf(err) != "run_idle" {
			t.Errorf("at the terminal: %v", err)
		}
		if got, want := w.readAtTerminals(), []string{"notice_ending_run", "ending_run_idle", "notice_ending_run", "ending_run_idle"}; !slices.Equal(got, want) {
			t.Errorf("her terminal said %q, want %q", got, want)
		}
		told := map[string]int{}
		for _, line := range w.heard() {
			_, line, _ = strings.Cut(line, " ")
			told[strings.Split(line, " ")[0]+strings.Split(line, "[")[0][strings.Index(line, " "):]]++
		}
		for _, want := range []string{"alice: notice_ending_run", "carol: notice_ending_run"} {
			if told[want] != 2 { // a quarter of an hour before, and five minutes
				t.Errorf("%q was told %d times: %v", want, told[want], told)
			}
		}
	})
}
