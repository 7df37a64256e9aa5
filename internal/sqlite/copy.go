package sqlite

import (
	"context"
	"errors"
	"fmt"
	"os"
)

// Copy writes one moment of the store to a new file, also while a daemon works
// on it. The copy is a store of its own.
func Copy(ctx context.Context, path, to string) (err error) {
	if err := inspect(path); err != nil {
		return err
	}
	s := &Store{path: path}
	if s.write, err = pool(path, 1); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.write.Close()) }()
	if err := s.examine(ctx); err != nil {
		return err
	}
	f, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600) // SQLite fills an empty file, and its mode is ours
	if err != nil {
		return fmt.Errorf("copy the store: %w", err)
	}
	if err := f.Close(); err != nil {
		return err
	}
	if _, err := s.write.ExecContext(ctx, "VACUUM INTO ?", to); err != nil {
		return s.explain(ctx, err)
	}
	return nil
}
