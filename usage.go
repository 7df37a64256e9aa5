package masu

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"strings"
	"time"
)

// GPUUse is what a lease's GPUs did in a span that begins at At: a minute, or an hour of long ago.
type GPUUse struct {
	Lease  LeaseID       `json:"lease"`
	At     time.Time     `json:"at"`
	Busy   time.Duration `json:"busy"`   // in which a GPU computed, summed up over the GPUs
	Energy float64       `json:"energy"` // joules
}

// GPUWork is what GPUs have done for a run, as far as they were read: each second.
type GPUWork struct {
	Read   time.Duration `json:"read"`   // of all of them together, in which they were read
	Busy   time.Duration `json:"busy"`   // of it, in which they computed
	Energy float64       `json:"energy"` // joules
	Memory Bytes         `json:"memory"` // the most that was seen in use on one of them
}

// Percent is the part of the time in which they computed.
func (w GPUWork) Percent() int {
	if w.Read <= 0 {
		return 0
	}
	return int(min(100, 100*w.Busy/w.Read))
}

// EnergyText writes joules for people: in Wh, and what is more than a thousand of them in kWh.
func EnergyText(joules float64) string {
	if wh := joules / 3600; wh < 1000 {
		return strconv.FormatFloat(wh, 'f', 1, 64) + " Wh"
	}
	return strconv.FormatFloat(joules/3.6e6, 'f', 2, 64) + " kWh"
}

// How long minutes are kept before they are summed up to hours, which are kept for ever.
const GPUMinutesFor = 60 * 24 * time.Hour

// UsageRow is what one member got for the workspace, or the runs, of one name and project in one month.
type UsageRow struct {
	Month  string   `json:"month"` // "2026-11", by the host's clock
	Member Username `json:"member"`
	Groups []string `json:"groups,omitempty"` // the member is in now
	Name   string   `json:"name"`             // of the workspace or run
	// Project is what the folder calls itself: the name in its masu.yaml, else the folder's own. What has no
	// folder, and what was lent before masu wrote this down, is a project by its own name.
	Project string        `json:"project"`
	Leases  int           `json:"leases"`         // that began in it
	Lent    time.Duration `json:"lent"`           // GPU time that was lent
	Busy    time.Duration `json:"busy"`           // of it, in which a GPU computed, as far as it was read
	Energy  float64       `json:"energy"`         // joules, as far as it was read
	Waited  time.Duration `json:"waited"`         // for those that began in it
	Days    []DayUse      `json:"days,omitempty"` // Lent and Busy by day, as far as there was any; the first first
}

// DayUse is what was lent and used on one day of a month.
type DayUse struct {
	Day  int           `json:"day"` // 1 to 31, by the host's clock
	Lent time.Duration `json:"lent"`
	Busy time.Duration `json:"busy"`
}

// Book adds what was lent and used at a time of the row's month.
func (r *UsageRow) Book(at time.Time, lent, busy time.Duration) {
	r.Lent, r.Busy = r.Lent+lent, r.Busy+busy
	r.Days = addDays(r.Days, []DayUse{{at.Local().Day(), lent, busy}})
}

// addDays adds more to days.
func addDays(days, more []DayUse) []DayUse {
	for _, d := range more {
		i, ok := slices.BinarySearchFunc(days, d, func(a, b DayUse) int { return cmp.Compare(a.Day, b.Day) })
		if !ok {
			days = slices.Insert(days, i, DayUse{Day: d.Day})
		}
		days[i].Lent, days[i].Busy = days[i].Lent+d.Lent, days[i].Busy+d.Busy
	}
	return days
}

// Accounting is the part of Service about what was used.
type Accounting interface {
	// GPUUsage tells what was lent and used in a span, by month, member and name. With
	// all it is everybody's, for teachers and admins; else the actor's own.
	GPUUsage(ctx context.Context, from, until time.Time, all bool) ([]UsageRow, error)
}

// UsageBy lists what SumUsage adds up by, for people to choose from.
func UsageBy() []string { return []string{"name", "project", "member", "group", "month"} }

// SumUsage adds rows up by "name" (MEMBER/NAME), "project" (whoever works in it), "member", "group" or "month",
// which stands in Name, or all of them by "all"; those with most GPU time lent come first, months in
// their order. Who is in several groups counts in each.
func SumUsage(rows []UsageRow, by string) []UsageRow {
	sums := map[string]*UsageRow{}
	for _, r := range rows {
		keys := []string{string(r.Member) + "/" + r.Name}
		switch by {
		case "member":
			keys = []string{string(r.Member)}
		case "project":
			keys = []string{r.Project}
		case "month":
			keys = []string{r.Month}
		case "all":
			keys = []string{""}
		case "group":
			if keys = r.Groups; len(keys) == 0 {
				keys = []string{"-"}
			}
		}
		for _, k := range keys {
			s := sums[k]
			if s == nil {
				s = &UsageRow{Name: k, Member: r.Member, Month: r.Month}
				sums[k] = s
			}
			s.Leases, s.Lent, s.Busy, s.Energy, s.Waited = s.Leases+r.Leases, s.Lent+r.Lent, s.Busy+r.Busy, s.Energy+r.Energy, s.Waited+r.Waited
			s.Days = addDays(s.Days, r.Days)
		}
	}
	list := make([]UsageRow, 0, len(sums))
	for _, s := range sums {
		list = append(list, *s)
	}
	slices.SortFunc(list, func(a, b UsageRow) int {
		if by == "month" {
			return cmp.Compare(a.Name, b.Name)
		}
		return cmp.Or(cmp.Compare(b.Lent, a.Lent), cmp.Compare(a.Name, b.Name))
	})
	return list
}

// UsageHeading names the cells of UsageRow.Record.
func UsageHeading() []string {
	return []string{"month", "member", "name", "leases", "gpu_seconds_lent", "gpu_seconds_busy", "joules", "seconds_waited", "project"}
}

// Record is the row for a spreadsheet. No cell can be taken for a formula.
func (r UsageRow) Record() []string {
	seconds := func(d time.Duration) string { return strconv.FormatFloat(d.Seconds(), 'f', 0, 64) }
	return []string{r.Month, inert(string(r.Member)), inert(r.Name), strconv.Itoa(r.Leases), seconds(r.Lent), seconds(r.Busy), strconv.FormatFloat(r.Energy, 'f', 0, 64), seconds(r.Waited), inert(r.Project)}
}

// inert is a cell that no spreadsheet takes for a formula: where Japanese is
// typed, some take the wide signs for the narrow ones.
func inert(s string) string {
	if strings.IndexAny(s, "=+-@\t\r\n＝＋－＠") == 0 {
		return "'" + s
	}
	return s
}
