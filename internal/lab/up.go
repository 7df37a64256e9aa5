package lab

import (
	"cmp"
	"context"
	"errors"
	"reflect"
	"strconv"
	"sync"
	"time"

	"github.com/masu-lab/masu"
	"github.com/masu-lab/masu/internal/metrics"
)

// operation is the one thing that happens to a workspace at a time.
type operation struct {
	ctx    context.Context // ended by cancel
	cancel context.CancelCauseFunc
	done   chan struct{}
	says   *journal
}

var (
	errStopped = errors.New("stopped by its owner")
	errBusy    = errors.New("another operation has the workspace")
)

// Up records the wish, and lets Run see to it.
func (s *service) Up(ctx context.Context, r masu.UpRequest) (w masu.Workspace, err error) {
	defer func() { s.l.record(ctx, s.actor, "up", w.Label, err) }()
	if r.Dir == "" {
		known, err := s.find(ctx, r.Name)
		if err == nil && known.Adopted != nil {
			return s.wake(ctx, known, r.Restart)
		}
		if err == nil && known.Without() && r.Want == nil { // it comes for its GPUs
			r.Want = &known.Project.Want
		}
	}
	p, err := s.project(ctx, r)
	if err != nil {
		return w, err
	}
	if r.Want != nil {
		p.Want = *r.Want
	}
	if err := s.mayClass(r.Class); err != nil {
		return w, err
	}
	refusal := s.mayBegin(ctx)
	for {
		var op *operation
		w, op, err = s.wish(ctx, p, r, refusal)
		switch {
		case errors.Is(err, errBusy): // with another wish, which this one replaces
			if err := s.l.stopOperation(ctx, w.ID); err != nil {
				return w, err
			}
		case err != nil || op == nil:
			return w, err
		default:
			return w, s.l.begin(ctx, w.ID, op, func(ctx context.Context, says *journal) error {
				return s.l.bringUp(ctx, w, start{noCache: r.NoCache, anew: r.Restart}, says)
			})
		}
	}
}

// project reads the folder that is asked for, or the one that the named workspace has.
func (s *service) project(ctx context.Context, r masu.UpRequest) (masu.Project, error) {
	dir := r.Dir
	if dir == "" {
		w, err := s.find(ctx, r.Name)
		if err != nil {
			return masu.Project{}, err
		}
		if dir = w.Project.Dir; dir == "" {
			return masu.Project{}, masu.E(masu.Invalid, "folder_unknown", w.Name)
		}
		if r.Preset == "" {
			r.Preset = w.Project.Environment.Preset
		}
		r.Compose = cmp.Or(r.Compose, w.Project.Compose)
	}
	if r.Compose == "" {
		p, err := s.read(dir, r.Preset)
		if err != nil || p.Source == projectFile {
			return p, err
		}
		if r.Compose, err = s.begunBy(ctx, p.Dir, r.Name); err != nil || r.Compose == "" {
			return p, err
		}
	}
	if s.l.cfg.Compose == nil {
		return masu.Project{}, masu.E(masu.Invalid, "file_unreadable", r.Compose)
	}
	return s.openAnd(dir, func(f masu.Folder) (masu.Project, error) { return s.l.cfg.Compose(f, r.Compose, s.composeVars()) })
}

// begunBy gives the compose file by which a folder's workspace was begun: it
// goes on speaking for the folder until a masu.yaml does.
func (s *service) begunBy(ctx context.Context, dir, name string) (file string, err error) {
	err = s.l.cfg.Store.View(ctx, func(tx masu.Tx) error {
		list, err := tx.WorkspacesOf(s.actor.Name)
		for _, w := range list {
			if w.Project.Dir == dir && (name == "" || w.Name == name) {
				file = cmp.Or(file, w.Project.Compose)
			}
		}
		return err
	})
	return file, err
}

// composeVars are what the guide's compose_up.sh, and a shell, tell a compose file of its member.
func (s *service) composeVars() map[string]string {
	name, uid, gid := string(s.actor.Name), strconv.Itoa(s.actor.UID), strconv.Itoa(s.actor.GID)
	return map[string]string{"USER": name, "USER_NAME": name, "HOME": "/home/" + name,
		"UID": uid, "USER_ID": uid, "USER_UID": uid, "GID": gid, "GROUP_ID": gid, "USER_GID": gid}
}

