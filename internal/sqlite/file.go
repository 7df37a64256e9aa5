package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/masu-lab/masu"
)

// applicationID marks the file as masu's ("masu" in ASCII).
const applicationID = 0x6d617375

// inspect looks at the file before SQLite does, which would take an empty file
// for a new database, and as root would overlook its mode. fs.ErrNotExist means
// that a new store may be made.
func inspect(path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		if _, err := os.Lstat(path + "-wal"); err == nil {
			return masu.E(masu.Conflict, "store_lost", path)
		}
		return fs.ErrNotExist
	}
	if err != nil {
		return refusal(path, err)
	}
	switch perm := info.Mode().Perm(); {
	case !info.Mode().IsRegular():
		return masu.E(masu.Conflict, "store_not_a_file", path)
	case perm&0o400 == 0:
		return masu.E(masu.Denied, "store_denied", path)
	case perm&0o200 == 0:
		return masu.E(masu.Denied, "store_readonly", path)
	case info.Size() == 0:
		return masu.E(masu.Conflict, "store_empty_file", path)
	}
	if err := unix.Access(path, unix.R_OK|unix.W_OK); err != nil {
		return refusal(path, err)
	}
	if info.Mode().Perm() != 0o600 { // password hashes are in it
		if err := os.Chmod(path, 0o600); err != nil {
			return refusal(path, err)
		}
	}
	return nil
}

// examine asks SQLite whether the file is sound, and ours.
func (s *Store) examine(ctx context.Context) error {
	var id int
	if err := s.write.QueryRowContext(ctx, "PRAGMA application_id").Scan(&id); err != nil {
		return s.explain(ctx, err)
	}
	if id != applicationID {
		return masu.E(masu.Conflict, "store_corrupt", s.path).Because(fmt.Errorf("application_id is %#x", id))
	}
	var verdict string
	if err := s.write.QueryRowContext(ctx, "PRAGMA quick_check(1)").Scan(&verdict); err != nil {
		return s.explain(ctx, err)
	}
	if verdict != "ok" {
		return masu.E(masu.Conflict, "store_corrupt", s.path).Because(errors.New(verdict))
	}
	return nil
}

// Salvage sets a broken store aside, with everything that SQLite keeps beside
// it, so that Open makes a new one at path; the boxes that run are then taken
// over from what the engine says of them. It returns the folder that holds the
// old files now. Nobody may have the store open.
func Salvage(ctx context.Context, path string) (moved string, err error) {
	if err := ctx.Err(); err != nil {
		return "", err
	}
	moved = path + ".broken-" + time.Now().UTC().Format("20060102-150405")
	if err := os.Mkdir(moved, 0o700); err != nil {
		return "", refusal(path, err)
	}
	found := false
	for _, old := range []string{path, path + "-wal", path + "-shm"} {
		err := os.Rename(old, filepath.Join(moved, filepath.Base(old)))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return "", refusal(path, err)
		}
		found = found || err == nil
	}
	if !found {
		return "", errors.Join(masu.E(masu.NotFound, "store_missing", path), os.Remove(moved))
	}
	return moved, syncFolder(filepath.Dir(path))
}

// syncFolder makes a rename in the folder last.
func syncFolder(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// remove removes the files that are there.
func remove(paths ...string) error {
	for _, p := range paths {
		if err := os.Remove(p); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}
