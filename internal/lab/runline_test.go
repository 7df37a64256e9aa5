package lab

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/masu-lab/masu"
)

// TestRunsInLine: of one member's runs so many go at once as the policy says, in
// their order; others' do not wait for them, and a daemon that comes back goes on so.
func TestRunsInLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWeek(t, 1, func(p *Policy) { p.RunsPerMember = 2 })
		_, stop := w.daemon()
		phases := func(ids []masu.WorkspaceID) (text string) {
			time.Sleep(5 * time.Second)
			synctest.Wait()
			for _, id := range ids {
				r, err := w.as("alice").RunByID(t.Context(), id)
				if err != nil {
					t.Fatal(err)
				}
				text += string(r.Phase) + " "
			}
			return text
		}
		var ids []masu.WorkspaceID
		for range 4 {
			ids = append(ids, w.submits("alice", masu.RunWish{Name: "many"}, "sleep 36000").ID)
			time.Sleep(2 * time.Second)
		}
		if got := phases(ids); got != "running running queued queued " {
			t.Errorf("of four: %s", got)
		}
		other := w.submits("bob", masu.RunWish{Name: "one"}, "sleep 36000")
		w.runIs(other.ID, "running", runIn(masu.RunRunning))
		stop()
		_, stop = w.daemon()
		defer func() { w.over(stop) }()
		if got := phases(ids); got != "running running queued queued " {
			t.Errorf("after the daemon has died: %s", got)
		}
		if _, err := w.as("alice").CancelRun(t.Context(), ids[0]); err != nil {
			t.Fatal(err)
		}
		if got := phases(ids); got != "cancelled running running queued " {
			t.Errorf("after one has ended: %s", got)
		}
	})
}
