package lab

import (
	"strings"
	"testing"

	"github.com/masu-lab/masu"
)

// TestRunsAreBounded: an array is written down once for each of its runs, so a
// long command or many variables must not become gigabytes of records.
func TestRunsAreBounded(t *testing.T) {
	w := newWorld(t)
	w.state = t.TempDir()
	l, stop := w.daemon()
	defer stop()
	alice := l.As(actor("alice"))
	after := make([]masu.WorkspaceID, masu.ArrayMost+1)
	long := strings.Repeat("x", 900<<10)
	for name, q := range map[string]masu.RunWish{
		"a long command":     {Argv: []string{"echo", long}, Array: true, Last: masu.ArrayMost - 1},
		"a long variable":    {Argv: []string{"true"}, Env: []string{"A=" + long}, Array: true, Last: masu.ArrayMost - 1},
		"after a great many": {Argv: []string{"true"}, After: after},
	} {
		if _, err := alice.Submit(t.Context(), q); masu.CodeOf(err) != "runs_large" {
			t.Errorf("%s: %v", name, err)
		}
	}
	w.view(func(tx masu.Tx) error {
		list, err := tx.Runs("")
		if len(list) != 0 {
			t.Errorf("%d runs are written down", len(list))
		}
		return err
	})
	if _, err := alice.Submit(t.Context(), masu.RunWish{Argv: []string{"echo", strings.Repeat("x", 100<<10)}, Array: true, Last: 9}); err != nil {
		t.Errorf("an ordinary array: %v", err)
	}
}
