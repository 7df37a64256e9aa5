package sched

import (
	"cmp"
	"slices"
	"time"

	"github.com/masu-lab/masu"
)

// reclaim announces which leases will end, ends those whose time has come, and
// takes back what was announced for a reason that is none any more.
func (d *decision) reclaim(waiting []masu.Wait) {
	needed := d.needed(waiting)
	for _, l := range d.Leases {
		if d.over[l.ID] {
			continue
		}
		if l.Why == masu.EndUnclaimed && !l.EndsAt.IsZero() { // nobody uses them: no other reason keeps them for longer, or ends what runs beside them
			if from, ok := d.promisedAway(l); !d.Now.Before(l.EndsAt) || ok && !d.Now.Before(from) {
				d.end(l.ID, masu.EndUnclaimed)
			}
			continue
		}
		at, why := d.due(l, needed[l.ID])
		switch {
		case why == "" && !l.EndsAt.IsZero() && !settled[l.Why]:
			id := l.ID
			d.plan.Do = append(d.plan.Do, Decision{Withdraw: &id})
		case why == "" && l.EndsAt.IsZero():
		case why == "" || l.Why == why && !l.EndsAt.IsZero() && !at.Before(l.EndsAt):
			if !d.Now.Before(l.EndsAt) {
				d.end(l.ID, l.Why)
			}
		case !d.Now.Before(at):
			d.end(l.ID, why)
		default:
			d.plan.Do = append(d.plan.Do, Decision{Announce: &Announce{l.ID, at, why}})
		}
	}
}

// settled are reasons that no decision of this package has found, and none takes back.
var settled = map[masu.EndReason]bool{masu.EndAdmin: true, masu.EndHolder: true}

// overrun is how long somebody may take more of a shared card than their part, once told.
const overrun = 2 * time.Minute

// due is when a lease must end, as far as that is known and near, and why; "" is not.
func (d *decision) due(l masu.Lease, needed masu.EndReason) (at time.Time, why masu.EndReason) {
	soon := d.Now.Add(d.Policy.Grace)
	if from, ok := d.promisedAway(l); ok && !d.Now.Before(from.Add(-d.Policy.Notice)) {
		at, why = from, masu.EndReserved
		if l.Until.IsZero() || l.Until.After(from) { // it was lent first: who reserves at short notice gives time to save
			told := soon
			if l.Why == why && !l.EndsAt.IsZero() {
				told = earlier(soon, l.EndsAt)
			}
			at = later(from, told)
		}
	}
	if needed == masu.EndMemory { // its neighbours suffer meanwhile
		soon = earlier(soon, d.Now.Add(overrun))
	}
	if needed == masu.EndTime {
		soon = later(soon, l.Until)
	}
	if !l.EndsAt.IsZero() && l.Why == needed {
		soon = l.EndsAt // as it was announced
	}
	if needed != "" && (why == "" || soon.Before(at)) {
		at, why = soon, needed
	}
	return at, why
}

// promisedAway is when the first reservation of somebody else's on a lease's GPUs begins.
func (d *decision) promisedAway(l masu.Lease) (from time.Time, ok bool) {
	from = forever
	for _, id := range l.GPUs {
		x := d.byID[id]
		if x == nil {
			continue
		}
		for _, c := range x.claims {
			if c.holder != l.Holder && c.holder != "" && d.Now.Before(c.until) {
				from, ok = earlier(from, c.from), true
			}
		}
	}
	return from, ok
}

