package agent

import (
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// TestDevicesLost: only what could be reached once can be lost, only the control group's refusal counts, and it comes back.
func TestDevicesLost(t *testing.T) {
	answers := map[string]error{}
	d := &devices{nodes: []string{"a", "b", "c"}, ask: func(n string) error { return answers[n] }, had: map[string]bool{}}
	for i, step := range []struct {
		change map[string]error
		want   bool
	}{
		{map[string]error{"b": syscall.EPERM}, false}, // never had
		{map[string]error{"c": syscall.EACCES}, false},
		{map[string]error{"c": syscall.ENOENT}, false}, // somebody removed the file
		{map[string]error{"a": syscall.EPERM}, true},
		{map[string]error{"b": nil}, true},
		{map[string]error{"a": nil}, false},
		{map[string]error{"b": syscall.EPERM}, true},
	} {
		for n, err := range step.change {
			answers[n] = err
		}
		if got := d.lost(); got != step.want {
			t.Errorf("step %d: %v", i, got)
		}
	}
}

// TestDevicesTold: the status tells it within a minute, and that all is well again; the log once each.
func TestDevicesTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var refused atomic.Bool
		d := &devices{nodes: []string{"gpu"}, had: map[string]bool{}, ask: func(string) error {
			if refused.Load() {
				return syscall.EPERM
			}
			return nil
		}}
		s, said := newState(), []bool{}
		go d.watch(t.Context(), s, func(lost bool) { said = append(said, lost) })
		synctest.Wait()
		for _, lost := range []bool{true, false} {
			refused.Store(lost)
			_, changed := s.now()
			begun := time.Now()
			<-changed
			if now, _ := s.now(); now.GPULost != lost || time.Since(begun) > time.Minute {
				t.Errorf("%v after %v", now.GPULost, time.Since(begun))
			}
			time.Sleep(5 * time.Minute)
		}
		synctest.Wait()
		if !slices.Equal(said, []bool{true, false}) {
			t.Errorf("said %v", said)
		}
	})
}

// TestDevicesOfABox: what every box has is none of its GPUs.
func TestDevicesOfABox(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root makes device nodes")
	}
	dir := t.TempDir()
	for _, sub := range []string{"pts", "dri", "nvidia-caps"} {
		if err := os.Mkdir(filepath.Join(dir, sub), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"null", "ptmx", "pts/0", "nvidia0", "dri/renderD128", "nvidia-caps/nvidia-cap1"} {
		if err := syscall.Mknod(filepath.Join(dir, name), syscall.S_IFCHR|0o666, 1<<8|3); err != nil {
			t.Skip("this file system takes no device nodes:", err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	d := newDevices(dir)
	for i, want := range []string{"dri/renderD128", "nvidia-caps/nvidia-cap1", "nvidia0"} {
		if len(d.nodes) != 3 || d.nodes[i] != filepath.Join(dir, want) {
			t.Fatalf("%v", d.nodes)
		}
	}
	if none := newDevices(filepath.Join(dir, "none")); len(none.nodes) != 0 {
		t.Errorf("%v", none.nodes)
	}
}
