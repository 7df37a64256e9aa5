package sqlite

import (
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/masu-lab/masu"
)

// TestMostBecomesALimit: what an admin said about a member's workspaces before
// there were other limits holds after the upgrade, and nobody else gets one.
func TestMostBecomesALimit(t *testing.T) {
	all, err := migrations(migrationFiles)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "masu.db")
	old, err := open(t.Context(), config(path), all[:6])
	if err != nil {
		t.Fatal(err)
	}
	for name, doc := range map[string]string{
		"alice": `{"name":"alice","role":"teacher","most":3}`, "bob": `{"name":"bob","most":0,"disabled":true}`, "carol": `{"name":"carol","lang":"ja"}`,
	} {
		if _, err := old.write.Exec("INSERT INTO member (name, doc) VALUES (?, ?)", name, doc); err != nil {
			t.Fatal(err)
		}
	}
	if err := old.Close(); err != nil {
		t.Fatal(err)
	}
	three, none := 3, 0
	want := []masu.Member{
		{Name: "alice", Role: masu.RoleTeacher, Limits: masu.MemberLimits{Workspaces: &three}},
		{Name: "bob", Disabled: true, Limits: masu.MemberLimits{Workspaces: &none}}, {Name: "carol", Lang: masu.Japanese},
	}
	s := openAt(t, path)
	if err := s.View(t.Context(), func(tx masu.Tx) error {
		got, err := tx.Members()
		_, gone := tx.Member("nobody")
		if d := cmp.Diff(want, got); d != "" || masu.KindOf(gone) != masu.NotFound {
			t.Error(d, gone)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
}
