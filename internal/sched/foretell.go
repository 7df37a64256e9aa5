package sched

import (
	"slices"

	"github.com/masu-lab/masu"
)

// Foretell tells what a ticket could expect that came now, if those who wait
// already and all that is lent behave as known.
func Foretell(s State, t masu.Ticket) masu.Forecast {
	const nobody = masu.WorkspaceID("-") // no workspace's ID
	t.Workspace, t.At = nobody, s.Now
	s.Tickets = append(slices.Clone(s.Tickets), t)
	plan := Decide(s)
	for _, w := range plan.Waiting {
		if w.Workspace == nobody {
			return masu.Forecast{Place: w.Place, Expect: w.Expect, Blocked: w.Blocked}
		}
	}
	for _, d := range plan.Do {
		if d.Grant != nil && d.Grant.Ticket.Workspace == nobody {
			return masu.Forecast{Until: d.Grant.Until}
		}
	}
	return masu.Forecast{}
}
