package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/masu-lab/masu"
	"github.com/masu-lab/masu/internal/text"
)

// runShowCommand tells everything about one run.
func (a *app) runShowCommand() *cobra.Command {
	c := a.command("runs.show", "show ID", "", a.args(1, 1), func(ctx context.Context, args []string) error {
		return a.with(ctx, func(s service) error {
			r, err := s.RunByID(ctx, masu.WorkspaceID(args[0]))
			if err != nil {
				return err
			}
			if a.json {
				return a.data(r)
			}
			t := a.table()
			for _, f := range a.runFacts(r, time.Now()) {
				t.row(f.Name, f.Value)
			}
			t.write()
			return nil
		})
	})
	a.jsonFlag(c)
	return c
}

// runFacts are the rows of it.
func (a *app) runFacts(r masu.Run, now time.Time) []text.Fact {
	list := []text.Fact{{Name: a.say("col.name"), Value: r.Name}, {Name: a.say("col.command"), Value: r.Words()}, {Name: a.say("col.phase"), Value: a.runState(r)}}
	for _, who := range r.Asked {
		if !r.Over() {
			list = append(list, text.Fact{Value: a.say("notice_asked", string(who), r.Name)})
		}
	}
	if took := tookText(r, now); took != "" {
		list = append(list, text.Fact{Name: a.say("col.took"), Value: took})
	}
	return append(list, text.RunFacts(a.lang, r, func(d time.Duration) string { return d.Round(time.Second).String() })...)
}

// runAgainCommand asks for a run once more.
func (a *app) runAgainCommand() *cobra.Command {
	c := a.command("runs.again", "again ID", "", a.args(1, 1), func(ctx context.Context, args []string) error {
		return a.with(ctx, func(s service) error {
			r, err := s.RunByID(ctx, masu.WorkspaceID(args[0]))
			if err != nil {
				return err
			}
			list, err := s.Submit(ctx, r.Again())
			if err != nil {
				return err
			}
			return a.submitted(list)
		})
	})
	a.jsonFlag(c)
	return c
}
