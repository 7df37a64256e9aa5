package masutest

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/masu-lab/masu"
)

// SuiteGPUs are the cards that a lab under the suite has.
func SuiteGPUs() []masu.GPU {
	return []masu.GPU{
		{ID: "GPU-00000000-0000-0000-0000-000000000001", Index: 0, Model: "Suite A", Memory: 24 * masu.GiB},
		{ID: "GPU-00000000-0000-0000-0000-000000000002", Index: 1, Model: "Suite B", Memory: 48 * masu.GiB},
	}
}

// lending is what a FakeService has lent. Turns go by arrival; whoever wants
// more than is free waits, and everybody behind waits too.
type lending struct {
	leases   []masu.Lease
	tickets  []masu.Ticket
	reserved []masu.Reservation
}

// free lists what a want could have now; it is called with the lock held.
func (s *fakeActor) free(w masu.Want) (free []masu.GPUID) {
	for _, g := range SuiteGPUs() {
		if !slices.ContainsFunc(s.leases, func(l masu.Lease) bool { return slices.Contains(l.GPUs, g.ID) }) && g.Memory >= w.Memory {
			free = append(free, g.ID)
		}
	}
	return free
}

// lend gives what is free to those whose turn it is; it is called with the lock held.
func (s *fakeActor) lend() {
	for len(s.tickets) > 0 {
		t := s.tickets[0]
		free := s.free(t.Want)
		if len(free) < t.Want.Count {
			return
		}
		now := time.Now()
		l := masu.Lease{ID: masu.LeaseID("lease-" + t.Workspace), Workspace: t.Workspace, Holder: t.Holder, Want: t.Want, GPUs: free[:t.Want.Count], From: now, Until: now.Add(24 * time.Hour)}
		s.tickets, s.leases = s.tickets[1:], append(s.leases, l)
		switch r := s.rooms[t.Workspace]; {
		case r == nil:
		case r.Waits: // kept for it, until its owner says so
			r.Waits, r.EndsAt, r.EndWhy = false, now.Add(15*time.Minute), masu.EndUnclaimed
			s.changed()
		default:
			r.GPUs, r.Until = l.GPUs, l.Until
			s.start(r)
		}
	}
}

// giveBack ends what a workspace holds or waits for; it is called with the lock held.
func (s *fakeActor) giveBack(id masu.WorkspaceID) {
	s.leases = slices.DeleteFunc(s.leases, func(l masu.Lease) bool { return l.Workspace == id })
	s.tickets = slices.DeleteFunc(s.tickets, func(t masu.Ticket) bool { return t.Workspace == id })
	s.lend()
}

func impossible(w masu.Want) error {
	fit := 0
	for _, g := range SuiteGPUs() {
		if g.Memory >= w.Memory {
			fit++
		}
	}
	if w.Count < 0 || w.Count > fit {
		return masu.E(masu.Invalid, "gpus_impossible", len(SuiteGPUs()))
	}
	return nil
}

func (s *fakeActor) boardGPUs(b *masu.Board) {
	for i, t := range s.tickets {
		w := masu.Wait{Ticket: t, Place: i + 1, Blocked: masu.WaitGPUs}
		if t.Holder != s.actor.Name && !s.actor.Admin {
			w.Workspace = ""
		}
		b.Waiting = append(b.Waiting, w)
	}
	for _, g := range SuiteGPUs() {
		x := masu.BoardGPU{GPU: g}
		for _, l := range s.leases {
			if !slices.Contains(l.GPUs, g.ID) {
				continue
			}
			h := masu.Hold{Lease: l.ID, Member: l.Holder, Since: l.From, Until: l.Until}
			if r := s.rooms[l.Workspace]; r != nil && (l.Holder == s.actor.Name || s.actor.Admin) {
				h.Workspace = r.Name
			}
			x.Holds = append(x.Holds, h)
		}
		b.GPUs = append(b.GPUs, x)
	}
	b.Reserved = slices.Clone(s.reserved)
}

// Forecast is masu.Service's, as are all that follow.
func (s *fakeActor) Forecast(_ context.Context, w masu.Want) (masu.Forecast, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := impossible(w); err != nil || w.None() {
		return masu.Forecast{}, err
	}
	if most := s.meet(s.actor.Name).Limits.GPUs; most != nil && w.Count > *most {
		return masu.Forecast{}, masu.E(masu.Invalid, "gpus_too_many_own", *most)
	}
	if len(s.tickets) == 0 && len(s.free(w)) >= w.Count {
		return masu.Forecast{Until: time.Now().Add(24 * time.Hour)}, nil
	}
	return masu.Forecast{Place: len(s.tickets) + 1, Blocked: masu.WaitGPUs}, nil
}

