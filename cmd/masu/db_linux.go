package main

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/masu-lab/masu"
	"github.com/masu-lab/masu/internal/sqlite"
)

// storePath is the store's file in a state folder.
func storePath(state string) string { return filepath.Join(state, "masu.db") }

func (a *app) dbCommand() *cobra.Command {
	c := a.command("db", "db", groupServer, a.knownCommand, nil)
	c.AddCommand(a.dbCheckCommand(), a.dbRebuildCommand())
	return c
}

func (a *app) dbCheckCommand() *cobra.Command {
	var state string
	c := a.command("db.check", "check", "", a.args(0, 0), func(ctx context.Context, _ []string) error {
		path := storePath(state)
		if _, err := os.Lstat(path); err != nil { // opening would make one
			return masu.E(masu.NotFound, "store_missing", path).Because(err)
		}
		s, err := sqlite.Open(ctx, sqlite.Config{Path: path, Reserve: -1, Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			return err
		}
		defer s.Close()
		if err := s.VerifyEvents(ctx); err != nil {
			return err
		}
		a.note("db_sound", path)
		return nil
	})
	a.stateFlag(c, &state)
	return c
}

func (a *app) dbRebuildCommand() *cobra.Command {
	var state string
	var yes bool
	c := a.command("db.rebuild", "rebuild", "", a.args(0, 0), func(ctx context.Context, _ []string) error {
		lock, err := openState(state, a.ownSocket())
		if err != nil {
			return err
		}
		defer lock.Close()
		path := storePath(state)
		if !yes {
			ok, err := a.confirm(ctx, a.say("db_rebuild_sure", path), "--yes")
			if err != nil {
				return err
			}
			if !ok {
				return masu.E(masu.Cancelled, "db_rebuild_not_done", path)
			}
		}
		r, err := sqlite.Rebuild(ctx, sqlite.Config{Path: path, Log: slog.New(slog.DiscardHandler)})
		if r.Moved != "" {
			a.note("db_moved", r.Moved)
		}
		if err != nil {
			return err
		}
		a.note("db_rebuilt", path, r.Workspaces, r.Members)
		return nil
	})
	a.stateFlag(c, &state)
	c.Flags().BoolVarP(&yes, "yes", "y", false, "")
	return c
}

// stateFlag gives a command the flag --state, whose default in the help does not depend on who asks.
func (a *app) stateFlag(c *cobra.Command, to *string) {
	c.Flags().StringVar(to, "state", a.stateDir(), "")
	c.Flags().Lookup("state").DefValue = "/var/lib/masu"
}