// read opens a folder as the member and reads what it asks for.
func (s *service) read(dir, preset string) (masu.Project, error) {
	return s.readIn(dir, preset, func(f masu.Folder) masu.Folder { return f })
}

func (s *service) readIn(dir, preset string, look func(masu.Folder) masu.Folder) (masu.Project, error) {
	return s.openAnd(dir, func(f masu.Folder) (masu.Project, error) { return s.l.cfg.Read(look(f), preset) })
}

func (s *service) openAnd(dir string, read func(masu.Folder) (masu.Project, error)) (masu.Project, error) {
	f, err := s.l.cfg.Folders.OpenFolder(s.actor.User, dir)
	if err != nil {
		return masu.Project{}, err
	}
	defer f.Close()
	p, err := read(f)
	if err != nil {
		return p, err
	}
	p.Dir = f.Dir()
	if s.l.policy().OwnDockerfile {
		return p, nil
	}
	builds := []string{p.Environment.Dockerfile}
	for _, side := range p.Sides {
		if side.Build != nil {
			builds = append(builds, side.Build.Dockerfile)
		}
	}
	if own := cmp.Or(builds...); own != "" {
		return p, masu.E(masu.Denied, "dockerfile_forbidden", own)
	}
	return p, nil
}

// wish writes down what the member wants and claims the workspace for it, in
// one step: nobody may find the wish without somebody who sees to it. No
// operation means that nothing needs to be done. What is new is refused with
// refusal, where there is one.
func (s *service) wish(ctx context.Context, p masu.Project, r masu.UpRequest, refusal error) (w masu.Workspace, op *operation, err error) {
	var lost []masu.AppShare
	err = s.l.cfg.Store.Update(ctx, func(tx masu.Tx) error {
		all, err := tx.Workspaces()
		if err != nil {
			return err
		}
		if w, err = s.workspaceFor(all, p, r); err != nil {
			return err
		}
		_, busy := s.l.operation(w.ID)
		prefers := r.OrCPU == nil || *r.OrCPU == w.OrCPU
		equal := equalWish(w.Project, p) && (prefers || !busy && !w.Without()) // what runs as wished need not begin anew for a preference
		switch {
		case busy && equal && !r.Restart:
			return nil
		case busy:
			return errBusy
		case w.Phase == masu.Running && equal && !r.Restart && !r.NoCache:
			if prefers {
				return nil
			}
			w.OrCPU = *r.OrCPU
			return tx.PutWorkspace(w)
		case w.Phase == masu.Running && !r.Restart:
			w.Project.Notes = append(w.Project.Notes, masu.Note{Code: "restart_needed", Args: []string{w.Name}})
			return nil
		}
		if err := s.oneMore(w, all); err != nil {
			return err
		}
		if refusal != nil {
			return refusal
		}
		if op = s.l.claim(w.ID); op == nil {
			return errBusy
		}
		now := time.Now()
		if w.CreatedAt.IsZero() {
			w.CreatedAt = now
		}
		if r.OrCPU != nil {
			w.OrCPU = *r.OrCPU
		}
		w.Project, w.Class, w.Phase, w.Trouble, w.ChangedAt, w.Apps = p, r.Class, masu.Building, nil, now, nil
		lost = w.KeepShares()
		return tx.PutWorkspace(w)
	})
	if err != nil && op != nil {
		s.l.release(w.ID, op)
		op = nil
	}
	if op != nil {
		s.l.hub.send(s.l.placed(w))
		if err := s.dropped(ctx, w, lost); err != nil { // they open nothing any more; what is open ends with the box
			s.l.log.Error("end shares", "workspace", w.Label, "error", err)
		}
	}
	return w, op, err
}

// oneMore refuses a new workspace to a member who has as many as they may.
func (s *service) oneMore(w masu.Workspace, all []masu.Workspace) error {
	if !w.CreatedAt.IsZero() {
		return nil
	}
	now, own := s.l.limits(s.actor.Name)
	switch most := now.Workspaces; {
	case most == nil || count(all, s.actor.Name) < *most:
		return nil
	case own.Workspaces != nil:
		return masu.E(masu.Full, "workspaces_full_own", *most)
	default:
		return masu.E(masu.Full, "workspaces_full", *most)
	}
}

