package sqlite

import (
	"context"
	"database/sql"
	"embed"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/masu-lab/masu"
)

//go:embed migrations/*.sql
var migrationFiles embed.FS

// backups is how many copies of older schemas stay beside the store.
const backups = 3

// migration is one step of the schema. Released ones are never edited.
type migration struct {
	name string
	sql  string
}

// migrations reads migrations/NNNN_what.sql, numbered from 0001 without a gap.
func migrations(files fs.FS) ([]migration, error) {
	names, err := fs.Glob(files, "migrations/*.sql") // sorted
	if err != nil {
		return nil, err
	}
	var all []migration
	for i, name := range names {
		if !strings.HasPrefix(path.Base(name), fmt.Sprintf("%04d_", i+1)) {
			return nil, fmt.Errorf("sqlite: %s should be number %04d", name, i+1)
		}
		text, err := fs.ReadFile(files, name)
		if err != nil {
			return nil, err
		}
		all = append(all, migration{path.Base(name), string(text)})
	}
	return all, nil
}

// migrate brings an older schema forward, after keeping a copy of it.
func migrate(ctx context.Context, db *sql.DB, file string, all []migration, log *slog.Logger) error {
	var have int
	if err := db.QueryRowContext(ctx, "PRAGMA user_version").Scan(&have); err != nil {
		return err
	}
	switch {
	case have > len(all):
		return masu.E(masu.Conflict, "store_newer", file, have, len(all))
	case have == len(all):
		return nil
	}
	kept, err := backup(ctx, db, file, have)
	if err != nil {
		return err
	}
	if err := forward(ctx, db, have, all); err != nil {
		return err
	}
	log.Info("store migrated", "path", file, "from", have, "to", len(all), "backup", kept)
	return nil
}

// forward applies what comes after the schema that is there, each step in a
// transaction with its number, so that it is done once or not at all.
func forward(ctx context.Context, db *sql.DB, have int, all []migration) error {
	for i, m := range all[have:] {
		sqlTx, err := db.BeginTx(ctx, nil)
		if err != nil {
			return err
		}
		_, err = sqlTx.ExecContext(ctx, m.sql+fmt.Sprintf("\n;PRAGMA user_version = %d;", have+i+1))
		if err == nil {
			err = sqlTx.Commit()
		}
		if err != nil {
			_ = sqlTx.Rollback()
			return fmt.Errorf("migration %s: %w", m.name, err)
		}
	}
	return nil
}

// backup copies the store to FILE.bak-VERSION and forgets the oldest copies.
func backup(ctx context.Context, db *sql.DB, file string, version int) (string, error) {
	target := fmt.Sprintf("%s.bak-%d", file, version)
	if err := remove(target); err != nil { // of a migration that failed before
		return "", refusal(file, err)
	}
	f, err := os.OpenFile(target, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return "", refusal(file, err)
	}
	if err := f.Close(); err != nil {
		return "", refusal(file, err)
	}
	if _, err := db.ExecContext(ctx, "VACUUM INTO ?", target); err != nil { // accepts an empty file
		return "", err
	}
	if err := syncFolder(filepath.Dir(file)); err != nil {
		return "", err
	}
	return target, forgetBackups(file)
}

func forgetBackups(file string) error {
	entries, err := os.ReadDir(filepath.Dir(file))
	if err != nil {
		return err
	}
	var versions []int
	prefix := filepath.Base(file) + ".bak-"
	for _, e := range entries {
		if rest, ok := strings.CutPrefix(e.Name(), prefix); ok {
			if v, err := strconv.Atoi(rest); err == nil {
				versions = append(versions, v)
			}
		}
	}
	slices.Sort(versions)
	for _, v := range versions[:max(0, len(versions)-backups)] {
		if err := remove(fmt.Sprintf("%s.bak-%d", file, v)); err != nil {
			return err
		}
	}
	return nil
}
