package lab

import (
	"testing"
	"time"

	"github.com/masu-lab/masu"
)

// TestRestart: what runs as it should goes on when its workspace is asked for
// again, and begins anew where that is asked for.
func TestRestart(t *testing.T) {
	w := newWorld(t)
	l, stop := w.daemon()
	defer stop()
	s, dir := l.As(actor("alice")), t.TempDir()
	up := func(restart bool) time.Time {
		t.Helper()
		if _, err := s.Up(t.Context(), masu.UpRequest{Dir: dir, Name: "work", Restart: restart}); err != nil {
			t.Fatal(err)
		}
		x := settled(t, s, "work")
		b, err := w.runtime.Box(t.Context(), x.ID)
		if err != nil || x.Phase != masu.Running {
			t.Fatalf("%v, %v", x, err)
		}
		return b.StartedAt
	}
	began := up(false)
	if again := up(false); !again.Equal(began) {
		t.Error("a box that runs as it should was begun anew")
	}
	if again := up(true); !again.After(began) {
		t.Error("a restart left what runs alone")
	}
}
