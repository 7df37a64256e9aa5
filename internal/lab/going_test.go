package lab

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/masu-lab/masu"
)

// inForeground begins a run as at a terminal, and gives how it ended.
func (w *week) inForeground(name masu.Username, want masu.Want, script ...string) <-chan error {
	ended := make(chan error, 1)
	go func() {
		_, err := w.as(name).Run(w.t.Context(), masu.RunRequest{Dir: w.dir, Name: "front", Want: &want, Exec: masu.Exec{Argv: script}}, func(p masu.Progress) {
			if strings.HasPrefix(p.Code, "notice_") || strings.HasPrefix(p.Code, "ending_") {
				w.atTerminals <- p.Code
			}
		})
		ended <- err
	}()
	return ended
}

// TestRunsThatWork: nothing is taken from a run whose processors work, or whose
// notebook has cells left, however quiet its GPU is; nor from a container in
// which masu sees nothing.
func TestRunsThatWork(t *testing.T) {
	for name, c := range map[string]struct {
		cores float64
		begin func(w *week)
		idle  bool
	}{
		"by itself, at work": {3, func(w *week) { w.submits("alice", masu.RunWish{Want: &masu.Want{Count: 1}}, "sleep 36000") }, false},
		"by itself, quiet":   {0.01, func(w *week) { w.submits("alice", masu.RunWish{Want: &masu.Want{Count: 1}}, "sleep 36000") }, true},
		"by itself, with cells left": {0.01, func(w *week) {
			w.submits("alice", masu.RunWish{Want: &masu.Want{Count: 1}}, "sleep 36000")
			w.lab.mu.Lock()
			defer w.lab.mu.Unlock()
			for _, g := range w.lab.runs {
				g.cells = true
			}
		}, false},
		"at a terminal, at work":   {3, func(w *week) { w.inForeground("alice", masu.Want{Count: 1}, "sleep", "36000") }, false},
		"at a terminal, quiet":     {0.01, func(w *week) { w.inForeground("alice", masu.Want{Count: 1}, "sleep", "36000") }, true},
		"adopted, where none sees": {0.01, func(w *week) { w.adoptsWithGPU("alice") }, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWeek(t, 1, func(p *Policy) { p.GPUs.IdleFor, p.GPUs.Hold = time.Hour, 24*time.Hour })
				w.plug(func() { w.busy() })
				w.runtime.Work(c.cores)
				_, stop := w.daemon()
				defer func() { w.over(stop) }()
				c.begin(w)
				time.Sleep(time.Minute)
				w.wants("bob", 1)
				time.Sleep(62 * time.Minute)
				leases := w.leases()
				if len(leases) != 1 || leases[0].Holder != "alice" {
					t.Fatalf("lent: %+v", leases)
				}
				if told := leases[0].Why == masu.EndIdle; told != c.idle {
					t.Errorf("after an hour its end is announced: %v, want %v", told, c.idle)
				}
			})
		})
	}
}

// adoptsWithGPU puts an adopted container with a GPU on the books.
func (w *week) adoptsWithGPU(name masu.Username) {
	w.t.Helper()
	x := masu.Workspace{ID: "adoptedadopt", Owner: name, Name: "old", Label: "old--" + string(name), Phase: masu.Running, GPUs: []masu.GPUID{"GPU-0"}, Adopted: &masu.Adoption{}}
	lease := masu.Lease{ID: "lease-old", Workspace: x.ID, Holder: name, Name: x.Name, Want: masu.Want{Count: 1}, GPUs: x.GPUs, From: time.Now()}
	err := w.store.Update(w.t.Context(), func(tx masu.Tx) error {
		if err := tx.PutWorkspace(x); err != nil {
			return err
		}
		return tx.PutLease(lease)
	})
	if err != nil {
		w.t.Fatal(err)
	}
}

// TestBoardCountsRuns: who has only runs is on the board, with what they use and their GPUs.
func TestBoardCountsRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWeek(t, 2, nil)
		w.runtime.Work(3)
		l, stop := w.daemon()
		defer func() { w.over(stop) }()
		r := w.submits("alice", masu.RunWish{Want: &masu.Want{Count: 1}}, "sleep 3600")
		w.runIs(r.ID, "running", runIn(masu.RunRunning))
		w.inForeground("bob", masu.Want{Count: 1}, "sleep", "3600")
		time.Sleep(time.Minute)
		b, err := l.measure(t.Context())
		if err != nil || len(b.Users) != 2 {
			t.Fatalf("the board shows %+v, %v", b.Users, err)
		}
		for i, who := range []masu.Username{"alice", "bob"} {
			if u := b.Users[i]; u.Member != who || u.Running != 1 || u.GPUs != 1 || u.CPU != 3 || u.Memory == 0 {
				t.Errorf("the board shows %+v of %s", u, who)
			}
		}
		boss := l.As(masu.Actor{User: masu.User{Name: "boss", Admin: true}})
		members, err := boss.Members(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		gpus := map[masu.Username]int{}
		for _, m := range members {
			gpus[m.Name] = m.GPUs
		}
		if gpus["alice"] != 1 || gpus["bob"] != 1 {
			t.Errorf("the members have %v GPUs", gpus)
		}
	})
}

// TestBoardIsOfNow: who looks at the board, presses Start and looks again sees that they have a GPU, however short the while.
func TestBoardIsOfNow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWeek(t, 1, nil)
		l, stop := w.daemon()
		defer func() { w.over(stop) }()
		alice := l.As(masu.Actor{User: masu.User{Name: "alice"}})
		holders := func() int {
			b, err := alice.Board(t.Context())
			if err != nil || len(b.GPUs) != 1 {
				t.Fatalf("the board shows %+v, %v", b.GPUs, err)
			}
			return len(b.GPUs[0].Holds)
		}
		if n := holders(); n != 0 {
			t.Errorf("%d have it from the start", n)
		}
		r := w.submits("alice", masu.RunWish{Want: &masu.Want{Count: 1}}, "sleep 3600")
		w.runIs(r.ID, "running", runIn(masu.RunRunning))
		if n := holders(); n != 1 {
			t.Errorf("%d have it while it runs", n)
		}
		if _, err := alice.CancelRun(t.Context(), r.ID); err != nil {
			t.Fatal(err)
		}
		w.runIs(r.ID, "cancelled", runIn(masu.RunCancelled))
		synctest.Wait()
		if n := holders(); n != 0 {
			t.Errorf("%d have it when it has ended", n)
		}
	})
}