// Extend is masu.Service's.
func (s *fakeActor) Extend(_ context.Context, name string, by time.Duration) (masu.Lease, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, err := s.find(name)
	if err != nil {
		return masu.Lease{}, err
	}
	if by <= 0 {
		return masu.Lease{}, masu.E(masu.Invalid, "extend_odd", by)
	}
	i := slices.IndexFunc(s.leases, func(l masu.Lease) bool { return l.Workspace == r.ID })
	if i < 0 {
		return masu.Lease{}, masu.E(masu.Conflict, "no_lease", name)
	}
	if by > 7*24*time.Hour {
		return masu.Lease{}, masu.E(masu.Denied, "extend_most", 7*24)
	}
	s.leases[i].Until = later(s.leases[i].Until, time.Now().Add(by))
	r.Until = s.leases[i].Until
	s.changed()
	return s.leases[i], nil
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func (s *fakeActor) Release(ctx context.Context, name string) (masu.Workspace, error) {
	w, err := s.Workspace(ctx, name)
	if err != nil {
		return w, err
	}
	if w.Without() && (w.Waits || w.EndWhy == masu.EndUnclaimed) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.giveBack(w.ID)
		r, err := s.find(name)
		if err != nil {
			return w, err
		}
		r.Waits, r.EndsAt, r.EndWhy = false, time.Time{}, ""
		s.changed()
		return r.Workspace, nil
	}
	if len(w.GPUs) == 0 && w.Phase != masu.Waiting {
		return w, masu.E(masu.Conflict, "no_lease", name)
	}
	none := masu.Want{}
	return s.Up(ctx, masu.UpRequest{Name: string(w.ID), Want: &none, Restart: true})
}

func (s *fakeActor) AskFor(_ context.Context, id masu.LeaseID) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.IndexFunc(s.leases, func(l masu.Lease) bool { return l.ID == id })
	if i < 0 {
		return masu.E(masu.NotFound, "no_lease", id)
	}
	if r := s.rooms[s.leases[i].Workspace]; r != nil && r.Owner != s.actor.Name && !slices.Contains(r.Asked, s.actor.Name) {
		r.Asked = append(r.Asked, s.actor.Name)
		s.changed()
	}
	return nil
}

func (s *fakeActor) Reserve(_ context.Context, w masu.ReserveWish) (list []masu.Reservation, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case w.For != "" && w.For != s.actor.Name && !s.actor.Admin:
		return nil, masu.E(masu.Denied, "not_teacher")
	case w.Until.Sub(w.From) < 10*time.Minute:
		return nil, masu.E(masu.Invalid, "reserve_short", 10)
	case w.From.Before(time.Now().Add(-time.Minute)):
		return nil, masu.E(masu.Invalid, "reserve_past")
	case w.From.After(time.Now().Add(28 * 24 * time.Hour)):
		return nil, masu.E(masu.Invalid, "reserve_far", 28)
	}
	if err := impossible(w.Want); err != nil || w.Want.None() {
		return nil, masu.E(masu.Invalid, "gpus_impossible", len(SuiteGPUs()))
	}
	for week := range max(1, w.Weeks) {
		r := masu.Reservation{ID: masu.ReservationID(fmt.Sprint("r", time.Now().UnixNano(), week)), Holder: cmp.Or(w.For, s.actor.Name), Want: w.Want, Note: w.Note,
			From: w.From.Local().AddDate(0, 0, 7*week).UTC(), Until: w.Until.Local().AddDate(0, 0, 7*week).UTC()}
		if w.Weeks > 1 {
			r.Series = string(s.lab) + w.From.String()
		}
		for _, g := range SuiteGPUs() {
			taken := slices.ContainsFunc(s.reserved, func(o masu.Reservation) bool {
				return o.From.Before(r.Until) && r.From.Before(o.Until) && slices.Contains(o.GPUs, g.ID)
			})
			if !taken && len(r.GPUs) < w.Want.Count {
				r.GPUs = append(r.GPUs, g.ID)
			}
		}
		if len(r.GPUs) < w.Want.Count {
			return nil, masu.E(masu.Conflict, "reserve_taken", r.From.Local().Format("01-02 15:04"))
		}
		list = append(list, r)
	}
	s.reserved = append(s.reserved, list...)
	return list, nil
}

func (s *fakeActor) Unreserve(_ context.Context, id masu.ReservationID, series bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.IndexFunc(s.reserved, func(r masu.Reservation) bool { return r.ID == id })
	if i < 0 || s.reserved[i].Holder != s.actor.Name && !s.actor.Admin && s.actor.Role != masu.RoleTeacher {
		return masu.E(masu.NotFound, "no_reservation", id)
	}
	all := s.reserved[i].Series
	s.reserved = slices.DeleteFunc(s.reserved, func(r masu.Reservation) bool { return r.ID == id || series && all != "" && r.Series == all })
	return nil
}

func (s *fakeActor) Reservations(_ context.Context, from, until time.Time) (list []masu.Reservation, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.reserved {
		if r.Until.After(from) && r.From.Before(until) {
			list = append(list, r)
		}
	}
	slices.SortFunc(list, func(a, b masu.Reservation) int { return cmp.Or(a.From.Compare(b.From), cmp.Compare(a.ID, b.ID)) })
	return list, nil
}

// GPUUsage knows only what is lent now.
func (s *fakeActor) GPUUsage(_ context.Context, from, until time.Time, all bool) (list []masu.UsageRow, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if all && !s.actor.Admin {
		return nil, masu.E(masu.Denied, "not_teacher")
	}
	if !from.Before(until) {
		return nil, masu.E(masu.Invalid, "usage_span")
	}
	for _, l := range s.leases {
		if all || l.Holder == s.actor.Name {
			r := masu.UsageRow{Month: l.From.Local().Format("2006-01"), Member: l.Holder, Leases: 1}
			r.Book(l.From, time.Duration(len(l.GPUs))*time.Since(l.From), 0)
			if room := s.rooms[l.Workspace]; room != nil {
				r.Name, r.Project = room.Name, room.Project.Name
			}
			list = append(list, r)
		}
	}
	return list, nil
}
