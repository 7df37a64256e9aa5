package masutest

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/masu-lab/masu"
)

// reach is how far apps may be shared; it is called with the lock held.
func (s *fakeActor) reach() masu.Reach {
	switch set := s.people.rules.ShareApps; {
	case !s.mayAdmit():
		return masu.ReachNobody
	case set != nil:
		return *set
	}
	return masu.ReachColleagues
}

// seen is what the actor may see of a workspace; it is called with the lock held.
func (s *fakeActor) seen(r *room) (masu.Workspace, bool) {
	w, reach := r.Workspace, s.reach()
	if w.Owner != s.actor.Name {
		w.Shares = slices.DeleteFunc(slices.Clone(w.Shares), func(x masu.AppShare) bool { return !reach.Covers(x) })
	}
	return w.ShownTo(s.actor.Name)
}

// shown finds what the actor may see of a workspace, with whom an app was shared too; it is called with the lock held.
func (s *fakeActor) shown(name string) (*room, masu.Workspace, error) {
	if r, err := s.open(name); err == nil {
		return r, r.Workspace, nil
	}
	for _, r := range s.rooms {
		if w, ok := s.seen(r); ok && (name == string(r.ID) || name == string(r.Owner)+"/"+r.Name) {
			return r, w, nil
		}
	}
	return nil, masu.Workspace{}, masu.E(masu.NotFound, "no_workspace", name)
}

// ShareApp is masu.AppSharing's.
func (s *fakeActor) ShareApp(ctx context.Context, name string, x masu.AppShare) (masu.Workspace, error) {
	err := s.program(name, x.App, func(r *room) error {
		wish, wished := r.Wish(x.App)
		_, there := r.App(x.App)
		switch reach := s.reach(); {
		case (x.With == "") != x.Lab:
			return masu.E(masu.Invalid, "share_app_whom")
		case x.With == r.Owner:
			return masu.E(masu.Conflict, "guest_is_owner", r.Name)
		case x.Lab && reach == masu.ReachColleagues:
			return masu.E(masu.Denied, "share_app_lab_forbidden")
		case !reach.Covers(x):
			return masu.E(masu.Denied, "share_app_forbidden")
		case !wished && there:
			return masu.E(masu.Invalid, "share_app_by_hand", x.App)
		case !wished:
			return masu.E(masu.NotFound, "no_app", x.App)
		case x.Lab && wish.Shell():
			return masu.E(masu.Denied, "share_app_shell", x.App)
		case strings.HasPrefix(string(x.With), "nobody"):
			return masu.E(masu.NotFound, "no_member", x.With)
		}
		if !slices.ContainsFunc(r.Shares, x.Same) {
			x.Port, x.Command = wish.Port, wish.Command
			r.Shares = append(slices.Clone(r.Shares), x)
			r.Opened, r.ChangedAt = true, time.Now()
			s.changed()
		}
		return nil
	})
	if err != nil {
		return masu.Workspace{}, err
	}
	return s.Workspace(ctx, name)
}

// UnshareApp is masu.AppSharing's.
func (s *fakeActor) UnshareApp(_ context.Context, name string, x masu.AppShare) (masu.Workspace, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, w, err := s.shown(name)
	if err == nil && r.Owner != s.actor.Name && x.With != s.actor.Name && !s.actor.Admin {
		err = masu.E(masu.NotFound, "no_workspace", name)
	}
	if err == nil && !slices.ContainsFunc(w.Shares, x.Same) {
		err = masu.E(masu.NotFound, "no_app_share", x.App)
	}
	if err != nil {
		return masu.Workspace{}, err
	}
	r.Shares = slices.DeleteFunc(slices.Clone(r.Shares), x.Same)
	s.changed()
	left, _ := s.seen(r)
	return left, nil
}
