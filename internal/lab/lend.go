package lab

import (
	"context"
	"math"
	"slices"
	"time"

	"github.com/masu-lab/masu"
	"github.com/masu-lab/masu/internal/sched"
)

const (
	lendEvery = 5 * time.Second // ends, warnings and reservations are due by the clock
	goneAfter = time.Minute     // a card that is missing for so long will not come back by itself
	usedEvery = time.Minute     // how often past leases are summed up
)

// lender decides about GPUs whenever something has changed, and by the clock, until ctx ends.
func (l *Lab) lender(ctx context.Context) {
	tick := time.NewTicker(lendEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-l.lendKick:
		case <-tick.C:
		}
		if err := l.lend(ctx); err != nil && ctx.Err() == nil {
			l.log.Error("lend", "error", err)
		}
	}
}

// lend makes one decision, and does what it says. Lending is one transaction;
// taking back takes a box its time, and is left to operations of its own.
func (l *Lab) lend(ctx context.Context) error {
	l.lendMu.Lock()
	defer l.lendMu.Unlock()
	busy, err := l.anythingToLend(ctx)
	if err != nil || !busy {
		return err
	}
	state, err := l.lendState(ctx)
	if err != nil {
		return err // nothing is lent while nobody knows what there is; what runs goes on
	}
	var plan sched.Plan
	var told []masu.Lease
	err = l.cfg.Store.Update(ctx, func(tx masu.Tx) error {
		if err := readBook(tx, &state); err != nil {
			return err
		}
		kept, err := l.keepTurns(tx, state)
		if err != nil {
			return err
		}
		plan = sched.Decide(state)
		told, err = l.writeDown(tx, state, plan)
		told = append(told, kept...)
		return err
	})
	if err != nil {
		return err
	}
	l.mu.Lock()
	l.waiting = plan.Waiting
	l.mu.Unlock()
	if len(plan.Do) > 0 {
		l.board.stale.Store(true)
	}
	for _, d := range plan.Do {
		switch {
		case d.Grant != nil:
			l.cfg.Metrics.Waits.Observe(state.Now.Sub(d.Grant.Ticket.At))
			l.log.Info("lent", "workspace", d.Grant.Ticket.Workspace, "holder", d.Grant.Ticket.Holder, "gpus", d.Grant.GPUs)
		case d.End != nil:
			l.takeBack(ctx, state, plan, *d.End)
		}
	}
	l.tellPlaces(ctx, plan.Waiting)
	for _, lease := range told {
		l.tellEnd(ctx, lease)
	}
	l.remind(ctx, state)
	if slices.ContainsFunc(plan.Do, func(d sched.Decision) bool { return d.Grant != nil }) {
		l.callTurn()
	}
	return nil
}

// anythingToLend tells whether there is anything to decide about: most hosts have no GPU, most hours no queue.
func (l *Lab) anythingToLend(ctx context.Context) (any bool, err error) {
	err = l.cfg.Store.View(ctx, func(tx masu.Tx) error {
		var s sched.State
		err := readBook(tx, &s)
		any = len(s.Leases)+len(s.Tickets)+len(s.Reservations) > 0
		return err
	})
	if !any {
		l.mu.Lock()
		l.waiting, l.places = nil, nil
		l.mu.Unlock()
	}
	return any, err
}

func readBook(tx masu.Tx, s *sched.State) (err error) {
	if s.Leases, err = tx.Leases(); err != nil {
		return err
	}
	if s.Tickets, err = tx.Tickets(); err != nil {
		return err
	}
	s.Reservations, err = tx.Reservations(s.Now)
	return err
}

// lendState is all that a decision rests on, but for the book.
func (l *Lab) lendState(ctx context.Context) (s sched.State, err error) {
	all, err := l.cfg.Inventory.GPUs(ctx)
	if err != nil {
		return s, err
	}
	s.Now, s.Policy = time.Now().UTC(), l.policy().GPUs
	readings := l.readings(ctx)
	if l.idleNow, err = l.idle(ctx, readings); err != nil {
		return s, err
	}
	return s, l.lendable(ctx, all, readings, &s)
}

