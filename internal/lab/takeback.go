package lab

import (
	"context"
	"slices"
	"time"

	"github.com/masu-lab/masu"
	"github.com/masu-lab/masu/internal/sched"
)

// remindAt is how long before an announced end its holder is told once more.
var remindAt = []time.Duration{15 * time.Minute, 5 * time.Minute}

// keepTurns keeps GPUs for workspaces whose turn has come while they run on the
// CPU: what runs there is not ended before its owner says so, and others wait
// no longer than the grace. It changes the leases of s as it does those of tx.
func (l *Lab) keepTurns(tx masu.Tx, s sched.State) (told []masu.Lease, err error) {
	for i, lease := range s.Leases {
		kept, err := keptFor(tx, s, &lease)
		if err == nil && kept {
			err = tx.PutLease(lease)
			s.Leases[i] = lease
			told = append(told, lease)
		}
		if err != nil {
			return nil, err
		}
	}
	return told, nil
}

// keptFor announces the end of a lease whose workspace runs, and does not use it.
func keptFor(tx masu.Tx, s sched.State, lease *masu.Lease) (kept bool, err error) {
	if !lease.EndsAt.IsZero() {
		return false, nil
	}
	w, err := tx.Workspace(lease.Workspace)
	if masu.KindOf(err) == masu.NotFound && err != nil {
		return false, nil // a run's
	}
	if kept = err == nil && w.Without(); kept {
		lease.EndsAt, lease.Why = s.Now.Add(s.Policy.Grace), masu.EndUnclaimed
	}
	return kept, err
}

// takeBack ends the box that holds a lease, and so the lease, with the reason on its workspace.
func (l *Lab) takeBack(ctx context.Context, s sched.State, plan sched.Plan, e sched.End) {
	lease := s.Leases[slices.IndexFunc(s.Leases, func(x masu.Lease) bool { return x.ID == e.Lease })]
	id := lease.Workspace
	l.mu.Lock()
	run := l.runs[id] != nil
	already := l.taking[id]
	l.taking[id] = true
	l.mu.Unlock()
	if already {
		return
	}
	why := masu.E(masu.Conflict, "lease_"+string(e.Why))
	if e.Why == masu.EndIdle {
		why = masu.E(masu.Conflict, "lease_idle", int(s.Idle[e.Lease].Minutes()), waitingFor(plan))
	}
	trouble := troubleOf(why)
	err := l.spawn(ctx, func(ctx context.Context) {
		defer l.taken(id)
		if err := l.takeFrom(ctx, id, run, e.Why, trouble); err != nil && ctx.Err() == nil {
			l.log.Error("take back", "workspace", id, "error", err) // the next decision tries again
		}
	})
	if err != nil {
		l.taken(id)
	}
}

// waitingFor is how many wait for GPUs that others hold.
func waitingFor(plan sched.Plan) (n int) {
	for _, w := range plan.Waiting {
		if w.Blocked == masu.WaitGPUs {
			n++
		}
	}
	return n
}

func (l *Lab) taken(id masu.WorkspaceID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.taking, id)
}

func (l *Lab) takeFrom(ctx context.Context, id masu.WorkspaceID, run bool, reason masu.EndReason, why *masu.Trouble) error {
	switch {
	case run: // its command ends with the box
		if err := l.cfg.Runtime.Stop(ctx, id, stopGrace); err != nil {
			return err
		}
		err := l.endLease(ctx, id)
		if err == nil {
			l.reclaimed(reason)
		}
		return err
	case reason == masu.EndUnclaimed:
		return l.passOver(ctx, id)
	}
	op, err := l.takeOver(ctx, id)
	if err != nil {
		return err
	}
	lease, err := l.leaseOf(ctx, id)
	if err != nil || lease == nil {
		l.release(id, op)
		return err // the holder was faster
	}
	l.record(ctx, masu.Actor{}, "take back", string(id), why.Err())
	l.reclaimed(reason)
	w, err := l.stored(ctx, id)
	if err != nil || !w.OrCPU || w.Adopted != nil {
		defer l.release(id, op)
		if err == nil {
			_, err = l.halt(ctx, id, why)
		}
		return err
	}
	l.mu.Lock()
	l.journals[id] = op.says
	l.mu.Unlock()
	l.operate(ctx, id, op, func(ctx context.Context, says *journal) error { return l.goOnWithout(ctx, id, why, says) })
	return nil
}

