package lab

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/masu-lab/masu"
)

// hasAgent refuses what only a box of masu's own making can do.
func hasAgent(w masu.Workspace) error {
	if w.Adopted != nil {
		return masu.E(masu.Conflict, "adopted_no_agent", w.Adopted.Container)
	}
	return nil
}

// Adopt puts a container that somebody made by hand behind the sign-in.
func (s *service) Adopt(ctx context.Context, q masu.AdoptWish) (w masu.Workspace, err error) {
	if err := s.admin(); err != nil {
		return w, err
	}
	defer func() { s.l.record(ctx, s.actor, "adopt", q.Container, err) }()
	runtime, ok := s.l.cfg.Runtime.(masu.Adopter)
	if !ok || s.l.cfg.Personal {
		return w, masu.E(masu.Invalid, "adopt_not_here")
	}
	apps, err := adoptedApps(q.Ports)
	if err != nil {
		return w, err
	}
	u, err := s.l.cfg.Accounts.ByName(q.Owner)
	if err != nil {
		return w, masu.E(masu.NotFound, "no_member", q.Owner).Because(err)
	}
	f, err := runtime.Foreign(ctx, q.Container)
	if err != nil {
		return w, err
	}
	if f.Shared {
		return w, masu.E(masu.Conflict, "adopt_network", f.Name)
	}
	gpus, err := s.l.gpusOf(ctx, f)
	if err != nil {
		return w, err
	}
	now := time.Now()
	w = masu.Workspace{ID: f.ID, Owner: u.Name, Image: f.Image, CreatedAt: now, ChangedAt: now, Phase: masu.Stopped, Adopted: &masu.Adoption{Container: f.Name, Apps: apps}}
	err = s.l.cfg.Store.Update(ctx, func(tx masu.Tx) error {
		if _, err := tx.Workspace(w.ID); err == nil {
			return masu.E(masu.Conflict, "adopt_twice", f.Name)
		}
		all, err := tx.Workspaces()
		if err != nil {
			return err
		}
		if err := s.nameAdopted(&w, all, q.Name); err != nil {
			return err
		}
		if f.State == masu.BoxRunning {
			w.Phase, w.Apps, w.GPUs = masu.Running, ready(apps), gpus
			if err := lendTo(tx, w); err != nil {
				return err
			}
		}
		return tx.PutWorkspace(w)
	})
	if err != nil {
		return masu.Workspace{}, err
	}
	s.l.hub.send(w)
	return w, nil
}

// nameAdopted finds a name as workspaceFor does for the others.
func (s *service) nameAdopted(w *masu.Workspace, all []masu.Workspace, name string) error {
	if name == "" {
		name = s.l.cfg.NameFor(w.Adopted.Container)
	}
	if !masu.ValidWorkspaceName(name) {
		return masu.E(masu.Invalid, "workspace_name", name)
	}
	w.Name, w.Label = unused(all, w.Owner, name)
	return nil
}

// adoptedApps checks what a container is said to serve.
func adoptedApps(ports map[string]int) ([]masu.App, error) {
	var apps []masu.App
	for name, port := range ports {
		if !masu.ValidAppName(name) || port < 1 || port > 65535 {
			return nil, masu.E(masu.Invalid, "adopt_wish")
		}
		apps = append(apps, masu.App{Name: name, Port: port})
	}
	slices.SortFunc(apps, func(a, b masu.App) int { return strings.Compare(a.Name, b.Name) })
	if ports["jupyter"] == 0 || len(apps) > 20 {
		return nil, masu.E(masu.Invalid, "adopt_wish")
	}
	return apps, nil
}

func ready(apps []masu.App) []masu.App {
	all := slices.Clone(apps)
	for i := range all {
		all[i].Ready = true // whether it answers, whoever opens it sees
	}
	return all
}

// gpusOf finds the GPUs with which a container was made.
func (l *Lab) gpusOf(ctx context.Context, f masu.Foreign) (ids []masu.GPUID, err error) {
	if len(f.GPUs) == 0 {
		return nil, nil
	}
	all, err := l.cfg.Inventory.GPUs(ctx)
	if err != nil {
		return nil, err
	}
	for _, g := range all {
		if slices.Contains(f.GPUs, "all") || slices.Contains(f.GPUs, string(g.ID)) || slices.Contains(f.GPUs, strconv.Itoa(g.Index)) {
			ids = append(ids, g.ID)
		}
	}
	return ids, nil
}

