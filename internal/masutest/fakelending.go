package masutest

import (
	"cmp"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/masu-lab/masu"
)

func (t *memoryTx) Leases() ([]masu.Lease, error) {
	return pick(t.leases, func(l masu.Lease) bool { return l.EndedAt.IsZero() }, func(a, b masu.Lease) int {
		return cmp.Or(a.From.Compare(b.From), cmp.Compare(a.ID, b.ID))
	})
}

func (t *memoryTx) PastLeases(since time.Time) ([]masu.Lease, error) {
	return pick(t.leases, func(l masu.Lease) bool { return !l.EndedAt.IsZero() && !l.EndedAt.Before(since) }, func(a, b masu.Lease) int {
		return cmp.Or(a.EndedAt.Compare(b.EndedAt), cmp.Compare(a.ID, b.ID))
	})
}

func (t *memoryTx) PutLease(l masu.Lease) error {
	running, err := t.Leases()
	if err != nil {
		return err
	}
	for i, g := range l.GPUs {
		held := slices.Contains(l.GPUs[:i], g)
		for _, other := range running {
			shared := other.Share > 0 && l.Share > 0
			held = held || l.EndedAt.IsZero() && other.ID != l.ID && !shared && slices.Contains(other.GPUs, g)
		}
		if held {
			return masu.E(masu.Conflict, "gpu_taken", g)
		}
	}
	return keep(t, t.leases, l.ID, l)
}

func (t *memoryTx) Tickets() ([]masu.Ticket, error) {
	return pick(t.tickets, func(masu.Ticket) bool { return true }, func(a, b masu.Ticket) int {
		return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.Workspace, b.Workspace))
	})
}

func (t *memoryTx) PutTicket(k masu.Ticket) error { return keep(t, t.tickets, k.Workspace, k) }

func (t *memoryTx) DeleteTicket(id masu.WorkspaceID) error { return drop(t, t.tickets, id) }

func (t *memoryTx) Reservations(after time.Time) ([]masu.Reservation, error) {
	return pick(t.reservations, func(r masu.Reservation) bool { return r.Until.After(after) }, func(a, b masu.Reservation) int {
		return cmp.Or(a.From.Compare(b.From), cmp.Compare(a.ID, b.ID))
	})
}

func (t *memoryTx) PutReservation(r masu.Reservation) error { return keep(t, t.reservations, r.ID, r) }

func (t *memoryTx) DeleteReservation(id masu.ReservationID) error { return drop(t, t.reservations, id) }

// useKey is where a span of a lease's use is kept.
type useKey struct {
	lease masu.LeaseID
	at    int64
	hour  bool
}

func (t *memoryTx) PutGPUUse(list []masu.GPUUse, minutes time.Time) error {
	add := func(k useKey, u masu.GPUUse) error {
		if old, err := lookUp[masu.GPUUse](t.uses, k, masu.E(masu.NotFound, "no_lease", k.lease)); err == nil {
			u.Busy, u.Energy = u.Busy+old.Busy, u.Energy+old.Energy
		}
		return keep(t, t.uses, k, u)
	}
	for _, u := range list {
		if err := add(useKey{u.Lease, u.At.UnixMicro(), false}, u); err != nil {
			return err
		}
	}
	for k := range maps.Clone(t.uses) {
		if k.hour || k.at >= minutes.Truncate(time.Hour).UnixMicro() {
			continue
		}
		u, err := lookUp[masu.GPUUse](t.uses, k, masu.E(masu.NotFound, "no_lease", k.lease))
		if err != nil {
			return err
		}
		u.At = u.At.Truncate(time.Hour)
		if err := errors.Join(add(useKey{u.Lease, u.At.UnixMicro(), true}, u), drop(t, t.uses, k)); err != nil {
			return err
		}
	}
	return nil
}

func (t *memoryTx) GPUUse(from, until time.Time) ([]masu.GPUUse, error) {
	return pick(t.uses, func(u masu.GPUUse) bool { return !u.At.Before(from) && u.At.Before(until) }, func(a, b masu.GPUUse) int { return a.At.Compare(b.At) })
}

func (t *memoryTx) Run(id masu.WorkspaceID) (masu.Run, error) {
	return lookUp[masu.Run](t.runs, id, masu.E(masu.NotFound, "no_run", id))
}

func (t *memoryTx) Runs(owner masu.Username) ([]masu.Run, error) {
	return pick(t.runs, func(r masu.Run) bool { return owner == "" || r.Owner == owner }, func(a, b masu.Run) int {
		return cmp.Or(b.At.Compare(a.At), cmp.Compare(a.ID, b.ID))
	})
}

func (t *memoryTx) OpenRuns() ([]masu.Run, error) {
	return pick(t.runs, func(r masu.Run) bool { return !r.Over() }, func(a, b masu.Run) int { return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.ID, b.ID)) })
}

func (t *memoryTx) PutRun(r masu.Run) error { return keep(t, t.runs, r.ID, r) }

func (t *memoryTx) DeleteRun(id masu.WorkspaceID) error {
	for k := range t.samples {
		if k.id == id {
			if err := drop(t, t.samples, k); err != nil {
				return err
			}
		}
	}
	return drop(t, t.runs, id)
}
