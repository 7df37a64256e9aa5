package lab

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/masu-lab/masu"
	"github.com/masu-lab/masu/internal/sched"
)

const (
	weeksMost    = 26  // of a repeated reservation
	noteMost     = 200 // characters
	reserveLeast = 10 * time.Minute
	yearMost     = 366 * 24 * time.Hour
)

// Extend moves a lease's end, and says that its GPUs are needed.
func (s *service) Extend(ctx context.Context, name string, by time.Duration) (lease masu.Lease, err error) {
	id, label, err := s.holderNamed(ctx, name)
	if err != nil {
		return lease, err
	}
	defer func() { s.l.record(ctx, s.actor, "extend", label, err) }()
	if by <= 0 || by > yearMost {
		return lease, masu.E(masu.Invalid, "extend_odd", by)
	}
	s.l.lendMu.Lock() // no decision in between
	defer s.l.lendMu.Unlock()
	waited := s.l.anybodyWaits()
	err = s.l.cfg.Store.Update(ctx, func(tx masu.Tx) error {
		leases, err := tx.Leases()
		if err != nil {
			return err
		}
		i := slices.IndexFunc(leases, func(x masu.Lease) bool { return x.Workspace == id })
		if i < 0 {
			return masu.E(masu.Conflict, "no_lease", name)
		}
		reserved, err := tx.Reservations(time.Now())
		if err != nil {
			return err
		}
		if lease, err = s.l.extended(leases[i], reserved, waited, time.Now(), by); err != nil {
			return err
		}
		return tx.PutLease(lease)
	})
	if err != nil {
		return lease, err
	}
	_, err = s.l.update(ctx, id, func(w *masu.Workspace) { w.Until, w.EndsAt, w.EndWhy = lease.Until, lease.EndsAt, lease.Why })
	if masu.KindOf(err) == masu.NotFound && err != nil {
		s.l.tellRun(ctx, lease)
		err = nil
	}
	s.l.lendSoon()
	return lease, err
}

// Forecast tells what a want could expect now.
func (s *service) Forecast(ctx context.Context, want masu.Want) (f masu.Forecast, err error) {
	if err := s.l.possible(ctx, s.actor.Name, want); err != nil || want.None() {
		return f, err
	}
	return s.l.expect(ctx, masu.Ticket{Holder: s.actor.Name, Want: want})
}

// anybodyWaits tells whether somebody waits for GPUs that others hold.
func (l *Lab) anybodyWaits() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.ContainsFunc(l.waiting, func(w masu.Wait) bool { return w.Blocked == masu.WaitGPUs })
}

// extended gives a lease with a later end, as far as the house and others allow.
func (l *Lab) extended(lease masu.Lease, reserved []masu.Reservation, waited bool, now time.Time, by time.Duration) (masu.Lease, error) {
	until := now.Add(by)
	if most := l.policy().HoldMost; most > 0 && until.After(lease.From.Add(most)) {
		return lease, masu.E(masu.Denied, "extend_most", int(most.Hours()))
	}
	for _, r := range reserved {
		theirs := slices.ContainsFunc(r.GPUs, func(g masu.GPUID) bool { return slices.Contains(lease.GPUs, g) })
		if theirs && r.Holder != lease.Holder && !r.Missed && r.From.Before(until) {
			return lease, masu.E(masu.Conflict, "extend_reserved", r.From.Local().Format("01-02 15:04"))
		}
	}
	if waited && !lease.Until.IsZero() && until.After(lease.Until) && !now.Before(lease.Until.Add(-l.policy().GPUs.Grace)) {
		return lease, masu.E(masu.Conflict, "extend_waited")
	}
	if !lease.Until.IsZero() && until.After(lease.Until) {
		lease.Until = until
	}
	if lease.Why == masu.EndIdle {
		most := l.policy().KeepsMost
		if most > 0 && lease.Keeps >= most {
			return lease, masu.E(masu.Denied, "keeps_spent", most)
		}
		lease.Keeps++
	}
	if lease.Why == masu.EndIdle || lease.Why == masu.EndTime {
		lease.EndsAt, lease.Why = time.Time{}, ""
	}
	lease.KeptUntil = until
	return lease, nil
}

// mayClass refuses a class of work that there is not, or that is not the actor's to name.
func (s *service) mayClass(name string) error {
	if name == "" {
		return nil
	}
	var known []string
	for _, c := range s.l.policy().GPUs.Classes {
		if c.Name != name {
			known = append(known, c.Name)
			continue
		}
		if !s.classOpen(c) {
			return masu.E(masu.Denied, "class_denied", name, strings.Join(c.Groups, ", "))
		}
		return nil
	}
	return masu.E(masu.Invalid, "class_unknown", name, strings.Join(known, ", "))
}

