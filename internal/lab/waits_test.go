package lab

import (
	"slices"
	"testing"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/masu-lab/masu"
)

// TestBoxThatWaits: a box for which a cluster has no room yet is waited for, and
// it is said why; a daemon that dies meanwhile changes nothing; and who does not
// want to wait any more leaves no box behind.
func TestBoxThatWaits(t *testing.T) {
	w := newWorld(t)
	l, stop := w.daemon()
	w.runtime.Delay(masu.E(masu.Full, "pod_no_room", "0/2 nodes"))
	s := l.As(actor("alice"))
	ws, err := s.Up(t.Context(), masu.UpRequest{Dir: t.TempDir(), Name: "work"})
	if err != nil {
		t.Fatal(err)
	}
	tells := func(s masu.Service) {
		t.Helper()
		for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(time.Millisecond) { // a new daemon takes a moment to take the start up
			for p := range s.Watch(t.Context(), "work") {
				if p.Code == "pod_no_room" && slices.Equal(p.Args, []string{"0/2 nodes"}) {
					return
				}
			}
		}
		t.Fatal("it is not told why the box does not run yet")
	}
	tells(s)
	stop()
	l, stop = w.daemon()
	defer stop()
	s = l.As(actor("alice"))
	tells(s)
	w.runtime.Delay(nil)
	eventually(t, s, "work", "there is room", func(w masu.Workspace) bool { return w.Phase == masu.Running })

	if _, err := s.Stop(t.Context(), "work"); err != nil {
		t.Fatal(err)
	}
	w.runtime.Delay(masu.E(masu.Full, "pod_no_room", "0/2 nodes"))
	if _, err := s.Up(t.Context(), masu.UpRequest{Name: "work"}); err != nil {
		t.Fatal(err)
	}
	tells(s)
	if _, err := s.Stop(t.Context(), "work"); err != nil {
		t.Fatal(err)
	}
	if b, err := w.runtime.Box(t.Context(), ws.ID); err == nil && alive(b, true) {
		t.Errorf("a workspace that was stopped while it waited has %+v", b)
	}
}

// TestWhoWaitsHoldsNobodyUp: starts go on though as many as may start at once wait for a cluster.
func TestWhoWaitsHoldsNobodyUp(t *testing.T) {
	w := newWorld(t)
	l, stop := w.daemon()
	defer stop()
	l.starts = semaphore.NewWeighted(1)
	w.runtime.Delay(masu.E(masu.Full, "pod_queued", "lab"))
	s := l.As(actor("alice"))
	if _, err := s.Up(t.Context(), masu.UpRequest{Dir: t.TempDir(), Name: "queued"}); err != nil {
		t.Fatal(err)
	}
	eventually(t, s, "queued", "it waits", func(w masu.Workspace) bool { return w.Phase == masu.Starting })
	if err := l.starts.Acquire(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	l.starts.Release(1)
	w.runtime.Delay(nil)
	eventually(t, s, "queued", "its turn came", func(w masu.Workspace) bool { return w.Phase == masu.Running })
}
