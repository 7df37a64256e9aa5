package lab

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/masu-lab/masu"
)

// TestRunsGPUsAreMetered: what a run's GPUs did is on the run when it is over, the peak of a few seconds too.
func TestRunsGPUsAreMetered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWeek(t, 1, func(*Policy) {})
		w.plug(func() { w.busy("GPU-0") })
		_, stop := w.daemon()
		defer func() { w.over(stop) }()
		r := w.submits("alice", masu.RunWish{Want: &masu.Want{Count: 1}}, "sleep 600")
		w.runIs(r.ID, "running", runIn(masu.RunRunning))
		time.Sleep(5 * time.Minute)
		w.plug(func() {
			w.reads["GPU-0"] = masu.Reading{GPU: "GPU-0", Busy: 0.1, Memory: 37 * masu.GiB, Power: 100}
		})
		time.Sleep(3 * time.Second)
		w.plug(func() { w.busy("GPU-0") })
		if got := w.runIs(r.ID, "metered while it runs", func(r masu.Run) bool { return r.GPUUsed.Read > time.Minute }); got.GPUUsed.Memory != masu.GiB && got.GPUUsed.Memory != 37*masu.GiB {
			t.Errorf("while it runs: %+v", got.GPUUsed)
		}
		time.Sleep(5 * time.Minute)
		got := w.runIs(r.ID, "ended", runIn(masu.RunEnded)).GPUUsed
		if got.Memory != 37*masu.GiB {
			t.Errorf("at most %v was seen", got.Memory)
		}
		near := func(what string, got, want, by float64) {
			if got < want-by || got > want+by {
				t.Errorf("%s: %v, want about %v", what, got, want)
			}
		}
		near("read", got.Read.Seconds(), 600, 3)
		near("busy", got.Busy.Seconds(), 597*0.9+3*0.1, 5)
		near("energy", got.Energy, 597*300+3*100, 1500)
		near("percent", float64(got.Percent()), 89, 1)
	})
}

// TestUseOfSharedCards: of a card that others use as well an equal part counts, and the memory of one's own processes.
func TestUseOfSharedCards(t *testing.T) {
	w := newWorld(t)
	l, stop := w.daemon()
	stop()
	l.handles = map[string]masu.WorkspaceID{"box-a": "a", "box-b": "b"}
	l.cfg.Process = func(pid int) (masu.Process, error) {
		return masu.Process{Container: map[int]string{1: "box-a", 2: "box-b"}[pid]}, nil
	}
	card := masu.Reading{GPU: "g", Busy: 0.8, Power: 200, Memory: 30 * masu.GiB, Processes: []masu.GPUProcess{{PID: 1, Memory: 10 * masu.GiB}, {PID: 2, Memory: 20 * masu.GiB}}}
	silent := masu.Reading{GPU: "g", Busy: -1, Power: -1, Memory: -1}
	for _, c := range []struct {
		what  string
		read  masu.Reading
		parts int
		want  masu.GPUWork
	}{
		{"alone", card, 1, masu.GPUWork{Read: 10 * time.Second, Busy: 8 * time.Second, Energy: 2000, Memory: 30 * masu.GiB}},
		{"shared", card, 2, masu.GPUWork{Read: 10 * time.Second, Busy: 4 * time.Second, Energy: 1000, Memory: 10 * masu.GiB}},
		{"a card that tells nothing", silent, 1, masu.GPUWork{}},
	} {
		u := l.useOfRun(masu.Run{ID: "a"})
		u.add(c.read, 10*time.Second, c.parts)
		if u.gpu != c.want {
			t.Errorf("%s: %+v, want %+v", c.what, u.gpu, c.want)
		}
	}
}