// expect tells what a want could expect; nothing is lent by it.
func (l *Lab) expect(ctx context.Context, t masu.Ticket) (f masu.Forecast, err error) {
	if err := l.foretell.Acquire(ctx, 1); err != nil {
		return f, err
	}
	defer l.foretell.Release(1)
	l.lendMu.Lock()
	defer l.lendMu.Unlock()
	all, err := l.cfg.Inventory.GPUs(ctx)
	if err != nil {
		return f, err
	}
	s := sched.State{Now: time.Now().UTC(), Policy: l.policy().GPUs}
	if err := l.lendable(ctx, all, l.readings(ctx), &s); err != nil {
		return f, err
	}
	if err := l.cfg.Store.View(ctx, func(tx masu.Tx) error { return readBook(tx, &s) }); err != nil {
		return f, err
	}
	return sched.Foretell(s, t), nil
}

// lendable adds which GPUs can be lent now, and what else a decision weighs. The lock lendMu is held.
func (l *Lab) lendable(ctx context.Context, all []masu.GPU, readings map[masu.GPUID]masu.Reading, s *sched.State) error {
	s.Idle, s.Over, s.Most = l.idleNow, l.overrun, l.ownGPUs()
	taken, err := l.outside(ctx, all, readings, s.Now)
	if err != nil {
		return err
	}
	tells := tellers(all, readings)
	for _, g := range all {
		if !taken[tells[g.ID]] && g.Fault == "" { // what runs there goes on
			s.GPUs = append(s.GPUs, g)
		}
	}
	if s.Gone, err = l.gone(ctx, all, s.Now); err != nil {
		return err
	}
	s.Used, s.Groups, err = l.gotLately(ctx, s.Now)
	return err
}

// gone lists lent cards that the driver has not shown for a while.
func (l *Lab) gone(ctx context.Context, all []masu.GPU, now time.Time) (gone []masu.GPUID, err error) {
	var leases []masu.Lease
	err = l.cfg.Store.View(ctx, func(tx masu.Tx) error { leases, err = tx.Leases(); return err })
	there := map[masu.GPUID]bool{}
	for _, g := range all {
		there[g.ID] = true
		delete(l.missing, g.ID)
	}
	for _, lease := range leases {
		for _, id := range lease.GPUs {
			if there[id] {
				continue
			}
			since, known := l.missing[id]
			if !known {
				l.missing[id] = now
				l.log.Warn("GPU is missing", "gpu", id, "holder", lease.Holder)
			} else if now.Sub(since) >= goneAfter {
				gone = append(gone, id)
			}
		}
	}
	return gone, err
}

// gotLately sums up what each member got lately, in GPU hours, the older the less, and lists their groups.
func (l *Lab) gotLately(ctx context.Context, now time.Time) (used map[masu.Username]float64, groups map[masu.Username][]string, err error) {
	half := l.policy().HalfLife
	if now.Sub(l.usedAt) >= usedEvery && half > 0 {
		l.past = map[masu.Username]float64{}
		var past []masu.Lease
		err = l.cfg.Store.View(ctx, func(tx masu.Tx) (err error) { past, err = tx.PastLeases(now.Add(-6 * half)); return err })
		if err != nil {
			return nil, nil, err
		}
		for _, lease := range past {
			l.past[lease.Holder] += decayed(lease, lease.EndedAt, now, half)
		}
		l.usedAt = now
	}
	used, groups = map[masu.Username]float64{}, map[masu.Username][]string{}
	for who, hours := range l.past {
		used[who] = hours
	}
	var leases []masu.Lease
	var tickets []masu.Ticket
	err = l.cfg.Store.View(ctx, func(tx masu.Tx) (err error) {
		if leases, err = tx.Leases(); err != nil {
			return err
		}
		tickets, err = tx.Tickets()
		return err
	})
	for _, lease := range leases {
		used[lease.Holder] += decayed(lease, now, now, half)
		groups[lease.Holder] = nil
	}
	for _, t := range tickets {
		groups[t.Holder] = nil
	}
	for who := range groups {
		if u, err := l.cfg.Accounts.ByName(who); err == nil {
			for _, g := range u.Groups {
				groups[who] = append(groups[who], g.Name)
			}
		}
	}
	return used, groups, err
}

// decayed is a lease's GPU hours until end, of which half is forgotten each half-life.
func decayed(l masu.Lease, end, now time.Time, half time.Duration) float64 {
	if half <= 0 || end.Before(l.From) {
		return 0
	}
	// The integral of 2^(-(now-t)/half) from l.From to end.
	rate := math.Ln2 / half.Hours()
	weight := func(t time.Time) float64 { return math.Exp(-rate * now.Sub(t).Hours()) }
	return float64(len(l.GPUs)) * (weight(end) - weight(l.From)) / rate
}

