package sqlite

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/masu-lab/masu"
)

// closed makes a store with something in it, and closes it.
func closed(t *testing.T) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "masu.db")
	s, err := Open(t.Context(), config(path))
	if err != nil {
		t.Fatal(err)
	}
	appendEvents(t, s, 50)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestRefusesWhatItCannotTrust(t *testing.T) {
	for name, c := range map[string]struct {
		harm func(path string) error
		kind masu.Kind
		code string
	}{
		"zeroed":    {func(p string) error { return overwrite(p, make([]byte, 100)) }, masu.Conflict, "store_corrupt"},
		"truncated": {halve, masu.Conflict, "store_corrupt"},
		"text":      {func(p string) error { return os.WriteFile(p, []byte("a shopping list\n"), 0o600) }, masu.Conflict, "store_corrupt"},
		"garbage":   {garbage, masu.Conflict, "store_corrupt"},
		"empty":     {func(p string) error { return os.Truncate(p, 0) }, masu.Conflict, "store_empty_file"},
		"read-only": {func(p string) error { return os.Chmod(p, 0o400) }, masu.Denied, "store_readonly"},
		"chmod 000": {func(p string) error { return os.Chmod(p, 0) }, masu.Denied, "store_denied"},
		"folder":    {func(p string) error { return errors.Join(os.Remove(p), os.Mkdir(p, 0o700)) }, masu.Conflict, "store_not_a_file"},
		"link":      {func(p string) error { return errors.Join(os.Rename(p, p+"2"), os.Symlink(p+"2", p)) }, masu.Conflict, "store_not_a_file"},
		"lost":      {func(p string) error { return os.Rename(p, p+"-wal") }, masu.Conflict, "store_lost"},
		"foreign":   {foreign, masu.Conflict, "store_corrupt"},
	} {
		t.Run(name, func(t *testing.T) {
			path := closed(t)
			if err := c.harm(path); err != nil {
				t.Fatal(err)
			}
			s, err := Open(t.Context(), config(path))
			if err == nil {
				_ = s.Close()
			}
			e, ok := errors.AsType[*masu.Error](err)
			if !ok || e.Kind != c.kind || e.Code != c.code || len(e.Args) == 0 || e.Args[0] != path {
				t.Fatalf("got %v, want %v %s %s", err, c.kind, c.code, path)
			}
			if c.kind == masu.Denied {
				return
			}
			if _, err := Salvage(t.Context(), path); err != nil {
				t.Fatalf("salvage: %v", err)
			}
			appendEvents(t, openAt(t, path), 1)
		})
	}
}

func overwrite(path string, start []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(start, 0)
	return errors.Join(err, f.Close())
}

func halve(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	return os.Truncate(path, info.Size()/2)
}

// garbage spoils every page but the first.
func garbage(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	junk := []byte(strings.Repeat("junk", 1024))
	for at := int64(len(junk)); err == nil && at < info.Size(); at += int64(len(junk)) {
		_, err = f.WriteAt(junk, at)
	}
	return errors.Join(err, f.Close())
}

// foreign puts some other program's database in the place.
func foreign(path string) error {
	if err := os.Truncate(path, 0); err != nil {
		return err
	}
	db, err := pool(path, 1)
	if err != nil {
		return err
	}
	_, err = db.Exec("CREATE TABLE bookmarks (url TEXT)")
	return errors.Join(err, db.Close())
}

func TestSalvageKeepsTheOldFiles(t *testing.T) {
	path := closed(t)
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	moved, err := Salvage(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	after, err := os.ReadFile(filepath.Join(moved, "masu.db"))
	if err != nil || string(after) != string(before) {
		t.Errorf("the old file is not in %s as it was: %v", moved, err)
	}
	if _, err := Salvage(t.Context(), path+"-other"); masu.CodeOf(err) != "store_missing" {
		t.Errorf("nothing to set aside: %v", err)
	}
}

// TestHalfMade: a crash while the store is made leaves nothing that is taken for one.
func TestHalfMade(t *testing.T) {
	path := filepath.Join(t.TempDir(), "masu.db")
	for _, left := range []string{".new", ".new-wal", ".new-shm"} {
		if err := os.WriteFile(path+left, []byte("half"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	appendEvents(t, openAt(t, path), 1)
	if _, err := os.Lstat(path + ".new"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the draft is still there: %v", err)
	}
}

// TestFull: a full disk refuses what is new, keeps what is there, and needs no restart.
func TestFull(t *testing.T) {
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=4m"); err != nil {
		if os.Geteuid() == 0 {
			t.Fatalf("mount: %v", err)
		}
		t.Skip("only root can make a small disk")
	}
	t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
	c := config(filepath.Join(dir, "masu.db"))
	c.Reserve = masu.MiB
	s, err := Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	appendEvents(t, s, 10)
	if !s.reserve.held {
		t.Fatal("no room was kept back")
	}

	ballast := filepath.Join(dir, "ballast")
	fill(t, ballast)
	appendEvents(t, s, 10) // the reserve gives way
	if s.reserve.held {
		t.Error("the reserve was not given up")
	}
	fill(t, ballast)
	for err = nil; err == nil; {
		err = s.Update(t.Context(), func(tx masu.Tx) error {
			return tx.PutWorkspace(masu.Workspace{ID: "w", Name: "w", Label: "w", Image: strings.Repeat("x", 300_000)})
		})
	}
	e, ok := errors.AsType[*masu.Error](err)
	if !ok || e.Kind != masu.Full || e.Code != "store_full" || e.Args[0] != c.Path {
		t.Fatalf("on a full disk: %v", err)
	}
	if err := s.VerifyEvents(t.Context()); err != nil {
		t.Errorf("reading on a full disk: %v", err)
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	appendEvents(t, s, 10)
	if !s.reserve.held {
		t.Error("the reserve did not come back")
	}
	if err := s.VerifyEvents(t.Context()); err != nil {
		t.Errorf("after there was room again: %v", err)
	}
}

// fill appends to a file until the disk is full.
func fill(t *testing.T, path string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for err == nil {
		_, err = f.Write(make([]byte, 4096))
	}
	if !errors.Is(err, unix.ENOSPC) {
		t.Fatal(err)
	}
}

// TestReadOnlyDisk: the file's mode allows what its file system does not.
func TestReadOnlyDisk(t *testing.T) {
	path := closed(t)
	dir := filepath.Dir(path)
	if err := unix.Mount(dir, dir, "", unix.MS_BIND, ""); err != nil {
		if os.Geteuid() == 0 {
			t.Fatalf("mount: %v", err)
		}
		t.Skip("only root can make a disk read-only")
	}
	t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
	if err := unix.Mount("", dir, "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	for _, p := range []string{path, filepath.Join(dir, "new.db")} {
		if _, err := Open(t.Context(), config(p)); masu.CodeOf(err) != "store_readonly" {
			t.Errorf("%s: %v", p, err)
		}
	}
}
