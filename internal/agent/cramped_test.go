package agent

import (
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/masu-lab/masu"
)

// TestCramped: only a full home makes Jupyter write elsewhere.
func TestCramped(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can make a small disk")
	}
	home := t.TempDir()
	b := box{User: masu.User{UID: 30001, Home: home}}
	if got := b.cramped(); got != nil {
		t.Errorf("with room: %v", got)
	}
	if err := unix.Mount("tmpfs", home, "tmpfs", 0, "size=64k"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Unmount(home, unix.MNT_DETACH) })
	if got := b.cramped(); len(got) != 1 || got[0] != "JUPYTER_RUNTIME_DIR=/dev/shm/jupyter-30001" {
		t.Errorf("without: %v", got)
	}
	b.User.Home = home + "/nothing"
	if got := b.cramped(); got != nil {
		t.Errorf("no home: %v", got)
	}
}
