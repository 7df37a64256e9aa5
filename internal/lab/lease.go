package lab

import (
	"context"
	"slices"
	"time"

	"github.com/masu-lab/masu"
	"github.com/masu-lab/masu/internal/sched"
)

// possible refuses a want that this host can never meet, or that is more than
// its holder may ever have, before anything is built for it: it would wait for ever.
func (l *Lab) possible(ctx context.Context, who masu.Username, want masu.Want) error {
	if want.None() {
		return nil
	}
	all, err := l.cfg.Inventory.GPUs(ctx)
	if err != nil {
		return err
	}
	if !sched.Possible(all, want) {
		return masu.E(masu.Invalid, "gpus_impossible", len(all))
	}
	return l.mayHold(who, want, len(all))
}

// mayHold refuses more GPUs than a member, or a group of theirs, may hold at all.
func (l *Lab) mayHold(who masu.Username, want masu.Want, all int) error {
	n := want.Count
	if want.All {
		n = all
	}
	now, own := l.limits(who)
	if most := own.GPUs; most != nil && n > *most {
		return masu.E(masu.Invalid, "gpus_too_many_own", *most)
	}
	most := all
	if now.GPUs != nil {
		most = *now.GPUs
	}
	if u, err := l.cfg.Accounts.ByName(who); err == nil {
		for _, g := range u.Groups {
			if group := l.policy().GPUs.PerGroup[g.Name]; group > 0 {
				most = min(most, group)
			}
		}
	}
	if n > most {
		return masu.E(masu.Invalid, "gpus_too_many", most)
	}
	return nil
}

// gpusFor gives the GPUs that a workspace starts with. Where its owner would
// rather begin on the CPU than wait there may be none; its place is kept then.
func (l *Lab) gpusFor(ctx context.Context, w masu.Workspace, how start, says *journal) ([]masu.GPUID, error) {
	if how.cpu {
		return nil, nil
	}
	if err := l.changeWant(ctx, w); err != nil {
		return nil, err
	}
	t := masu.Ticket{Workspace: w.ID, Holder: w.Owner, Name: w.Name, Project: w.Project.Name, Want: w.Project.Want, Class: w.Class}
	if !w.OrCPU {
		return l.grant(ctx, t, func() { l.waits(ctx, w.ID, says) })
	}
	now, enough := context.WithCancel(ctx)
	defer enough()
	gpus, err := l.grant(now, t, enough)
	if err != nil && ctx.Err() == nil && now.Err() != nil {
		says.say("gpus_meanwhile")
		return nil, nil
	}
	return gpus, err
}

