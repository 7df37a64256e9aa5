package main

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"github.com/masu-lab/masu"
)

// sessionShown is how much of a session's name a table shows, and rm takes.
const sessionShown = 12

func (a *app) sessionsCommand() *cobra.Command {
	c := a.command("sessions", "sessions", groupServer, a.args(0, 0), func(ctx context.Context, _ []string) error {
		return a.with(ctx, func(s service) error {
			list, err := s.Sessions(ctx)
			if err != nil {
				return err
			}
			if a.json {
				if list == nil {
					list = []masu.Session{}
				}
				return a.data(list)
			}
			t := a.table("col.id", "col.browser", "col.since", "col.expires")
			for _, x := range list {
				t.row(x.Hash[:min(sessionShown, len(x.Hash))], x.Agent, x.At.Local().Format("2006-01-02 15:04"), x.Expires.Local().Format("2006-01-02"))
			}
			t.write()
			return nil
		})
	})
	a.jsonFlag(c)
	c.AddCommand(a.sessionsRmCommand())
	return c
}

// sessionsRmCommand signs browsers out, by as much of their names as is theirs alone.
func (a *app) sessionsRmCommand() *cobra.Command {
	return a.command("sessions.rm", "rm ID...", "", a.args(1, -1), func(ctx context.Context, args []string) error {
		return a.with(ctx, func(s service) error {
			list, err := s.Sessions(ctx)
			if err != nil {
				return err
			}
			for _, id := range args {
				hash := id
				for _, x := range list {
					if len(id) >= sessionShown && strings.HasPrefix(x.Hash, id) {
						hash = x.Hash
					}
				}
				if err := s.EndSession(ctx, hash); err != nil {
					return err
				}
				a.note("session_gone", id)
			}
			return nil
		})
	})
}