// classOpen tells whether the actor may name a class.
func (s *service) classOpen(c sched.Class) bool {
	return len(c.Groups) == 0 || s.actor.Admin || slices.ContainsFunc(s.actor.Groups, func(g masu.Group) bool { return slices.Contains(c.Groups, g.Name) })
}

// classes are the names of those.
func (s *service) classes() (names []string) {
	for _, c := range s.l.policy().GPUs.Classes {
		if s.classOpen(c) {
			names = append(names, c.Name)
		}
	}
	slices.Sort(names)
	return names
}

// Release gives GPUs back, and starts the workspace again without any.
func (s *service) Release(ctx context.Context, name string) (w masu.Workspace, err error) {
	if w, err = s.find(ctx, name); masu.KindOf(err) == masu.NotFound && err != nil {
		return s.releaseRun(ctx, name)
	}
	if err != nil {
		return w, err
	}
	defer func() { s.l.record(ctx, s.actor, "release", w.Label, err) }()
	if w.Owner != s.actor.Name {
		return w, masu.E(masu.Denied, "not_owner")
	}
	if w.Without() && (w.Waits || w.EndWhy == masu.EndUnclaimed) { // it runs on as it is
		if err := s.l.endLease(ctx, w.ID); err != nil {
			return w, err
		}
		return s.l.update(ctx, w.ID, func(w *masu.Workspace) { w.Waits, w.EndsAt, w.EndWhy = false, time.Time{}, "" })
	}
	if len(w.GPUs) == 0 && w.Phase != masu.Waiting {
		return w, masu.E(masu.Conflict, "no_lease", w.Name)
	}
	none := masu.Want{}
	return s.Up(ctx, masu.UpRequest{Name: w.Name, Want: &none, Restart: true})
}

// AskFor puts a colleague's wish on a holder's pages.
func (s *service) AskFor(ctx context.Context, id masu.LeaseID) (err error) {
	defer func() { s.l.record(ctx, s.actor, "ask", string(id), err) }()
	var lease masu.Lease
	err = s.l.cfg.Store.View(ctx, func(tx masu.Tx) error {
		leases, err := tx.Leases()
		i := slices.IndexFunc(leases, func(x masu.Lease) bool { return x.ID == id })
		if err == nil && i < 0 {
			return masu.E(masu.NotFound, "no_lease", id)
		}
		if err == nil {
			lease = leases[i]
		}
		return err
	})
	if err != nil {
		return err
	}
	news := false
	w, err := s.l.update(ctx, lease.Workspace, func(w *masu.Workspace) {
		if news = !slices.Contains(w.Asked, s.actor.Name) && s.actor.Name != w.Owner; news {
			w.Asked = append(w.Asked, s.actor.Name)
		}
	})
	if masu.KindOf(err) == masu.NotFound && err != nil {
		return s.askForRun(ctx, lease)
	}
	if err == nil && news {
		s.l.tell(ctx, w.Owner, notice{occasion: masu.OccasionAsked, workspace: w})
	}
	return err
}

// Reserve promises GPUs for a time to come.
func (s *service) Reserve(ctx context.Context, q masu.ReserveWish) (list []masu.Reservation, err error) {
	defer func() { s.l.record(ctx, s.actor, "reserve", q.From.Format(time.RFC3339), err) }()
	holder, err := s.reserveFor(q)
	if err != nil {
		return nil, err
	}
	all, err := s.l.cfg.Inventory.GPUs(ctx)
	if err != nil {
		return nil, err
	}
	if !sched.Possible(all, q.Want) || q.Want.Share > 0 {
		return nil, masu.E(masu.Invalid, "gpus_impossible", len(all))
	}
	if err := s.l.mayHold(holder, q.Want, len(all)); err != nil {
		return nil, err
	}
	series := ""
	if q.Weeks > 1 {
		series = string(newID())
	}
	err = s.l.cfg.Store.Update(ctx, func(tx masu.Tx) error {
		list = nil
		taken, err := tx.Reservations(time.Now())
		if err != nil {
			return err
		}
		if err := s.mayReserve(taken, holder, q, len(all)); err != nil {
			return err
		}
		for week := range max(1, q.Weeks) {
			r := masu.Reservation{ID: masu.ReservationID(newID()), Holder: holder, Want: q.Want, Note: tidy(q.Note), Series: series}
			r.From, r.Until = weeksLater(q.From.Local(), q.Until.Local(), week)
			gpus, ok := sched.Reserve(all, taken, q.Want, r.From, r.Until)
			if !ok {
				return masu.E(masu.Conflict, "reserve_taken", r.From.Local().Format("01-02 15:04"))
			}
			r.GPUs = gpus
			if err := tx.PutReservation(r); err != nil {
				return err
			}
			list, taken = append(list, r), append(taken, r) // a week that clocks have shortened may touch the next
		}
		return nil
	})
	if err == nil {
		s.l.lendSoon()
	}
	return list, err
}

