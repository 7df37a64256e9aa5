package lab

import (
	"context"
	"slices"
	"strings"

	"github.com/masu-lab/masu"
)

// holderNamed finds what holds GPUs under a name: a workspace, or one of the actor's runs by its name or ID.
func (s *service) holderNamed(ctx context.Context, name string) (id masu.WorkspaceID, label string, err error) {
	w, err := s.find(ctx, name)
	if masu.KindOf(err) != masu.NotFound || err == nil {
		return w.ID, w.Label, err
	}
	lease, rerr := s.runLease(ctx, name)
	if rerr != nil {
		return "", "", rerr
	}
	if lease == nil {
		return "", "", err
	}
	return lease.Workspace, string(lease.Workspace), nil
}

// runLease finds what is lent to one of the actor's runs, of any member's to an
// admin who gives its ID; nil if there is none. Of an array only an ID tells which is meant.
func (s *service) runLease(ctx context.Context, name string) (*masu.Lease, error) {
	var leases []masu.Lease
	if err := s.l.cfg.Store.View(ctx, func(tx masu.Tx) (err error) { leases, err = tx.Leases(); return err }); err != nil {
		return nil, err
	}
	s.l.mu.Lock()
	leases = slices.DeleteFunc(leases, func(x masu.Lease) bool { return s.l.runs[x.Workspace] == nil })
	s.l.mu.Unlock()
	var ids []string
	var found *masu.Lease
	for i, lease := range leases {
		mine := lease.Holder == s.actor.Name
		if string(lease.Workspace) == name && (mine || s.actor.Admin) {
			return &leases[i], nil
		}
		if mine && lease.Name == name {
			found, ids = &leases[i], append(ids, string(lease.Workspace))
		}
	}
	if len(ids) > 1 {
		return nil, masu.E(masu.Conflict, "run_which", name, strings.Join(ids, ", "))
	}
	return found, nil
}

// releaseRun gives a run's GPUs back, which ends it.
func (s *service) releaseRun(ctx context.Context, name string) (w masu.Workspace, err error) {
	lease, err := s.runLease(ctx, name)
	if err == nil && lease == nil {
		err = masu.E(masu.NotFound, "no_workspace", name)
	}
	if err != nil {
		return w, err
	}
	defer func() { s.l.record(ctx, s.actor, "release", string(lease.Workspace), err) }()
	if lease.Holder != s.actor.Name {
		return w, masu.E(masu.Denied, "not_owner")
	}
	w = masu.Workspace{ID: lease.Workspace, Owner: lease.Holder, Name: lease.Name, Phase: masu.Stopped}
	if _, err = s.l.cancelRun(ctx, lease.Workspace); masu.KindOf(err) != masu.NotFound || err == nil {
		return w, err
	}
	if err = s.l.cfg.Runtime.Stop(ctx, lease.Workspace, stopGrace); err != nil { // one at a terminal
		return w, err
	}
	return w, s.l.endLease(ctx, lease.Workspace)
}

// askForRun tells the holder of a run's GPUs, once, that the actor would like to have them.
func (s *service) askForRun(ctx context.Context, lease masu.Lease) error {
	s.l.mu.Lock()
	g := s.l.runs[lease.Workspace]
	news := g != nil && lease.Holder != s.actor.Name && !slices.Contains(g.asked, s.actor.Name)
	if news {
		g.asked = append(g.asked, s.actor.Name)
	}
	s.l.mu.Unlock()
	if !news {
		return nil
	}
	if _, err := s.l.updateRun(ctx, lease.Workspace, func(r *masu.Run) {
		if !slices.Contains(r.Asked, s.actor.Name) {
			r.Asked = append(r.Asked, s.actor.Name)
		}
	}); err != nil && masu.KindOf(err) != masu.NotFound { // one at a terminal is not written down
		return err
	}
	n := notice{occasion: masu.OccasionAsked, lease: &lease, args: []string{string(s.actor.Name)}}
	s.l.tell(ctx, lease.Holder, n)
	s.l.sayToRun(lease, n)
	return nil
}
