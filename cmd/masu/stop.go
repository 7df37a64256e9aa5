package main

import (
	"context"

	"github.com/spf13/cobra"
)

func (a *app) stopCommand() *cobra.Command {
	c := a.command("stop", "stop [NAME]", groupWork, a.args(0, 1), func(ctx context.Context, args []string) error {
		return a.with(ctx, func(s service) error {
			name, err := a.which(ctx, s, args)
			if err != nil {
				return err
			}
			w, err := s.Stop(ctx, name)
			if err != nil {
				return err
			}
			if a.json {
				return a.data(w)
			}
			a.note("stopped", w.Name)
			return nil
		})
	})
	c.Aliases = []string{"down"}
	a.jsonFlag(c)
	c.ValidArgsFunction = a.completeNames
	return c
}
