package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"io/fs"

	"golang.org/x/sys/unix"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/masu-lab/masu"
)

// codeOf gives SQLite's extended result code, or 0 for an error that is not SQLite's.
func codeOf(err error) int {
	if e, ok := errors.AsType[*sqlite.Error](err); ok {
		return e.Code()
	}
	return 0
}

// taken tells whether a unique index refused.
func taken(err error) bool {
	c := codeOf(err)
	return c == sqlite3.SQLITE_CONSTRAINT_UNIQUE || c == sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY
}

// explain turns what SQLite says about the file into words for people. Errors
// that are for people already, and all others, stay as they are.
func (s *Store) explain(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	// database/sql takes the transaction back behind our back when ctx ends.
	if ctx.Err() != nil && (errors.Is(err, sql.ErrTxDone) || codeOf(err)&0xff == sqlite3.SQLITE_INTERRUPT) {
		return ctx.Err()
	}
	if _, ok := errors.AsType[*masu.Error](err); ok {
		return err
	}
	switch codeOf(err) & 0xff { // the low byte is the primary code
	case sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB:
		return masu.E(masu.Conflict, "store_corrupt", s.path).Because(err)
	case sqlite3.SQLITE_FULL:
		return masu.E(masu.Full, "store_full", s.path).Because(err)
	case sqlite3.SQLITE_READONLY:
		return masu.E(masu.Denied, "store_readonly", s.path).Because(err)
	case sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH:
		return masu.E(masu.Denied, "store_denied", s.path).Because(err)
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED:
		return masu.E(masu.Conflict, "store_busy", s.path).Because(err)
	}
	return err
}

// refusal does the same for what the system says about the file.
func refusal(path string, err error) error {
	switch {
	case errors.Is(err, unix.EROFS):
		return masu.E(masu.Denied, "store_readonly", path).Because(err)
	case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EDQUOT):
		return masu.E(masu.Full, "store_full", path).Because(err)
	case errors.Is(err, fs.ErrPermission):
		return masu.E(masu.Denied, "store_denied", path).Because(err)
	case errors.Is(err, unix.ENOTDIR), errors.Is(err, unix.ELOOP), errors.Is(err, unix.EISDIR):
		return masu.E(masu.Conflict, "store_not_a_file", path).Because(err)
	}
	return err
}
