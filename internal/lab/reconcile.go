package lab

import (
	"context"
	"errors"
	"sync"

	"github.com/masu-lab/masu"
)

// reconcile compares what should be with what is, and mends the difference.
// Running boxes are adopted and never touched; what a dead daemon left half
// done is ended and says so.
func (l *Lab) reconcile(ctx context.Context, wg *sync.WaitGroup) {
	boxes, err := l.cfg.Runtime.Boxes(ctx)
	if err != nil {
		if ctx.Err() == nil {
			l.engineAway(err)
		}
		return
	}
	l.mu.Lock()
	wasAway := l.away != nil
	l.away = nil
	l.mu.Unlock()
	found, handles := map[masu.WorkspaceID]masu.BoxStatus{}, map[string]masu.WorkspaceID{}
	for _, b := range boxes {
		found[b.ID], handles[b.Handle] = b, b.ID
	}
	l.mu.Lock()
	l.handles = handles
	l.mu.Unlock()
	all, err := l.everything(ctx)
	if err != nil {
		l.log.Error("reconcile", "error", err)
		return
	}
	known := map[masu.WorkspaceID]masu.Workspace{}
	for _, w := range all {
		known[w.ID] = w
	}
	for id, b := range found {
		if _, ok := known[id]; !ok {
			l.stray(ctx, b)
		}
	}
	for _, w := range all {
		if w.Adopted != nil {
			if err := l.settleAdopted(ctx, w); err != nil && ctx.Err() == nil {
				l.log.Error("reconcile", "workspace", w.Label, "error", err)
			}
			continue
		}
		b, has := found[w.ID]
		if err := l.settle(ctx, wg, w, b, has, wasAway); err != nil && ctx.Err() == nil {
			l.log.Error("reconcile", "workspace", w.Label, "error", err)
		}
	}
	l.endStrayLeases(ctx)
	l.watchAgents(ctx, wg)
}

// stored gives one workspace as it is written down.
func (l *Lab) stored(ctx context.Context, id masu.WorkspaceID) (w masu.Workspace, err error) {
	err = l.cfg.Store.View(ctx, func(tx masu.Tx) error { w, err = tx.Workspace(id); return err })
	return w, err
}

func (l *Lab) everything(ctx context.Context) (all []masu.Workspace, err error) {
	err = l.cfg.Store.View(ctx, func(tx masu.Tx) error {
		all, err = tx.Workspaces()
		return err
	})
	return all, err
}

// stray is a box of this lab that the store does not know: a run whose daemon
// died, or a workspace whose record was lost.
func (l *Lab) stray(ctx context.Context, b masu.BoxStatus) {
	l.mu.Lock()
	waitedFor := l.runs[b.ID] != nil
	l.mu.Unlock()
	switch {
	case waitedFor || l.openRun(ctx, b.ID):
	case b.Run:
		l.log.Info("removing the box of a run that nobody waits for", "box", b.ID)
		if err := l.cfg.Runtime.Remove(ctx, b.ID); err != nil {
			l.log.Error("remove stray run", "box", b.ID, "error", err)
		}
	default:
		if err := l.readopt(ctx, b); err != nil {
			l.log.Error("adopt box", "box", b.ID, "error", err)
		}
	}
}

// openRun tells whether a box is that of a run which is not over.
func (l *Lab) openRun(ctx context.Context, id masu.WorkspaceID) bool {
	r, err := l.run(ctx, id)
	return err == nil && !r.Over()
}

// readopt makes a record for a box that has none.
func (l *Lab) readopt(ctx context.Context, b masu.BoxStatus) error {
	return l.cfg.Store.Update(ctx, func(tx masu.Tx) error {
		if _, err := tx.Workspace(b.ID); masu.KindOf(err) != masu.NotFound || err == nil {
			return err // made since the engine was asked
		}
		all, err := tx.Workspaces()
		if err != nil {
			return err
		}
		name := b.Name
		if !masu.ValidWorkspaceName(name) {
			name = "adopted"
		}
		name, label := unused(all, b.Owner, name)
		w := masu.Workspace{ID: b.ID, Owner: b.Owner, Name: name, Label: label, Image: b.Image, GPUs: b.GPUs,
			Phase: masu.Stopped, CreatedAt: b.StartedAt, ChangedAt: b.StartedAt}
		if b.State == masu.BoxRunning {
			w.Phase = masu.Running
		}
		l.log.Info("adopted", "workspace", w.Label)
		return tx.PutWorkspace(w)
	})
}

// settle brings one workspace in step with its box. While an operation has it,
// that alone decides. What was seen may be old by now: before anything is done
// about a difference the workspace is claimed and both are looked at again.
func (l *Lab) settle(ctx context.Context, wg *sync.WaitGroup, w masu.Workspace, b masu.BoxStatus, has, wasAway bool) error {
	if inStep(w.Phase, alive(b, has), sidesRun(b)) {
		return l.sidesNow(ctx, w, b)
	}
	op := l.claim(w.ID)
	if op == nil {
		return nil
	}
	release := true
	defer func() {
		if release {
			l.release(w.ID, op)
		}
	}()
	w, b, has, err := l.look(ctx, w.ID)
	if err != nil || inStep(w.Phase, alive(b, has), sidesRun(b)) {
		return err
	}
	switch w.Phase {
	case masu.Running:
		return l.died(ctx, w, b, has, wasAway)
	case masu.Starting:
		if alive(b, has) { // a dead daemon's start: the box is there, its apps may be
			release = false
			l.goOn(ctx, wg, w.ID, op, func(ctx context.Context, says *journal) error { return l.finishStart(ctx, w, says) })
			return nil
		}
		l.fail(ctx, w.ID, masu.E(masu.Conflict, "interrupted"))
	case masu.Waiting: // its place in the queue is kept
		release = false
		l.goOn(ctx, wg, w.ID, op, func(ctx context.Context, says *journal) error { return l.bringUp(ctx, w, start{}, says) })
	case masu.Building:
		l.fail(ctx, w.ID, masu.E(masu.Conflict, "interrupted"))
	case masu.Stopping:
		_, err := l.halt(ctx, w.ID, w.Trouble)
		return err
	case masu.Stopped, masu.Failed:
		return l.cfg.Runtime.Stop(ctx, w.ID, stopGrace)
	}
	return nil
}

