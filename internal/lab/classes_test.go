package lab

import (
	"slices"
	"testing"

	"github.com/masu-lab/masu"
	"github.com/masu-lab/masu/internal/sched"
)

// TestClassesToName: everybody is told of those classes of work that they may name, and of no others.
func TestClassesToName(t *testing.T) {
	w := newWorld(t)
	w.policy = func(p *Policy) {
		p.GPUs.Classes = []sched.Class{{Name: "paper"}, {Name: "course", Groups: []string{"teachers"}}}
	}
	l, stop := w.daemon()
	defer stop()
	teacher, boss := actor("bob"), actor("boss")
	teacher.Groups, boss.Admin = []masu.Group{{Name: "teachers"}}, true
	for who, want := range map[*masu.Actor][]string{new(actor("alice")): {"paper"}, &teacher: {"course", "paper"}, &boss: {"course", "paper"}} {
		hello, err := l.As(*who).Whoami(t.Context())
		if err != nil || !slices.Equal(hello.Classes, want) {
			t.Errorf("%s may name %v, %v", who.Name, hello.Classes, err)
		}
	}
}
