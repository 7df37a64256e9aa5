package lab

import (
	"context"
	"time"

	"github.com/masu-lab/masu"
	"github.com/masu-lab/masu/internal/sched"
)

// possible refuses a want that this host can never meet, before anything is built for it.
func (l *Lab) possible(ctx context.Context, want masu.Want) error {
	if want.None() {
		return nil
	}
	all, err := l.cfg.Inventory.GPUs(ctx)
	if err != nil {
		return err
	}
	if _, ok := sched.Pick(all, want); !ok {
		return masu.E(masu.Invalid, "gpus_impossible", len(all))
	}
	return nil
}

// grant lends the GPUs that a workspace wants, and waits until they are free.
func (l *Lab) grant(ctx context.Context, w masu.Workspace, says *journal) ([]masu.GPUID, error) {
	want := w.Project.Want
	if want.None() {
		return nil, nil
	}
	for {
		if err := l.possible(ctx, want); err != nil {
			return nil, err // a card may have been lost meanwhile
		}
		all, err := l.cfg.Inventory.GPUs(ctx)
		if err != nil {
			return nil, err
		}
		freed := l.whenFreed()
		gpus, err := l.tryGrant(ctx, w.ID, w.Owner, all, want)
		if err != nil || gpus != nil {
			return gpus, err
		}
		if _, err := l.update(ctx, w.ID, func(w *masu.Workspace) { w.Phase = masu.Waiting }); err != nil {
			return nil, err
		}
		says.say("gpus_wait")
		select {
		case <-freed:
		case <-time.After(reconcileEvery):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// tryGrant lends in one transaction, or gives nil.
func (l *Lab) tryGrant(ctx context.Context, id masu.WorkspaceID, holder masu.Username, all []masu.GPU, want masu.Want) (gpus []masu.GPUID, err error) {
	err = l.cfg.Store.Update(ctx, func(tx masu.Tx) error {
		leases, err := tx.Leases()
		if err != nil {
			return err
		}
		held := map[masu.GPUID]bool{}
		for _, lease := range leases {
			if lease.Workspace == id {
				gpus = lease.GPUs
				return nil
			}
			for _, g := range lease.GPUs {
				held[g] = true
			}
		}
		var freeNow []masu.GPU
		for _, g := range all {
			if !held[g.ID] {
				freeNow = append(freeNow, g)
			}
		}
		picked, ok := sched.Pick(freeNow, want)
		if !ok {
			return nil
		}
		gpus = picked
		return tx.PutLease(masu.Lease{ID: masu.LeaseID(newID()), Workspace: id, Holder: holder, GPUs: gpus, From: time.Now()})
	})
	return gpus, err
}

// endLease gives back what a workspace holds.
func (l *Lab) endLease(ctx context.Context, id masu.WorkspaceID) error {
	ended := false
	err := l.cfg.Store.Update(ctx, func(tx masu.Tx) error {
		leases, err := tx.Leases()
		if err != nil {
			return err
		}
		for _, lease := range leases {
			if lease.Workspace == id {
				lease.EndedAt, ended = time.Now(), true
				if err := tx.PutLease(lease); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err == nil && ended {
		l.mu.Lock()
		close(l.freed)
		l.freed = make(chan struct{})
		l.mu.Unlock()
	}
	return err
}

func (l *Lab) whenFreed() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.freed
}
