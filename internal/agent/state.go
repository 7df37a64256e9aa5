package agent

import (
	"cmp"
	"reflect"
	"slices"
	"sync"
	"time"

	"github.com/masu-lab/masu"
)

// state is what the agent tells about its box, and who waits for news.
type state struct {
	mu       sync.Mutex
	received bool       // the member is
	asked    []masu.App // in the order they were asked for
	found    []masu.App // opened by hand, by port
	open     []masu.OpenNotebook
	active   time.Time
	password string
	lost     bool // the kernel refuses its GPUs
	told     masu.AgentStatus
	changed  chan struct{} // closed at the next change
}

func newState() *state {
	s := &state{changed: make(chan struct{}), active: time.Now()}
	s.told = s.status()
	return s
}

// now gives the status, and a channel that is closed when it is no longer true.
func (s *state) now() (masu.AgentStatus, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.told, s.changed
}

// change lets f change the state and tells those who wait if that made a difference.
func (s *state) change(f func(*state)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f(s)
	status := s.status()
	if reflect.DeepEqual(status, s.told) {
		return
	}
	s.told = status
	close(s.changed)
	s.changed = make(chan struct{})
}

func (s *state) status() masu.AgentStatus {
	apps := make([]masu.App, 0, len(s.asked)+len(s.found))
	apps = append(append(apps, s.asked...), s.found...)
	return masu.AgentStatus{
		Ready:      s.received && !slices.ContainsFunc(s.asked, func(a masu.App) bool { return !a.Ready && !a.Rests && !a.Own }),
		Apps:       apps,
		Notebooks:  s.open,
		ActiveAt:   s.active,
		PasswordID: s.password,
		GPULost:    s.lost,
	}
}

// app changes one of the apps that were asked for.
func (s *state) app(name string, f func(*masu.App)) {
	s.change(func(s *state) {
		for i := range s.asked {
			if s.asked[i].Name == name {
				f(&s.asked[i])
			}
		}
	})
}

// put takes an app into those that were asked for, or changes the one of its name.
func (s *state) put(a masu.App) {
	s.change(func(s *state) {
		if i := slices.IndexFunc(s.asked, func(b masu.App) bool { return b.Name == a.Name }); i >= 0 {
			s.asked[i] = a
			return
		}
		s.asked = append(slices.Clone(s.asked), a)
		s.found = slices.DeleteFunc(slices.Clone(s.found), func(b masu.App) bool { return b.Port == a.Port })
	})
}

// drop takes one out.
func (s *state) drop(name string) {
	s.change(func(s *state) {
		s.asked = slices.DeleteFunc(slices.Clone(s.asked), func(b masu.App) bool { return b.Name == name })
	})
}

// ports replaces what was opened by hand, keeping since when each was there. Of
// a new one it is asked by which command it began.
func (s *state) ports(open []int, now time.Time, command func(port int) string) {
	s.change(func(s *state) {
		var found []masu.App
		for _, port := range open {
			if slices.ContainsFunc(s.asked, func(a masu.App) bool { return a.Port == port }) {
				continue
			}
			a := masu.App{Name: portName(port), Port: port, Ready: true, Since: now}
			if i := slices.IndexFunc(s.found, func(b masu.App) bool { return b.Port == port }); i >= 0 {
				a = s.found[i]
			} else {
				a.Command = command(port)
			}
			found = append(found, a)
		}
		slices.SortFunc(found, func(a, b masu.App) int { return cmp.Compare(a.Port, b.Port) })
		s.found = found
	})
}

// notebooks replaces those that are open.
func (s *state) notebooks(list []masu.OpenNotebook) {
	s.change(func(s *state) { s.open = list })
}

// activeAt takes note of activity; it never goes back. Small steps are not news.
func (s *state) activeAt(t time.Time) {
	s.change(func(s *state) {
		if t.Sub(s.active) >= activityStep {
			s.active = t
		}
	})
}
