package lab

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/masu-lab/masu"
)

// TestGPULoads: what a workspace's GPUs do is summed up over them and from look
// to look; of a shared card, each has their part.
func TestGPULoads(t *testing.T) {
	w := newWorld(t)
	l, stop := w.daemon()
	stop()
	l.handles = map[string]masu.WorkspaceID{"c1": "one", "c2": "two"}
	l.cfg.Process = func(pid int) (masu.Process, error) {
		return masu.Process{Container: map[int]string{1: "c1", 2: "c2"}[pid]}, nil
	}
	readings := map[masu.GPUID]masu.Reading{
		"g": {Busy: 0.5, Memory: 30 * masu.GiB}, "h": {Busy: 1, Memory: 10 * masu.GiB}, "k": {Busy: 0.2, Memory: masu.GiB}, "mute": {Busy: -1, Memory: masu.GiB},
		"s": {Busy: 0.8, Memory: 50 * masu.GiB, Processes: []masu.GPUProcess{{PID: 1, Memory: 4 * masu.GiB}, {PID: 1, Memory: 2 * masu.GiB}, {PID: 2, Memory: 8 * masu.GiB}}},
	}
	leases := []masu.Lease{
		{ID: "a", Workspace: "both", GPUs: []masu.GPUID{"g", "h"}}, {ID: "b", Workspace: "one", GPUs: []masu.GPUID{"s"}, Share: masu.GiB}, {ID: "c", Workspace: "two", GPUs: []masu.GPUID{"s"}, Share: masu.GiB},
		{ID: "d", Workspace: "half", GPUs: []masu.GPUID{"k", "mute"}}, {ID: "e", Workspace: "none", GPUs: []masu.GPUID{"mute", "unknown"}},
		{ID: "f", Workspace: "gone", GPUs: []masu.GPUID{"unknown"}},
	}
	l.meterLeases(leases[:3], map[masu.GPUID]masu.Reading{"g": {Busy: 1}, "h": {Busy: 1}, "s": readings["s"]}, 10*time.Second)
	l.meterLeases(leases, readings, 10*time.Second)
	loads := l.takeGPULoads()
	for id, want := range map[masu.WorkspaceID]masu.Sample{
		"both": {GPUs: 2, GPU: 1.75, GPUMemory: 40 * masu.GiB}, // two and then one and a half
		"one":  {GPUs: 1, GPU: 0.4, GPUMemory: 6 * masu.GiB},
		"two":  {GPUs: 1, GPU: 0.4, GPUMemory: 8 * masu.GiB},
		"half": {GPUs: 2, GPU: -1, GPUMemory: 2 * masu.GiB}, // one does not tell
		"none": {GPUs: 1, GPU: -1, GPUMemory: masu.GiB},
		"gone": {},
	} {
		var got masu.Sample
		loads[id].into(&got)
		if got != want {
			t.Errorf("%s: %+v, want %+v", id, got, want)
		}
	}
	if len(l.takeGPULoads()) != 0 {
		t.Error("it does not begin anew")
	}
}

// TestGPUSamples: what GPUs do stands in a workspace's samples, minute by minute, as long as it has them.
func TestGPUSamples(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWeek(t, 2, nil)
		_, stop := w.daemon()
		defer func() { w.over(stop) }()
		w.wants("alice", 2)
		w.is("alice", "running", runsWithGPUs(2))
		time.Sleep(3 * time.Minute)
		if _, err := w.as("alice").Release(t.Context(), "work"); err != nil {
			t.Fatal(err)
		}
		w.is("alice", "running without", func(x masu.Workspace) bool { return x.Phase == masu.Running && len(x.GPUs) == 0 })
		time.Sleep(3 * time.Minute)
		list, err := w.as("alice").Samples(t.Context(), "work", time.Now().Add(-time.Hour))
		if err != nil || len(list) < 4 { // in one of six minutes it is made anew
			t.Fatalf("%+v, %v", list, err)
		}
		if x := list[1]; x.GPUs != 2 || x.GPU < 1.79 || x.GPU > 1.81 || x.GPUMemory != 2*masu.GiB {
			t.Errorf("with both GPUs: %+v", x)
		}
		if x := list[len(list)-1]; x.GPUs != 0 || x.GPU != 0 || x.GPUMemory != 0 || x.Memory == 0 {
			t.Errorf("without: %+v", x)
		}
	})
}

// TestRunSamples: a run has its minutes too, its owner alone reads them, and they go with it.
func TestRunSamples(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWeek(t, 1, nil)
		_, stop := w.daemon()
		defer func() { w.over(stop) }()
		r := w.submits("alice", masu.RunWish{Want: &masu.Want{Count: 1}}, "sleep 600")
		w.runIs(r.ID, "running", runIn(masu.RunRunning))
		time.Sleep(15 * time.Minute)
		w.runIs(r.ID, "ended", runIn(masu.RunEnded))
		list, err := w.as("alice").RunSamples(t.Context(), r.ID)
		if err != nil || len(list) < 9 || len(list) > 11 {
			t.Fatalf("%d minutes, %v", len(list), err)
		}
		if x := list[3]; x.GPUs != 1 || x.GPU < 0.89 || x.GPU > 0.91 || x.GPUMemory != masu.GiB || x.Memory == 0 {
			t.Errorf("%+v", x)
		}
		if _, err := w.as("bob").RunSamples(t.Context(), r.ID); masu.KindOf(err) != masu.NotFound {
			t.Errorf("bob: %v", err)
		}
		if err := w.as("alice").ForgetRun(t.Context(), r.ID); err != nil {
			t.Fatal(err)
		}
		err = w.store.View(t.Context(), func(tx masu.Tx) error {
			list, err = tx.Samples(r.ID, time.Time{})
			return err
		})
		if err != nil || len(list) != 0 {
			t.Errorf("left behind: %d, %v", len(list), err)
		}
	})
}
