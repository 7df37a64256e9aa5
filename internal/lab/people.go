package lab

import (
	"cmp"
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/masu-lab/masu"
	"github.com/masu-lab/masu/internal/metrics"
)

const (
	inviteFor   = 7 * 24 * time.Hour
	tokenPrefix = "masu_" // so that people, and programs that look for leaked secrets, know one
	tokensMost  = 50
	nameMost    = 60
	bannerMost  = 500
	objectMost  = 500 // characters of what a line of the audit log is about
	eventsMost  = 1000
)

// Sessions lists the actor's signed-in browsers.
func (s *service) Sessions(ctx context.Context) (list []masu.Session, err error) {
	err = s.l.cfg.Store.View(ctx, func(tx masu.Tx) error { list, err = tx.Sessions(s.actor.Name); return err })
	list = slices.DeleteFunc(list, func(x masu.Session) bool { return x.For != "" })
	slices.Reverse(list)
	return list, err
}

// EndSession signs one of the actor's browsers out.
func (s *service) EndSession(ctx context.Context, hash string) error {
	n, err := s.l.endSessions(ctx, s.actor.Name, func(x masu.Session) bool { return x.Hash == hash || x.Parent == hash })
	if err == nil && n == 0 {
		return masu.E(masu.NotFound, "no_session")
	}
	s.l.record(ctx, s.actor, "signout", "", err)
	return err
}

// endSessions ends those sessions of a member that match, and tells how many there were.
func (l *Lab) endSessions(ctx context.Context, user masu.Username, match func(masu.Session) bool) (int, error) {
	var ended []masu.Session
	err := l.cfg.Store.Update(ctx, func(tx masu.Tx) error {
		ended = nil
		all, err := tx.Sessions(user)
		for _, x := range all {
			if err == nil && match(x) {
				ended = append(ended, x)
				err = tx.DeleteSession(x.Hash)
			}
		}
		return err
	})
	if err != nil {
		return 0, err
	}
	l.gate.tellSessions(ended)
	return len(ended), nil
}

// Tokens lists the actor's.
func (s *service) Tokens(ctx context.Context) (list []masu.Token, err error) {
	err = s.l.cfg.Store.View(ctx, func(tx masu.Tx) error { list, err = tx.Tokens(s.actor.Name); return err })
	for i := range list {
		list[i].Hash = ""
	}
	return list, err
}

// NewToken makes a token. Nobody makes one with a token: it could outlive itself.
func (s *service) NewToken(ctx context.Context, w masu.TokenWish) (k masu.NewToken, err error) {
	if s.actor.Door == masu.DoorToken {
		return k, masu.E(masu.Denied, "not_by_token")
	}
	if w.Name = strings.TrimSpace(w.Name); !printable(w.Name, nameMost) || w.Name == "" || !w.Scope.Valid() || w.Days < 1 || w.Days > w.Scope.MostDays() {
		return k, masu.E(masu.Invalid, "token_wish", w.Scope.MostDays())
	}
	now := time.Now()
	k.Secret = tokenPrefix + secret()
	k.Token = masu.Token{ID: string(newID()), Hash: hashOf(k.Secret), User: s.actor.Name, Name: w.Name, Scope: w.Scope, At: now, Expires: now.AddDate(0, 0, w.Days)}
	err = s.l.cfg.Store.Update(ctx, func(tx masu.Tx) error {
		all, err := tx.Tokens(s.actor.Name)
		for _, old := range all {
			if err == nil && old.Scope == masu.ScopeCalendar && w.Scope == masu.ScopeCalendar {
				err = tx.DeleteToken(old.ID)
			}
		}
		if err == nil && len(all) >= tokensMost {
			err = masu.E(masu.Full, "tokens_full", tokensMost)
		}
		if err == nil {
			err = tx.PutToken(k.Token)
		}
		return err
	})
	s.l.record(ctx, s.actor, "token", k.ID, err)
	if err != nil {
		return masu.NewToken{}, err
	}
	k.Hash = ""
	return k, nil
}

