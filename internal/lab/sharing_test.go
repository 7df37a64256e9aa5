package lab

import (
	"slices"
	"testing"

	"github.com/masu-lab/masu"
)

// TestSharedDefault: a folder that says nothing has the host's own environment,
// and who shares it is seen to use it.
func TestSharedDefault(t *testing.T) {
	w := newWorld(t)
	l, stop := w.daemon()
	defer stop()
	for _, x := range []masu.Workspace{
		{ID: "abcdefghijkl", Owner: "alice", Name: "a", Label: "a--alice", Phase: masu.Stopped},
		{ID: "bcdefghijklm", Owner: "bob", Name: "b", Label: "b--bob", Phase: masu.Stopped, Project: masu.Project{Environment: masu.Environment{Preset: "python"}}},
	} {
		if err := w.store.Update(t.Context(), func(tx masu.Tx) error { return tx.PutWorkspace(x) }); err != nil {
			t.Fatal(err)
		}
	}
	alice := l.As(actor("alice"))
	x, err := alice.Share(t.Context(), masu.ShareWish{Workspace: "a"})
	if err != nil || x.Env.Preset != "python" {
		t.Fatalf("%+v, %v", x, err)
	}
	list, err := alice.Environments(t.Context())
	if err != nil || len(list) != 1 || list[0].Shared.ID != x.ID || !slices.Equal(list[0].Workspaces, []string{"a"}) || !slices.Equal(list[0].Members, []masu.Username{"alice", "bob"}) {
		t.Errorf("%+v, %v", list, err)
	}
}
