package main

import (
	"context"
	"path"
	"strings"

	"github.com/spf13/cobra"

	"github.com/masu-lab/masu"
)

func (a *app) shareCommand() *cobra.Command {
	var w masu.ShareWish
	c := a.command("share", "share [NAME]", groupMake, a.args(0, 1), func(ctx context.Context, args []string) error {
		return a.with(ctx, func(s service) (err error) {
			if w.Workspace, err = a.which(ctx, s, args); err != nil {
				return err
			}
			x, err := s.Share(ctx, w)
			if err != nil {
				return err
			}
			hello, err := s.Whoami(ctx)
			if err != nil {
				return err
			}
			if a.json {
				return a.data(x)
			}
			link := hello.Pages + "/e/" + x.ID
			a.print(link)
			a.note("share_done", link)
			return nil
		})
	})
	f := c.Flags()
	f.StringVar(&w.Title, "title", "", "")
	f.StringVar(&w.About, "about", "", "")
	f.BoolVar(&w.Lab, "lab", false, "")
	a.jsonFlag(c)
	c.ValidArgsFunction = a.completeNames
	return c
}

func (a *app) environmentsCommand() *cobra.Command {
	c := a.command("environments", "environments", groupMake, a.knownCommand, a.listEnvironments)
	c.Aliases = []string{"environment"}
	a.jsonFlag(c)
	c.AddCommand(a.environmentShowCommand(), a.environmentRetireCommand(), a.environmentRmCommand())
	return c
}

func (a *app) listEnvironments(ctx context.Context, _ []string) error {
	return a.with(ctx, func(s service) error {
		list, err := s.Environments(ctx)
		if err != nil {
			return err
		}
		if a.json {
			if list == nil {
				list = []masu.EnvironmentUse{}
			}
			return a.data(list)
		}
		t := a.table("col.id", "col.title", "col.owner", "col.size", "col.used_by", "col.why")
		for _, u := range list {
			title, size := u.Shared.Title, ""
			if u.Shared.ID == "" {
				title = strings.Join(u.Workspaces, ", ")
			}
			if u.Size > 0 {
				size = u.Size.String()
			}
			t.row(u.Shared.ID, title, string(u.Shared.Owner), size, joined(u.Members), u.Shared.Retired)
		}
		t.write()
		return nil
	})
}

func joined(names []masu.Username) string {
	all := make([]string, len(names))
	for i, n := range names {
		all[i] = string(n)
	}
	return strings.Join(all, ", ")
}

func (a *app) environmentShowCommand() *cobra.Command {
	c := a.command("environments.show", "show ID", "", a.args(1, 1), func(ctx context.Context, args []string) error {
		return a.with(ctx, func(s service) error {
			u, err := s.Shared(ctx, sharedID(args[0]))
			if err != nil {
				return err
			}
			if a.json {
				return a.data(u)
			}
			a.print(strings.TrimSuffix(u.Shared.Text, "\n"))
			return nil
		})
	})
	a.jsonFlag(c)
	return c
}

func (a *app) environmentRetireCommand() *cobra.Command {
	var why string
	var undo bool
	c := a.command("environments.retire", "retire ID", "", a.args(1, 1), func(ctx context.Context, args []string) error {
		if why == "" {
			why = a.say("web.retired_plain")
		}
		if undo {
			why = ""
		}
		return a.with(ctx, func(s service) error {
			x, err := s.ChangeShared(ctx, sharedID(args[0]), masu.SharedChange{Retired: &why})
			if err != nil {
				return err
			}
			if undo {
				a.note("environment_back", x.Title)
			} else {
				a.note("environment_retired", x.Title)
			}
			return nil
		})
	})
	c.Flags().StringVar(&why, "why", "", "")
	c.Flags().BoolVar(&undo, "undo", false, "")
	return c
}

func (a *app) environmentRmCommand() *cobra.Command {
	return a.command("environments.rm", "rm ID...", "", a.args(1, -1), func(ctx context.Context, args []string) error {
		return a.with(ctx, func(s service) error {
			for _, id := range args {
				if err := s.Unshare(ctx, sharedID(id)); err != nil {
					return err
				}
				a.note("environment_gone", id)
			}
			return nil
		})
	})
}

// sharedID takes a link for its last part.
func sharedID(said string) string { return path.Base(strings.TrimSuffix(said, "/")) }

func (a *app) keepCommand() *cobra.Command {
	var yes, dry bool
	c := a.command("keep", "keep [NAME]", groupMake, a.args(0, 1), func(ctx context.Context, args []string) error {
		return a.with(ctx, func(s service) error {
			name, err := a.which(ctx, s, args)
			if err != nil {
				return err
			}
			l, err := s.Added(ctx, name)
			if err != nil {
				return err
			}
			if a.json {
				return a.data(l)
			}
			if len(l.Apt)+len(l.Pip) == 0 {
				a.note("keep_none", name)
				return nil
			}
			for _, p := range l.Apt {
				a.print("apt", p)
			}
			for _, p := range l.Pip {
				a.print("pip", p)
			}
			if dry {
				return nil
			}
			if !yes {
				ok, err := a.confirm(ctx, a.say("keep_sure"), "--yes")
				if err != nil {
					return err
				}
				if !ok {
					return masu.E(masu.Cancelled, "keep_not_done")
				}
			}
			if err := s.Keep(ctx, name, l); err != nil {
				return err
			}
			a.note("keep_done", name)
			return nil
		})
	})
	c.Flags().BoolVarP(&yes, "yes", "y", false, "")
	c.Flags().BoolVar(&dry, "dry-run", false, "")
	a.jsonFlag(c)
	c.ValidArgsFunction = a.completeNames
	return c
}
