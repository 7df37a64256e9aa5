package main

import (
	"context"
	"encoding/csv"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/masu-lab/masu"
	"github.com/masu-lab/masu/internal/text"
)

func (a *app) usageCommand() *cobra.Command {
	var all, asCSV bool
	var from, until, by string
	c := a.command("usage", "usage", groupWork, a.args(0, 0), func(ctx context.Context, _ []string) error {
		begin, end, err := months(from, until, time.Now())
		if err != nil {
			return err
		}
		if !slices.Contains(masu.UsageBy(), by) {
			return masu.E(masu.Invalid, "usage_by", by)
		}
		return a.with(ctx, func(s service) error {
			if err := a.noteLimits(ctx, s, all || asCSV); err != nil {
				return err
			}
			rows, err := s.GPUUsage(ctx, begin, end, all)
			if err != nil {
				return err
			}
			switch {
			case a.json:
				return a.data(append([]masu.UsageRow{}, rows...))
			case asCSV:
				return a.usageCSV(rows)
			case len(rows) == 0:
				a.note("usage_none", begin.Format(time.DateOnly), end.AddDate(0, 0, -1).Format(time.DateOnly))
				return nil
			}
			t := a.table("col."+by, "col.lent", "col.busy", "col.energy", "col.waited", "col.leases")
			for _, r := range masu.SumUsage(rows, by) {
				t.row(r.Name, hoursText(r.Lent), hoursText(r.Busy), fmt.Sprintf("%.2f kWh", r.Energy/3.6e6), r.Waited.Round(time.Second).String(), fmt.Sprint(r.Leases))
			}
			t.write()
			return nil
		})
	})
	f := c.Flags()
	f.StringVar(&from, "from", "", "")
	f.StringVar(&until, "until", "", "")
	f.StringVar(&by, "by", "name", "")
	f.BoolVarP(&all, "all", "a", false, "")
	f.BoolVar(&asCSV, "csv", false, "")
	a.jsonFlag(c)
	return c
}

// noteLimits tells somebody at a terminal what holds for them.
func (a *app) noteLimits(ctx context.Context, s service, others bool) error {
	if others || a.json {
		return nil
	}
	hello, err := s.Whoami(ctx)
	if limits := text.Limits(a.lang, hello.Limits); err == nil && len(limits) > 0 {
		a.note("usage_limits", strings.Join(limits, ", "))
	}
	return err
}

// hoursText is GPU time for people: 2.50 h.
func hoursText(d time.Duration) string { return fmt.Sprintf("%.2f h", d.Hours()) }

// months reads a span of days: "2026-11" or "2026-11-24"; without a beginning it is this month's.
// The end is part of the span.
func months(from, until string, now time.Time) (begin, end time.Time, err error) {
	y, m, _ := now.Date()
	begin, end = time.Date(y, m, 1, 0, 0, 0, 0, now.Location()), now
	if from != "" {
		if begin, _, err = dayOrMonth(from, now.Location()); err != nil {
			return begin, end, err
		}
	}
	if until != "" {
		if _, end, err = dayOrMonth(until, now.Location()); err != nil {
			return begin, end, err
		}
	}
	if !begin.Before(end) {
		return begin, end, masu.E(masu.Invalid, "usage_span")
	}
	return begin, end, nil
}

func dayOrMonth(s string, zone *time.Location) (begin, end time.Time, err error) {
	if begin, err = time.ParseInLocation("2006-01", s, zone); err == nil {
		return begin, begin.AddDate(0, 1, 0), nil
	}
	if begin, err = time.ParseInLocation(time.DateOnly, s, zone); err == nil {
		return begin, begin.AddDate(0, 0, 1), nil
	}
	return begin, end, masu.E(masu.Invalid, "day_wrong", s)
}

// usageCSV writes every row, in plain numbers: seconds and joules.
func (a *app) usageCSV(rows []masu.UsageRow) error {
	w := csv.NewWriter(a.out)
	if err := w.Write(masu.UsageHeading()); err != nil {
		return err
	}
	for _, r := range rows {
		if err := w.Write(r.Record()); err != nil {
			return err
		}
	}
	w.Flush()
	return w.Error()
}
