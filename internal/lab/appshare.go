package lab

import (
	"context"
	"errors"
	"slices"

	"github.com/masu-lab/masu"
)

// sharesMost is how many shares of apps a workspace has.
const sharesMost = 100

// reach is how far members may share apps now. Where workspaces may be open to nobody, no app is.
func (l *Lab) reach() masu.Reach {
	p := l.policy()
	if l.cfg.Personal || !p.Guests {
		return masu.ReachNobody
	}
	return p.ShareApps
}

// shown is what somebody who is no admin may see of a workspace. A share that
// goes farther than is allowed now opens nothing.
func (l *Lab) shown(w masu.Workspace, to masu.Username) (masu.Workspace, bool) {
	if w.Owner != to && len(w.Shares) > 0 {
		reach := l.reach()
		w.Shares = slices.DeleteFunc(slices.Clone(w.Shares), func(x masu.AppShare) bool { return !reach.Covers(x) })
	}
	return w.ShownTo(to)
}

// shareObject is how the audit log names a share.
func shareObject(w masu.Workspace, x masu.AppShare) string {
	whom := string(x.With)
	if x.Lab {
		whom = "(lab)"
	}
	return w.Label + " " + x.App + " " + whom
}

// ShareApp lets a colleague, or the lab, open one app.
func (s *service) ShareApp(ctx context.Context, name string, x masu.AppShare) (masu.Workspace, error) {
	w, err := s.program(ctx, name, "app share", x.App)
	if err != nil {
		return masu.Workspace{}, err
	}
	defer func() { s.l.record(ctx, s.actor, "app share", shareObject(w, x), err) }()
	if err = s.sharable(ctx, w, x); err != nil {
		return masu.Workspace{}, err
	}
	var refusal error
	changed, err := s.l.update(ctx, w.ID, func(w *masu.Workspace) {
		wish, ok := w.Wish(x.App) // as it is by now
		refusal = nil
		switch {
		case !ok:
			refusal = masu.E(masu.NotFound, "no_app", x.App)
		case slices.ContainsFunc(w.Shares, x.Same):
		case len(w.Shares) >= sharesMost:
			refusal = masu.E(masu.Full, "app_shares_full", sharesMost)
		default:
			x.Port, x.Command = wish.Port, wish.Command
			w.Opened = true
			w.Shares = append(w.Shares, x)
		}
	})
	if err == nil {
		err = refusal
	}
	return changed, err
}

// sharable refuses what cannot be shared, or not so far.
func (s *service) sharable(ctx context.Context, w masu.Workspace, x masu.AppShare) error {
	wish, wished := w.Wish(x.App)
	_, there := w.App(x.App)
	switch reach := s.l.reach(); {
	case (x.With == "") != x.Lab:
		return masu.E(masu.Invalid, "share_app_whom")
	case x.With == w.Owner:
		return masu.E(masu.Conflict, "guest_is_owner", w.Name)
	case !reach.Covers(x) && x.Lab && reach != masu.ReachNobody:
		return masu.E(masu.Denied, "share_app_lab_forbidden")
	case !reach.Covers(x):
		return masu.E(masu.Denied, "share_app_forbidden")
	case !wished && there:
		return masu.E(masu.Invalid, "share_app_by_hand", x.App)
	case !wished:
		return masu.E(masu.NotFound, "no_app", x.App)
	case x.Lab && wish.Shell():
		return masu.E(masu.Denied, "share_app_shell", x.App)
	case x.Lab:
		return nil
	}
	return s.isMember(ctx, x.With)
}

// isMember refuses a name that no member has.
func (s *service) isMember(ctx context.Context, name masu.Username) error {
	u, err := s.l.cfg.Accounts.ByName(name)
	if err == nil {
		_, err = s.l.admit(ctx, u)
	}
	if err != nil {
		return masu.E(masu.NotFound, "no_member", name).Because(err)
	}
	return nil
}

// UnshareApp takes a share back, and ends what is open by it.
func (s *service) UnshareApp(ctx context.Context, name string, x masu.AppShare) (w masu.Workspace, err error) {
	if w, err = s.shown(ctx, name); err != nil {
		return w, err
	}
	if w.Owner != s.actor.Name && x.With != s.actor.Name && !s.actor.Admin {
		return masu.Workspace{}, masu.E(masu.NotFound, "no_workspace", name)
	}
	if !slices.ContainsFunc(w.Shares, x.Same) {
		return masu.Workspace{}, masu.E(masu.NotFound, "no_app_share", x.App)
	}
	defer func() { s.l.record(ctx, s.actor, "app unshare", shareObject(w, x), err) }()
	changed, err := s.l.update(ctx, w.ID, func(w *masu.Workspace) {
		w.Shares = slices.DeleteFunc(slices.Clone(w.Shares), x.Same)
	})
	if err == nil {
		err = s.l.endShares(ctx, changed, []masu.AppShare{x})
	}
	if err != nil || s.actor.Admin {
		return changed, err
	}
	left, _ := s.l.shown(changed, s.actor.Name)
	return left, nil
}

// dropped writes down that shares are gone because their apps are, and ends what is open by them.
func (s *service) dropped(ctx context.Context, w masu.Workspace, lost []masu.AppShare) error {
	for _, x := range lost {
		s.l.record(ctx, s.actor, "app unshare", shareObject(w, x), nil)
	}
	return s.l.endShares(ctx, w, lost)
}

// endShares ends what people have open by shares that are no more. What else
// of the workspace is theirs to open, they enter anew.
func (l *Lab) endShares(ctx context.Context, w masu.Workspace, lost []masu.AppShare) error {
	if len(lost) == 0 {
		return nil
	}
	_, err := l.endSessions(ctx, "", func(x masu.Session) bool {
		return x.For == w.ID && x.User != w.Owner && !w.Guest(x.User) &&
			slices.ContainsFunc(lost, func(s masu.AppShare) bool { return s.Opens(x.User) })
	})
	return err
}

// shutShares ends what is open by shares that go farther than is allowed by now.
func (l *Lab) shutShares(ctx context.Context) error {
	all, err := l.everything(ctx)
	if err != nil {
		return err
	}
	reach := l.reach()
	for _, w := range all {
		lost := slices.DeleteFunc(slices.Clone(w.Shares), reach.Covers)
		if len(lost) > 0 {
			l.hub.send(w)
			err = errors.Join(err, l.endShares(ctx, w, lost))
		}
	}
	return err
}
