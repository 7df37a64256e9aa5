package main

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/masu-lab/masu"
	"github.com/masu-lab/masu/internal/text"
)

func (a *app) lsCommand() *cobra.Command {
	var all, quiet bool
	c := a.command("ls", "ls", groupWork, a.args(0, 0), func(ctx context.Context, _ []string) error {
		return a.with(ctx, func(s service) error {
			list, err := a.toList(ctx, s, all)
			if err != nil {
				return err
			}
			if a.json {
				if list == nil {
					list = []masu.Workspace{}
				}
				return a.data(list)
			}
			if quiet {
				for _, w := range list {
					a.print(w.Name)
				}
				return nil
			}
			if len(list) == 0 {
				a.note("ls_empty")
				return nil
			}
			a.listWorkspaces(list, all)
			return nil
		})
	})
	c.Aliases = []string{"ps", "list"}
	c.Flags().BoolVarP(&all, "all", "a", false, "")
	c.Flags().BoolVarP(&quiet, "quiet", "q", false, "")
	a.jsonFlag(c)
	return c
}

// toList gives what ls lists. Another's workspace is named by its owner too.
func (a *app) toList(ctx context.Context, s masu.Service, all bool) ([]masu.Workspace, error) {
	if all || a.json {
		return s.Workspaces(ctx, all)
	}
	own, open, err := a.ownAndOpen(ctx, s)
	for i := range open {
		open[i].Name = string(open[i].Owner) + "/" + open[i].Name
	}
	return append(own, open...), err
}

func (a *app) listWorkspaces(list []masu.Workspace, all bool) {
	columns := []string{"col.name", "col.phase", "col.since", "col.gpus", "col.dir", "col.why"}
	sides := slices.ContainsFunc(list, func(w masu.Workspace) bool { return len(w.Sides) > 0 })
	if sides { // most have none
		columns = slices.Insert(columns, 4, "col.services")
	}
	disks := slices.ContainsFunc(list, func(w masu.Workspace) bool { return w.DiskMax > 0 })
	if disks {
		columns = slices.Insert(columns, len(columns)-2, "col.disk")
	}
	t := a.table(columns...)
	for _, w := range list {
		name := w.Name
		if all {
			name = string(w.Owner) + "/" + w.Name
		}
		why := ""
		if w.Trouble != nil && w.Phase != masu.Running {
			why = short(text.Strings(a.lang, w.Trouble.Code, w.Trouble.Args))
		}
		if w.Lost {
			why = short(a.say("gpu_lost", w.Name))
		}
		if code, args := w.Queue.Sentence(func(at time.Time) string { return text.Near(at, time.Now()) }); code != "" {
			why = a.say(code, args...)
		}
		if w.Part {
			why = a.say("ls_part", appNames(w))
		}
		var gpus []string
		for _, g := range w.GPUs {
			gpus = append(gpus, string(g))
		}
		cells := []string{name, a.phase(w.Phase), a.since(w.ChangedAt), strings.Join(gpus, " "), w.Project.Dir, why}
		if sides {
			cells = slices.Insert(cells, 4, a.sides(w))
		}
		if disks {
			cells = slices.Insert(cells, len(cells)-2, a.disk(w))
		}
		t.row(cells...)
	}
	t.write()
}

// disk says what a workspace takes, and of how much where that is held.
func (a *app) disk(w masu.Workspace) string {
	if w.DiskMax == 0 {
		return ""
	}
	return a.say("disk_of", w.Disk.String(), w.DiskMax.String())
}

// appNames are those of a workspace's apps.
func appNames(w masu.Workspace) string {
	var all []string
	for _, x := range w.Programs() {
		all = append(all, x.Name)
	}
	return strings.Join(all, ", ")
}

// sides names the services of a workspace, and how those stand that are not ready.
func (a *app) sides(w masu.Workspace) string {
	var all []string
	for _, s := range w.Sides {
		all = append(all, a.say("side."+string(s.State), s.Name))
	}
	return strings.Join(all, ", ")
}

// since tells how long ago something was: for people on a terminal, as RFC 3339 for programs.
func (a *app) since(at time.Time) string {
	if at.IsZero() {
		return ""
	}
	if _, tty := terminal(a.out); !tty {
		return at.Format(time.RFC3339)
	}
	switch d := time.Since(at); {
	case d < time.Minute:
		return a.say("ago_now")
	case d < time.Hour:
		return a.say("ago_minutes", int(d.Minutes()))
	case d < 48*time.Hour:
		return a.say("ago_hours", int(d.Hours()))
	default:
		return a.say("ago_days", int(d.Hours()/24))
	}
}
