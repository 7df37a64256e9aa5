package main

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/masu-lab/masu"
	"github.com/masu-lab/masu/internal/sqlite"
	"github.com/masu-lab/masu/internal/sshd"
)

func (a *app) restoreCommand() *cobra.Command {
	var state, config string
	var force bool
	c := a.command("restore", "restore FILE", groupServer, a.args(1, 1), func(ctx context.Context, args []string) error {
		lock, err := openState(state, a.ownSocket())
		if err != nil {
			return err
		}
		defer lock.Close()
		return a.restore(ctx, args[0], state, config, force)
	})
	a.stateFlag(c, &state)
	a.configFlag(c, &config)
	c.Flags().BoolVar(&force, "force", false, "")
	return c
}

// restore looks at the whole backup before it puts anything in its place. What
// was there is kept aside.
func (a *app) restore(ctx context.Context, file, state, config string, force bool) error {
	f, err := os.Open(file)
	if err != nil {
		return masu.E(masu.NotFound, "backup_unreadable", file).Because(err)
	}
	defer f.Close()
	draft, err := os.MkdirTemp(state, "restore-")
	if err != nil {
		return masu.E(masu.Invalid, "state_wrong", state).Because(err)
	}
	defer os.RemoveAll(draft)
	m, err := unpack(f, draft)
	if err != nil {
		return masu.E(masu.Invalid, "backup_wrong", file, err).Because(err)
	}
	s, err := sqlite.Open(ctx, sqlite.Config{Path: filepath.Join(draft, "masu.db"), Reserve: -1, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	if err := s.Close(); err != nil {
		return err
	}
	path := storePath(state)
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		if !force {
			return masu.E(masu.Conflict, "restore_over", path)
		}
		moved, err := sqlite.Salvage(ctx, path)
		if err != nil {
			return err
		}
		a.note("db_moved", moved)
	}
	for _, name := range []string{sshd.HostKeyName, "masu.db.lab", "masu.db"} { // the store last: with it the rest must be there
		if err := os.Rename(filepath.Join(draft, name), filepath.Join(state, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return masu.E(masu.Invalid, "state_wrong", state).Because(err)
		}
	}
	a.note("restored", path, m.At.Local().Format("2006-01-02 15:04"))
	return a.restoreConfig(filepath.Join(draft, "config.yaml"), config)
}

// restoreConfig puts the configuration back where there is none; an admin's newer one stays.
func (a *app) restoreConfig(from, to string) error {
	b, err := os.ReadFile(from)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if _, err := os.Lstat(to); err == nil {
		a.note("config_kept", to)
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return masu.E(masu.Invalid, "cannot_write", to).Because(err)
	}
	if err := os.WriteFile(to, b, 0o644); err != nil {
		return masu.E(masu.Invalid, "cannot_write", to).Because(err)
	}
	return nil
}
