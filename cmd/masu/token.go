package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/masu-lab/masu"
)

func (a *app) tokenCommand() *cobra.Command {
	c := a.command("token", "token", groupServer, a.knownCommand, nil)
	c.AddCommand(a.tokenLsCommand(), a.tokenAddCommand(), a.tokenRmCommand())
	return c
}

func (a *app) tokenLsCommand() *cobra.Command {
	c := a.command("token.ls", "ls", "", a.args(0, 0), func(ctx context.Context, _ []string) error {
		return a.with(ctx, func(s service) error {
			list, err := s.Tokens(ctx)
			if err != nil {
				return err
			}
			if a.json {
				if list == nil {
					list = []masu.Token{}
				}
				return a.data(list)
			}
			t := a.table("col.id", "col.name", "col.scope", "col.expires", "col.used")
			for _, k := range list {
				used := ""
				if !k.UsedAt.IsZero() {
					used = k.UsedAt.Local().Format("2006-01-02 15:04")
				}
				t.row(k.ID, k.Name, string(k.Scope), k.Expires.Local().Format("2006-01-02"), used)
			}
			t.write()
			return nil
		})
	})
	a.jsonFlag(c)
	return c
}

func (a *app) tokenAddCommand() *cobra.Command {
	w := masu.TokenWish{}
	var scope string
	c := a.command("token.add", "add", "", a.args(0, 0), func(ctx context.Context, _ []string) error {
		w.Scope = masu.Scope(scope)
		return a.with(ctx, func(s service) error {
			k, err := s.NewToken(ctx, w)
			if err != nil {
				return err
			}
			if a.json {
				return a.data(k)
			}
			if k.Scope == masu.ScopeCalendar {
				hello, err := s.Whoami(ctx)
				if err != nil {
					return err
				}
				k.Secret = hello.Pages + masu.FeedPath(k.Secret)
			}
			a.print(k.Secret)
			a.note("token_once", k.ID, k.Expires.Local().Format("2006-01-02"))
			return nil
		})
	})
	f := c.Flags()
	f.StringVar(&w.Name, "name", "", "")
	f.StringVar(&scope, "scope", string(masu.ScopeRead), "")
	f.IntVar(&w.Days, "days", 30, "")
	a.jsonFlag(c)
	return c
}

func (a *app) tokenRmCommand() *cobra.Command {
	return a.command("token.rm", "rm ID...", "", a.args(1, -1), func(ctx context.Context, args []string) error {
		return a.with(ctx, func(s service) error {
			for _, id := range args {
				if err := s.DeleteToken(ctx, id); err != nil {
					return err
				}
				a.note("token_gone", id)
			}
			return nil
		})
	})
}
