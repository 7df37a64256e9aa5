package main

import (
	"context"

	"github.com/spf13/cobra"
)

func (a *app) logsCommand() *cobra.Command {
	var follow bool
	c := a.command("logs", "logs [NAME]", groupWork, a.args(0, 1), func(ctx context.Context, args []string) error {
		return a.with(ctx, func(s service) error {
			name, err := a.which(ctx, s, args)
			if err != nil {
				return err
			}
			return s.Logs(ctx, name, a.out, follow)
		})
	})
	c.Flags().BoolVarP(&follow, "follow", "f", false, "")
	c.ValidArgsFunction = a.completeNames
	return c
}
