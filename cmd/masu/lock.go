package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/masu-lab/masu"
)

// lockFile is what masu lock writes beside masu.yaml.
const lockFile = "masu.lock"

func (a *app) lockCommand() *cobra.Command {
	var wish masu.BuildWish
	var quiet bool
	c := a.command("lock", "lock [DIR]", groupMake, a.args(0, 1), func(ctx context.Context, args []string) (err error) {
		dir := ""
		if len(args) > 0 {
			dir = args[0]
		}
		if wish.Dir, err = a.projectDir(dir, false); err != nil {
			return err
		}
		return a.with(ctx, func(s service) (err error) {
			if a.server != nil {
				if wish.Dir, err = a.farDir(ctx, s, dir, false); err != nil {
					return err
				}
			}
			p := a.progress(quiet)
			lock, err := s.Lock(ctx, wish, p.tell)
			p.end(err != nil && ctx.Err() == nil)
			if err != nil {
				return err
			}
			if a.json {
				return a.data(lock)
			}
			a.note("lock_wrote", wish.Dir+"/"+lockFile, len(lock.Packages))
			return nil
		})
	})
	f := c.Flags()
	f.BoolVar(&wish.NoCache, "upgrade", false, "")
	f.BoolVarP(&quiet, "quiet", "q", false, "")
	a.jsonFlag(c)
	return c
}

func (a *app) diffCommand() *cobra.Command {
	c := a.command("diff", "diff A B", groupMake, a.args(2, 2), func(ctx context.Context, args []string) error {
		var both [2]masu.Contents
		for i, said := range args {
			c, err := a.contents(ctx, said)
			if err != nil {
				return err
			}
			both[i] = c
		}
		list := masu.Compare(both[0], both[1])
		if a.json {
			if list == nil {
				list = []masu.Difference{}
			}
			return a.data(list)
		}
		if len(list) == 0 {
			a.note("diff_none", args[0], args[1])
			return nil
		}
		t := a.table("col.kind", "col.name", "col.a", "col.b")
		for _, d := range list {
			t.row(d.Kind, d.Name, oneLine(d.A), oneLine(d.B))
		}
		t.write()
		return nil
	})
	a.jsonFlag(c)
	return c
}

func oneLine(s string) string {
	if s == "" {
		return "-"
	}
	return strings.ReplaceAll(s, "\n", "; ")
}

// contents reads a masu.lock that is here, or asks the daemon.
func (a *app) contents(ctx context.Context, said string) (c masu.Contents, err error) {
	if filepath.Ext(said) == ".lock" {
		text, err := os.ReadFile(said)
		if err != nil {
			return c, masu.E(masu.Invalid, "file_unreadable", said).Because(err)
		}
		c = masu.Contents{Name: said}
		c.Lock, err = masu.ParseLock(string(text))
		return c, err
	}
	err = a.with(ctx, func(s service) error {
		name, err := a.environmentName(ctx, s, said)
		if err == nil {
			c, err = s.Contents(ctx, name)
		}
		return err
	})
	return c, err
}
