package agent

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/masu-lab/masu"
)

func TestKeeper(t *testing.T) {
	home := t.TempDir()
	path := filepath.Join(home, ".jupyter", "config.py")
	start := func(text string) {
		t.Helper()
		k := keeper{home: home, record: filepath.Join(home, "record")}
		k.load()
		if err := k.keep(".jupyter/config.py", text, 0o644); err != nil {
			t.Fatal(err)
		}
		if err := k.store(); err != nil {
			t.Fatal(err)
		}
	}
	check := func(when, now, old string) {
		t.Helper()
		b, _ := os.ReadFile(path)
		o, err := os.ReadFile(path + ".old")
		if string(b) != now || string(o) != old || old == "" && !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %q, old %q", when, b, o)
		}
	}
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	start("v1")
	check("first", "v1", "")
	start("v1")
	check("again", "v1", "")
	start("v2")
	check("a newer one", "v2", "v1")
	write("mine")
	start("v2")
	start("v3")
	check("edited by the member", "mine", "v1")
	write("v3")
	start("v3")
	start("v4")
	check("as masu wrote it again", "v4", "v3")
	os.Remove(path)
	start("v4")
	check("removed by the member", "v4", "v3")
	os.Remove(filepath.Join(home, "record"))
	write("from before masu")
	start("v4")
	check("there before masu came", "v4", "from before masu")
	if err := os.WriteFile(filepath.Join(home, "record"), []byte("null"), 0o644); err != nil {
		t.Fatal(err)
	}
	start("v4")
	check("a broken record", "v4", "from before masu")
}

// A file that is masu's from its beginning is renewed until the member edits it; one that was there before is never touched.
func TestKeepOwn(t *testing.T) {
	home := t.TempDir()
	k := keeper{home: home}
	k.load()
	if err := os.WriteFile(filepath.Join(home, "theirs"), []byte("theirs"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ path, edit, text, want string }{
		{"theirs", "", "v1", "theirs"},
		{"a/b/ours", "", "", ""},
		{"a/b/ours", "", "v1", "v1"},
		{"a/b/ours", "", "v2", "v2"},
		{"a/b/ours", "mine", "v3", "mine"},
	} {
		path := filepath.Join(home, c.path)
		if c.edit != "" {
			if err := os.WriteFile(path, []byte(c.edit), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if err := k.keepOwn(c.path, c.text); err != nil {
			t.Fatal(err)
		}
		if b, _ := os.ReadFile(path); string(b) != c.want {
			t.Errorf("%s after %q: %q, want %q", c.path, c.text, b, c.want)
		}
	}
	if _, err := os.Stat(filepath.Join(home, "theirs.old")); err == nil {
		t.Error("what was there was put aside")
	}
}

func TestHome(t *testing.T) {
	i := newImage(t, map[string]string{"/etc/skel/.bashrc": "skel", "/etc/skel/.config/deep/file": "deep", "/etc/passwd": ""})
	if err := os.Symlink("deep/file", i.at("/etc/skel/.config/link")); err != nil {
		t.Fatal(err)
	}
	spec := masu.AgentSpec{User: masu.User{Name: "self", UID: os.Geteuid(), GID: os.Getegid(), Home: "/home/self"}, Work: "/home/self/work"}
	if err := i.home(spec); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{".bashrc", ".config/deep/file", ".config/link", "work", "scripts/set_passwd.sh", "scripts/README.md", "scripts/jupyter_notebook_config.py", ".jupyter/jupyter_notebook_config.py"} {
		if !i.has("/home/self/" + path) {
			t.Errorf("~/%s is missing", path)
		}
	}
	if fi, err := os.Stat(i.at("/home/self/scripts/set_passwd.sh")); err != nil || fi.Mode().Perm()&0o100 == 0 {
		t.Errorf("set_passwd.sh: %v, %v", fi.Mode(), err)
	}
	if fi, err := os.Lstat(i.at("/home/self/.config/link")); err != nil || fi.Mode().Type() != fs.ModeSymlink {
		t.Errorf("a link of the image's: %v, %v", fi, err)
	}
	// What the member has deleted does not come back, and what they wrote stays.
	os.Remove(i.at("/home/self/.bashrc"))
	os.WriteFile(i.at("/home/self/.config/deep/file"), []byte("mine"), 0o644)
	if err := i.home(spec); err != nil {
		t.Fatal(err)
	}
	if i.has("/home/self/.bashrc") || i.read(t, "/home/self/.config/deep/file") != "mine" {
		t.Error("the home was filled a second time")
	}
}

func TestHomeIsNoFolder(t *testing.T) {
	i := newImage(t, map[string]string{"/home/self": "a file"})
	spec := masu.AgentSpec{User: masu.User{Name: "self", UID: os.Geteuid(), GID: os.Getegid(), Home: "/home/self"}, Work: "/home/self/work"}
	if err := i.home(spec); err == nil {
		t.Error("a file served as a home")
	}
}

// TestTakeOver: a home that somebody else had is the member's, but not what they
// have mounted in it; one's own, and one of root's, stay as they are.
func TestTakeOver(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root gives a home to anybody")
	}
	bob := masu.User{Name: "bob", UID: 30202, GID: 30202, Home: "/home/bob"}
	for name, c := range map[string]struct{ was, top, inside int }{"a leaver's": {30201, 30202, 30202}, "one's own": {30202, 30202, 0}, "a new one": {0, 0, 0}} {
		root := t.TempDir()
		i := image{root: root, say: func(err error) { t.Error(err) }}
		home, file := i.at(bob.Home), i.at("/home/bob/model.pt")
		if err := os.MkdirAll(home, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		inside := c.was
		if name == "one's own" {
			inside = 0
		}
		if err := errors.Join(os.Chown(home, c.was, c.was), os.Chown(file, inside, inside), i.takeOver(bob)); err != nil {
			t.Fatal(err)
		}
		for path, want := range map[string]int{home: c.top, file: c.inside} {
			fi, err := os.Stat(path)
			if err != nil {
				t.Fatal(err)
			}
			if got := int(fi.Sys().(*syscall.Stat_t).Uid); got != want {
				t.Errorf("%s: %s is of %d, want %d", name, path, got, want)
			}
		}
	}
	if err := (image{root: t.TempDir()}).takeOver(bob); err != nil {
		t.Errorf("no home yet: %v", err)
	}
}