// printable tells whether a text may be shown on one line.
func printable(s string, most int) bool {
	return utf8.ValidString(s) && utf8.RuneCountInString(s) <= most && !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) })
}

// brief is the beginning of a text, without what a terminal would obey.
func brief(s string, most int) string {
	var b strings.Builder
	for _, r := range s {
		if most--; most < 0 {
			return b.String() + "…"
		}
		if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) {
			r = utf8.RuneError
		}
		b.WriteRune(r)
	}
	return b.String()
}

// DeleteToken ends one of the actor's.
func (s *service) DeleteToken(ctx context.Context, id string) error {
	err := s.l.cfg.Store.Update(ctx, func(tx masu.Tx) error {
		all, err := tx.Tokens(s.actor.Name)
		if err == nil && !slices.ContainsFunc(all, func(k masu.Token) bool { return k.ID == id }) {
			err = masu.E(masu.NotFound, "no_token")
		}
		if err == nil {
			err = tx.DeleteToken(id)
		}
		return err
	})
	s.l.record(ctx, s.actor, "token rm", id, err)
	if err == nil {
		s.l.gate.tellEnded(masu.Ending{Token: id})
	}
	return err
}

// ByToken finds whose a token is. The address of a calendar is none.
func (l *Lab) ByToken(ctx context.Context, code string) (masu.User, masu.Token, error) {
	return l.byToken(ctx, code, func(s masu.Scope) bool { return s != masu.ScopeCalendar })
}

// ByFeed finds whose calendar asks. It makes whoever guesses wait, and a program that asks without end.
func (l *Lab) ByFeed(ctx context.Context, code string, from netip.Addr) (masu.User, error) {
	address := "feed from " + neighbourhood(from)
	if wait := l.gate.tooOften(address); wait > 0 {
		return masu.User{}, masu.E(masu.Full, "signin_too_often", int(wait/time.Second)+1)
	}
	u, k, err := l.byToken(ctx, code, func(s masu.Scope) bool { return s == masu.ScopeCalendar })
	if err != nil {
		return masu.User{}, err
	}
	l.gate.forgive(address)
	if wait := l.gate.tooOften("feed " + k.ID); wait > 0 {
		return masu.User{}, masu.E(masu.Full, "signin_too_often", int(wait/time.Second)+1)
	}
	return u, nil
}

func (l *Lab) byToken(ctx context.Context, code string, fits func(masu.Scope) bool) (u masu.User, k masu.Token, err error) {
	err = l.cfg.Store.View(ctx, func(tx masu.Tx) error { k, err = tx.Token(hashOf(code)); return err })
	if err == nil {
		u, err = l.cfg.Accounts.ByName(k.User)
	}
	if err == nil {
		u, err = l.admit(ctx, u)
	}
	if err != nil || !fits(k.Scope) {
		l.turnedAway(metrics.ByToken)
		return masu.User{}, masu.Token{}, wrong()
	}
	if now := time.Now(); now.Sub(k.UsedAt) > time.Hour {
		k.UsedAt = now
		if err := l.cfg.Store.Update(ctx, func(tx masu.Tx) error { return tx.PutToken(k) }); err != nil {
			l.log.Warn("note a token's use", "error", err)
		}
	}
	return u, k, nil
}

// Events lists what was done; members see what they did themselves.
func (s *service) Events(ctx context.Context, q masu.EventQuery) (list []masu.Event, err error) {
	if !s.actor.Admin {
		if q.Actor != "" && q.Actor != s.actor.Name {
			return nil, masu.E(masu.Denied, "not_admin")
		}
		q.Actor = s.actor.Name
	}
	q.Limit = min(max(q.Limit, 1), eventsMost)
	err = s.l.cfg.Store.View(ctx, func(tx masu.Tx) error { list, err = tx.FindEvents(q); return err })
	return list, err
}