func equalWish(a, b masu.Project) bool {
	a.Notes, b.Notes, a.Name, b.Name = nil, nil, "", ""
	return reflect.DeepEqual(a, b)
}

func count(all []masu.Workspace, owner masu.Username) (n int) {
	for _, w := range all {
		if w.Owner == owner {
			n++
		}
	}
	return n
}

// claim takes a workspace for one operation; nil if another one has it.
func (l *Lab) claim(id masu.WorkspaceID) *operation {
	op := &operation{done: make(chan struct{}), says: newJournal()}
	// Run's context comes later; that of the claim is what Stop cancels.
	op.ctx, op.cancel = context.WithCancelCause(context.Background())
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, busy := l.ops[id]; busy {
		return nil
	}
	l.ops[id] = op
	return op
}

// begin hands a claimed operation to Run.
func (l *Lab) begin(ctx context.Context, id masu.WorkspaceID, op *operation, do func(context.Context, *journal) error) error {
	l.mu.Lock()
	l.journals[id] = op.says
	l.mu.Unlock()
	err := l.spawn(ctx, func(run context.Context) { l.operate(run, id, op, do) })
	if err != nil {
		l.release(id, op)
	}
	return err
}

// operate does a claimed operation until it is done, is stopped, or the daemon ends.
func (l *Lab) operate(run context.Context, id masu.WorkspaceID, op *operation, do func(context.Context, *journal) error) {
	ctx, stop := context.WithCancelCause(run)
	defer stop(nil)
	defer context.AfterFunc(op.ctx, func() { stop(context.Cause(op.ctx)) })()
	l.finish(ctx, id, op, do(ctx, op.says))
}

// finish writes down how an operation ended. One that was ended by the daemon's
// own end leaves everything as it is: the next daemon goes on from there.
func (l *Lab) finish(ctx context.Context, id masu.WorkspaceID, op *operation, err error) {
	defer l.nudge() // what happened to the box meanwhile was left to the operation
	defer l.release(id, op)
	if err == nil || ctx.Err() != nil {
		return
	}
	l.fail(ctx, id, err)
}

// troubleOf is an error as it is kept.
func troubleOf(err error) *masu.Trouble {
	e, ok := errors.AsType[*masu.Error](err)
	if !ok {
		e = masu.E(masu.Internal, "internal")
	}
	return &masu.Trouble{Kind: e.Kind, Code: e.Code, Args: e.Args}
}

// fail ends the box and the lease of a workspace and says why.
func (l *Lab) fail(ctx context.Context, id masu.WorkspaceID, why error) {
	trouble := troubleOf(why)
	l.log.Warn("workspace failed", "workspace", id, "code", trouble.Code, "error", why)
	if err := l.cfg.Runtime.Stop(ctx, id, stopGrace); err != nil {
		l.log.Warn("stop after failure", "workspace", id, "error", err)
	}
	if err := l.endLease(ctx, id); err != nil {
		l.log.Error("end lease", "workspace", id, "error", err)
	}
	if _, err := l.update(ctx, id, func(w *masu.Workspace) {
		w.GaveBack()
		w.Phase = masu.Failed
		w.Trouble = trouble
	}); err != nil {
		l.log.Error("write down failure", "workspace", id, "error", err)
	}
}

func (l *Lab) release(id masu.WorkspaceID, op *operation) {
	l.mu.Lock()
	if l.ops[id] == op {
		delete(l.ops, id)
	}
	l.mu.Unlock()
	op.cancel(nil)
	op.says.close()
	close(op.done)
}

func (l *Lab) operation(id masu.WorkspaceID) (*operation, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	op, ok := l.ops[id]
	return op, ok
}

