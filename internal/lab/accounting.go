package lab

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/masu-lab/masu"
)

// meterLeases adds what each lease's GPUs did since the last look to what is
// written down each minute. A card that is shared is counted in equal parts.
// The lock lendMu is held.
func (l *Lab) meterLeases(leases []masu.Lease, readings map[masu.GPUID]masu.Reading, passed time.Duration) {
	sharers := countSharers(leases)
	for _, lease := range leases {
		for _, id := range lease.GPUs {
			r, ok := readings[id]
			if !ok {
				continue
			}
			use := l.metered[lease.ID]
			use.Lease = lease.ID
			use.Busy += time.Duration(max(r.Busy, 0)*float64(passed)) / time.Duration(sharers[id])
			use.Energy += max(r.Power, 0) * passed.Seconds() / float64(sharers[id])
			l.metered[lease.ID] = use
		}
	}
	l.loadGPUs(leases, readings, sharers, passed)
}

// writeMeter writes down what was metered in the last minute.
func (l *Lab) writeMeter(ctx context.Context, at time.Time) {
	l.lendMu.Lock()
	metered := l.metered
	l.metered = map[masu.LeaseID]masu.GPUUse{}
	l.lendMu.Unlock()
	var list []masu.GPUUse
	for _, use := range metered {
		use.At = at
		list = append(list, use)
	}
	if len(list) == 0 {
		return
	}
	if err := l.cfg.Store.Update(ctx, func(tx masu.Tx) error { return tx.PutGPUUse(list, at.Add(-masu.GPUMinutesFor)) }); err != nil && ctx.Err() == nil {
		l.log.Error("write down GPU use", "error", err)
	}
}

// usageKey is what a row of the account is about.
type usageKey struct {
	month   string
	member  masu.Username
	project string
	name    string
}

// GPUUsage tells what was lent and used.
func (s *service) GPUUsage(ctx context.Context, from, until time.Time, all bool) (list []masu.UsageRow, err error) {
	if all && !s.teaches() {
		return nil, masu.E(masu.Denied, "not_teacher")
	}
	if !from.Before(until) || until.Sub(from) > 10*yearMost {
		return nil, masu.E(masu.Invalid, "usage_span")
	}
	for at := from; at.Before(until); {
		y, m, _ := at.Local().Date()
		month := time.Date(y, m, 1, 0, 0, 0, 0, time.Local)
		end := earliest(month.AddDate(0, 1, 0), until)
		rows, err := s.l.months.rows(ctx, at, end, at.Equal(month) && end.Equal(month.AddDate(0, 1, 0)), s.l.usage)
		if err != nil {
			return nil, err
		}
		for _, r := range rows {
			if all || r.Member == s.actor.Name {
				r.Groups = s.groupsOf(r.Member)
				list = append(list, r)
			}
		}
		at = end
	}
	return list, nil
}

const monthSettles = time.Hour // after its end: what was metered in its last minutes is written down by then

// usageMonths keeps the accounts of whole months that are over: nothing is added
// to them any more, and of the last ones there is a row for each minute.
type usageMonths struct {
	mu   sync.Mutex
	over map[time.Time][]masu.UsageRow // by their begin
}

func (u *usageMonths) rows(ctx context.Context, from, until time.Time, whole bool, read func(context.Context, time.Time, time.Time) ([]masu.UsageRow, error)) ([]masu.UsageRow, error) {
	if !whole || time.Since(until) < monthSettles {
		return read(ctx, from, until)
	}
	u.mu.Lock() // one reads a month, the others wait for it
	defer u.mu.Unlock()
	if rows, known := u.over[from]; known {
		return rows, nil
	}
	rows, err := read(ctx, from, until)
	if err == nil {
		u.over[from] = rows
	}
	return rows, err
}

// usage reads the account of a part of a month, sorted.
func (l *Lab) usage(ctx context.Context, from, until time.Time) (list []masu.UsageRow, err error) {
	var leases []masu.Lease
	var uses []masu.GPUUse
	err = l.cfg.Store.View(ctx, func(tx masu.Tx) error {
		running, err := tx.Leases()
		if err != nil {
			return err
		}
		if leases, err = tx.PastLeases(from); err != nil {
			return err
		}
		leases = append(leases, running...)
		uses, err = tx.GPUUse(from, until)
		return err
	})
	if err != nil {
		return nil, err
	}
	rows := map[usageKey]*masu.UsageRow{}
	byID := map[masu.LeaseID]masu.Lease{}
	row := func(lease masu.Lease, at time.Time) *masu.UsageRow {
		k := usageKey{at.Local().Format("2006-01"), lease.Holder, cmp.Or(lease.Project, lease.Name), lease.Name}
		if rows[k] == nil {
			rows[k] = &masu.UsageRow{Month: k.month, Member: k.member, Project: k.project, Name: k.name}
		}
		return rows[k]
	}
	for _, lease := range leases {
		byID[lease.ID] = lease
		bookLease(lease, from, until, time.Now(), row)
	}
	for _, use := range uses {
		if lease, ok := byID[use.Lease]; ok {
			r := row(lease, use.At)
			r.Book(use.At, 0, use.Busy)
			r.Energy += use.Energy
		}
	}
	for _, r := range rows {
		list = append(list, *r)
	}
	slices.SortFunc(list, func(a, b masu.UsageRow) int {
		return cmp.Or(cmp.Compare(a.Month, b.Month), cmp.Compare(a.Member, b.Member), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Project, b.Project))
	})
	return list, nil
}

// bookLease puts a lease's time into the months, and the days, in which it was.
func bookLease(lease masu.Lease, from, until, now time.Time, row func(masu.Lease, time.Time) *masu.UsageRow) {
	begin, end := lease.From, lease.EndedAt
	if end.IsZero() {
		end = now
	}
	if !begin.Before(from) && begin.Before(until) {
		r := row(lease, begin)
		r.Leases++
		if !lease.AskedAt.IsZero() {
			r.Waited += begin.Sub(lease.AskedAt)
		}
	}
	for at := latest(begin, from); at.Before(end) && at.Before(until); {
		y, m, d := at.Local().Date()
		next := earliest(time.Date(y, m, d+1, 0, 0, 0, 0, time.Local), end, until)
		row(lease, at).Book(at, time.Duration(len(lease.GPUs))*next.Sub(at), 0)
		at = next
	}
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func earliest(list ...time.Time) time.Time {
	return slices.MinFunc(list, time.Time.Compare)
}

func (s *service) groupsOf(who masu.Username) (names []string) {
	u, err := s.l.cfg.Accounts.ByName(who)
	if err != nil {
		return nil // who has left
	}
	for _, g := range u.Groups {
		names = append(names, g.Name)
	}
	return names
}
