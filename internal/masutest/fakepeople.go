package masutest

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/masu-lab/masu"
)

// people is who the fake lab knows, and what it keeps about them.
type people struct {
	members map[masu.Username]*masu.Member
	tokens  []masu.Token
	keys    []masu.SSHKey
	events  []masu.Event
	house   masu.House
	rules   masu.Rules
}

// note appends to the log; it is called with the lock held.
func (s *fakeActor) note(verb, object string, err error) {
	s.people.events = append(s.people.events, masu.Event{Seq: int64(len(s.people.events)) + 1, At: time.Now(), Actor: s.actor.Name, Door: s.actor.Door,
		Verb: verb, Object: object, Code: masu.CodeOf(err)})
}

// meet remembers that the actor is a member; it is called with the lock held.
func (s *fakeActor) meet(name masu.Username) *masu.Member {
	if s.people.members == nil {
		s.people.members = map[masu.Username]*masu.Member{}
	}
	m := s.people.members[name]
	if m == nil {
		m = &masu.Member{Name: name}
		s.people.members[name] = m
	}
	return m
}

func (s *fakeActor) Sessions(context.Context) ([]masu.Session, error) { return nil, nil }

func (s *fakeActor) EndSession(context.Context, string) error {
	return masu.E(masu.NotFound, "no_session")
}

func (s *fakeActor) Tokens(context.Context) (list []masu.Token, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, k := range s.people.tokens {
		if k.User == s.actor.Name {
			list = append(list, k)
		}
	}
	return list, nil
}

