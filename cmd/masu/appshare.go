package main

import (
	"context"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/masu-lab/masu"
)

func (a *app) appShareCommand() *cobra.Command {
	var yes bool
	c := a.shareVerb("share", func(ctx context.Context, s service, workspace string, x masu.AppShare) error {
		if !yes {
			w, err := s.Workspace(ctx, workspace)
			if err != nil {
				return err
			}
			ok, err := a.confirm(ctx, a.shareQuestion(w, x), "--yes")
			if err != nil {
				return err
			}
			if !ok {
				return masu.E(masu.Cancelled, "app_share_not_done")
			}
		}
		w, err := s.ShareApp(ctx, workspace, x)
		if err == nil {
			a.note("app_shared", a.whom(x), x.App, w.Name, string(w.Owner)+"/"+w.Name)
		}
		return err
	})
	c.Flags().BoolVarP(&yes, "yes", "y", false, "")
	return c
}

// shareQuestion says what is given away.
func (a *app) shareQuestion(w masu.Workspace, x masu.AppShare) string {
	code := "app_share_sure"
	if wish, ok := w.Wish(x.App); ok && wish.Shell() {
		code = "app_share_sure_shell"
	}
	if x.Lab {
		code = "app_share_sure_lab"
	}
	return a.say(code, a.whom(x), x.App, w.Name)
}

func (a *app) appUnshareCommand() *cobra.Command {
	return a.shareVerb("unshare", func(ctx context.Context, s service, workspace string, x masu.AppShare) error {
		_, err := s.UnshareApp(ctx, workspace, x)
		if err == nil {
			a.note("app_unshared", a.whom(x), x.App, workspace)
		}
		return err
	})
}

// shareVerb makes a command about an app and those with whom it is shared.
func (a *app) shareVerb(verb string, do func(ctx context.Context, s service, workspace string, x masu.AppShare) error) *cobra.Command {
	var workspace string
	var lab bool
	c := a.command("app."+verb, verb+" APP (COLLEAGUE | --lab)", "", a.args(1, 2), func(ctx context.Context, args []string) error {
		x := masu.AppShare{App: args[0], Lab: lab}
		if len(args) > 1 {
			x.With = masu.Username(args[1])
		}
		if (x.With == "") != lab {
			return masu.E(masu.Invalid, "share_app_whom")
		}
		return a.with(ctx, func(s service) error {
			name, err := a.which(ctx, s, given(workspace))
			if err != nil {
				return err
			}
			return do(ctx, s, name, x)
		})
	})
	c.Flags().BoolVar(&lab, "lab", false, "")
	a.workspaceFlag(c, &workspace)
	return c
}

// whom names those with whom an app is shared.
func (a *app) whom(x masu.AppShare) string {
	if x.Lab {
		return a.say("app_whole_lab")
	}
	return string(x.With)
}

// sharedWith tells with whom an app of a workspace is shared.
func (a *app) sharedWith(w masu.Workspace, app string) string {
	var all []string
	for _, x := range w.Shares {
		if x.App == app {
			all = append(all, a.whom(x))
		}
	}
	slices.Sort(all)
	return strings.Join(all, ", ")
}
