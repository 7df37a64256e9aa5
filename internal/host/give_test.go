package host

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/masu-lab/masu"
)

// TestGiveFolder: a folder goes to its receiver's, with what was the leaver's in
// it; nothing is put over what is there, nor where the receiver could not, and
// nothing that is not the leaver's is given.
func TestGiveFolder(t *testing.T) {
	needRoot(t)
	h := newHost(t, Config{Root: true})
	from, to := masu.User{Name: "from", UID: 30301, GID: 30301}, masu.User{Name: "to", UID: 30302, GID: 30302}
	top, err := os.MkdirTemp("", "masu-give-") // t.TempDir is root's alone
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(top) })
	if err := os.Chmod(top, 0o755); err != nil {
		t.Fatal(err)
	}
	folder := func(u masu.User, path string) string {
		t.Helper()
		path = filepath.Join(top, path)
		if err := errors.Join(os.Mkdir(path, 0o700), os.Chown(path, u.UID, u.GID)); err != nil {
			t.Fatal(err)
		}
		return path
	}
	hers, his := folder(from, "hers"), folder(to, "his")
	folder(from, "hers/thesis")
	folder(from, "hers/data")
	folder(to, "his/data")
	folder(masu.User{}, "hers/roots")
	secret := filepath.Join(top, "secret")
	for path, u := range map[string]masu.User{secret: {}, filepath.Join(hers, "thesis", "a.py"): from, filepath.Join(hers, "thesis", "root.txt"): {}} {
		if err := errors.Join(os.WriteFile(path, []byte("x"), 0o600), os.Chown(path, u.UID, u.GID)); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(os.Symlink(secret, filepath.Join(hers, "thesis", "link")), os.Lchown(filepath.Join(hers, "thesis", "link"), from.UID, from.GID), os.Symlink(filepath.Join(hers, "thesis"), filepath.Join(hers, "elsewhere"))); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ dir, at, code string }{
		"what is there stays":        {"hers/data", "his/data", "folder_exists"},
		"root's folder":              {"hers/roots", "his/roots", "folder_not_yours"},
		"a link":                     {"hers/elsewhere", "his/elsewhere", "folder_is_a_link"},
		"into what is not his":       {"hers/thesis", "hers/data/thesis", "folder_not_yours"},
		"one that is not there":      {"hers/none", "his/none", "folder_not_found"},
		"into one that is not there": {"hers/thesis", "his/none/thesis", "folder_not_found"},
		"his own":                    {"his/data", "his/moved", "folder_not_yours"},
	} {
		if err := h.GiveFolder(from, to, filepath.Join(top, c.dir), filepath.Join(top, c.at)); masu.CodeOf(err) != c.code {
			t.Errorf("%s: %v, want %s", name, err, c.code)
		}
	}
	if err := h.GiveFolder(from, to, filepath.Join(hers, "thesis"), filepath.Join(his, "thesis")); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]int{secret: 0, filepath.Join(his, "thesis"): to.UID, filepath.Join(his, "thesis", "a.py"): to.UID, filepath.Join(his, "thesis", "root.txt"): 0,
		filepath.Join(his, "thesis", "link"): to.UID, filepath.Join(hers, "data"): from.UID} {
		info, err := os.Lstat(path)
		if err != nil {
			t.Fatal(err)
		}
		if got := int(info.Sys().(*syscall.Stat_t).Uid); got != want {
			t.Errorf("%s is of %d, want %d", path, got, want)
		}
	}
	if uid, size, err := h.LookFolder(t.Context(), filepath.Join(his, "thesis")); err != nil || uid != to.UID || size <= 0 {
		t.Errorf("a look: %d, %s, %v", uid, size, err)
	}
	if err := h.GiveFolder(from, to, filepath.Join(hers, "data"), filepath.Join(hers, "data")); err != nil {
		t.Errorf("where it is: %v", err)
	}
	if err := newHost(t, Config{}).GiveFolder(from, to, hers, hers); masu.CodeOf(err) != "folder_not_yours" {
		t.Errorf("by a masu of one member's: %v", err)
	}
}