// needed tells which leases must end for those who wait, or because nobody
// uses them and the house wants such GPUs back, and why. Only as many as help:
// no lease ends for a ticket that would go on waiting all the same.
func (d *decision) needed(waiting []masu.Wait) map[masu.LeaseID]masu.EndReason {
	why := map[masu.LeaseID]masu.EndReason{}
	var over []masu.Lease // what may be taken back, the one that is idle for longest first
	for _, l := range d.Leases {
		idle := d.idle(l)
		switch {
		case d.over[l.ID]:
		case d.Over[l.ID]:
			why[l.ID] = masu.EndMemory
		case idle && d.Policy.IdleAlways:
			why[l.ID] = masu.EndIdle
			over = append(over, l)
		case idle, !l.Until.IsZero() && !d.Now.Before(l.Until.Add(-d.Policy.Grace)):
			over = append(over, l)
		}
	}
	if len(over) == 0 {
		return why
	}
	slices.SortStableFunc(over, func(x, y masu.Lease) int {
		return cmp.Or(cmp.Compare(d.Idle[y.ID], d.Idle[x.ID]), x.Until.Compare(y.Until), cmp.Compare(x.ID, y.ID))
	})
	free := map[masu.GPUID]masu.LeaseID{} // what could be had, and by the end of which lease; "" is free now
	for _, x := range d.slots {
		if x.free() && !slices.ContainsFunc(x.claims, func(c claim) bool { return c.holder != "" && !c.from.After(d.Now) }) {
			free[x.ID] = ""
		}
	}
	for _, l := range over {
		for _, g := range l.GPUs {
			free[g] = l.ID
		}
	}
	failed := map[masu.Want]bool{} // less and less could be had
	for _, w := range waiting {
		if w.Blocked != masu.WaitGPUs || failed[w.Want] {
			continue
		}
		ends, ok := d.takeFrom(free, over, w.Want)
		failed[w.Want] = !ok
		for _, id := range ends {
			if l := d.leases[id]; d.idle(l) {
				why[id] = masu.EndIdle
			} else {
				why[id] = masu.EndTime
			}
		}
		if len(free) == 0 {
			break
		}
	}
	return why
}

// takeFrom takes GPUs for a want out of what could be had, and tells which
// leases must end for it; none where even all of it is not enough.
func (d *decision) takeFrom(free map[masu.GPUID]masu.LeaseID, over []masu.Lease, w masu.Want) (ends []masu.LeaseID, ok bool) {
	rank := map[masu.LeaseID]int{"": 0}
	for i, l := range over {
		rank[l.ID] = i + 1
	}
	for _, m := range d.suiting(w) {
		list := slices.DeleteFunc(slices.Clone(m.slots), func(x *slot) bool { _, ok := free[x.ID]; return !ok })
		need := count(w, m.size)
		if need <= 0 || len(list) < need {
			continue
		}
		slices.SortStableFunc(list, func(x, y *slot) int { return cmp.Compare(rank[free[x.ID]], rank[free[y.ID]]) })
		for _, x := range list[:need] {
			if id := free[x.ID]; id != "" && !slices.Contains(ends, id) {
				ends = append(ends, id)
			}
			delete(free, x.ID)
		}
		return ends, true
	}
	return nil, false
}

// idle tells whether a lease is used by nobody for longer than the house allows.
func (d *decision) idle(l masu.Lease) bool {
	return d.Policy.IdleFor > 0 && d.Idle[l.ID] >= d.Policy.IdleFor && !d.Now.Before(l.KeptUntil)
}

// foretold is for how many of those who wait it is told when their turn comes.
const foretold = 100

// forecast tells those who wait when their turn comes at the latest, if all
// that is lent ends as known, and nobody comes who goes before them.
func (d *decision) forecast(waiting []masu.Wait) []masu.Wait {
	for _, x := range d.slots { // promises to the first are part of what is told now
		x.claims = slices.DeleteFunc(x.claims, func(c claim) bool { return c.holder == "" })
	}
	for i := range waiting[:min(len(waiting), foretold)] {
		w := &waiting[i]
		if w.Blocked != masu.WaitGPUs {
			continue
		}
		gpus, at := d.earliest(&w.Ticket)
		if at.Equal(forever) {
			continue
		}
		w.Expect = at
		hold := cmp.Or(w.Limit, d.Policy.Hold)
		for _, x := range gpus {
			x.freeAt = forever
			if hold > 0 {
				x.freeAt = at.Add(hold)
			}
		}
	}
	return waiting
}
