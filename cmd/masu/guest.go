package main

import (
	"context"
	"slices"

	"github.com/spf13/cobra"

	"github.com/masu-lab/masu"
)

func (a *app) guestCommand() *cobra.Command {
	c := a.command("guest", "guest", groupMake, a.knownCommand, nil)
	c.AddCommand(a.guestLsCommand(), a.guestAddCommand(), a.guestRmCommand())
	return c
}

func (a *app) guestLsCommand() *cobra.Command {
	c := a.command("guest.ls", "ls", "", a.args(0, 0), func(ctx context.Context, _ []string) error {
		return a.with(ctx, func(s service) error {
			own, open, err := a.ownAndOpen(ctx, s)
			if err != nil {
				return err
			}
			own = slices.DeleteFunc(own, func(w masu.Workspace) bool { return len(w.Guests) == 0 })
			t := a.table("col.name", "col.guests")
			for _, w := range own {
				t.row(w.Name, joined(w.Guests))
			}
			for _, w := range open {
				if w.Part { // only an app of it
					continue
				}
				t.row(string(w.Owner)+"/"+w.Name, joined(w.Guests))
			}
			t.write()
			return nil
		})
	})
	return c
}

func (a *app) guestAddCommand() *cobra.Command {
	var yes bool
	c := a.command("guest.add", "add NAME MEMBER", "", a.args(2, 2), func(ctx context.Context, args []string) error {
		return a.with(ctx, func(s service) error {
			if !yes {
				ok, err := a.confirm(ctx, a.say("guest_sure", args[1], args[0]), "--yes")
				if err != nil {
					return err
				}
				if !ok {
					return masu.E(masu.Cancelled, "guest_not_done")
				}
			}
			w, err := s.Admit(ctx, args[0], masu.Username(args[1]))
			if err != nil {
				return err
			}
			a.note("guest_in", args[1], string(w.Owner)+"/"+w.Name)
			return nil
		})
	})
	c.Flags().BoolVarP(&yes, "yes", "y", false, "")
	c.ValidArgsFunction = a.completeNames
	return c
}

func (a *app) guestRmCommand() *cobra.Command {
	c := a.command("guest.rm", "rm NAME MEMBER", "", a.args(2, 2), func(ctx context.Context, args []string) error {
		return a.with(ctx, func(s service) error {
			w, err := s.Dismiss(ctx, args[0], masu.Username(args[1]))
			if err != nil {
				return err
			}
			a.note("guest_out", args[1], w.Name)
			return nil
		})
	})
	c.ValidArgsFunction = a.completeNames
	return c
}

// ownAndOpen lists the member's workspaces, and those that were opened to them.
func (a *app) ownAndOpen(ctx context.Context, s masu.Service) (own, open []masu.Workspace, err error) {
	all, err := s.Workspaces(ctx, false)
	if err != nil || !slices.ContainsFunc(all, func(w masu.Workspace) bool { return len(w.Guests) > 0 || w.Part }) {
		return all, nil, err // the usual case needs no second question
	}
	hello, err := s.Whoami(ctx)
	for _, w := range all {
		if w.Owner == hello.Actor.Name {
			own = append(own, w)
		} else {
			open = append(open, w)
		}
	}
	return own, open, err
}
