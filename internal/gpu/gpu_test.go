package gpu

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/masu-lab/masu"
	"github.com/masu-lab/masu/internal/text"
)

// open makes an inventory of one of the machines of testdata.
func open(t *testing.T, machine string) *Inventory {
	t.Helper()
	i, err := New(Config{Command: filepath.Join("testdata", machine, "nvidia-smi")})
	if err != nil {
		t.Fatal(err)
	}
	return i
}

func TestMachines(t *testing.T) {
	h100 := masu.GPUID("GPU-c08d91cb-e324-655c-71ba-7570956445bc")
	for machine, c := range map[string]struct {
		driver string
		gpus   []masu.GPU
	}{
		"a100": {"535.183.01", []masu.GPU{
			{ID: "GPU-5d5ba0d6-d33d-2b2c-524d-9e3d8d2b8a77", Index: 0, Model: "NVIDIA A100-SXM4-80GB", Memory: 80 * masu.GiB, Capability: "8.0"},
			{ID: "GPU-1f0e6b7e-24e2-9d0a-58b6-0a3a3e0a9c11", Index: 1, Model: "NVIDIA A100-SXM4-80GB", Memory: 80 * masu.GiB, Capability: "8.0"},
		}},
		// The third card is in MIG mode and has no slices: nothing of it can be lent.
		"h100-mig": {"570.86.10", []masu.GPU{
			{ID: "MIG-c788539f-c1ea-5a36-8b4d-9b07d024b1bb", Parent: h100, Model: "NVIDIA H100 80GB HBM3 MIG 1c.3g.40gb", Memory: 40 * masu.GiB, Capability: "9.0"},
			{ID: "MIG-405bbda1-6b05-535f-9702-f95e8cd170ce", Parent: h100, Model: "NVIDIA H100 80GB HBM3 MIG 1g.10gb+me", Memory: 10 * masu.GiB, Capability: "9.0"},
			{ID: "MIG-b4b2228d-6933-5839-bc0e-41ab9edb61c6", Parent: h100, Model: "NVIDIA H100 80GB HBM3 MIG 1g.10gb", Memory: 10 * masu.GiB, Capability: "9.0"},
			{ID: "GPU-0b1f4f0e-7a66-3f5d-9a51-5a4e2cf9d0aa", Index: 1, Model: "NVIDIA H100 80GB HBM3", Memory: 81559 * masu.MiB, Capability: "9.0"},
		}},
		"rtx4090": {"550.54.14", []masu.GPU{
			{ID: "GPU-f6a3a1f4-4d53-0f6a-98a2-6c1f5b9b7d10", Index: 0, Model: "NVIDIA GeForce RTX 4090", Memory: 24564 * masu.MiB, Capability: "8.9"},
			{ID: "GPU-2c1d7e58-93a5-11aa-7b0c-9f3e6a4c8d22", Index: 1, Model: "NVIDIA GeForce RTX 4090", Memory: 24564 * masu.MiB, Capability: "8.9"},
		}},
		"old-driver": {"450.80.02", []masu.GPU{{ID: "GPU-67a571b1-79ee-1016-8ea3-c1fff3f1c1d2", Model: "GeForce RTX 2080 Ti", Memory: 11019 * masu.MiB}}},
		"unified":    {"580.95.05", []masu.GPU{{ID: "GPU-3c0de1a2-5b6f-7788-99aa-bbccddeeff00", Model: "NVIDIA GB10", Capability: "12.1"}}},
		"lost-card":  {"520.61.05", []masu.GPU{{ID: "GPU-67a571b1-79ee-1016-8ea3-c1fff3f1c1d2", Model: "NVIDIA GeForce RTX 2080 Ti", Memory: 11 * masu.GiB, Capability: "7.5"}}},
		"no-card":    {},
		"not-loaded": {},
	} {
		i := open(t, machine)
		gpus, err := i.GPUs(t.Context())
		if d := cmp.Diff(c.gpus, gpus); d != "" || err != nil {
			t.Errorf("%s: %v %s", machine, err, d)
		}
		if driver, err := i.Driver(t.Context()); driver != c.driver || err != nil {
			t.Errorf("%s: driver %q, %v", machine, driver, err)
		}
	}
}