func (s *service) admin() error {
	if !s.actor.Admin {
		return masu.E(masu.Denied, "not_admin")
	}
	return nil
}

// Members lists everybody who may use the lab.
func (s *service) Members(ctx context.Context) ([]masu.MemberUse, error) {
	if !s.actor.Admin && s.actor.Role != masu.RoleTeacher {
		return nil, masu.E(masu.Denied, "not_admin")
	}
	accounts, err := s.l.cfg.Accounts.All()
	if err != nil {
		return nil, err
	}
	uses := map[masu.Username]*masu.MemberUse{}
	for _, u := range accounts {
		uses[u.Name] = &masu.MemberUse{Name: u.Name, UID: u.UID, ByHost: u.Admin}
	}
	err = s.l.cfg.Store.View(ctx, func(tx masu.Tx) error {
		members, err := tx.Members()
		if err != nil {
			return err
		}
		for _, m := range members {
			use := knownAs(uses, m.Name)
			use.Role, use.Disabled, use.Password, use.Limits = m.Role, m.Disabled, m.Password != "", m.Limits
		}
		leases, err := tx.Leases()
		if err != nil {
			return err
		}
		for _, lease := range leases {
			knownAs(uses, lease.Holder).GPUs += len(lease.GPUs)
		}
		all, err := tx.Workspaces()
		for _, w := range all {
			use := knownAs(uses, w.Owner)
			use.Workspaces++
			if w.Phase == masu.Running {
				use.Running++
			}
			if w.UsedAt.After(use.UsedAt) {
				use.UsedAt = w.UsedAt
			}
		}
		return err
	})
	list := make([]masu.MemberUse, 0, len(uses))
	for _, use := range uses {
		if use.ByHost {
			use.Role = masu.RoleAdmin
		}
		list = append(list, *use)
	}
	slices.SortFunc(list, func(a, b masu.MemberUse) int { return cmp.Compare(a.Name, b.Name) })
	return list, err
}

// knownAs finds a member's line, also of one whose login has gone from the host.
func knownAs(uses map[masu.Username]*masu.MemberUse, name masu.Username) *masu.MemberUse {
	if uses[name] == nil {
		uses[name] = &masu.MemberUse{Name: name, Gone: true}
	}
	return uses[name]
}

// ChangeMember changes what masu keeps about a member.
func (s *service) ChangeMember(ctx context.Context, name masu.Username, c masu.MemberChange) (err error) {
	if err := s.admin(); err != nil {
		return err
	}
	defer func() { s.l.record(ctx, s.actor, "member", string(name), err) }()
	if err := s.allowed(ctx, name, c); err != nil {
		return err
	}
	less := c.Disabled != nil && *c.Disabled
	var limits masu.MemberLimits
	if err := s.l.member(ctx, name, func(m *masu.Member) {
		if c.Role != nil {
			less = less || c.Role.Below(m.Role)
			m.Role = *c.Role
		}
		if c.Disabled != nil {
			m.Disabled = *c.Disabled
		}
		m.Limits = m.Limits.With(c.Limits)
		limits = m.Limits
	}); err != nil {
		return err
	}
	s.l.limit(name, limits)
	if less { // what they have open was opened as what they are no more
		s.l.gate.tellEnded(masu.Ending{Member: name})
	}
	if c.Disabled != nil && *c.Disabled {
		return s.l.endAll(ctx, name)
	}
	return nil
}

// allowed refuses changes that make no sense, or that would leave nobody in charge.
func (s *service) allowed(ctx context.Context, name masu.Username, c masu.MemberChange) error {
	if c.Role != nil && !c.Role.Valid() {
		return masu.E(masu.Invalid, "member_change")
	}
	if !c.Limits.Valid() {
		return masu.E(masu.Invalid, "limits_wrong", masu.LeastSize)
	}
	if name == s.actor.Name && (c.Disabled != nil && *c.Disabled || c.Role != nil && *c.Role != masu.RoleAdmin) {
		return masu.E(masu.Conflict, "not_yourself")
	}
	if _, err := s.l.cfg.Accounts.ByName(name); err == nil {
		return nil
	}
	return s.l.cfg.Store.View(ctx, func(tx masu.Tx) error { // one who left may still be disabled
		if _, err := tx.Member(name); err == nil {
			return nil
		}
		all, err := tx.Workspaces()
		if err == nil && !slices.ContainsFunc(all, func(w masu.Workspace) bool { return w.Owner == name }) {
			err = masu.E(masu.NotFound, "no_member", name)
		}
		return err
	})
}

