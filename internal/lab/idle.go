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
			works = q.works(id, readings) || works
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

// works tells whether a GPU does something, as far as is known. A slice of a
// card is not read by itself, and so never counts as idle.
func (q *quiet) works(id masu.GPUID, readings map[masu.GPUID]masu.Reading) bool {
	r, known := readings[id]
	if !known || r.Busy < 0 || r.Memory < 0 {
		return true
	}
	before, seen := q.memory[id]
	q.memory[id] = r.Memory
	moved := r.Memory - before
	return r.Busy > computes || !seen || moved > memoryMoves || moved < -memoryMoves
}

// outside lists GPUs that nobody was lent and somebody uses all the same.
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
	card := cardOf(all)
	err := l.cfg.Store.View(ctx, func(tx masu.Tx) error {
		leases, err := tx.Leases()
		if err != nil {
			return err
		}
		past, err := tx.PastLeases(now.Add(-lingers))
		for _, lease := range append(leases, past...) {
			for _, id := range lease.GPUs { // the driver tells a slice's processes of the card
				delete(taken, cmp.Or(card[id], id))
			}
		}
		return err
	})
	return taken, err
}

// cardOf tells on which card each GPU is: itself, or what a slice is of.
func cardOf(all []masu.GPU) map[masu.GPUID]masu.GPUID {
	card := map[masu.GPUID]masu.GPUID{}
	for _, g := range all {
		card[g.ID] = g.Card()
	}
	return card
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
			var takes masu.Bytes
			takes += l.takenOf(readings[id], lease, 1)
			if takes > lease.Share+lease.Share/20+driverRoom {
				over[lease.ID] = true
			}
		}
	}
	return over
}
