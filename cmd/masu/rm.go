package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/masu-lab/masu"
)

func (a *app) rmCommand() *cobra.Command {
	var yes bool
	c := a.command("rm", "rm NAME", groupWork, a.args(1, 1), func(ctx context.Context, args []string) error {
		return a.with(ctx, func(s service) error {
			w, err := s.Workspace(ctx, args[0])
			if err != nil {
				return err
			}
			if !yes {
				ok, err := a.confirm(ctx, a.say("rm_sure", w.Name, w.Project.Dir), "--yes")
				if err != nil {
					return err
				}
				if !ok {
					return masu.E(masu.Cancelled, "rm_not_done", w.Name)
				}
			}
			if err := s.Remove(ctx, args[0]); err != nil {
				return err
			}
			a.note("rm_done", w.Name, w.Project.Dir)
			return nil
		})
	})
	c.Flags().BoolVarP(&yes, "yes", "y", false, "")
	c.ValidArgsFunction = a.completeNames
	return c
}