// writeDown does what of a plan is a matter of records, and gives the leases whose holders must be told of an end.
func (l *Lab) writeDown(tx masu.Tx, s sched.State, plan sched.Plan) (told []masu.Lease, err error) {
	lease := func(id masu.LeaseID) masu.Lease {
		return s.Leases[slices.IndexFunc(s.Leases, func(x masu.Lease) bool { return x.ID == id })]
	}
	for _, d := range plan.Do {
		switch {
		case d.Grant != nil:
			t := d.Grant.Ticket
			x := masu.Lease{ID: masu.LeaseID(newID()), Workspace: t.Workspace, Holder: t.Holder, Name: t.Name, Project: t.Project, AskedAt: t.At, Want: t.Want, GPUs: d.Grant.GPUs, Share: t.Want.Share, From: s.Now, Until: d.Grant.Until}
			var kept bool
			if kept, err = keptFor(tx, s, &x); kept {
				told = append(told, x)
			}
			if err == nil {
				err = tx.PutLease(x)
			}
			if err == nil {
				err = tx.DeleteTicket(t.Workspace)
			}
			if err == nil {
				err = tx.Append(masu.Event{At: s.Now, Verb: "lend", Object: string(t.Workspace), Args: texts(x.GPUs)})
			}
		case d.Announce != nil:
			x := lease(d.Announce.Lease)
			x.EndsAt, x.Why = d.Announce.At, d.Announce.Why
			told = append(told, x)
			err = tx.PutLease(x)
		case d.Withdraw != nil:
			x := lease(*d.Withdraw)
			x.EndsAt, x.Why = time.Time{}, ""
			told = append(told, x)
			err = tx.PutLease(x)
		case d.End != nil:
			x := lease(d.End.Lease)
			if x.EndsAt.IsZero() || s.Now.Before(x.EndsAt) || x.Why != d.End.Why {
				x.EndsAt, x.Why = s.Now, d.End.Why
				err = tx.PutLease(x)
			}
		case d.Miss != nil:
			err = missReservation(tx, s, *d.Miss)
		}
		if err != nil {
			return nil, err
		}
	}
	return told, nil
}

func missReservation(tx masu.Tx, s sched.State, id masu.ReservationID) error {
	for _, r := range s.Reservations {
		if r.ID == id {
			r.Missed = true
			if err := tx.PutReservation(r); err != nil {
				return err
			}
			return tx.Append(masu.Event{At: s.Now, Verb: "reservation missed", Object: string(id), Args: []string{string(r.Holder)}})
		}
	}
	return nil
}

func texts[T ~string](list []T) []string {
	var all []string
	for _, x := range list {
		all = append(all, string(x))
	}
	return all
}

// tellPlaces tells those who wait where they are in the queue, as often as that changes.
func (l *Lab) tellPlaces(ctx context.Context, waiting []masu.Wait) {
	l.mu.Lock()
	places := map[masu.WorkspaceID]masu.Forecast{}
	var moved []masu.WorkspaceID
	for _, w := range waiting {
		f := forecast(w)
		places[w.Workspace] = f
		if was, known := l.places[w.Workspace]; known && was == f {
			continue
		}
		moved = append(moved, w.Workspace)
		if j := l.journals[w.Workspace]; j != nil {
			code, args := f.Sentence(func(t time.Time) string { return t.Local().Format("01-02 15:04") })
			j.say(code, args...)
		}
	}
	l.places = places
	l.mu.Unlock()
	if len(moved) == 0 {
		return
	}
	err := l.cfg.Store.View(ctx, func(tx masu.Tx) error {
		for _, id := range moved {
			w, err := tx.Workspace(id)
			if err != nil { // a run, whose page asks for itself
				continue
			}
			l.hub.send(l.placed(w))
		}
		return nil
	})
	if err != nil {
		l.log.Warn("tell places in the queue", "error", err)
	}
}

// forecast is what a ticket's holder is told: to the minute, so that it does not change with every look.
func forecast(w masu.Wait) masu.Forecast {
	f := masu.Forecast{Place: w.Place, Blocked: w.Blocked}
	if !w.Expect.IsZero() {
		f.Expect = w.Expect.Round(time.Minute)
	}
	return f
}

// placed is a workspace with its place in the queue.
func (l *Lab) placed(w masu.Workspace) masu.Workspace {
	w.Queue = masu.Forecast{}
	if w.Phase != masu.Waiting && !w.Waits {
		return w
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if i := slices.IndexFunc(l.waiting, func(x masu.Wait) bool { return x.Workspace == w.ID }); i >= 0 {
		w.Queue = forecast(l.waiting[i])
	}
	return w
}
