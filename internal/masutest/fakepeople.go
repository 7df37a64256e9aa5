package masutest

import (
	"cmp"
	"context"
	"maps"
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
	e := masu.Event{Seq: int64(len(s.people.events)) + 1, At: time.Now(), Actor: s.actor.Name, Door: s.actor.Door, Verb: verb, Object: object}
	if err != nil {
		e.Code = masu.CodeOf(err)
	}
	s.people.events = append(s.people.events, e)
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
		use := masu.MemberUse{Name: m.Name, Role: m.Role, Disabled: m.Disabled, Limits: m.Limits}
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
	case c.Role != nil && !c.Role.Valid():
		return masu.E(masu.Invalid, "member_change")
	case !c.Limits.Valid():
		return masu.E(masu.Invalid, "limits_wrong", masu.LeastSize)
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
	m.Limits = m.Limits.With(c.Limits)
	return nil
}

// Handover hands over workspaces; what is in their folders is nobody's here.
func (s *fakeActor) Handover(_ context.Context, q masu.HandoverWish) (h masu.Handover, err error) {
	if err := s.admin(); err != nil {
		return h, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if q.From == q.To {
		return h, masu.E(masu.Conflict, "handover_same", q.To)
	}
	if s.meet(q.To).Disabled {
		return h, masu.E(masu.NotFound, "handover_to", q.To)
	}
	h.From, h.To = q.From, q.To
	var why error
	var given []*room
	for _, r := range s.rooms {
		if r.Owner != q.From || len(q.Only) > 0 && !slices.Contains(q.Only, r.Name) {
			continue
		}
		as := cmp.Or(q.As[r.Name], r.Name)
		taken := slices.ContainsFunc(slices.Collect(maps.Values(s.rooms)), func(x *room) bool { return x.Owner == q.To && x.Name == as })
		switch {
		case r.Phase != masu.Stopped && r.Phase != masu.Failed:
			why = masu.E(masu.Conflict, "handover_running", r.Name)
		case taken:
			why = masu.E(masu.Conflict, "handover_name", q.To, as, r.Name)
		}
		given = append(given, r)
		h.Workspaces = append(h.Workspaces, masu.HandedWorkspace{Name: r.Name, As: as, Dir: r.Project.Dir})
		h.Folders = append(h.Folders, masu.HandedFolder{Dir: r.Project.Dir, At: r.Project.Dir, Command: "sudo chown -R -P " + string(q.To) + ": -- " + r.Project.Dir})
	}
	switch {
	case why == nil && len(given) == 0:
		why = masu.E(masu.NotFound, "handover_nothing", q.From)
	case q.Dry && why != nil:
		h.Trouble = &masu.Trouble{Kind: masu.KindOf(why), Code: masu.CodeOf(why)}
	}
	if q.Dry {
		return h, nil
	}
	defer func() { s.note("handover", string(q.From)+" "+string(q.To), err) }()
	if why != nil {
		return h, why
	}
	for i, r := range given {
		r.Owner, r.user.Name, r.Name, r.Guests, r.Shares = q.To, q.To, h.Workspaces[i].As, nil, nil
		r.Label = r.Name + "--" + string(q.To)
		r.Trouble = &masu.Trouble{Kind: masu.Conflict, Code: "handed_over", Args: []string{string(q.From), r.Project.Dir}}
	}
	h.Done = true
	s.changed()
	return h, nil
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
	return masu.RulesNow{Configured: configuredRules(), Set: s.people.rules}, s.admin()
}

// configuredRules say something about everything.
func configuredRules() (r masu.Rules) {
	for _, rule := range masu.HouseRules() {
		say := "0"
		if rule.Words != nil {
			say = rule.Words[0]
		}
		if err := rule.Take(&r, say); err != nil {
			panic(err)
		}
	}
	colleagues, day := masu.ReachColleagues, 24.0
	r.ShareApps, r.GPUHours = &colleagues, &day
	return r
}

func (s *fakeActor) SetRules(_ context.Context, r masu.Rules) error {
	if err := s.admin(); err != nil {
		return err
	}
	if err := r.Check(); err != nil {
		return err
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

// oneMore refuses a workspace to a member who has as many as they may; it is called with the lock held.
func (s *fakeActor) oneMore() error {
	most := s.meet(s.actor.Name).Limits.Workspaces
	if most == nil {
		return nil
	}
	n := 0
	for _, r := range s.rooms {
		if r.Owner == s.actor.Name {
			n++
		}
	}
	if n >= *most {
		return masu.E(masu.Full, "workspaces_full_own", *most)
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
