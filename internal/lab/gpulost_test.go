package lab

import (
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/masu-lab/masu"
	"github.com/masu-lab/masu/internal/masutest"
)

// losing is an agent whose box loses its GPUs and gets them back, as the test says.
type losing struct {
	mu      sync.Mutex
	lost    masu.Username // whose box has
	owners  map[masu.WorkspaceID]masu.Username
	changed chan struct{}
	said    []string // at the terminals
}

func (a *losing) set(who masu.Username) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.lost = who
	close(a.changed)
	a.changed = make(chan struct{})
}

func (a *losing) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/v1/say" {
		words, _ := io.ReadAll(r.Body)
		a.mu.Lock()
		a.said = append(a.said, string(words))
		a.mu.Unlock()
		w.WriteHeader(http.StatusNoContent)
		return
	}
	for {
		a.mu.Lock()
		s, changed := masu.AgentStatus{Ready: true, GPULost: a.lost != "" && a.owners[masutest.BoxOf(r)] == a.lost}, a.changed
		a.mu.Unlock()
		if json.NewEncoder(w).Encode(s) != nil || http.NewResponseController(w).Flush() != nil {
			return
		}
		select {
		case <-changed:
		case <-r.Context().Done():
			return
		}
	}
}

// TestGPULost is row G8: whose box may not reach its GPUs any more is told once, in every place; the
// board says which it is; it passes when the box has them again, and by a restart.
func TestGPULost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWeek(t, 2, nil)
		l, stop := w.daemon()
		defer func() { w.over(stop) }()
		a := &losing{owners: map[masu.WorkspaceID]masu.Username{}, changed: make(chan struct{})}
		w.runtime.Handle(masu.AgentPort, a)
		w.listens("alice", "bob")
		for _, who := range []masu.Username{"alice", "bob"} {
			w.wants(who, 1)
			x := w.is(who, "running", runsWithGPUs(1))
			a.mu.Lock()
			a.owners[x.ID] = who
			a.mu.Unlock()
		}
		w.heard()
		a.set("bob")
		w.is("bob", "without its GPU", func(x masu.Workspace) bool { return x.Lost && x.Phase == masu.Running && len(x.GPUs) == 1 })
		if x := w.is("alice", "well", in(masu.Running)); x.Lost {
			t.Error("alice's is called lost")
		}
		time.Sleep(time.Minute)
		if told := w.heard(); len(told) != 1 || !strings.Contains(told[0], "bob: gpu_lost") {
			t.Errorf("told %q", told)
		}
		a.mu.Lock()
		if len(a.said) != 1 || !strings.Contains(a.said[0], "gpu_lost") {
			t.Errorf("said %q", a.said)
		}
		a.mu.Unlock()
		lost := func() (who []masu.Username) {
			b, err := w.as("alice").Board(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for _, g := range b.GPUs {
				for _, h := range g.Holds {
					if h.Lost {
						who = append(who, h.Member)
					}
				}
			}
			return who
		}
		if got := lost(); !slices.Equal(got, []masu.Username{"bob"}) {
			t.Errorf("the board says %v", got)
		}
		l.mu.Lock()
		if l.alerted["gpu_lost_somewhere"].IsZero() {
			t.Error("no admin is told")
		}
		l.mu.Unlock()
		a.set("")
		w.is("bob", "well again", func(x masu.Workspace) bool { return !x.Lost })
		a.set("bob")
		w.is("bob", "without its GPU once more", func(x masu.Workspace) bool { return x.Lost })
		x := w.is("bob", "lost", func(x masu.Workspace) bool { return x.Lost })
		before, err := w.runtime.Box(t.Context(), x.ID)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.as("bob").Up(t.Context(), masu.UpRequest{Dir: w.dir, Name: "work", Want: &masu.Want{Count: 1}, Restart: true}); err != nil {
			t.Fatal(err)
		}
		a.set("")
		w.is("bob", "restarted", func(x masu.Workspace) bool { return runsWithGPUs(1)(x) && !x.Lost })
		if after, err := w.runtime.Box(t.Context(), x.ID); err != nil || !after.StartedAt.After(before.StartedAt) {
			t.Errorf("the restart left the box running: %v, %v, %v", before.StartedAt, after.StartedAt, err)
		}
		if _, err := w.as("bob").Stop(t.Context(), "work"); err != nil {
			t.Fatal(err)
		}
		if x := w.is("bob", "stopped", in(masu.Stopped)); x.Lost || len(lost()) != 0 {
			t.Errorf("what is stopped has lost nothing: %+v", x)
		}
	})
}
