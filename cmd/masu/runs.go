package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/masu-lab/masu"
	"github.com/masu-lab/masu/internal/text"
)

// detachOptions are those of a run that goes on by itself.
type detachOptions struct {
	detach       bool
	limit, array string
	class        string
	after        []string
	retries      int
}

func (o *detachOptions) flags(c *cobra.Command) {
	f := c.Flags()
	f.BoolVarP(&o.detach, "detach", "d", false, "")
	f.StringVar(&o.limit, "limit", "", "")
	f.StringVar(&o.array, "array", "", "")
	f.StringVar(&o.class, "class", "", "")
	f.StringSliceVar(&o.after, "after", nil, "")
	f.IntVar(&o.retries, "retry", 0, "")
}

// given tells whether something was said that only makes sense for a run by itself.
func (o *detachOptions) given() bool {
	return o.limit != "" || o.array != "" || o.class != "" || len(o.after) > 0 || o.retries != 0
}

// submit asks for runs that go on by themselves, and says where to look for them.
func (a *app) submit(ctx context.Context, r masu.RunRequest, w masu.RunWish, o detachOptions) error {
	w.Dir, w.Preset, w.Name, w.Want, w.Class, w.Retries = r.Dir, r.Preset, r.Name, r.Want, o.class, o.retries
	if len(w.Argv) == 0 || r.Image != "" {
		return masu.E(masu.Invalid, "detach_what")
	}
	if w.Notebook != nil {
		w.Argv = nil
	}
	if o.limit != "" {
		var err error
		if w.Limit, err = duration(o.limit).value(); err != nil || w.Limit <= 0 {
			return masu.E(masu.Invalid, "limit_wrong", o.limit)
		}
	}
	if o.array != "" {
		if err := w.SetArray(o.array); err != nil {
			return err
		}
	}
	for _, id := range o.after {
		w.After = append(w.After, masu.WorkspaceID(id))
	}
	return a.with(ctx, func(s service) (err error) {
		if w.Dir, err = a.farRunDir(ctx, s, w.Dir); err != nil {
			return err
		}
		list, err := s.Submit(ctx, w)
		if err != nil {
			return err
		}
		return a.submitted(list)
	})
}

// submitted says where to look for what was asked for.
func (a *app) submitted(list []masu.Run) error {
	if a.json {
		return a.data(list)
	}
	for _, r := range list {
		a.print(string(r.ID))
	}
	if len(list) > 0 {
		a.note("run_submitted", string(list[0].ID))
	}
	return nil
}

func (a *app) runsCommand() *cobra.Command {
	var all bool
	c := a.command("runs", "runs", groupWork, a.knownCommand, func(ctx context.Context, _ []string) error {
		return a.with(ctx, func(s service) error {
			list, err := s.Runs(ctx, all)
			if err != nil {
				return err
			}
			if a.json {
				return a.data(append([]masu.Run{}, list...))
			}
			if len(list) == 0 {
				a.note("runs_none")
				return nil
			}
			t := a.table("col.id", "col.name", "col.phase", "col.since", "col.took", "col.command")
			for _, r := range list {
				name := r.Name
				if r.Series != "" {
					name += fmt.Sprint("[", r.Index, "]")
				}
				if all {
					name = string(r.Owner) + "/" + name
				}
				t.row(string(r.ID), name, a.runState(r), a.since(r.At), tookText(r, time.Now()), r.Words())
			}
			t.write()
			return nil
		})
	})
	c.Flags().BoolVarP(&all, "all", "a", false, "")
	a.jsonFlag(c)
	c.AddCommand(a.runShowCommand(), a.runLogCommand(), a.runAgainCommand(), a.runEndCommand("cancel"), a.runEndCommand("rm"))
	return c
}

// runState is how a run stands, with why.
func (a *app) runState(r masu.Run) string {
	s := a.say("run." + string(r.Phase))
	switch {
	case r.Phase == masu.RunEnded:
		s += fmt.Sprintf(" (%d)", r.Code)
	case !r.EndsAt.IsZero():
		s += ": " + a.say("notice_ending_run", r.Name, text.Near(r.EndsAt, time.Now()))
	case r.Trouble != nil:
		s += ": " + short(text.Strings(a.lang, r.Trouble.Code, r.Trouble.Args))
	}
	return s
}

// tookText is how long a run took, or has run.
func tookText(r masu.Run, now time.Time) string {
	if r.StartedAt.IsZero() {
		return ""
	}
	end := r.EndedAt
	if end.IsZero() {
		end = now
	}
	return end.Sub(r.StartedAt).Round(time.Second).String()
}

func (a *app) runLogCommand() *cobra.Command {
	var follow bool
	c := a.command("runs.log", "log ID", "", a.args(1, 1), func(ctx context.Context, args []string) error {
		return a.with(ctx, func(s service) error {
			return s.RunLog(ctx, masu.WorkspaceID(args[0]), a.out, follow)
		})
	})
	c.Aliases = []string{"logs"}
	c.Flags().BoolVarP(&follow, "follow", "f", false, "")
	return c
}

// runEndCommand cancels runs, or forgets them.
func (a *app) runEndCommand(verb string) *cobra.Command {
	return a.command("runs."+verb, verb+" ID...", "", a.args(1, -1), func(ctx context.Context, args []string) error {
		return a.with(ctx, func(s service) error {
			for _, id := range args {
				var err error
				if verb == "rm" {
					err = s.ForgetRun(ctx, masu.WorkspaceID(id))
				} else {
					_, err = s.CancelRun(ctx, masu.WorkspaceID(id))
				}
				if err != nil {
					return err
				}
			}
			a.note("runs_" + verb)
			return nil
		})
	})
}