// alive tells whether a box runs, or will without anybody's doing.
func alive(b masu.BoxStatus, has bool) bool {
	return has && (b.State == masu.BoxRunning || b.State == masu.BoxPaused || b.Waits != nil)
}

// inStep tells whether a phase and its box need nothing done.
func inStep(p masu.Phase, alive, sides bool) bool {
	return p == masu.Running && alive || (p == masu.Stopped || p == masu.Failed) && !alive && !sides || p == ""
}

// look reads one workspace and its box as they are now. A workspace that is gone has no phase.
func (l *Lab) look(ctx context.Context, id masu.WorkspaceID) (w masu.Workspace, b masu.BoxStatus, has bool, err error) {
	w, err = l.stored(ctx, id)
	if masu.KindOf(err) == masu.NotFound && err != nil {
		return masu.Workspace{}, b, false, nil
	}
	if err != nil {
		return w, b, false, err
	}
	b, err = l.cfg.Runtime.Box(ctx, id)
	if err != nil && masu.KindOf(err) == masu.NotFound {
		return w, b, false, nil
	}
	return w, b, err == nil, err
}

// goOn takes up under a claim what a dead daemon left undone.
func (l *Lab) goOn(ctx context.Context, wg *sync.WaitGroup, id masu.WorkspaceID, op *operation, do func(context.Context, *journal) error) {
	l.mu.Lock()
	l.journals[id] = op.says
	l.mu.Unlock()
	wg.Go(func() { l.operate(ctx, id, op, do) })
}

// finishStart waits for the box that a dead daemon has started.
func (l *Lab) finishStart(ctx context.Context, w masu.Workspace, says *journal) error {
	if err := l.becomeReady(ctx, w, says); err != nil {
		return err
	}
	_, err := l.update(ctx, w.ID, func(w *masu.Workspace) { w.Phase = masu.Running })
	return err
}

// killed is the exit code of a box that was ended by force. Nothing inside a
// box can end its agent so: it was somebody at the engine.
const killed = 128 + 9

// died says why a box that should run does not.
func (l *Lab) died(ctx context.Context, w masu.Workspace, b masu.BoxStatus, has, wasAway bool) error {
	phase, why := masu.Stopped, masu.E(masu.Conflict, "box_ended")
	switch {
	case !has:
		why = masu.E(masu.Conflict, "box_gone")
	case b.OOM:
		phase, why = masu.Failed, masu.E(masu.Full, "out_of_memory")
	case wasAway:
		why = masu.E(masu.Conflict, "engine_restarted")
	case b.ExitCode != 0 && b.ExitCode != killed:
		phase, why = masu.Failed, masu.E(masu.Conflict, "box_died", b.ExitCode)
	}
	if err := l.cfg.Runtime.Stop(ctx, w.ID, stopGrace); err != nil { // unstages
		return err
	}
	if err := l.endLease(ctx, w.ID); err != nil {
		return err
	}
	_, err := l.update(ctx, w.ID, func(w *masu.Workspace) {
		w.GaveBack()
		w.Phase = phase
		w.Trouble = &masu.Trouble{Kind: why.Kind, Code: why.Code, Args: why.Args}
	})
	return err
}

// endStrayLeases gives back what nobody uses, and the places of those who wait no more.
func (l *Lab) endStrayLeases(ctx context.Context) {
	holders := map[masu.WorkspaceID]bool{}
	err := l.cfg.Store.View(ctx, func(tx masu.Tx) error {
		leases, err := tx.Leases()
		if err != nil {
			return err
		}
		for _, lease := range leases {
			holders[lease.Workspace] = true
		}
		tickets, err := tx.Tickets()
		for _, t := range tickets {
			holders[t.Workspace] = true
		}
		return err
	})
	for id := range holders {
		err = errors.Join(err, l.endStrayLease(ctx, id))
	}
	if err != nil && ctx.Err() == nil {
		l.log.Error("end leases", "error", err)
	}
}

// endStrayLease gives back what a workspace or run has, if nobody is there who
// uses it or waits for it. It is claimed meanwhile: what was seen before may be old.
func (l *Lab) endStrayLease(ctx context.Context, id masu.WorkspaceID) error {
	l.mu.Lock()
	run := l.runs[id] != nil
	l.mu.Unlock()
	if run || l.openRun(ctx, id) {
		return nil
	}
	op := l.claim(id)
	if op == nil {
		return nil
	}
	defer l.release(id, op)
	w, err := l.stored(ctx, id)
	if err != nil && masu.KindOf(err) != masu.NotFound {
		return err
	}
	if w.Phase == masu.Running || w.Phase == masu.Starting {
		return nil
	}
	return l.endLease(ctx, id)
}
