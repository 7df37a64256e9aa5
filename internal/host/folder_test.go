package host

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"testing/fstest"

	"golang.org/x/sys/unix"

	"github.com/masu-lab/masu"
)

// self is whoever runs the tests.
func self(t *testing.T) masu.User {
	t.Helper()
	return masu.User{Name: "self", UID: os.Geteuid(), GID: os.Getegid(), Home: t.TempDir()}
}

func fillFolder(t *testing.T, dir string, u masu.User) {
	t.Helper()
	for _, d := range []string{"sub", "sub/deep", "empty", "日本語"} {
		if err := os.Mkdir(filepath.Join(dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
		own(t, filepath.Join(dir, d), u)
	}
	write(t, filepath.Join(dir, "masu.yaml"), "preset: python\n", 0o644, u)
	write(t, filepath.Join(dir, "sub/deep/file"), "deep", 0o600, u)
	write(t, filepath.Join(dir, "日本語/ノート.ipynb"), "{}", 0o644, u)
}

func TestFolderIsAFileSystem(t *testing.T) {
	users := map[string]func(t *testing.T) (*Host, masu.User){
		"personal": func(t *testing.T) (*Host, masu.User) { return newHost(t, Config{}), self(t) },
		"member": func(t *testing.T) (*Host, masu.User) {
			h := rooted(t)
			return h, member(t, h, "masuta", 30101)
		},
	}
	for name, open := range users {
		t.Run(name, func(t *testing.T) {
			h, u := open(t)
			dir := filepath.Join(u.Home, "project")
			if err := os.Mkdir(dir, 0o700); err != nil {
				t.Fatal(err)
			}
			own(t, dir, u)
			fillFolder(t, dir, u)
			f, err := h.OpenFolder(u, dir)
			if err != nil {
				t.Fatal(err)
			}
			if f.Dir() != dir {
				t.Errorf("Dir = %q", f.Dir())
			}
			if err := fstest.TestFS(f, "masu.yaml", "sub/deep/file", "empty", "日本語/ノート.ipynb"); err != nil {
				t.Error(err)
			}
			for range 2 {
				if err := f.Close(); err != nil {
					t.Errorf("Close: %v", err)
				}
			}
			if _, err := f.Open("masu.yaml"); !errors.Is(err, fs.ErrClosed) {
				t.Errorf("Open after Close: %v", err)
			}
		})
	}
}

func TestFolderFollowsNothing(t *testing.T) {
	h, u := newHost(t, Config{}), self(t)
	fillFolder(t, u.Home, u)
	for link, to := range map[string]string{"link": "/etc/shadow", "dirlink": "sub"} {
		if err := os.Symlink(to, filepath.Join(u.Home, link)); err != nil {
			t.Fatal(err)
		}
	}
	if err := unix.Mkfifo(filepath.Join(u.Home, "fifo"), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := h.OpenFolder(u, u.Home)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, name := range []string{"link", "dirlink", "dirlink/deep/file", "fifo"} {
		if file, err := f.Open(name); err == nil {
			file.Close()
			t.Errorf("%s was opened", name)
		}
	}
	for _, name := range []string{"..", "../x", "/etc/passwd", "sub/../masu.yaml", "", "./masu.yaml"} {
		if _, err := f.Open(name); !errors.Is(err, fs.ErrInvalid) {
			t.Errorf("Open(%q): %v", name, err)
		}
	}
	if _, err := f.Open("missing"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a missing file: %v", err)
	}
	if _, err := f.ReadDir("masu.yaml"); !errors.Is(err, unix.ENOTDIR) {
		t.Errorf("ReadDir of a file: %v", err)
	}
	links := f.(fs.ReadLinkFS)
	if to, err := links.ReadLink("link"); to != "/etc/shadow" || err != nil {
		t.Errorf("ReadLink = %q, %v", to, err)
	}
	if _, err := links.ReadLink("masu.yaml"); err == nil {
		t.Error("ReadLink of a file gave something")
	}
	list, err := f.ReadDir(".")
	for _, d := range list {
		if link := d.Name() == "link" || d.Name() == "dirlink"; link != (d.Type() == fs.ModeSymlink) {
			t.Errorf("%s is listed as %v", d.Name(), d.Type())
		}
	}
	if err != nil || len(list) < 6 {
		t.Errorf("ReadDir: %v, %v", list, err)
	}
	if fi, err := f.Stat("link"); err != nil || fi.Mode().Type() != fs.ModeSymlink {
		t.Errorf("Stat of a link: %v, %v", fi, err)
	}
}

// TestFolderHasTheMembersRights: masu is root, but reads as the member would.
func TestFolderHasTheMembersRights(t *testing.T) {
	h := rooted(t)
	command(t, "groupadd", "--gid", "30190", "masutg")
	t.Cleanup(func() { command(t, "groupdel", "masutg") })
	u := member(t, h, "masutb", 30102, "masutg")
	dir := folderOf(t, u, "work")
	root := masu.User{UID: 0, GID: 0}
	write(t, filepath.Join(dir, "roots"), "secret", 0o600, root)
	write(t, filepath.Join(dir, "groups"), "shared", 0o640, masu.User{UID: 0, GID: 30190})
	write(t, filepath.Join(dir, "own"), "mine", 0o600, u)
	if err := os.Mkdir(filepath.Join(dir, "closed"), 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "closed", "in"), "secret", 0o644, root)
	f, err := h.OpenFolder(u, dir)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for name, want := range map[string]string{"own": "mine", "groups": "shared"} {
		if b, err := fs.ReadFile(f, name); string(b) != want || err != nil {
			t.Errorf("%s: %q, %v", name, b, err)
		}
	}
	for _, name := range []string{"roots", "closed", "closed/in"} {
		if b, err := fs.ReadFile(f, name); !errors.Is(err, fs.ErrPermission) {
			t.Errorf("%s: %q, %v", name, b, err)
		}
	}
	if _, err := f.Stat("closed/in"); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("Stat in a closed folder: %v", err)
	}
	if b, err := os.ReadFile(filepath.Join(dir, "roots")); string(b) != "secret" || err != nil {
		t.Errorf("masu itself has lost its rights: %q, %v", b, err)
	}
	without := u
	without.Groups = nil
	g, err := h.OpenFolder(without, dir)
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	if _, err := fs.ReadFile(g, "groups"); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("the groups of an earlier member stayed: %v", err)
	}
}

