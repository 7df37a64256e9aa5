package chown

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// TestTree: what was the former owner's is given, and nothing else: not what a
// link leads to, not what is mounted there, not another's file.
func TestTree(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root gives files away")
	}
	from, to, third := Owner{30101, 30101}, Owner{30102, 30102}, Owner{30103, 30103}
	top := t.TempDir()
	outside := filepath.Join(t.TempDir(), "outside")
	put := func(path string, o Owner, gid int) {
		t.Helper()
		var err error
		switch {
		case strings.HasSuffix(path, "/"):
			err = os.MkdirAll(filepath.Join(top, path), 0o755)
		case strings.Contains(path, "link"):
			err = os.Symlink(outside, filepath.Join(top, path))
		default:
			err = os.WriteFile(filepath.Join(top, path), nil, 0o755)
		}
		if err == nil {
			err = os.Lchown(filepath.Join(top, path), o.UID, gid)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(outside, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(outside, from.UID, from.GID); err != nil {
		t.Fatal(err)
	}
	put("a/", from, from.GID)
	put("a/b/", third, third.GID)
	put("a/b/deep.py", from, from.GID)
	put("group.csv", from, 30199)
	put("root.txt", Owner{}, 0)
	put("third.txt", third, from.GID)
	put("link", from, from.GID)
	put("setuid", from, from.GID)
	put("mounted/", from, from.GID)
	if err := os.Chmod(filepath.Join(top, "setuid"), 0o755|os.ModeSetuid); err != nil {
		t.Fatal(err)
	}
	elsewhere := t.TempDir()
	if err := os.Chown(elsewhere, from.UID, from.GID); err != nil {
		t.Fatal(err)
	}
	mounted := unix.Mount(elsewhere, filepath.Join(top, "mounted"), "", unix.MS_BIND, "") == nil // the same file system, as a project folder in a home
	if mounted {
		t.Cleanup(func() { _ = unix.Unmount(filepath.Join(top, "mounted"), unix.MNT_DETACH) })
	}
	if err := os.Chown(top, from.UID, from.GID); err != nil {
		t.Fatal(err)
	}
	fd, err := unix.Open(top, unix.O_PATH|unix.O_DIRECTORY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if err := Tree(fd, from, to); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]Owner{
		"": to, "a": to, "a/b": third, "a/b/deep.py": to, "group.csv": {to.UID, 30199}, "root.txt": {}, "third.txt": {third.UID, from.GID}, "link": to, "setuid": to,
	} {
		fi, err := os.Lstat(filepath.Join(top, path))
		if err != nil {
			t.Fatal(err)
		}
		if st := fi.Sys().(*syscall.Stat_t); (Owner{int(st.Uid), int(st.Gid)}) != want {
			t.Errorf("%q is of %d:%d, want %+v", path, st.Uid, st.Gid, want)
		}
		if fi.Mode()&os.ModeSetuid != 0 {
			t.Errorf("%q runs as its new owner, whoever starts it", path)
		}
	}
	for _, path := range []string{outside, elsewhere} {
		fi, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if st := fi.Sys().(*syscall.Stat_t); int(st.Uid) != from.UID && (mounted || path == outside) {
			t.Errorf("%s was given too", path)
		}
	}
	deep, err := os.MkdirTemp(top, "deep")
	if err != nil {
		t.Fatal(err)
	}
	down := deep
	for range depthMost + 2 { // by short paths: a long one has a limit of its own
		if err := os.Mkdir(filepath.Join(down, "d"), 0o755); err != nil {
			break
		}
		down = filepath.Join(down, "d")
	}
	if err := Tree(fd, from, to); err == nil {
		t.Error("it went down without end")
	}
}
