package host

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/masu-lab/masu"
)

// What masu writes for members it writes as them: into their own folders only,
// through no link, and as a file of theirs.
func TestWriteAsTheMember(t *testing.T) {
	h := rooted(t)
	alice, bob := member(t, h, "masuta", 30101), member(t, h, "masutb", 30102)
	mine := filepath.Join(alice.Home, "研究")
	if err := h.MakeFolder(alice, mine); err != nil {
		t.Fatal(err)
	}
	if err := h.WriteFile(alice, mine, "masu.yaml", []byte("preset: python\n")); err != nil {
		t.Fatal(err)
	}
	for path, mode := range map[string]os.FileMode{mine: 0o755 | os.ModeDir, filepath.Join(mine, "masu.yaml"): 0o644} {
		info, err := os.Lstat(path)
		if err != nil {
			t.Fatal(err)
		}
		if st := info.Sys(); info.Mode() != mode || statUID(st) != alice.UID {
			t.Errorf("%s: %v, owner %d", path, info.Mode(), statUID(st))
		}
	}
	if err := os.Chmod(filepath.Join(mine, "masu.yaml"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := h.WriteFile(alice, mine, "masu.yaml", []byte("preset: pytorch\n")); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(filepath.Join(mine, "masu.yaml")); err != nil || info.Mode() != 0o600 {
		t.Errorf("its mode was not kept: %v, %v", info, err)
	}

	link := filepath.Join(alice.Home, "link")
	if err := os.Symlink(bob.Home, link); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/etc/passwd", filepath.Join(alice.Home, "masu.yaml")); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		do   func() error
		code string
	}{
		"another's folder":          {func() error { return h.WriteFile(alice, bob.Home, "x", nil) }, "folder_not_yours"},
		"a folder in another's":     {func() error { return h.MakeFolder(alice, filepath.Join(bob.Home, "x")) }, "folder_not_yours"},
		"through a link":            {func() error { return h.WriteFile(alice, link, "x", nil) }, "folder_is_a_link"},
		"a folder through a link":   {func() error { return h.MakeFolder(alice, filepath.Join(link, "x")) }, "folder_is_a_link"},
		"in the place of a link":    {func() error { return h.WriteFile(alice, alice.Home, "masu.yaml", nil) }, "file_not_regular"},
		"in the place of a folder":  {func() error { return h.WriteFile(alice, alice.Home, "研究", nil) }, "file_not_regular"},
		"out by its name":           {func() error { return h.WriteFile(alice, mine, "../../x", nil) }, "folder_path_unclear"},
		"a folder that is there":    {func() error { return h.MakeFolder(alice, mine) }, "folder_exists"},
		"a folder named by nothing": {func() error { return h.MakeFolder(alice, mine+"/") }, "folder_path_unclear"},
		"below the system's root":   {func() error { return h.MakeFolder(alice, "/masu-test-x") }, "folder_not_yours"},
	} {
		if code := masu.CodeOf(c.do()); code != c.code {
			t.Errorf("%s: %q, not %q", name, code, c.code)
		}
	}
	if list, err := os.ReadDir(bob.Home); err != nil || len(list) != 0 {
		t.Errorf("bob has got %v, %v", list, err)
	}
}

// A file that cannot be written whole leaves the old one, and nothing beside it.
func TestWriteOnAFullDisk(t *testing.T) {
	h := rooted(t)
	alice := member(t, h, "masuta", 30101)
	dir := filepath.Join(alice.Home, "full")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("masu-test", dir, "tmpfs", 0, "size=16k,uid=30101,gid=30101,mode=755"); err != nil {
		t.Skip("no tmpfs here: ", err)
	}
	t.Cleanup(func() { _ = unix.Unmount(dir, 0) })
	if err := h.WriteFile(alice, dir, "masu.yaml", []byte("old")); err != nil {
		t.Fatal(err)
	}
	err := h.WriteFile(alice, dir, "masu.yaml", make([]byte, 64<<10))
	if masu.CodeOf(err) != "no_room_to_write" {
		t.Errorf("got %v", err)
	}
	b, err := os.ReadFile(filepath.Join(dir, "masu.yaml"))
	list, lerr := os.ReadDir(dir)
	if err != nil || string(b) != "old" || lerr != nil || len(list) != 1 {
		t.Errorf("left: %q, %v, %v, %v", b, err, list, lerr)
	}
}

func statUID(sys any) int { return int(sys.(*syscall.Stat_t).Uid) }
