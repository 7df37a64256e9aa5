package lab

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/masu-lab/masu"
)

// TestWeekShared: one of two who share a card does nothing while the
// other computes. Who that is, is known only where the driver tells of each
// program, and never is the one who computes taken for idle.
func TestWeekShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWeek(t, 1, func(p *Policy) { p.GPUs.IdleFor = 20 * time.Minute })
		l, stop := w.daemon()
		defer func() { w.over(stop) }()
		var boxes sync.Map // by the number of the program in it
		l.cfg.Process = func(pid int) (masu.Process, error) {
			box, _ := boxes.Load(pid)
			handle, _ := box.(string)
			return masu.Process{Container: handle}, nil
		}
		half := masu.Want{Share: 40 * masu.GiB}
		wants := func(name masu.Username) {
			if _, err := w.as(name).Up(t.Context(), masu.UpRequest{Dir: w.dir, Name: "work", Want: &half}); err != nil {
				t.Fatal(err)
			}
		}
		pids := map[masu.Username]int{"alice": 1, "bob": 2}
		for name := range pids {
			wants(name)
			w.is(name, "running", runsWithGPUs(1))
		}
		all, err := w.runtime.Boxes(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, b := range all {
			boxes.Store(pids[b.Owner], b.Handle)
		}
		l.nudge()
		wants("carol")
		w.is("carol", "waiting", in(masu.Waiting))
		computes := func(busy float64, programs ...masu.GPUProcess) {
			w.plug(func() {
				w.reads["GPU-0"] = masu.Reading{GPU: "GPU-0", Busy: busy, Memory: 40 * masu.GiB, Processes: programs}
			})
		}
		program := func(pid int, busy float64) masu.GPUProcess {
			return masu.GPUProcess{PID: pid, Memory: 20 * masu.GiB, Busy: busy}
		}
		nobody := func(what string) {
			t.Helper()
			time.Sleep(25 * time.Minute)
			for name := range pids {
				if x := w.is(name, "running", runsWithGPUs(1)); !x.EndsAt.IsZero() {
					t.Errorf("%s: %s is told of %q", what, name, x.EndWhy)
				}
			}
		}
		computes(0.9, program(1, 0), program(2, 0))
		nobody("the driver does not tell for whom the card computes")
		computes(0.9, program(1, 0.4), program(2, 0.5))
		nobody("both compute")
		computes(0.9, program(1, 0), program(2, 0.2), program(9, 0.7))
		nobody("a program that is nobody's computes too")
		computes(0.9)
		nobody("the driver names no program")
		for _, idle := range []masu.Username{"bob", "alice"} {
			busy := map[masu.Username]float64{"alice": 0.9, "bob": 0.9}
			busy[idle] = 0
			computes(0.9, program(1, busy["alice"]), program(2, busy["bob"]))
			time.Sleep(21 * time.Minute)
			for name := range pids {
				x := w.is(name, "running", runsWithGPUs(1))
				if told := x.EndWhy == masu.EndIdle; told != (name == idle) {
					t.Errorf("%s does nothing, and %s is told of %q", idle, name, x.EndWhy)
				}
			}
			computes(0.9, program(1, 0.4), program(2, 0.5))
			w.is(idle, "told no longer, for it computes", func(x masu.Workspace) bool { return x.EndsAt.IsZero() })
		}
		computes(0.9, program(2, 0)) // alice has no program on the card: whatever it does is not hers
		time.Sleep(36 * time.Minute)
		w.is("alice", "stopped", gone("lease_idle"))
		w.is("carol", "running", runsWithGPUs(1))
		if x := w.is("bob", "running", runsWithGPUs(1)); !x.EndsAt.IsZero() {
			t.Errorf("bob is told of %q", x.EndWhy)
		}
	})
}
