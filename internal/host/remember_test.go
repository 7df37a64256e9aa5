package host

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/masu-lab/masu"
)

// TestRemembered: an account that was read once is read again when a file that it stands in is another one.
func TestRemembered(t *testing.T) {
	h := directory(t, ldap)
	h.fresh = 0
	write := func(name, text string) {
		t.Helper()
		draft := filepath.Join(h.etc, "draft")
		if err := os.WriteFile(draft, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(draft, filepath.Join(h.etc, name)); err != nil {
			t.Fatal(err)
		}
	}
	read := func(name string) string {
		b, err := os.ReadFile(filepath.Join(h.etc, name))
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	write("nsswitch.conf", "passwd: files\ngroup: files\n")
	for range 2 {
		if u, err := h.ByName("alice"); err != nil || u.Admin || len(u.Groups) != 1 {
			t.Fatalf("%+v, %v", u, err)
		} else {
			u.Groups[0].Name = "the caller's own" // what is remembered is nobody's to change
		}
	}
	if len(h.users.users) != 1 {
		t.Fatalf("%d accounts are remembered", len(h.users.users))
	}
	write("group", strings.Replace(read("group"), "staff:x:50:bob", "staff:x:50:alice", 1))
	if u, err := h.ByName("alice"); err != nil || !u.Admin || u.Groups[0].Name != "staff" {
		t.Errorf("she became an admin: %+v, %v", u, err)
	}
	if u, err := h.ByName("bob"); err != nil || u.Admin {
		t.Errorf("he is none any more: %+v, %v", u, err)
	}
	write("passwd", strings.ReplaceAll(read("passwd"), "alice", "alicia"))
	if u, err := h.ByName("alice"); masu.CodeOf(err) != "no_account" {
		t.Errorf("she is gone: %+v, %v", u, err)
	}
	if u, err := h.ByUID(30001); err != nil || u.Name != "alicia" {
		t.Errorf("her number is another's now: %+v, %v", u, err)
	}
	if u, err := h.ByName("carol"); err != nil || len(h.users.users) != 1 {
		t.Errorf("whom a directory knows is not remembered with the files: %+v, %v, %v", u, err, h.users.users)
	}
	h.fresh = fresh
	if _, settled := h.accountStamp(); settled {
		t.Error("what was written just now is taken for settled")
	}
}