// grant lends the GPUs that a ticket asks for, and waits until its turn has
// come. A place in the queue is kept while the daemon is away.
func (l *Lab) grant(ctx context.Context, t masu.Ticket, waits func()) ([]masu.GPUID, error) {
	if t.Want.None() {
		return nil, nil
	}
	if err := l.possible(ctx, t.Holder, t.Want); err != nil { // a card may have been lost meanwhile
		return nil, err
	}
	if err := l.queueUp(ctx, t); err != nil {
		return nil, err
	}
	for first := true; ; first = false {
		turn := l.turn()
		if first {
			if err := l.lend(ctx); err != nil {
				return nil, err
			}
		}
		lease, err := l.claimed(ctx, t.Workspace)
		if err != nil || lease != nil {
			return gpusOf(lease), err
		}
		if first && waits != nil {
			waits()
		}
		select {
		case <-turn:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func gpusOf(l *masu.Lease) []masu.GPUID {
	if l == nil {
		return nil
	}
	return l.GPUs
}

// queueUp takes a place in the queue. Who has one, or a lease, stays where they are.
func (l *Lab) queueUp(ctx context.Context, t masu.Ticket) error {
	return l.cfg.Store.Update(ctx, func(tx masu.Tx) error {
		leases, err := tx.Leases()
		if err != nil || slices.ContainsFunc(leases, func(x masu.Lease) bool { return x.Workspace == t.Workspace }) {
			return err
		}
		tickets, err := tx.Tickets()
		if err != nil {
			return err
		}
		t.At = time.Now()
		for _, old := range tickets {
			if old.Workspace == t.Workspace && old.Want == t.Want {
				t.At = old.At
			}
		}
		return tx.PutTicket(t)
	})
}

// leaseOf gives the running lease of a workspace or run; nil if it has none.
func (l *Lab) leaseOf(ctx context.Context, id masu.WorkspaceID) (found *masu.Lease, err error) {
	err = l.cfg.Store.View(ctx, func(tx masu.Tx) error {
		leases, err := tx.Leases()
		if i := slices.IndexFunc(leases, func(x masu.Lease) bool { return x.Workspace == id }); i >= 0 {
			found = &leases[i]
		}
		return err
	})
	return found, err
}

// claimed is leaseOf for a workspace that is about to use it: GPUs that were kept for it are kept no longer, but lent.
func (l *Lab) claimed(ctx context.Context, id masu.WorkspaceID) (found *masu.Lease, err error) {
	if found, err = l.leaseOf(ctx, id); err != nil || found == nil || found.Why != masu.EndUnclaimed {
		return found, err
	}
	err = l.cfg.Store.Update(ctx, func(tx masu.Tx) error {
		found = nil
		leases, err := tx.Leases()
		if i := slices.IndexFunc(leases, func(x masu.Lease) bool { return x.Workspace == id }); err == nil && i >= 0 {
			found = &leases[i]
			found.EndsAt, found.Why = time.Time{}, ""
			err = tx.PutLease(*found)
		}
		return err
	})
	return found, err
}

// changeWant gives back what a workspace held for another want than its present
// one. Its box ends first: nothing is lent that somebody still uses.
func (l *Lab) changeWant(ctx context.Context, w masu.Workspace) error {
	lease, err := l.leaseOf(ctx, w.ID)
	if err != nil || lease == nil || lease.Want == w.Project.Want {
		return err
	}
	if err := l.cfg.Runtime.Stop(ctx, w.ID, stopGrace); err != nil {
		return err
	}
	return l.endLease(ctx, w.ID)
}

// waits says on a workspace that it waits for its turn.
func (l *Lab) waits(ctx context.Context, id masu.WorkspaceID, says *journal) {
	if _, err := l.update(ctx, id, func(w *masu.Workspace) { w.Phase = masu.Waiting }); err != nil {
		l.log.Error("write down waiting", "workspace", id, "error", err)
	}
	says.say("gpus_wait")
}

// endLease gives back what a workspace holds, and its place in the queue.
func (l *Lab) endLease(ctx context.Context, id masu.WorkspaceID) error {
	changed := false
	err := l.cfg.Store.Update(ctx, func(tx masu.Tx) error {
		leases, err := tx.Leases()
		if err != nil {
			return err
		}
		for _, lease := range leases {
			if lease.Workspace != id {
				continue
			}
			lease.EndedAt, changed = time.Now(), true
			if lease.Why == "" || lease.EndedAt.Before(lease.EndsAt) {
				lease.Why = masu.EndHolder
			}
			if err := tx.PutLease(lease); err != nil {
				return err
			}
		}
		tickets, err := tx.Tickets()
		if err != nil || !slices.ContainsFunc(tickets, func(t masu.Ticket) bool { return t.Workspace == id }) {
			return err
		}
		changed = true
		return tx.DeleteTicket(id)
	})
	if err == nil && changed {
		l.lendSoon()
	}
	return err
}

// turn is closed when somebody's turn has come.
func (l *Lab) turn() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.turned
}

func (l *Lab) callTurn() {
	l.mu.Lock()
	defer l.mu.Unlock()
	close(l.turned)
	l.turned = make(chan struct{})
}

// lendSoon asks for a decision about GPUs; one that is asked for already is enough.
func (l *Lab) lendSoon() {
	l.board.stale.Store(true)
	select {
	case l.lendKick <- struct{}{}:
	default:
	}
}
