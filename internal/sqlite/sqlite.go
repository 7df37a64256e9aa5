// Package sqlite is masu.Store in one file: SQLite in WAL mode, every commit
// on the disk before it is reported, the schema brought forward by numbered
// migrations, and a file that is not sound refused rather than guessed at.
package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"

	"modernc.org/sqlite"

	"github.com/masu-lab/masu"
)

// readers bounds how many Views run at once.
const readers = 4

// Config says where the store is.
type Config struct {
	Path    string       // of the file, on a local disk; made, with its folder, when missing
	Reserve masu.Bytes   // room kept back for when the disk is full; 0 means 16 MiB, less than 0 none
	Log     *slog.Logger // required
}

// Store is masu.Store in one file.
type Store struct {
	path    string
	write   *sql.DB // one connection: writers wait for each other here, not in SQLite
	read    *sql.DB
	kept    *statements   // of read
	views   chan struct{} // holds one for each View: a connection stays free on which kept compiles
	reserve *reserve
}

var _ masu.Store = (*Store)(nil)

// Open opens the store, makes it when it is missing, and brings its schema up
// to date after keeping a copy of the older one beside it (PATH.bak-VERSION).
// A file that cannot be trusted or used is left as it is and refused, with its
// path as the first argument: "store_corrupt", "store_empty_file",
// "store_lost", "store_not_a_file", "store_readonly", "store_denied",
// "store_newer", or Full "store_full".
func Open(ctx context.Context, c Config) (*Store, error) {
	all, err := migrations(migrationFiles)
	if err != nil {
		return nil, err
	}
	return open(ctx, c, all)
}

func open(ctx context.Context, c Config, all []migration) (*Store, error) {
	if c.Path == "" || c.Log == nil {
		return nil, errors.New("sqlite: Config needs Path and Log")
	}
	path, err := filepath.Abs(c.Path)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, refusal(path, err)
	}
	switch err := inspect(path); {
	case errors.Is(err, fs.ErrNotExist):
		if err := create(ctx, path, all); err != nil {
			return nil, err
		}
		c.Log.Info("store made", "path", path)
	case err != nil:
		return nil, err
	}
	s := &Store{path: path, views: make(chan struct{}, readers)}
	if s.write, err = pool(path, 1, "_txlock=immediate", "_journal_mode=WAL"); err != nil {
		return nil, err
	}
	if s.read, err = pool(path, readers+1, "_query_only=1"); err != nil {
		return nil, errors.Join(err, s.write.Close())
	}
	s.kept = newStatements(s.read)
	if err := s.start(ctx, c, all); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// start examines the opened file and brings it up to date.
func (s *Store) start(ctx context.Context, c Config, all []migration) error {
	if err := s.examine(ctx); err != nil {
		return err
	}
	if err := migrate(ctx, s.write, s.path, all, c.Log); err != nil {
		return s.explain(ctx, err)
	}
	size := c.Reserve
	if size == 0 {
		size = defaultReserve
	}
	s.reserve = newReserve(s.path+".reserve", size, c.Log)
	s.reserve.keep()
	return s.keepIdentity(ctx)
}

// pool opens n connections at most. The options stand in the DSN, so that each
// of them has them from its first statement on.
func pool(path string, n int, options ...string) (*sql.DB, error) {
	query := "mode=rw&_busy_timeout=10000&_synchronous=FULL&_foreign_keys=1&_dqs=0&_defensive=1"
	for _, o := range options {
		query += "&" + o
	}
	u := url.URL{Scheme: "file", Path: path, RawQuery: query}
	connector, err := sqlite.NewConnector(u.String())
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	db := sql.OpenDB(connector)
	db.SetMaxOpenConns(n)
	db.SetMaxIdleConns(n)
	return db, nil
}

// create makes a new store under another name and gives it its own when it is
// whole: a crash in between leaves no half-made file that looks like a store.
func create(ctx context.Context, path string, all []migration) (err error) {
	draft := path + ".new"
	if err := remove(draft, draft+"-wal", draft+"-shm", draft+"-journal"); err != nil {
		return refusal(path, err)
	}
	f, err := os.OpenFile(draft, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		return refusal(path, err)
	}
	if err := f.Close(); err != nil {
		return refusal(path, err)
	}
	s := &Store{path: path}
	if s.write, err = pool(draft, 1, "_txlock=immediate", "_journal_mode=WAL"); err != nil {
		return err
	}
	_, err = s.write.ExecContext(ctx, "SELECT 1") // the first connection is made here
	if err == nil {
		err = forward(ctx, s.write, 0, all)
	}
	if err == nil {
		_, err = s.write.ExecContext(ctx, "INSERT INTO meta (key, value) VALUES ('lab', ?)", identity(path))
	}
	if err = errors.Join(err, s.write.Close()); err != nil {
		return s.explain(ctx, err)
	}
	if err := os.Rename(draft, path); err != nil {
		return refusal(path, err)
	}
	return syncFolder(filepath.Dir(path))
}

// View runs f on one moment of the store; f can change nothing.
func (s *Store) View(ctx context.Context, f func(masu.Tx) error) error {
	select {
	case s.views <- struct{}{}:
		defer func() { <-s.views }()
	case <-ctx.Done():
		return s.explain(ctx, ctx.Err())
	}
	sqlTx, err := s.read.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return s.explain(ctx, err)
	}
	defer func() { _ = sqlTx.Rollback() }() // there is nothing to keep
	return s.explain(ctx, f(&tx{sqlTx, true, s.kept}))
}

// Update runs f, and keeps either all that it did or, when it returns an error, nothing.
// When Update returns nil the change is on the disk.
func (s *Store) Update(ctx context.Context, f func(masu.Tx) error) error {
	s.reserve.keep()
	sqlTx, err := s.write.BeginTx(ctx, nil)
	if err != nil {
		return s.explain(ctx, err)
	}
	defer func() { _ = sqlTx.Rollback() }() // after Commit it does nothing
	if err := f(&tx{sqlTx, false, nil}); err != nil {
		return s.explain(ctx, err)
	}
	return s.explain(ctx, sqlTx.Commit())
}

// Close ends the store when the transactions in progress have ended.
func (s *Store) Close() error {
	return errors.Join(s.read.Close(), s.write.Close())
}