// TestFolderRefusals are rows S1, S2 and S4: what is no folder of the member's
// is neither read nor staged.
func TestFolderRefusals(t *testing.T) {
	h := rooted(t)
	alice, bob := member(t, h, "masutc", 30103), member(t, h, "masutd", 30104)
	work := folderOf(t, alice, "work")
	folderOf(t, bob, "work")
	for name, make := range map[string]func(path string) error{
		"file":   func(p string) error { return os.WriteFile(p, nil, 0o644) },
		"fifo":   func(p string) error { return unix.Mkfifo(p, 0o644) },
		"socket": func(p string) error { return unix.Mknod(p, unix.S_IFSOCK|0o644, 0) },
		"device": func(p string) error { return unix.Mknod(p, unix.S_IFCHR|0o644, int(unix.Mkdev(1, 3))) },
		"link":   func(p string) error { return os.Symlink(bob.Home+"/work", p) },
		"self":   func(p string) error { return os.Symlink("work", p) },
		"middle": func(p string) error { return os.Symlink(alice.Home, p) },
	} {
		path := filepath.Join(alice.Home, name)
		if err := make(path); err != nil {
			t.Fatal(err)
		}
		own(t, path, alice)
	}
	for _, c := range []struct {
		dir, code string
		kind      masu.Kind
	}{
		{"/", "folder_not_yours", masu.Denied},
		{"/etc", "folder_not_yours", masu.Denied},
		{"/root", "folder_not_yours", masu.Denied},
		{"/proc", "folder_not_yours", masu.Denied},
		{"/dev", "folder_not_yours", masu.Denied},
		{"/run/docker.sock", "folder_not_a_folder", masu.Invalid},
		{bob.Home, "folder_not_yours", masu.Denied},
		{bob.Home + "/work", "folder_not_yours", masu.Denied},
		{bob.Home + "/no-such", "folder_not_yours", masu.Denied}, // and no word of whether it is there
		{alice.Home + "/file", "folder_not_a_folder", masu.Invalid},
		{alice.Home + "/fifo", "folder_not_a_folder", masu.Invalid},
		{alice.Home + "/socket", "folder_not_a_folder", masu.Invalid},
		{alice.Home + "/device", "folder_not_a_folder", masu.Invalid},
		{alice.Home + "/file/below", "folder_not_a_folder", masu.Invalid},
		{alice.Home + "/link", "folder_is_a_link", masu.Invalid},
		{alice.Home + "/self", "folder_is_a_link", masu.Invalid},
		{alice.Home + "/middle/work", "folder_is_a_link", masu.Invalid},
		{"/proc/self/root" + work, "folder_is_a_link", masu.Invalid},
		{alice.Home + "/missing", "folder_not_found", masu.Invalid},
		{alice.Home + "/../" + filepath.Base(bob.Home), "folder_path_unclear", masu.Invalid},
		{alice.Home + "/work/", "folder_path_unclear", masu.Invalid},
		{"work", "folder_path_unclear", masu.Invalid},
		{"", "folder_path_unclear", masu.Invalid},
		{"~" + string(bob.Name), "folder_path_unclear", masu.Invalid},
		{alice.Home + "/work\x00", "folder_path_unclear", masu.Invalid},
	} {
		if _, err := os.Lstat(c.dir); c.dir == "/run/docker.sock" && err != nil {
			continue // no engine here
		}
		if f, err := h.OpenFolder(alice, c.dir); err == nil {
			f.Close()
			t.Errorf("%q was opened", c.dir)
		} else {
			wantCode(t, err, c.kind, c.code)
		}
		_, err := h.Stage(alice, c.dir, h.stageDir()+"/x/0", false)
		wantCode(t, err, c.kind, c.code)
	}
	if left, err := mountsBelow(h.cfg.RunDir); len(left) > 0 || err != nil {
		t.Errorf("mounted by refused calls: %v, %v", left, err)
	}
	f, err := h.OpenFolder(alice, work)
	if err != nil {
		t.Fatalf("her own folder: %v", err)
	}
	f.Close()
}
