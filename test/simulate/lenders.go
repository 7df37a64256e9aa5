package main

import (
	"math/rand/v2"
	"slices"
	"time"

	"github.com/masu-lab/masu"
	"github.com/masu-lab/masu/internal/lab"
	"github.com/masu-lab/masu/internal/sched"
)

// queue shares GPUs by sched.Decide.
type queue struct {
	sched.Policy
	byArrival bool // what members got does not count
	headOnly  bool // nobody fills gaps: only whose turn is next is served
}

// usual is masu's queue with its usual rules, but for what change says.
func usual(change func(*queue)) lender {
	q := &queue{Policy: lab.DefaultPolicy(masu.Host{CPUs: 8}).GPUs}
	change(q)
	return q
}

func (q *queue) reserves() bool { return true }

// lend asks for decisions until there is nothing left to decide.
func (q *queue) lend(y *year) (again time.Time) {
	for {
		s := q.state(y)
		if q.headOnly {
			s.Tickets = head(s)
		}
		more := false
		for _, d := range sched.Decide(s).Do {
			more = q.do(y, d) || more
		}
		if !more {
			return q.due(y)
		}
	}
}

// head is the ticket whose turn is next: who would be first if nothing were there to lend.
func head(s sched.State) []masu.Ticket {
	s.GPUs, s.Leases = nil, slices.Clone(s.Leases)
	if w := sched.Decide(s).Waiting; len(w) > 0 {
		return []masu.Ticket{w[0].Ticket}
	}
	return nil
}

func (q *queue) state(y *year) sched.State {
	s := sched.State{Now: y.now, GPUs: y.gpus, Reservations: y.reserved, Idle: map[masu.LeaseID]time.Duration{}, Policy: q.Policy}
	if !q.byArrival {
		s.Used = y.used
	}
	for _, a := range y.waiting {
		s.Tickets = append(s.Tickets, a.ticket)
	}
	for _, h := range y.holds {
		s.Leases = append(s.Leases, h.lease)
		s.Idle[h.lease.ID] = y.idleFor(h)
	}
	return s
}

// do does one thing that was decided, as internal/lab would; true: something came free, and is to be decided about.
func (q *queue) do(y *year, d sched.Decision) bool {
	held := func(id masu.LeaseID) *hold {
		return y.holds[slices.IndexFunc(y.holds, func(h *hold) bool { return h.lease.ID == id })]
	}
	switch {
	case d.Grant != nil:
		i := slices.IndexFunc(y.waiting, func(a *ask) bool { return a.ticket.Workspace == d.Grant.Ticket.Workspace })
		y.grant(y.waiting[i], d.Grant.GPUs, d.Grant.Until)
		return q.headOnly // the next in turn may be served too
	case d.Announce != nil:
		h := held(d.Announce.Lease)
		h.lease.EndsAt, h.lease.Why = d.Announce.At, d.Announce.Why
	case d.Withdraw != nil:
		h := held(*d.Withdraw)
		h.lease.EndsAt, h.lease.Why = time.Time{}, ""
	case d.End != nil:
		y.stop(held(d.End.Lease), d.End.Why)
		return true
	case d.Miss != nil:
		i := slices.IndexFunc(y.reserved, func(r masu.Reservation) bool { return r.ID == *d.Miss })
		y.reserved[i].Missed = true
	}
	return false
}

// due is when time alone changes what is to be decided.
func (q *queue) due(y *year) (at time.Time) {
	next := func(t time.Time) {
		if t.After(y.now) && (at.IsZero() || t.Before(at)) {
			at = t
		}
	}
	for _, h := range y.holds {
		next(h.lease.EndsAt)
		next(h.lease.Until)
		next(h.lease.Until.Add(-q.Grace))
		if !h.works {
			next(h.idle.Add(q.IdleFor))
		}
	}
	for _, r := range y.reserved {
		next(r.From.Add(-q.Notice))
		next(r.From)
		next(r.From.Add(q.NoShow))
		next(r.Until)
	}
	if len(y.waiting) > 0 {
		next(y.now.Add(time.Hour)) // turns change slowly
	}
	return at
}

// grab is a lab without rules: whoever waits looks now and then whether enough
// is free, and holds it until they have done and thought of giving it back.
type grab struct {
	*rand.Rand
	looks map[*ask]time.Time
}

func newGrab(seed uint64) lender {
	return &grab{rand.New(rand.NewPCG(seed, 1)), map[*ask]time.Time{}}
}

func (g *grab) reserves() bool { return false }

func (g *grab) lend(y *year) (again time.Time) {
	for _, a := range slices.Clone(y.waiting) {
		at, ok := g.looks[a]
		if ok && y.now.Before(at) {
			continue
		}
		if free := free(y); len(free) >= a.gpus {
			delete(g.looks, a)
			y.grant(a, free[:a.gpus], time.Time{})
			continue
		}
		g.looks[a] = g.nextLook(y.now)
	}
	for _, a := range y.waiting {
		if at := g.looks[a]; again.IsZero() || at.Before(again) {
			again = at
		}
	}
	return again
}

// nextLook is within the next hour, or in the morning.
func (g *grab) nextLook(now time.Time) time.Time {
	at := now.Add(time.Duration(5+g.IntN(56)) * time.Minute)
	if h := at.Hour(); h < 8 {
		at = at.Truncate(24 * time.Hour).Add(8*time.Hour + time.Duration(g.IntN(120))*time.Minute)
	}
	return at
}

// free lists the GPUs that nobody holds.
func free(y *year) (list []masu.GPUID) {
	for _, x := range y.gpus {
		if !slices.ContainsFunc(y.holds, func(h *hold) bool { return slices.Contains(h.lease.GPUs, x.ID) }) {
			list = append(list, x.ID)
		}
	}
	return list
}
