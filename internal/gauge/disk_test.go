package gauge

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/masu-lab/masu"
)

func TestDisk(t *testing.T) {
	outside, dir := t.TempDir(), t.TempDir()
	write := func(path string, size int) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, make([]byte, size), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write(filepath.Join(outside, "theirs"), 8<<20)
	write(filepath.Join(dir, "a", "b", "mine"), 1<<20)
	for name, target := range map[string]string{"folder": outside, "file": filepath.Join(outside, "theirs"), "up": "../.."} {
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Link(filepath.Join(dir, "a", "b", "mine"), filepath.Join(dir, "again")); err != nil {
		t.Fatal(err)
	}
	for i := range 3 * diskBatch { // more than are read at once
		if err := os.WriteFile(filepath.Join(dir, "a", fmt.Sprint("empty", i)), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	hole, err := os.Create(filepath.Join(dir, "hole"))
	if err != nil {
		t.Fatal(err)
	}
	if err := hole.Truncate(1 << 30); err != nil {
		t.Fatal(err)
	}
	got, err := Disk(t.Context(), dir)
	if err != nil || got < masu.MiB || got > 2*masu.MiB {
		t.Errorf("%v, %v: want the one file, once", got, err)
	}
	if less, err := Disk(t.Context(), dir, filepath.Join(dir, "a")); err != nil || less < masu.MiB || less >= got {
		t.Errorf("%v, %v: without a folder it is less than %v, and the file's other name is there", less, err, got)
	}
	if _, err := Disk(t.Context(), filepath.Join(dir, "none")); err == nil {
		t.Error("a folder that is not there")
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Disk(gone, dir); err == nil {
		t.Error("nobody waits, and it goes on")
	}
}
