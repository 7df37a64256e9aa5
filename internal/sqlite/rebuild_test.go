package sqlite

import (
	"errors"
	"os"
	"testing"

	"github.com/masu-lab/masu"
)

// A store that was broken is built anew as the same lab's, with what could
// still be read. Even one that was lost wholly stays the same lab's.
func TestRebuild(t *testing.T) {
	for name, c := range map[string]struct {
		harm                func(path string) error
		workspaces, members int
	}{
		"sound":  {func(string) error { return nil }, 2, 1},
		"zeroed": {func(p string) error { return overwrite(p, make([]byte, 100)) }, 0, 0},
		"empty":  {func(p string) error { return os.Truncate(p, 0) }, 0, 0},
		"text":   {func(p string) error { return os.WriteFile(p, []byte("not a database\n"), 0o600) }, 0, 0},
		"folder": {func(p string) error { _ = os.Remove(p); return os.Mkdir(p, 0o700) }, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			path := closed(t)
			var lab string
			s := openAt(t, path)
			if err := s.Update(t.Context(), func(tx masu.Tx) (err error) {
				lab, err = tx.Lab()
				for _, n := range []string{"a", "b"} {
					if err == nil {
						err = tx.PutWorkspace(masu.Workspace{ID: masu.WorkspaceID(n), Owner: "alice", Name: n, Label: n, Guests: []masu.Username{"bob"}})
					}
				}
				if err == nil {
					err = tx.PutMember(masu.Member{Name: "alice", Lang: masu.Japanese})
				}
				if err == nil {
					no := false
					err = errors.Join(tx.PutShared(masu.Shared{ID: "s", Owner: "alice"}), tx.PutHouse(masu.House{Banner: "停電"}), tx.PutRules(masu.Rules{Guests: &no}))
				}
				return err
			}); err != nil {
				t.Fatal(err)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			if err := c.harm(path); err != nil {
				t.Fatal(err)
			}
			r, err := Rebuild(t.Context(), config(path))
			if err != nil {
				t.Fatal(err)
			}
			if r.Lab != lab || r.Workspaces != c.workspaces || r.Members != c.members {
				t.Errorf("%+v, the lab was %s", r, lab)
			}
			if _, err := os.Stat(r.Moved); err != nil {
				t.Error(err)
			}
			again := openAt(t, path)
			if err := again.VerifyEvents(t.Context()); err != nil {
				t.Error(err)
			}
			if err := again.View(t.Context(), func(tx masu.Tx) error {
				all, err := tx.Workspaces()
				open, _ := tx.WorkspacesOpenTo("bob")
				if len(all) != c.workspaces || len(open) != c.workspaces {
					t.Errorf("%v, open to bob %v", all, open)
				}
				shared, _ := tx.SharedEnvironments()
				house, _ := tx.House()
				rules, _ := tx.Rules()
				if kept := c.members > 0; (len(shared) == 1) != kept || (house.Banner != "") != kept || (rules.Guests != nil) != kept {
					t.Errorf("shared %v, house %+v, rules %+v", shared, house, rules)
				}
				events, _ := tx.Events(0, 10)
				if len(events) != 1 || events[0].Verb != "rebuild" {
					t.Errorf("the log says %+v", events)
				}
				return err
			}); err != nil {
				t.Error(err)
			}
		})
	}
}
