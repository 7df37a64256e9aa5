package lab

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/masu-lab/masu"
)

const (
	runLook     = 500 * time.Millisecond // how often a run is looked at: its GPUs are free soon after it has ended
	runsMost    = 1000                   // of one member, that are not over
	retriesMost = 10
	submitMost  = 128 * masu.MiB // of records for one wish: a folder's lock alone may have a hundred KiB
)

// Submit writes runs down; each then goes its own way.
func (s *service) Submit(ctx context.Context, q masu.RunWish) (list []masu.Run, err error) {
	defer func() { s.l.record(ctx, s.actor, "submit", q.Name, err) }()
	base, err := s.newRun(ctx, q)
	if err != nil {
		return nil, err
	}
	first, last := 0, 0
	if q.Array {
		first, last, base.Series = q.First, q.Last, string(newID())
	}
	if record, err := json.Marshal(base); err != nil || masu.Bytes(len(record)*(last-first+1)) > submitMost {
		return nil, masu.E(masu.Invalid, "runs_large", submitMost).Because(err)
	}
	for i := first; i <= last; i++ {
		r := base
		r.ID, r.Index = newID(), i
		if q.Array {
			r.Env = append(slices.Clone(r.Env), masu.ArrayIndex(i))
		}
		if q.Notebook != nil {
			r.Notebook = q.Notebook.For(r)
			r.Argv = r.Notebook.Argv()
		}
		list = append(list, r)
	}
	err = s.l.cfg.Store.Update(ctx, func(tx masu.Tx) error {
		open, err := tx.OpenRuns()
		if err != nil {
			return err
		}
		n := len(list)
		for _, r := range open {
			if r.Owner == s.actor.Name {
				n++
			}
		}
		if n > runsMost {
			return masu.E(masu.Full, "runs_full", runsMost)
		}
		for _, r := range list {
			if err := tx.PutRun(r); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	for _, r := range list {
		if err := s.l.beginRun(ctx, r); err != nil {
			return list, err // it is written down; the next daemon begins it
		}
	}
	return list, nil
}

// newRun checks a wish, and reads the folder as it is now.
func (s *service) newRun(ctx context.Context, q masu.RunWish) (r masu.Run, err error) {
	switch {
	case len(q.Argv) == 0 == (q.Notebook == nil):
		return r, masu.E(masu.Invalid, "run_nothing")
	case q.Name != "" && !masu.ValidWorkspaceName(q.Name):
		return r, masu.E(masu.Invalid, "workspace_name", q.Name)
	case q.Array && (q.First < 0 || q.Last < q.First || q.Last-q.First >= masu.ArrayMost):
		return r, masu.E(masu.Invalid, "array_wrong", masu.ArrayMost)
	case q.Limit < 0 || q.Limit > yearMost:
		return r, masu.E(masu.Invalid, "limit_wrong", q.Limit)
	case q.Retries < 0 || q.Retries > retriesMost:
		return r, masu.E(masu.Invalid, "retries_wrong", retriesMost)
	}
	if err := errors.Join(s.mayBegin(ctx), s.l.mayRun(s.actor.Name), s.mayClass(q.Class)); err != nil {
		return r, err
	}
	if len(q.After) > masu.ArrayMost {
		return r, masu.E(masu.Invalid, "runs_large", submitMost)
	}
	for _, id := range q.After {
		if _, err := s.RunByID(ctx, id); err != nil {
			return r, err
		}
	}
	if q.Notebook != nil {
		if err := s.checkNotebook(q.Dir, *q.Notebook); err != nil {
			return r, err
		}
	}
	r = masu.Run{Owner: s.actor.Name, Name: cmp.Or(q.Name, "run"), Preset: q.Preset, Argv: q.Argv, Env: q.Env, Class: q.Class, Limit: q.Limit, After: q.After, Retries: q.Retries,
		Phase: masu.RunQueued, At: time.Now().UTC()}
	if q.Dir != "" {
		if r.Project, err = s.read(q.Dir, q.Preset); err != nil {
			return r, err
		}
	} else {
		r.Project.Environment.Preset = q.Preset
	}
	if q.Want != nil {
		r.Project.Want = *q.Want
	}
	if most := s.l.policy().HoldMost; most > 0 && r.Limit > most && !r.Project.Want.None() { // a limit is no way to hold for longer
		return r, masu.E(masu.Invalid, "limit_most", int(most.Hours()))
	}
	return r, s.l.possible(ctx, r.Owner, r.Project.Want)
}

// beginRun hands a run to Run, unless somebody has it already.
func (l *Lab) beginRun(ctx context.Context, r masu.Run) error {
	op := l.claim(r.ID)
	if op == nil {
		return nil
	}
	l.goes(r.ID, goingRun{owner: r.Owner, name: r.Name, cells: r.Notebook != nil})
	err := l.spawn(ctx, func(run context.Context) {
		ctx, stop := context.WithCancelCause(run)
		defer stop(nil)
		defer context.AfterFunc(op.ctx, func() { stop(context.Cause(op.ctx)) })()
		l.carryRun(ctx, r.ID)
		l.goesNoMore(r.ID)
		l.release(r.ID, op)
	})
	if err != nil {
		l.release(r.ID, op)
	}
	return err
}

// resumeRuns takes up every run that a daemon before this one has left.
func (l *Lab) resumeRuns(ctx context.Context) {
	var open []masu.Run
	err := l.cfg.Store.View(ctx, func(tx masu.Tx) (err error) { open, err = tx.OpenRuns(); return err })
	if err != nil {
		l.log.Error("resume runs", "error", err)
	}
	for _, r := range open { // before any of them looks which place it has
		l.joinLine(r.Owner, place{r.ID, r.At, r.Phase == masu.RunRunning})
	}
	for _, r := range open {
		if err := l.beginRun(ctx, r); err != nil {
			return // the daemon ends
		}
	}
}

// carryRun sees a run to its end. When the daemon ends everything stays as it is.
func (l *Lab) carryRun(ctx context.Context, id masu.WorkspaceID) {
	for {
		again, err := l.tryRun(ctx, id)
		if again {
			continue
		}
		switch {
		case err == nil:
		case errors.Is(context.Cause(ctx), errStopped):
			l.settleRun(ctx, id, func(r *masu.Run) { r.Phase = masu.RunCancelled })
		case ctx.Err() != nil:
		default:
			why := troubleOf(err)
			l.log.Warn("run failed", "run", id, "code", why.Code, "error", err)
			l.settleRun(ctx, id, func(r *masu.Run) { r.Phase, r.Trouble = masu.RunFailed, why })
		}
		return
	}
}

// tryRun brings a run from where it is to its end; again means that its host was lost and it may begin anew.
func (l *Lab) tryRun(ctx context.Context, id masu.WorkspaceID) (again bool, err error) {
	r, err := l.run(ctx, id)
	if err != nil || r.Over() {
		return false, err
	}
	if r.Phase == masu.RunQueued {
		if err := l.startRun(ctx, &r); err != nil {
			return false, err
		}
	}
	l.joinLine(r.Owner, place{id, r.At, true})
	l.began(id, r.StartedAt)
	b, err := l.awaitRun(ctx, r)
	l.began(id, time.Time{})
	switch {
	case err != nil && masu.CodeOf(err) == "box_gone" && r.Tries <= r.Retries:
		if err := l.endLease(ctx, id); err != nil {
			return false, err
		}
		_, err = l.updateRun(ctx, id, func(r *masu.Run) {
			r.Phase, r.GPUs, r.StartedAt, r.Used, r.GPUUsed, r.EndsAt, r.EndWhy = masu.RunQueued, nil, time.Time{}, masu.Use{}, masu.GPUWork{}, time.Time{}, ""
		})
		return err == nil, err
	case err != nil:
		return false, err
	case b.OOM:
		return false, masu.E(masu.Full, "out_of_memory")
	}
	l.settleRun(ctx, id, func(r *masu.Run) { r.Phase, r.Code = masu.RunEnded, b.ExitCode })
	return false, nil
}

// startRun waits for what a run waits for, and starts its box.
func (l *Lab) startRun(ctx context.Context, r *masu.Run) error {
	if err := l.awaitRuns(ctx, r.After); err != nil {
		return err
	}
	if err := l.awaitLine(ctx, r.Owner, place{r.ID, r.At, false}, func(int) {}); err != nil {
		return err
	}
	owner, err := l.cfg.Accounts.ByName(r.Owner)
	if err != nil {
		return err
	}
	img, err := l.image(ctx, imageWish{owner: owner, project: r.Project}, func(masu.Progress) {})
	if err != nil {
		return err
	}
	gpus, err := l.grant(ctx, masu.Ticket{Workspace: r.ID, Holder: r.Owner, Name: r.Name, Project: r.Project.Name, Want: r.Project.Want, Class: r.Class, Limit: r.Limit}, nil)
	if err != nil {
		return err
	}
	b := l.emptyBox(r.ID, r.Name, owner, img.ID, r.Project)
	b.Run, b.GPUs, b.Agent.Command = true, gpus, r.Argv
	if len(r.Env) > 0 && b.Agent.Env == nil {
		b.Agent.Env = map[string]string{}
	}
	for _, kv := range r.Env {
		k, v, _ := strings.Cut(kv, "=")
		b.Agent.Env[k] = v
	}
	if err := l.starts.Acquire(ctx, 1); err != nil {
		return err
	}
	defer l.starts.Release(1)
	// Before it starts: a daemon that dies here finds either no box, and begins anew, or the box.
	*r, err = l.updateRun(ctx, r.ID, func(r *masu.Run) {
		r.Phase, r.GPUs, r.StartedAt, r.Tries = masu.RunRunning, gpus, time.Now().UTC(), r.Tries+1
	})
	if err != nil {
		return err
	}
	return l.cfg.Runtime.Start(ctx, b)
}

// awaitRuns waits until others have ended well.
func (l *Lab) awaitRuns(ctx context.Context, after []masu.WorkspaceID) error {
	for _, id := range after {
		for {
			other, err := l.run(ctx, id)
			if err != nil {
				return masu.E(masu.Conflict, "run_after", id).Because(err)
			}
			if other.Well() {
				break
			}
			if other.Over() {
				return masu.E(masu.Conflict, "run_after", id)
			}
			if err := pause(ctx, runLook); err != nil {
				return err
			}
		}
	}
	return nil
}

// awaitRun waits until a run's box has ended, and ends it when it takes too long.
func (l *Lab) awaitRun(ctx context.Context, r masu.Run) (b masu.BoxStatus, err error) {
	use := l.useOfRun(r)
	defer func() { use.keep(context.WithoutCancel(ctx)) }()
	for {
		use.look(ctx)
		b, err = l.cfg.Runtime.Box(ctx, r.ID)
		switch {
		case err != nil && masu.KindOf(err) == masu.NotFound:
			return b, masu.E(masu.Conflict, "box_gone").Because(err)
		case err != nil && masu.KindOf(err) != masu.Unreachable: // an engine that is away comes back
			return b, err
		case err == nil && !alive(b, true):
			return b, l.takenBack(ctx, r.ID, r.StartedAt)
		case r.Limit > 0 && time.Since(r.StartedAt) > r.Limit:
			return b, masu.E(masu.Conflict, "run_limit", r.Limit)
		}
		if err := pause(ctx, runLook); err != nil {
			return b, err
		}
	}
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// settleRun keeps a run's log, removes its box, gives its GPUs back, and writes down how it ended.
func (l *Lab) settleRun(ctx context.Context, id masu.WorkspaceID, end func(*masu.Run)) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), tidyFor)
	defer cancel()
	if err := l.cfg.Runtime.Stop(ctx, id, stopGrace); err != nil && masu.KindOf(err) != masu.NotFound {
		l.log.Warn("stop run", "run", id, "error", err)
	}
	if err := l.endLease(ctx, id); err != nil { // first: others wait for the GPUs
		l.log.Error("end lease", "run", id, "error", err)
	}
	if err := l.keepLog(ctx, id); err != nil {
		l.log.Warn("keep log", "run", id, "error", err)
	}
	if err := l.cfg.Runtime.Remove(ctx, id); err != nil {
		l.log.Error("remove run", "run", id, "error", err) // the next reconciliation tries again
	}
	r, err := l.updateRun(ctx, id, func(r *masu.Run) {
		end(r)
		r.EndsAt, r.EndWhy, r.EndedAt = time.Time{}, "", time.Now().UTC()
	})
	if err != nil {
		l.log.Error("write down run", "run", id, "error", err)
		return
	}
	if r.Phase != masu.RunCancelled {
		l.tell(ctx, r.Owner, notice{occasion: masu.OccasionReady, run: &r})
	}
}

func (l *Lab) run(ctx context.Context, id masu.WorkspaceID) (r masu.Run, err error) {
	err = l.cfg.Store.View(ctx, func(tx masu.Tx) error { r, err = tx.Run(id); return err })
	return r, err
}

func (l *Lab) updateRun(ctx context.Context, id masu.WorkspaceID, change func(*masu.Run)) (r masu.Run, err error) {
	err = l.cfg.Store.Update(ctx, func(tx masu.Tx) error {
		if r, err = tx.Run(id); err != nil {
			return err
		}
		change(&r)
		return tx.PutRun(r)
	})
	return r, err
}

// Runs lists the actor's, or everybody's.
func (s *service) Runs(ctx context.Context, all bool) (list []masu.Run, err error) {
	if all && !s.actor.Admin {
		return nil, masu.E(masu.Denied, "not_admin")
	}
	owner := s.actor.Name
	if all {
		owner = ""
	}
	err = s.l.cfg.Store.View(ctx, func(tx masu.Tx) error { list, err = tx.Runs(owner); return err })
	return list, err
}

// RunByID gives one.
func (s *service) RunByID(ctx context.Context, id masu.WorkspaceID) (masu.Run, error) {
	r, err := s.l.run(ctx, id)
	if err != nil && masu.KindOf(err) != masu.NotFound {
		return r, err
	}
	if err != nil || r.Owner != s.actor.Name && !s.actor.Admin {
		return masu.Run{}, masu.E(masu.NotFound, "no_run", id)
	}
	return r, nil
}

// CancelRun ends a run or its wait.
func (s *service) CancelRun(ctx context.Context, id masu.WorkspaceID) (r masu.Run, err error) {
	if r, err = s.RunByID(ctx, id); err != nil || r.Over() {
		return r, err
	}
	defer func() { s.l.record(ctx, s.actor, "cancel", string(id), err) }()
	return s.l.cancelRun(ctx, id)
}

func (l *Lab) cancelRun(ctx context.Context, id masu.WorkspaceID) (masu.Run, error) {
	if err := l.stopOperation(ctx, id); err != nil {
		return masu.Run{}, err
	}
	r, err := l.run(ctx, id)
	if err == nil && !r.Over() { // nobody had it
		l.settleRun(ctx, id, func(r *masu.Run) { r.Phase = masu.RunCancelled })
		r, err = l.run(ctx, id)
	}
	return r, err
}

// cancelRuns ends all runs of a member's that are not over.
func (l *Lab) cancelRuns(ctx context.Context, owner masu.Username) error {
	var open []masu.Run
	err := l.cfg.Store.View(ctx, func(tx masu.Tx) (err error) { open, err = tx.OpenRuns(); return err })
	for _, r := range open {
		if r.Owner == owner {
			_, cerr := l.cancelRun(ctx, r.ID)
			err = errors.Join(err, cerr)
		}
	}
	return err
}

// ForgetRun removes what is kept of a run.
func (s *service) ForgetRun(ctx context.Context, id masu.WorkspaceID) (err error) {
	r, err := s.RunByID(ctx, id)
	if err != nil {
		return err
	}
	defer func() { s.l.record(ctx, s.actor, "forget run", string(id), err) }()
	if !r.Over() {
		return masu.E(masu.Conflict, "run_goes_on", id)
	}
	if err := os.Remove(s.l.runLog(id)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return masu.E(masu.Internal, "internal").Because(err)
	}
	return s.l.cfg.Store.Update(ctx, func(tx masu.Tx) error { return tx.DeleteRun(id) })
}