func TestTrouble(t *testing.T) {
	missing, err := New(Config{Command: filepath.Join(t.TempDir(), "nvidia-smi")})
	if err != nil {
		t.Fatal(err)
	}
	for code, i := range map[string]*Inventory{"gpu_driver_mismatch": open(t, "mismatch"), "gpu_query_failed": open(t, "broken"), "gpu_query_failed ": missing} {
		_, err := i.GPUs(t.Context())
		if masu.KindOf(err) != masu.Unreachable || masu.CodeOf(err) != code && masu.CodeOf(err)+" " != code {
			t.Errorf("%s: %v", code, err)
		}
		if _, fix := text.Error(masu.Japanese, err); fix == "" {
			t.Errorf("%s has no fix", code)
		}
		if _, again := i.Driver(t.Context()); masu.CodeOf(again) != masu.CodeOf(err) {
			t.Errorf("the driver: %v", again)
		}
	}
}

func TestWithoutDriver(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	if _, err := os.Stat("/usr/bin/nvidia-smi"); err == nil {
		t.Skip("this host has a driver")
	}
	i, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	gpus, err := i.GPUs(t.Context())
	driver, err2 := i.Driver(t.Context())
	if gpus != nil || driver != "" || err != nil || err2 != nil {
		t.Errorf("%v, %q, %v, %v", gpus, driver, err, err2)
	}
}

// TestHangingProcess has a real process that does not answer, and is killed.
func TestHangingProcess(t *testing.T) {
	i, err := New(Config{Command: "testdata/hangs", Deadline: 100 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := i.GPUs(t.Context()); masu.CodeOf(err) != "gpu_hangs" || masu.KindOf(err) != masu.Unreachable {
		t.Error(err)
	}
}

// TestHangingDriver has a process that even SIGKILL does not end: callers give
// up at the deadline, no second process is started, and all is well again
// when the driver comes back.
func TestHangingDriver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked int
		back := make(chan struct{})
		i := &Inventory{meter: newMeter(), deadline: 20 * time.Second, keep: 30 * time.Second, ask: func(context.Context, ...string) ([]byte, error) {
			asked++
			<-back
			return []byte("0, GPU-1, X, 1024, 8.0, [N/A], 570.1\n"), nil
		}}
		for range 3 {
			if _, err := i.GPUs(t.Context()); masu.CodeOf(err) != "gpu_hangs" {
				t.Error(err)
			}
		}
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := i.GPUs(gone); masu.CodeOf(err) != "gpu_hangs" && !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		close(back)
		synctest.Wait()
		if gpus, err := i.GPUs(t.Context()); len(gpus) != 1 || err != nil || asked != 1 {
			t.Errorf("%v, %v after %d queries", gpus, err, asked)
		}
	})
}

func TestAnswersAreKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked, fail := 0, false
		i := &Inventory{meter: newMeter(), deadline: time.Second, keep: 30 * time.Second, ask: func(context.Context, ...string) ([]byte, error) {
			if asked++; fail {
				return nil, errors.New("no")
			}
			return []byte("0, GPU-1, A, B, 1024, 8.0, [N/A], 570.1\n"), nil
		}}
		want := func(n int, ok bool) {
			t.Helper()
			gpus, err := i.GPUs(t.Context())
			if (err == nil) != ok || asked != n || ok && gpus[0].Model != "A, B" {
				t.Errorf("%v, %v after %d queries, want %d", gpus, err, asked, n)
			}
		}
		want(1, true)
		want(1, true)
		time.Sleep(31 * time.Second)
		fail = true
		want(2, false)
		want(3, false) // a failure is not kept
		fail = false
		want(4, true)
	})
}

func FuzzParse(f *testing.F) {
	for _, name := range []string{"a100/query.csv", "h100-mig/list.txt", "lost-card/query.csv", "mismatch/query.csv"} {
		b, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(b))
	}
	f.Fuzz(func(t *testing.T, text string) {
		slices, _ := parseSlices(text)
		for _, g := range withSlices(parseCards(text, []string{"index", "uuid", "name", "memory.total", "driver_version"}), slices) {
			if g.ID == "" || g.Memory < 0 || g.Index < 0 {
				t.Errorf("%q gives %+v", text, g)
			}
		}
	})
}
