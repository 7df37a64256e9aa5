package sched

import (
	"cmp"
	"slices"
	"time"

	"github.com/masu-lab/masu"
)

// Decide tells what is to be done now. It is the same for the same state, and
// doing what it says, at once or later, never leads to a GPU with two holders.
//
// The order of the queue is by what each member got lately, less what they have
// waited (order.go). The first ticket that cannot be served gets a promise: the
// GPUs that come free for it first are not lent beyond the time when it can
// start, so those behind it fill gaps and never delay it.
func Decide(s State) Plan {
	d := decision{book: open(s), leases: map[masu.LeaseID]masu.Lease{}, over: map[masu.LeaseID]bool{}}
	for _, l := range s.Leases {
		d.leases[l.ID] = l
	}
	d.endLost()
	d.missed()
	waiting := d.lend()
	d.reclaim(waiting)
	d.plan.Waiting = d.forecast(waiting)
	return d.plan
}

type decision struct {
	*book
	plan   Plan
	leases map[masu.LeaseID]masu.Lease
	over   map[masu.LeaseID]bool // ends by this decision
}

func (d *decision) end(id masu.LeaseID, why masu.EndReason) {
	if !d.over[id] {
		d.over[id] = true
		d.plan.Do = append(d.plan.Do, Decision{End: &End{id, why}})
	}
}

// endLost ends leases on cards that are gone.
func (d *decision) endLost() {
	for _, l := range d.Leases {
		if slices.ContainsFunc(l.GPUs, func(g masu.GPUID) bool { return slices.Contains(d.Gone, g) }) {
			d.end(l.ID, masu.EndLost)
		}
	}
}

// missed gives up reservations that nobody uses.
func (d *decision) missed() {
	for _, r := range d.Reservations {
		if d.Policy.NoShow == 0 || !r.Now(d.Now) || d.Now.Before(r.From.Add(d.Policy.NoShow)) || d.used(r) {
			continue
		}
		id := r.ID
		d.plan.Do = append(d.plan.Do, Decision{Miss: &id})
		for _, g := range r.GPUs {
			if x := d.byID[g]; x != nil {
				x.claims = slices.DeleteFunc(x.claims, func(c claim) bool { return c.holder == r.Holder && c.from.Equal(r.From) })
			}
		}
	}
}

// used tells whether a reservation's holder holds any of its GPUs, or has just asked for them.
func (d *decision) used(r masu.Reservation) bool {
	return slices.ContainsFunc(d.Leases, func(l masu.Lease) bool {
		return l.Holder == r.Holder && slices.ContainsFunc(l.GPUs, func(g masu.GPUID) bool { return slices.Contains(r.GPUs, g) })
	}) || slices.ContainsFunc(d.Tickets, func(t masu.Ticket) bool { return t.Holder == r.Holder })
}

// lend grants what can be granted, and gives those who wait on, in the order of their turns.
func (d *decision) lend() []masu.Wait {
	waiting := make([]masu.Wait, 0, len(d.Tickets))
	q := queue(d.book)
	failed := map[shape]bool{} // what one did not get, the next with the same wish does not get either: less and less is free
	promised := false
	for {
		t, m := q.next()
		if t == nil {
			return waiting
		}
		why := d.limited(t)
		kind := shapeOf(t)
		if why == "" && (!failed[kind] || d.reserved(t.Holder)) {
			if gpus, until, ok := d.fit(t); ok {
				m.got += float64(len(gpus))
				d.grant(t, gpus, until)
				q.settle(m)
				continue
			}
			failed[kind] = true
		}
		if why == "" {
			why = masu.WaitGPUs
			if !promised {
				promised = d.promise(t)
				clear(failed) // not needed for rightness: a promise takes, and gives nothing
			}
		}
		waiting = append(waiting, masu.Wait{Ticket: *t, Place: len(waiting) + 1, Blocked: why})
		q.settle(m)
	}
}

// shape is all of a ticket that decides which GPUs it can have, but for reservations of its holder's.
type shape struct {
	want  masu.Want
	limit time.Duration
}

func shapeOf(t *masu.Ticket) shape { return shape{t.Want, t.Limit} }

// limited tells which limit keeps a ticket from being served.
func (d *decision) limited(t *masu.Ticket) masu.WaitReason {
	n := count(t.Want, len(d.slots))
	most, own := d.Most[t.Holder]
	if !own {
		most = d.Policy.PerMember
	}
	if (own || most > 0) && d.held[t.Holder]+n > most {
		return masu.WaitMember
	}
	for _, g := range d.Groups[t.Holder] {
		if most := d.Policy.PerGroup[g]; most > 0 && d.group[g]+n > most {
			return masu.WaitGroup
		}
	}
	return ""
}

func (d *decision) grant(t *masu.Ticket, gpus []*slot, open time.Time) {
	until := time.Time{}
	if hold := cmp.Or(t.Limit, d.Policy.Hold); hold > 0 {
		until = d.Now.Add(hold)
	}
	if open.Before(forever) && (until.IsZero() || open.Before(until)) {
		until = open
	}
	g := &Grant{Ticket: *t, Until: until}
	for _, x := range gpus {
		g.GPUs = append(g.GPUs, x.ID)
	}
	end := until
	if end.IsZero() {
		end = forever
	}
	d.enter(t.Holder, g.GPUs, t.Want.Share, end)
	d.plan.Do = append(d.plan.Do, Decision{Grant: g})
}

// promise keeps for the first who waits the GPUs with which they can start the
// earliest; false where nobody knows when that is.
func (d *decision) promise(t *masu.Ticket) bool {
	gpus, at := d.earliest(t)
	if at.Equal(forever) {
		return false
	}
	for _, x := range gpus {
		x.claims = append(x.claims, claim{from: at, until: forever})
		slices.SortFunc(x.claims, func(a, c claim) int { return a.from.Compare(c.from) })
	}
	return true
}

// earliest is when, and with which GPUs, a ticket could start as things stand.
func (d *decision) earliest(t *masu.Ticket) (gpus []*slot, at time.Time) {
	at = forever
	for _, m := range d.suiting(t.Want) {
		need := count(t.Want, m.size)
		if need <= 0 || len(m.slots) < need {
			continue
		}
		order := make([]soonest, len(m.slots))
		for i, x := range m.slots {
			order[i] = soonest{x, d.start(x, t)}
		}
		slices.SortStableFunc(order, func(x, y soonest) int { return x.at.Compare(y.at) })
		if when := order[need-1].at; when.Before(at) {
			gpus, at = nil, when
			for _, o := range order[:need] {
				gpus = append(gpus, o.slot)
			}
		}
	}
	return gpus, at
}

// soonest is when a GPU can be had.
type soonest struct {
	*slot
	at time.Time
}

// start is when a ticket could have one GPU, at the earliest.
func (d *decision) start(x *slot, t *masu.Ticket) time.Time {
	at := later(x.freeAt, d.Now)
	need := cmp.Or(t.Limit, d.Policy.Slot)
	for _, c := range x.claims {
		if c.holder == t.Holder && c.holder != "" {
			continue
		}
		if at.Add(need).After(c.from) && at.Before(c.until) { // the gap before it is too short
			at = later(at, c.until)
		}
	}
	return at
}
