package main

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"github.com/masu-lab/masu"
	"github.com/masu-lab/masu/internal/text"
)

func (a *app) adminHandoverCommand() *cobra.Command {
	var w masu.HandoverWish
	var as []string
	c := a.command("admin.handover", "handover LEAVER MEMBER", "", a.args(2, 2), func(ctx context.Context, args []string) error {
		w.From, w.To, w.As = masu.Username(args[0]), masu.Username(args[1]), map[string]string{}
		for _, said := range as {
			name, there, ok := strings.Cut(said, "=")
			if !ok {
				return masu.E(masu.Invalid, "handover_as", said)
			}
			w.As[name] = there
		}
		return a.with(ctx, func(s service) error {
			h, err := s.Handover(ctx, w)
			if err != nil {
				return err
			}
			if a.json {
				return a.data(h)
			}
			a.printHandover(h)
			return nil
		})
	})
	f := c.Flags()
	f.StringSliceVar(&w.Only, "only", nil, "")
	f.StringSliceVar(&as, "as", nil, "")
	f.StringVar(&w.Into, "into", "", "")
	f.BoolVar(&w.Files, "files", false, "")
	f.BoolVar(&w.Dry, "dry-run", false, "")
	a.jsonFlag(c)
	return c
}

// printHandover tells what changes hands, and what an admin still has to type.
func (a *app) printHandover(h masu.Handover) {
	t := a.table("col.workspace", "col.becomes", "col.folder")
	for _, w := range h.Workspaces {
		t.row(string(h.From)+"/"+w.Name, string(h.To)+"/"+w.As, w.Dir)
	}
	t.write()
	a.note("handover_rest", h.Runs, h.Environments, h.Reservations)
	left := false
	for _, f := range h.Folders {
		switch {
		case f.Given:
			a.note("handover_given", f.Dir, f.At)
			continue
		case f.Trouble != nil:
			message, _ := text.Error(a.lang, f.Trouble.Err())
			a.note("handover_not_given", f.Dir, message)
		default:
			a.note("handover_left", f.Dir, string(f.Owner), f.Size.String())
		}
		left = true
		a.print(f.Command)
	}
	switch {
	case h.Trouble != nil:
		message, fix := text.Error(a.lang, h.Trouble.Err())
		a.note("handover_not_yet", message, fix)
	case !h.Done:
		a.note("handover_would")
	case left:
		a.note("handover_done_left", string(h.To))
	default:
		a.note("handover_done", string(h.To))
	}
}