// endAll ends everything that a member has going: browsers at once, runs that
// go on or wait as a cancel does, boxes as a stop does.
func (l *Lab) endAll(ctx context.Context, name masu.Username) error {
	if _, err := l.endSessions(ctx, name, func(masu.Session) bool { return true }); err != nil {
		return err
	}
	all, err := l.everything(ctx)
	if err != nil {
		return err
	}
	err = l.cancelRuns(ctx, name)
	why := masu.E(masu.Denied, "member_disabled")
	for _, w := range all {
		if w.Owner != name || w.Phase == masu.Stopped || w.Phase == masu.Failed {
			continue
		}
		op, terr := l.takeOver(ctx, w.ID)
		if terr == nil {
			_, terr = l.halt(ctx, w.ID, &masu.Trouble{Kind: why.Kind, Code: why.Code})
			l.release(w.ID, op)
		}
		err = errors.Join(err, terr)
	}
	return err
}

// Invite makes a first way in for somebody.
func (s *service) Invite(ctx context.Context, name masu.Username) (link masu.OpenLink, err error) {
	if err := s.admin(); err != nil {
		return link, err
	}
	defer func() { s.l.record(ctx, s.actor, "invite", string(name), err) }()
	u, err := s.l.cfg.Accounts.ByName(name)
	if err != nil {
		return link, masu.E(masu.NotFound, "no_member", name).Because(err)
	}
	if _, err := s.l.admit(ctx, u); err != nil {
		return link, err
	}
	link.Expires = time.Now().Add(inviteFor)
	code, err := s.l.link(ctx, masu.Link{User: name, Next: "/settings"}, inviteFor)
	link.URL = s.l.cfg.Origins.Pages() + "/enter?code=" + code
	return link, err
}

// VerifyEvents examines the audit log, where the store keeps it so that it can be examined.
func (s *service) VerifyEvents(ctx context.Context) error {
	if err := s.admin(); err != nil {
		return err
	}
	v, ok := s.l.cfg.Store.(interface{ VerifyEvents(context.Context) error })
	if !ok {
		return nil
	}
	return v.VerifyEvents(ctx)
}

// SetHouse says what everybody should know, and closes or opens the house.
func (s *service) SetHouse(ctx context.Context, h masu.House) (err error) {
	if err := s.admin(); err != nil {
		return err
	}
	defer func() { s.l.record(ctx, s.actor, "house", "", err) }()
	if h.Banner = strings.TrimSpace(h.Banner); !printable(h.Banner, bannerMost) {
		return masu.E(masu.Invalid, "banner_wrong", bannerMost)
	}
	var old masu.House
	err = s.l.cfg.Store.Update(ctx, func(tx masu.Tx) (err error) {
		if old, err = tx.House(); err != nil {
			return err
		}
		return tx.PutHouse(h)
	})
	if err == nil {
		s.l.tellHouse(old, h)
	}
	return err
}

// mayBegin refuses what is new while the house is closed, but to admins, and on a disk that is nearly full.
func (s *service) mayBegin(ctx context.Context) error {
	var h masu.House
	if err := s.l.cfg.Store.View(ctx, func(tx masu.Tx) (err error) { h, err = tx.House(); return err }); err != nil {
		return err
	}
	if h.Closed(time.Now()) && !s.actor.Admin {
		return masu.E(masu.Full, "house_closed")
	}
	return s.l.roomy(ctx)
}
