package main

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/masu-lab/masu"
)

func (a *app) appCommand() *cobra.Command {
	c := a.command("app", "app", groupWork, a.knownCommand, nil)
	c.Aliases = []string{"apps"}
	c.AddCommand(a.appLsCommand(), a.appAddCommand(), a.appRmCommand(), a.appStartCommand(), a.appStopCommand(), a.appLogCommand(), a.appShareCommand(), a.appUnshareCommand())
	return c
}

func (a *app) appLsCommand() *cobra.Command {
	c := a.command("app.ls", "ls [WORKSPACE]", "", a.args(0, 1), func(ctx context.Context, args []string) error {
		return a.with(ctx, func(s service) error {
			name, err := a.which(ctx, s, args)
			if err != nil {
				return err
			}
			w, err := s.Workspace(ctx, name)
			if err != nil {
				return err
			}
			apps := w.Programs()
			if a.json {
				return a.data(apps)
			}
			t := a.table("col.app", "col.state", "col.port", "col.shared", "col.why")
			for _, x := range apps {
				t.row(x.Name, a.say("app.state."+x.State()), portText(x.Port), a.sharedWith(w, x.Name), howItFailed(x))
			}
			t.write()
			return nil
		})
	})
	a.jsonFlag(c)
	c.ValidArgsFunction = a.completeNames
	return c
}

// howItFailed is how an app failed, and the last that it said.
func howItFailed(x masu.App) string {
	how, said, more := strings.Cut(x.Error, "\n")
	if !more {
		return how
	}
	return how + ": " + said[strings.LastIndexByte(said, '\n')+1:]
}

func portText(port int) string {
	if port == 0 {
		return ""
	}
	return strconv.Itoa(port)
}

func (a *app) appAddCommand() *cobra.Command {
	var w masu.AppWish
	var workspace string
	var idle time.Duration
	c := a.command("app.add", "add APP [COMMAND…]", "", a.args(1, -1), func(ctx context.Context, args []string) error {
		w.Name, w.Command, w.IdleFor = args[0], strings.Join(args[1:], " "), idle
		return a.with(ctx, func(s service) error {
			name, err := a.which(ctx, s, given(workspace))
			if err != nil {
				return err
			}
			if err := s.PutApp(ctx, name, w); err != nil {
				return err
			}
			a.note("app_added", w.Name, name)
			return nil
		})
	})
	f := c.Flags()
	f.IntVarP(&w.Port, "port", "p", 0, "")
	f.StringVar(&w.Health, "health", "", "")
	f.StringVar(&w.Logs, "logs", "", "")
	f.BoolVar(&w.OnVisit, "on-visit", false, "")
	f.DurationVar(&idle, "idle", 0, "")
	a.workspaceFlag(c, &workspace)
	f.SetInterspersed(false) // what follows the name is the command's own
	return c
}

func (a *app) appRmCommand() *cobra.Command {
	return a.appVerb("rm", "rm APP", func(ctx context.Context, s service, workspace, app string) error {
		return s.DropApp(ctx, workspace, app)
	})
}

func (a *app) appStartCommand() *cobra.Command {
	return a.appVerb("start", "start APP", func(ctx context.Context, s service, workspace, app string) error {
		return s.StartApp(ctx, workspace, app)
	})
}

func (a *app) appStopCommand() *cobra.Command {
	return a.appVerb("stop", "stop APP", func(ctx context.Context, s service, workspace, app string) error {
		return s.StopApp(ctx, workspace, app)
	})
}

func (a *app) appLogCommand() *cobra.Command {
	var follow bool
	c := a.appVerb("log", "log APP", func(ctx context.Context, s service, workspace, app string) error {
		return s.AppLog(ctx, workspace, app, a.out, follow)
	})
	c.Flags().BoolVarP(&follow, "follow", "f", false, "")
	return c
}

// appVerb makes a command about one app of a workspace.
func (a *app) appVerb(verb, use string, do func(ctx context.Context, s service, workspace, app string) error) *cobra.Command {
	var workspace string
	c := a.command("app."+verb, use, "", a.args(1, 1), func(ctx context.Context, args []string) error {
		return a.with(ctx, func(s service) error {
			name, err := a.which(ctx, s, given(workspace))
			if err != nil {
				return err
			}
			return do(ctx, s, name, args[0])
		})
	})
	a.workspaceFlag(c, &workspace)
	return c
}

func (a *app) workspaceFlag(c *cobra.Command, to *string) {
	c.Flags().StringVarP(to, "workspace", "w", "", "")
	_ = c.RegisterFlagCompletionFunc("workspace", a.completeNames)
}

// given is a name as an argument; none where it is empty.
func given(name string) []string {
	if name == "" {
		return nil
	}
	return []string{name}
}