// lendTo writes down that a workspace holds its GPUs, in the caller's transaction.
func lendTo(tx masu.Tx, w masu.Workspace) error {
	if len(w.GPUs) == 0 {
		return nil
	}
	return tx.PutLease(masu.Lease{ID: masu.LeaseID(newID()), Workspace: w.ID, Holder: w.Owner, GPUs: w.GPUs, From: time.Now().UTC()})
}

// Unadopt lets go of a container.
func (s *service) Unadopt(ctx context.Context, name string) (err error) {
	if err := s.admin(); err != nil {
		return err
	}
	w, err := s.find(ctx, name)
	if err != nil {
		return err
	}
	defer func() { s.l.record(ctx, s.actor, "unadopt", w.Label, err) }()
	if w.Adopted == nil {
		return masu.E(masu.Conflict, "not_adopted", w.Name)
	}
	if err := s.l.endLease(ctx, w.ID); err != nil {
		return err
	}
	if err := s.l.cfg.Store.Update(ctx, func(tx masu.Tx) error { return tx.DeleteWorkspace(w.ID) }); err != nil {
		return err
	}
	s.l.hub.send(masu.Workspace{ID: w.ID, Owner: w.Owner, Name: w.Name, Label: w.Label, Guests: w.Guests})
	return nil
}

// wake starts an adopted container that has stopped.
func (s *service) wake(ctx context.Context, w masu.Workspace, restart bool) (masu.Workspace, error) {
	runtime, ok := s.l.cfg.Runtime.(masu.Adopter)
	if !ok {
		return w, masu.E(masu.Invalid, "adopt_not_here")
	}
	if w.Phase == masu.Running && !restart {
		return w, nil
	}
	if err := s.mayBegin(ctx); err != nil {
		return w, err
	}
	op, err := s.l.takeOver(ctx, w.ID)
	if err != nil {
		return w, err
	}
	defer s.l.release(w.ID, op)
	if restart {
		if _, err := s.l.halt(ctx, w.ID, nil); err != nil {
			return w, err
		}
	}
	f, err := runtime.Foreign(ctx, string(w.ID))
	if err != nil {
		return w, err
	}
	gpus, err := s.l.gpusOf(ctx, f)
	if err != nil {
		return w, err
	}
	w.GPUs = gpus
	if err := s.l.cfg.Store.Update(ctx, func(tx masu.Tx) error { return lendTo(tx, w) }); err != nil {
		return w, err // somebody else holds what it would use
	}
	if err := runtime.Wake(ctx, w.ID); err != nil {
		_ = s.l.endLease(ctx, w.ID) // the reconciler does it too
		return w, err
	}
	return s.l.awake(ctx, w.ID, gpus)
}

func (l *Lab) awake(ctx context.Context, id masu.WorkspaceID, gpus []masu.GPUID) (masu.Workspace, error) {
	return l.update(ctx, id, func(w *masu.Workspace) {
		w.Phase, w.Trouble, w.GPUs, w.Apps, w.UsedAt = masu.Running, nil, gpus, ready(w.Adopted.Apps), time.Now()
	})
}

// settleAdopted brings a workspace in step with a container that others start and stop too.
func (l *Lab) settleAdopted(ctx context.Context, w masu.Workspace) error {
	runtime, ok := l.cfg.Runtime.(masu.Adopter)
	if !ok {
		return nil
	}
	op := l.claim(w.ID)
	if op == nil {
		return nil
	}
	defer l.release(w.ID, op)
	f, err := runtime.Foreign(ctx, string(w.ID))
	has := masu.KindOf(err) != masu.NotFound || err == nil
	if err != nil && has {
		return err
	}
	alive := has && (f.State == masu.BoxRunning || f.State == masu.BoxPaused)
	switch {
	case alive && w.Phase != masu.Running:
		gpus, err := l.gpusOf(ctx, f)
		if err != nil {
			return err
		}
		w.GPUs = gpus
		if err := l.cfg.Store.Update(ctx, func(tx masu.Tx) error { return lendTo(tx, w) }); masu.KindOf(err) == masu.Conflict && err != nil {
			l.log.Warn("a container that was started by hand uses GPUs that are lent to somebody else", "container", f.Name, "gpus", gpus)
			gpus = nil
		} else if err != nil {
			return err
		}
		_, err = l.awake(ctx, w.ID, gpus)
		return err
	case !alive && w.Phase == masu.Running:
		return l.died(ctx, w, masu.BoxStatus{ID: w.ID, State: f.State, ExitCode: f.ExitCode, OOM: f.OOM}, has, false)
	}
	return nil
}