// goOnWithout takes a workspace's GPUs, and starts it again on the CPU, as its owner prefers.
func (l *Lab) goOnWithout(ctx context.Context, id masu.WorkspaceID, why *masu.Trouble, says *journal) error {
	if err := l.cfg.Runtime.Stop(ctx, id, stopGrace); err != nil {
		return err
	}
	if err := l.endLease(ctx, id); err != nil {
		return err
	}
	w, err := l.update(ctx, id, func(w *masu.Workspace) {
		w.GaveBack()
		w.Phase, w.Trouble = masu.Building, why
	})
	if err != nil {
		return err
	}
	l.tell(ctx, w.Owner, notice{occasion: masu.OccasionEnded, workspace: w})
	return l.bringUp(ctx, w, start{cpu: true}, says)
}

// passOver gives GPUs on that were kept for a workspace which did not take them. It runs on, on the CPU.
func (l *Lab) passOver(ctx context.Context, id masu.WorkspaceID) error {
	passed := false
	err := l.cfg.Store.Update(ctx, func(tx masu.Tx) error {
		leases, err := tx.Leases()
		if err != nil {
			return err
		}
		for _, lease := range leases {
			if passed = lease.Workspace == id && lease.Why == masu.EndUnclaimed; passed { // and was not claimed meanwhile
				lease.EndedAt = time.Now()
				return tx.PutLease(lease)
			}
		}
		return nil
	})
	if err != nil || !passed {
		return err
	}
	l.reclaimed(masu.EndUnclaimed)
	l.lendSoon()
	_, err = l.update(ctx, id, func(w *masu.Workspace) { w.Waits, w.Until, w.EndsAt, w.EndWhy = false, time.Time{}, time.Time{}, "" })
	return err
}

// tellEnd tells a holder that their GPUs will be taken back, or no longer.
func (l *Lab) tellEnd(ctx context.Context, lease masu.Lease) {
	w, err := l.update(ctx, lease.Workspace, func(w *masu.Workspace) {
		w.EndsAt, w.EndWhy = lease.EndsAt, lease.Why
		w.Waits = w.Waits && lease.Why != masu.EndUnclaimed
	})
	switch {
	case masu.KindOf(err) == masu.NotFound && err != nil:
		l.tellRun(ctx, lease)
	case err == nil && !lease.EndsAt.IsZero():
		l.warn(ctx, w)
	}
}

// remind tells holders once more when the end is near. What a daemon before
// this one has told is not told again. The lock lendMu is held.
func (l *Lab) remind(ctx context.Context, s sched.State) {
	told := map[masu.LeaseID]int{}
	for _, lease := range s.Leases {
		if lease.EndsAt.IsZero() {
			continue
		}
		left, stage := lease.EndsAt.Sub(s.Now), 0
		for _, d := range remindAt {
			if left <= d {
				stage++
			}
		}
		told[lease.ID] = stage
		if before, known := l.reminded[lease.ID]; !known || stage <= before || left <= 0 {
			continue
		}
		switch w, err := l.stored(ctx, lease.Workspace); {
		case err == nil:
			l.warn(ctx, w)
		case masu.KindOf(err) == masu.NotFound:
			l.warnRun(ctx, lease)
		}
	}
	l.reminded = told
}

// warn says, wherever its owner may look, that a workspace's GPUs will be taken back.
func (l *Lab) warn(ctx context.Context, w masu.Workspace) {
	n := notice{occasion: masu.OccasionEnding, workspace: w}
	l.tell(ctx, w.Owner, n)
	if w.Phase == masu.Running && w.Adopted == nil {
		l.write(ctx, w, n)
	}
}