func (s *fakeActor) NewToken(_ context.Context, w masu.TokenWish) (k masu.NewToken, err error) {
	if w.Name == "" || strings.ContainsAny(w.Name, "\n\x00") || !w.Scope.Valid() || w.Days < 1 || w.Days > w.Scope.MostDays() {
		return k, masu.E(masu.Invalid, "token_wish", w.Scope.MostDays())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	k = masu.NewToken{Token: masu.Token{ID: string(newID()), User: s.actor.Name, Name: w.Name, Scope: w.Scope, At: now, Expires: now.AddDate(0, 0, w.Days)}, Secret: "masu_" + string(newID())}
	s.people.tokens = slices.DeleteFunc(s.people.tokens, func(old masu.Token) bool {
		return old.User == s.actor.Name && old.Scope == masu.ScopeCalendar && w.Scope == masu.ScopeCalendar
	})
	s.people.tokens = append(s.people.tokens, k.Token)
	s.note("token", k.ID, nil)
	return k, nil
}

func (s *fakeActor) DeleteToken(_ context.Context, id string) (err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	before := len(s.people.tokens)
	s.people.tokens = slices.DeleteFunc(s.people.tokens, func(k masu.Token) bool { return k.ID == id && k.User == s.actor.Name })
	if len(s.people.tokens) == before {
		err = masu.E(masu.NotFound, "no_token")
	}
	s.note("token rm", id, err)
	return err
}

func (s *fakeActor) Notices(context.Context) (masu.NotifyWish, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.meet(s.actor.Name).Notify, nil
}

func (s *fakeActor) SetNotices(_ context.Context, n masu.NotifyWish) error {
	for _, o := range n.On {
		if !slices.Contains(masu.Occasions(), o) {
			return masu.E(masu.Invalid, "notify_wish", o)
		}
	}
	if n.Webhook != "" && !strings.HasPrefix(n.Webhook, "http") {
		return masu.E(masu.Invalid, "webhook_wrong")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.meet(s.actor.Name).Notify = n
	return nil
}

func (s *fakeActor) TryNotices(context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := s.meet(s.actor.Name).Notify; n.Webhook == "" && n.Mail == "" {
		return masu.E(masu.Invalid, "notify_nowhere")
	}
	return nil
}

func (s *fakeActor) Events(_ context.Context, q masu.EventQuery) (list []masu.Event, err error) {
	if !s.actor.Admin {
		if q.Actor != "" && q.Actor != s.actor.Name {
			return nil, masu.E(masu.Denied, "not_admin")
		}
		q.Actor = s.actor.Name
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range slices.Backward(s.people.events) {
		if q.Fits(e) && len(list) < max(q.Limit, 1) {
			list = append(list, e)
		}
	}
	return list, nil
}

func (s *fakeActor) admin() error {
	if !s.actor.Admin {
		return masu.E(masu.Denied, "not_admin")
	}
	return nil
}

func (s *fakeActor) VerifyEvents(context.Context) error { return s.admin() }

func (s *fakeActor) Members(context.Context) (list []masu.MemberUse, err error) {
	if err := s.admin(); err != nil && s.actor.Role != masu.RoleTeacher {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.meet(s.actor.Name)
	for _, m := range s.people.members {
		use := masu.MemberUse{Name: m.Name, Role: m.Role, Disabled: m.Disabled, Most: m.Most}
		for _, r := range s.rooms {
			if r.Owner == m.Name {
				use.Workspaces++
			}
		}
		list = append(list, use)
	}
	slices.SortFunc(list, func(a, b masu.MemberUse) int { return strings.Compare(string(a.Name), string(b.Name)) })
	return list, nil
}

func (s *fakeActor) ChangeMember(_ context.Context, name masu.Username, c masu.MemberChange) (err error) {
	if err := s.admin(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	defer func() { s.note("member", string(name), err) }()
	switch {
	case c.Role != nil && !c.Role.Valid() || c.Most != nil && *c.Most > 10000:
		return masu.E(masu.Invalid, "member_change")
	case name == s.actor.Name && (c.Disabled != nil && *c.Disabled || c.Role != nil && *c.Role != masu.RoleAdmin):
		return masu.E(masu.Conflict, "not_yourself")
	}
	m := s.meet(name)
	if c.Role != nil {
		m.Role = *c.Role
	}
	if c.Disabled != nil {
		m.Disabled = *c.Disabled
	}
	if c.Most != nil {
		m.Most = c.Most
	}
	return nil
}

func (s *fakeActor) Invite(_ context.Context, name masu.Username) (masu.OpenLink, error) {
	if err := s.admin(); err != nil {
		return masu.OpenLink{}, err
	}
	return masu.OpenLink{URL: "http://localhost:8888/enter?code=" + string(newID()), Expires: time.Now().Add(7 * 24 * time.Hour)}, nil
}

func (s *fakeActor) Rules(context.Context) (masu.RulesNow, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	yes, none, cores, memory, day, two := true, 0, 0.0, masu.Bytes(0), 24.0, 2.0
	colleagues := masu.ReachColleagues
	return masu.RulesNow{Configured: masu.Rules{Sudo: &yes, OwnDockerfile: &yes, Guests: &yes, ShareApps: &colleagues, Workspaces: &none, CPUs: &cores, Memory: &memory, Disk: &memory, Images: &memory, GPUs: &none, GPUHours: &day, GPUIdleHours: &two}, Set: s.people.rules}, s.admin()
}

func (s *fakeActor) SetRules(_ context.Context, r masu.Rules) error {
	if err := s.admin(); err != nil {
		return err
	}
	few := func(b *masu.Bytes) bool { return b != nil && *b != 0 && *b < 256*masu.MiB }
	if r.Workspaces != nil && *r.Workspaces < 0 || few(r.Memory) || few(r.Disk) || few(r.Images) {
		return masu.E(masu.Invalid, "rules_wrong", 256*masu.MiB)
	}
	if r.ShareApps != nil && !r.ShareApps.Valid() {
		return masu.E(masu.Invalid, "rules_reach", *r.ShareApps)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.people.rules = r
	s.changed()
	return nil
}

func (s *fakeActor) Findings(context.Context) ([]masu.Finding, error) {
	return []masu.Finding{{Code: "engine_ok", Severity: masu.Good}}, s.admin()
}

// mayAdmit is whether guests are allowed; it is called with the lock held.
func (s *fakeActor) mayAdmit() bool { return s.people.rules.Guests == nil || *s.people.rules.Guests }

// Adopt finds nothing: the fake's runtime has no container but its own boxes.
func (s *fakeActor) Adopt(_ context.Context, q masu.AdoptWish) (masu.Workspace, error) {
	if err := s.admin(); err != nil {
		return masu.Workspace{}, err
	}
	if q.Ports["jupyter"] < 1 || q.Ports["jupyter"] > 65535 {
		return masu.Workspace{}, masu.E(masu.Invalid, "adopt_wish")
	}
	return masu.Workspace{}, masu.E(masu.NotFound, "no_container", q.Container)
}

func (s *fakeActor) Unadopt(_ context.Context, name string) error {
	if err := s.admin(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	r, err := s.find(name)
	if err == nil {
		err = masu.E(masu.Conflict, "not_adopted", r.Name)
	}
	return err
}

func (s *fakeActor) SetHouse(_ context.Context, h masu.House) error {
	if err := s.admin(); err != nil {
		return err
	}
	if strings.Contains(h.Banner, "\n") {
		return masu.E(masu.Invalid, "banner_wrong", 500)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.people.house = h
	return nil
}

// begin refuses what is new while the house is closed; it is called with the lock held.
func (s *fakeActor) mayBegin() error {
	if s.people.house.Closed(time.Now()) && !s.actor.Admin {
		return masu.E(masu.Full, "house_closed")
	}
	return nil
}

func (s *fakeActor) Board(context.Context) (b masu.Board, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b.At = time.Now()
	b.Host = masu.Usage{CPU: masu.Fill{Used: 0.5, Total: 2}, Memory: masu.Fill{Used: 1 << 30, Total: 4 << 30}}
	for _, r := range s.rooms {
		if r.Phase == masu.Running {
			b.Users = append(b.Users, masu.BoardUse{Member: r.Owner, Running: 1, Memory: masu.MiB, Since: r.ChangedAt})
		}
	}
	s.boardGPUs(&b)
	return b, nil
}
