package main

import (
	"context"

	"github.com/spf13/cobra"
)

func (a *app) logsCommand() *cobra.Command {
	var follow bool
	var side string
	c := a.command("logs", "logs [NAME]", groupWork, a.args(0, 1), func(ctx context.Context, args []string) error {
		return a.with(ctx, func(s service) error {
			name, err := a.which(ctx, s, args)
			if err != nil {
				return err
			}
			if side != "" {
				return s.SideLogs(ctx, name, side, a.out, follow)
			}
			return s.Logs(ctx, name, a.out, follow)
		})
	})
	c.Flags().BoolVarP(&follow, "follow", "f", false, "")
	c.Flags().StringVar(&side, "service", "", "")
	c.ValidArgsFunction = a.completeNames
	return c
}
