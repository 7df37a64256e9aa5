package lab

import (
	"cmp"
	"context"
	"time"

	"github.com/masu-lab/masu"
)

const (
	atWork      = 0.2             // cores in a minute: more than Jupyter takes that nobody uses
	computes    = 0.02            // part of a second in which a GPU computes; less is the driver's own
	driverRoom  = 512 * masu.MiB  // of a process, that is not the program's doing
	memoryMoves = 64 * masu.MiB   // by which a GPU's memory changes when something is loaded or freed
	lingers     = 8 * time.Second // for which a process may outlive its lease, and be read
)

// quiet is how long nothing has happened where GPUs are lent. It is summed up
// from look to look, never taken from a clock that may jump or a machine that slept.
type quiet struct {
	lasts  time.Duration
	memory map[masu.GPUID]masu.Bytes
}

// stir notes that something happens in a workspace.
func (l *Lab) stir(id masu.WorkspaceID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stirred[id] = true
}

// readings tells how each card does; nil where nobody can tell.
func (l *Lab) readings(ctx context.Context) map[masu.GPUID]masu.Reading {
	m, ok := l.cfg.Inventory.(masu.Meter)
	if !ok {
		return nil
	}
	list, err := m.Readings(ctx)
	if err != nil {
		l.log.Warn("read GPUs", "error", err)
		return nil
	}
	all := map[masu.GPUID]masu.Reading{}
	for _, r := range list {
		all[r.GPU] = r
	}
	return all
}

// idle tells for how long each lease was quiet: no GPU of its computed or
// changed its memory, no kernel worked, nobody typed, no processor was busy.
// What is not known counts as work.
func (l *Lab) idle(ctx context.Context, readings map[masu.GPUID]masu.Reading) (map[masu.LeaseID]time.Duration, error) {
	var leases []masu.Lease
	unseen := map[masu.WorkspaceID]bool{} // nothing tells what goes on in a container that somebody made by hand
	err := l.cfg.Store.View(ctx, func(tx masu.Tx) (err error) {
		if leases, err = tx.Leases(); err != nil {
			return err
		}
		for _, lease := range leases {
			w, err := tx.Workspace(lease.Workspace)
			if err != nil && masu.KindOf(err) != masu.NotFound { // a run's
				return err
			}
			unseen[lease.Workspace] = err == nil && w.Adopted != nil
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	passed := min(time.Since(l.tickedAt), 3*lendEvery) // the time that passed unseen is not held against anybody
	l.tickedAt = time.Now()
	l.mu.Lock()
	stirred := l.stirred
	l.stirred = map[masu.WorkspaceID]bool{}
	l.mu.Unlock()
	lasting, idle := map[masu.LeaseID]*quiet{}, map[masu.LeaseID]time.Duration{}
	for _, lease := range leases {
		q := l.quiet[lease.ID]
		if q == nil {
			q = &quiet{memory: map[masu.GPUID]masu.Bytes{}}
		}
		works := stirred[lease.Workspace] || unseen[lease.Workspace]
		for _, id := range lease.GPUs {
			r, known := readings[id]
			if known && lease.Share > 0 {
				r = l.ownPart(r, lease.Workspace)
			}
			works = q.works(r, known) || works
		}
		q.lasts += passed
		if works {
			q.lasts = 0
		}
		lasting[lease.ID], idle[lease.ID] = q, q.lasts
	}
	l.quiet, l.overrun = lasting, l.overruns(leases, readings)
	l.meterLeases(leases, readings, passed)
	return idle, nil
}

// works tells whether a GPU does something, as far as is known. How busy a slice
// of a card is nobody tells, and so it never counts as idle.
func (q *quiet) works(r masu.Reading, known bool) bool {
	if !known || r.Busy < 0 || r.Memory < 0 {
		return true
	}
	before, seen := q.memory[r.GPU]
	q.memory[r.GPU] = r.Memory
	moved := r.Memory - before
	return r.Busy > computes || !seen || moved > memoryMoves || moved < -memoryMoves
}

// ownPart is what of a shared card's reading is the doing of one of its holders. A
// holder none of whose programs is on the card does nothing there. Of one that
// has some, it is known only while the driver names others for which the card
// computes; a program that is no holder's may compute for any of them.
func (l *Lab) ownPart(r masu.Reading, box masu.WorkspaceID) masu.Reading {
	if l.cfg.Process == nil || len(r.Processes) == 0 {
		return r
	}
	mine, others := masu.Reading{GPU: r.GPU}, 0.0
	for _, p := range r.Processes {
		who, err := l.cfg.Process(p.PID)
		if err != nil || l.boxOf(who.Container) == "" || p.Memory < 0 {
			return r
		}
		if l.boxOf(who.Container) != box {
			others += p.Busy
			continue
		}
		mine.Processes, mine.Memory, mine.Busy = append(mine.Processes, p), mine.Memory+p.Memory, mine.Busy+p.Busy
	}
	if len(mine.Processes) > 0 && others == 0 {
		mine.Busy = r.Busy
	}
	return mine
}

// outside lists GPUs that nobody was lent and somebody uses all the same, by whose reading tells so.
func (l *Lab) outside(ctx context.Context, all []masu.GPU, readings map[masu.GPUID]masu.Reading, now time.Time) (map[masu.GPUID]bool, error) {
	taken := map[masu.GPUID]bool{}
	for id, r := range readings {
		if len(r.Processes) > 0 {
			taken[id] = true
		}
	}
	if len(taken) == 0 {
		return nil, nil
	}
	tells := tellers(all, readings)
	err := l.cfg.Store.View(ctx, func(tx masu.Tx) error {
		leases, err := tx.Leases()
		if err != nil {
			return err
		}
		past, err := tx.PastLeases(now.Add(-lingers))
		for _, lease := range append(leases, past...) {
			for _, id := range lease.GPUs {
				delete(taken, cmp.Or(tells[id], id))
			}
		}
		return err
	})
	return taken, err
}

// tellers tells whose reading says what goes on on each GPU: its own, or of a
// slice of which nothing is read by itself, that of its card.
func tellers(all []masu.GPU, readings map[masu.GPUID]masu.Reading) map[masu.GPUID]masu.GPUID {
	tells := map[masu.GPUID]masu.GPUID{}
	for _, g := range all {
		if tells[g.ID] = g.ID; g.Parent == "" {
			continue
		}
		if _, known := readings[g.ID]; !known {
			tells[g.ID] = g.Parent
		}
	}
	return tells
}

// overruns lists leases that take more of a shared card than their part, with
// a little room for what the driver itself needs.
func (l *Lab) overruns(leases []masu.Lease, readings map[masu.GPUID]masu.Reading) map[masu.LeaseID]bool {
	over := map[masu.LeaseID]bool{}
	for _, lease := range leases {
		if lease.Share == 0 || l.cfg.Process == nil {
			continue
		}
		for _, id := range lease.GPUs {
			if l.takes(readings[id], lease.Workspace) > lease.Share+lease.Share/20+driverRoom {
				over[lease.ID] = true
			}
		}
	}
	return over
}

// takes is the memory of a card that the processes of one box take.
func (l *Lab) takes(r masu.Reading, id masu.WorkspaceID) (sum masu.Bytes) {
	if l.cfg.Process == nil {
		return 0
	}
	for _, p := range r.Processes {
		if who, err := l.cfg.Process(p.PID); err == nil && l.boxOf(who.Container) == id {
			sum += max(p.Memory, 0)
		}
	}
	return sum
}
