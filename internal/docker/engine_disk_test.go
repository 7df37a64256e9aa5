package docker

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/masu-lab/masu"
)

// holder is a host whose file systems hold limits, and that notes what it is asked.
type holder struct {
	Host
	most masu.Bytes
	dirs []string
	err  error
}

func (*holder) BoundsDisk(string) bool { return true }

func (h *holder) BoundDisk(_ context.Context, _ masu.WorkspaceID, most masu.Bytes, dirs ...string) error {
	h.most, h.dirs = most, dirs
	return h.err
}

func (h *holder) DiskBound(masu.WorkspaceID, string) (used, most masu.Bytes) { return masu.MiB, h.most }

// TestEngineDiskLimit: before a box begins, what it can write to has its limit;
// a layer that is older than this start is left as it is.
func TestEngineDiskLimit(t *testing.T) {
	h := &holder{}
	rt := openEngine(t, func(c *Config) { h.Host = c.Host; c.Host = h })
	if i, err := rt.Info(t.Context()); err != nil || !i.DiskLimits {
		t.Errorf("Info = %+v, %v", i, err)
	}
	b := testBox(t, rt)
	home := "masu-docker-test-" + string(b.ID)
	b.Mounts, b.Limits.Disk = []masu.Mount{{Volume: home, Target: "/home/dora"}}, 2*masu.GiB
	t.Cleanup(func() {
		if err := errors.Join(rt.Remove(context.Background(), b.ID), rt.RemoveVolume(context.Background(), home)); err != nil {
			t.Error(err)
		}
	})
	first := mustStart(t, rt, b)
	volume := filepath.Join(rt.engine.root, "volumes", home, "_data")
	if h.most != 2*masu.GiB || len(h.dirs) == 0 || h.dirs[0] != volume {
		t.Errorf("bounded to %v: %v", h.most, h.dirs)
	}
	if d := first.GraphDriver; d != nil && d.Name == "overlay2" {
		if code, out := run(t, rt, b, true, "echo x >/root/over-the-image"); code != 0 {
			t.Fatal(out)
		}
		if !slices.ContainsFunc(h.dirs, func(dir string) bool {
			_, err := os.Stat(filepath.Join(dir, "root/over-the-image"))
			return err == nil
		}) || !slices.ContainsFunc(h.dirs, func(dir string) bool { return strings.HasSuffix(dir, "/work") }) {
			t.Errorf("what the box writes over its image is not bounded: %v", h.dirs)
		}
	}
	if used, most, err := rt.Disk(t.Context(), b.ID); used != masu.MiB || most != 2*masu.GiB || err != nil {
		t.Errorf("Disk = %v of %v, %v", used, most, err)
	}
	if err := rt.Stop(t.Context(), b.ID, time.Minute); err != nil {
		t.Fatal(err)
	}
	h.err = errors.New("no such thing") // a limit that cannot be held keeps nobody from working
	if again := mustStart(t, rt, b); again.ID != first.ID || h.most != 2*masu.GiB || !slices.Equal(h.dirs, []string{volume}) {
		t.Errorf("begun again: %v %v", h.most, h.dirs)
	}
}