// weeksLater is a span so many weeks later by the calendar: at the same hour
// also when the clocks have changed. Where that leaves nothing of it, because its
// hour is skipped that day, it is as long as ever.
func weeksLater(from, until time.Time, weeks int) (f, u time.Time) {
	f, u = from.AddDate(0, 0, 7*weeks), until.AddDate(0, 0, 7*weeks)
	if u.Sub(f) < reserveLeast {
		u = f.Add(until.Sub(from))
	}
	return f.UTC(), u.UTC()
}

// reserveFor checks a wish, and tells whose it is.
func (s *service) reserveFor(q masu.ReserveWish) (masu.Username, error) {
	p := s.l.policy()
	now := time.Now()
	holder := cmp.Or(q.For, s.actor.Name)
	if holder != s.actor.Name {
		if !s.teaches() {
			return "", masu.E(masu.Denied, "not_teacher")
		}
		if _, err := s.l.cfg.Accounts.ByName(holder); err != nil {
			return "", masu.E(masu.NotFound, "no_member", holder)
		}
	}
	switch {
	case p.Horizon == 0:
		return "", masu.E(masu.Denied, "reserve_off")
	case !q.Until.After(q.From) || q.Until.Sub(q.From) < reserveLeast:
		return "", masu.E(masu.Invalid, "reserve_short", int(reserveLeast.Minutes()))
	case p.HoldMost > 0 && q.Until.Sub(q.From) > p.HoldMost:
		return "", masu.E(masu.Invalid, "reserve_long", int(p.HoldMost.Hours()))
	case q.From.Before(now.Add(-time.Minute)):
		return "", masu.E(masu.Invalid, "reserve_past")
	case q.Weeks < 0 || q.Weeks > weeksMost:
		return "", masu.E(masu.Invalid, "reserve_weeks", weeksMost)
	case q.From.After(now.Add(p.Horizon)): // of a series the first; what a course needs is known a term ahead
		return "", masu.E(masu.Invalid, "reserve_far", int(p.Horizon.Hours()/24))
	case q.Weeks > 1 && q.Until.Sub(q.From) > 7*24*time.Hour:
		return "", masu.E(masu.Invalid, "reserve_long", 7*24)
	case len([]rune(q.Note)) > noteMost:
		return "", masu.E(masu.Invalid, "reserve_note", noteMost)
	}
	return holder, nil
}

// teaches tells whether the actor plans for others too.
func (s *service) teaches() bool { return s.actor.Admin || s.actor.Role == masu.RoleTeacher }

// Unreserve gives reservations up: the actor's own, or, for those who plan for others, anybody's.
func (s *service) Unreserve(ctx context.Context, id masu.ReservationID, series bool) (err error) {
	defer func() { s.l.record(ctx, s.actor, "unreserve", string(id), err) }()
	err = s.l.cfg.Store.Update(ctx, func(tx masu.Tx) error {
		all, err := tx.Reservations(time.Now())
		if err != nil {
			return err
		}
		i := slices.IndexFunc(all, func(r masu.Reservation) bool { return r.ID == id })
		if i < 0 || all[i].Holder != s.actor.Name && !s.teaches() {
			return masu.E(masu.NotFound, "no_reservation", id)
		}
		for _, r := range all {
			if r.ID == id || series && r.Series != "" && r.Series == all[i].Series {
				if err := tx.DeleteReservation(r.ID); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err == nil {
		s.l.lendSoon()
	}
	return err
}

// Reservations lists those that touch a span.
func (s *service) Reservations(ctx context.Context, from, until time.Time) (list []masu.Reservation, err error) {
	err = s.l.cfg.Store.View(ctx, func(tx masu.Tx) error { list, err = tx.Reservations(from); return err })
	return slices.DeleteFunc(list, func(r masu.Reservation) bool { return !r.From.Before(until) }), err
}
