package main

import (
	"context"
	"encoding/csv"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/masu-lab/masu"
	"github.com/masu-lab/masu/internal/text"
)

func (a *app) auditCommand() *cobra.Command {
	var q masu.EventQuery
	var member, since string
	var asCSV bool
	c := a.command("audit", "audit", groupServer, a.knownCommand, func(ctx context.Context, _ []string) error {
		q.Actor = masu.Username(member)
		if since != "" {
			d, err := duration(since).value()
			if err != nil || d <= 0 {
				return masu.E(masu.Invalid, "since_wrong", since).Because(err)
			}
			q.Since = time.Now().Add(-d)
		}
		return a.with(ctx, func(s service) error {
			events, err := s.Events(ctx, q)
			if err != nil {
				return err
			}
			slices.Reverse(events) // the newest where one looks first: above the prompt
			return a.showEvents(events, asCSV)
		})
	})
	f := c.Flags()
	f.StringVar(&member, "member", "", "")
	f.StringVar(&q.Verb, "verb", "", "")
	f.StringVar(&q.Object, "object", "", "")
	f.StringVar(&since, "since", "", "")
	f.IntVarP(&q.Limit, "lines", "n", 50, "")
	f.BoolVar(&asCSV, "csv", false, "")
	a.jsonFlag(c)
	c.AddCommand(a.command("audit.verify", "verify", "", a.args(0, 0), func(ctx context.Context, _ []string) error {
		return a.with(ctx, func(s service) error {
			if err := s.VerifyEvents(ctx); err != nil {
				return err
			}
			a.note("audit_whole")
			return nil
		})
	}))
	return c
}

func (a *app) showEvents(events []masu.Event, asCSV bool) error {
	switch {
	case a.json:
		if events == nil {
			events = []masu.Event{}
		}
		return a.data(events)
	case asCSV:
		w := csv.NewWriter(a.out)
		if err := w.Write(masu.EventHeading()); err != nil {
			return err
		}
		for _, e := range events {
			if err := w.Write(e.Record()); err != nil {
				return err
			}
		}
		w.Flush()
		return w.Error()
	}
	t := a.table("col.at", "col.who", "col.door", "col.what", "col.object", "col.result")
	for _, e := range events {
		result := ""
		if e.Code != "" {
			result = short(text.Strings(a.lang, e.Code, e.Args))
		}
		t.row(e.At.Local().Format("2006-01-02 15:04:05"), string(e.Actor), string(e.Door), e.Verb, e.Object, result)
	}
	t.write()
	return nil
}