// stopOperation cancels what happens to a workspace and waits until it has ended.
func (l *Lab) stopOperation(ctx context.Context, id masu.WorkspaceID) error {
	for {
		op, busy := l.operation(id)
		if !busy {
			return nil
		}
		op.cancel(errStopped)
		select {
		case <-op.done:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// takeOver stops what happens to a workspace and claims it.
func (l *Lab) takeOver(ctx context.Context, id masu.WorkspaceID) (*operation, error) {
	for {
		if err := l.stopOperation(ctx, id); err != nil {
			return nil, err
		}
		if op := l.claim(id); op != nil {
			return op, nil
		}
	}
}

// start is how a workspace is brought up.
type start struct {
	noCache bool
	anew    bool // what runs is stopped, even if it is as it should be
	cpu     bool // without its GPUs, and without a place in the queue
}

// bringUp takes a workspace from its wish to a running box.
func (l *Lab) bringUp(ctx context.Context, w masu.Workspace, how start, says *journal) error {
	clock := startClock{begun: time.Now(), image: metrics.ImageReady}
	err := l.bringUpBy(ctx, w, how, says, &clock)
	l.countStart(ctx, clock, err)
	return err
}

func (l *Lab) bringUpBy(ctx context.Context, w masu.Workspace, how start, says *journal, clock *startClock) error {
	if err := l.possible(ctx, w.Owner, w.Project.Want); err != nil {
		return err
	}
	owner, err := l.cfg.Accounts.ByName(w.Owner)
	if err != nil {
		return err
	}
	img, beside, err := l.images(ctx, w, owner, how, says)
	if err != nil {
		return err
	}
	if img.Built {
		clock.image = metrics.ImageBuilt
	}
	queued := time.Now()
	gpus, err := l.gpusFor(ctx, w, how, says)
	clock.waited = time.Since(queued)
	if err != nil {
		return err
	}
	if err := l.starts.Acquire(ctx, 1); err != nil {
		return err
	}
	release := sync.OnceFunc(func() { l.starts.Release(1) })
	defer release()
	if w, err = l.startsWith(ctx, w, gpus, how); err != nil {
		return err
	}
	if how.anew {
		if err := l.cfg.Runtime.Stop(ctx, w.ID, stopGrace); err != nil {
			return err
		}
	}
	box := l.box(w, owner)
	box.Sides = l.sides(w.ID, w.Owner, w.Project, beside)
	saySides(w.Project, says)
	says.say("box_starts")
	if err := l.cfg.Runtime.Start(ctx, box); err != nil {
		return err
	}
	if b, err := l.cfg.Runtime.Box(ctx, w.ID); err == nil && b.Waits != nil {
		release() // who waits for a cluster, perhaps for days, keeps nobody else from starting
	}
	if err := l.becomeReady(ctx, w, says); err != nil {
		return err
	}
	if img.Smoke != nil && len(gpus) > 0 && img.Built {
		l.smoke(ctx, w, img.Smoke, says)
	}
	w, err = l.update(ctx, w.ID, func(w *masu.Workspace) { w.Phase, w.UsedAt = masu.Running, time.Now() })
	if err == nil && time.Since(clock.begun) > longStart {
		l.tell(ctx, w.Owner, notice{occasion: masu.OccasionReady, workspace: w})
	}
	return err
}

// images gives what a workspace starts from, its services' images and the editor that its apps want, and remembers its own.
func (l *Lab) images(ctx context.Context, w masu.Workspace, owner masu.User, how start, says *journal) (img built, beside map[string]string, err error) {
	wish := imageWish{owner: owner, project: w.Project, order: w.Order, noCache: how.noCache}
	if img, err = l.image(ctx, wish, says.tell); err != nil {
		return img, nil, err
	}
	if beside, err = l.sideImages(ctx, wish, says.tell); err != nil {
		return img, nil, err
	}
	if _, err = l.update(ctx, w.ID, func(w *masu.Workspace) { w.Image, w.Order = img.ID, img.Order }); err != nil {
		return img, nil, err
	}
	return img, beside, l.editor(ctx, w.Owner, w.Project, says.tell)
}

// startsWith remembers that a box now starts, with which GPUs, and until when they are lent.
func (l *Lab) startsWith(ctx context.Context, w masu.Workspace, gpus []masu.GPUID, how start) (masu.Workspace, error) {
	lease, err := l.leaseOf(ctx, w.ID)
	if err != nil {
		return w, err
	}
	waits := len(gpus) == 0 && !w.Project.Want.None() && !how.cpu
	return l.update(ctx, w.ID, func(w *masu.Workspace) {
		w.Phase, w.GPUs, w.Waits, w.Until, w.EndsAt, w.EndWhy = masu.Starting, gpus, waits, time.Time{}, time.Time{}, ""
		if lease != nil && len(gpus) > 0 {
			w.Until, w.EndsAt, w.EndWhy = lease.Until, lease.EndsAt, lease.Why
		}
	})
}
