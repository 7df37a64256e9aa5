package masutest

import (
	"slices"
	"strings"
	"time"

	"github.com/masu-lab/masu"
)

// testServicePeople: what members may do about themselves, and what only admins may.
func testServicePeople(g *guest) {
	admin, bob := g.admin(), g.other()
	for what, err := range map[string]error{
		"members": second(g.svc.Members(g.ctx)), "invite": second(g.svc.Invite(g.ctx, "suite-a")), "verify": g.svc.VerifyEvents(g.ctx),
		"house": g.svc.SetHouse(g.ctx, masu.House{}), "change": g.svc.ChangeMember(g.ctx, "suite-b", masu.MemberChange{Disabled: new(bool)}),
		"rules": second(g.svc.Rules(g.ctx)), "set rules": g.svc.SetRules(g.ctx, masu.Rules{}), "findings": second(g.svc.Findings(g.ctx)),
		"handover": second(g.svc.Handover(g.ctx, masu.HandoverWish{From: "suite-b", To: "suite-a"})), "give away": second(bob.Handover(g.ctx, masu.HandoverWish{From: "suite-b", To: "suite-a", Dry: true})),
		"adopt": second(g.svc.Adopt(g.ctx, masu.AdoptWish{Container: "x", Owner: "suite-a", Ports: map[string]int{"jupyter": 8888}})), "unadopt": g.svc.Unadopt(g.ctx, "suite-b/x"),
		"another's log": second(g.svc.Events(g.ctx, masu.EventQuery{Actor: "suite-b", Limit: 5})),
	} {
		if masu.KindOf(err) != masu.Denied || masu.CodeOf(err) != "not_admin" {
			g.Errorf("%s: %v", what, err)
		}
	}
	if _, err := g.teacher().Members(g.ctx); err != nil {
		g.Errorf("a teacher asks who is there: %v", err)
	}

	k, err := g.svc.NewToken(g.ctx, masu.TokenWish{Name: "夜のバッチ", Scope: masu.ScopeRead, Days: 30})
	if err != nil || !strings.HasPrefix(k.Secret, "masu_") || k.ID == "" || k.Hash != "" || k.Expires.Before(time.Now().AddDate(0, 0, 29)) {
		g.Fatalf("token: %+v, %v", k, err)
	}
	for _, w := range []masu.TokenWish{{}, {Name: "a\nb", Scope: masu.ScopeAll, Days: 1}, {Name: "a", Scope: "everything", Days: 1}, {Name: "a", Scope: masu.ScopeAll, Days: 366}, {Name: "a", Scope: masu.ScopeAll, Days: -1}} {
		_, err := g.svc.NewToken(g.ctx, w)
		wantError(g.T, err, masu.Invalid, "token_wish")
	}
	if list, err := g.svc.Tokens(g.ctx); err != nil || len(list) != 1 || list[0].ID != k.ID || list[0].Hash != "" {
		g.Errorf("tokens: %+v, %v", list, err)
	}
	wantError(g.T, bob.DeleteToken(g.ctx, k.ID), masu.NotFound, "no_token")
	if err := g.svc.DeleteToken(g.ctx, k.ID); err != nil {
		g.Error(err)
	}
	wantError(g.T, g.svc.DeleteToken(g.ctx, k.ID), masu.NotFound, "no_token")
	var feed masu.NewToken
	for range 2 { // the second ends the first
		if feed, err = g.svc.NewToken(g.ctx, masu.TokenWish{Name: "予約表", Scope: masu.ScopeCalendar, Days: 3650}); err != nil {
			g.Fatal(err)
		}
	}
	if list, err := g.svc.Tokens(g.ctx); err != nil || len(list) != 1 || list[0].ID != feed.ID || list[0].Scope != masu.ScopeCalendar {
		g.Errorf("a calendar's: %+v, %v", list, err)
	}
	if err := g.svc.DeleteToken(g.ctx, feed.ID); err != nil {
		g.Error(err)
	}
	k = feed // the last one that the log tells of
	wantError(g.T, g.svc.EndSession(g.ctx, "none"), masu.NotFound, "no_session")

	events, err := g.svc.Events(g.ctx, masu.EventQuery{Verb: "token", Limit: 5})
	if err != nil || len(events) == 0 || events[0].Object != k.ID || events[0].Actor != "suite-a" {
		g.Errorf("the log: %+v, %v", events, err)
	}
	if err := admin.VerifyEvents(g.ctx); err != nil {
		g.Error(err)
	}
	testServiceNotices(g)
	testServiceRules(g, admin)
	testServiceMembers(g, admin)
	testServiceHandover(g, admin)
}

// testServiceRules: a rule that an admin sets holds at once, and goes when it is taken back.
func testServiceRules(g *guest, admin masu.Service) {
	w := g.up()
	no, negative := false, -1
	wantError(g.T, admin.SetRules(g.ctx, masu.Rules{Workspaces: &negative}), masu.Invalid, "rules_wrong")
	before, err := admin.Rules(g.ctx)
	if err != nil {
		g.Fatal(err)
	}
	for _, rule := range masu.HouseRules() {
		if rule.Text(before.Configured) == "" {
			g.Errorf("the configuration says nothing about %s", rule.Name)
		}
	}
	few := masu.MiB
	wantError(g.T, admin.SetRules(g.ctx, masu.Rules{Disk: &few}), masu.Invalid, "rules_wrong")
	wantError(g.T, admin.SetRules(g.ctx, masu.Rules{Images: &few}), masu.Invalid, "rules_wrong")
	if err := admin.SetRules(g.ctx, masu.Rules{Guests: &no}); err != nil {
		g.Fatal(err)
	}
	now, err := admin.Rules(g.ctx)
	if err != nil || now.Set.Guests == nil || *now.Set.Guests || now.Configured.Guests == nil || !*now.Configured.Guests || now.Configured.Memory == nil {
		g.Errorf("rules: %+v, %v", now, err)
	}
	_, err = g.svc.Admit(g.ctx, w.Name, "suite-b")
	wantError(g.T, err, masu.Denied, "guests_forbidden")
	if err := admin.SetRules(g.ctx, masu.Rules{}); err != nil {
		g.Fatal(err)
	}
	if _, err := g.svc.Admit(g.ctx, w.Name, "suite-b"); err != nil {
		g.Errorf("after the rule was taken back: %v", err)
	}
	if _, err := admin.Findings(g.ctx); err != nil {
		g.Error(err)
	}
}

func testServiceNotices(g *guest) {
	wantError(g.T, g.svc.TryNotices(g.ctx), masu.Invalid, "notify_nowhere")
	wantError(g.T, g.svc.SetNotices(g.ctx, masu.NotifyWish{Webhook: "https://chat.example/x", On: []masu.Occasion{"whenever"}}), masu.Invalid, "notify_wish")
	wantError(g.T, g.svc.SetNotices(g.ctx, masu.NotifyWish{Webhook: "javascript:alert(1)"}), masu.Invalid, "webhook_wrong")
	want := masu.NotifyWish{Webhook: "https://chat.example/x", On: []masu.Occasion{masu.OccasionEnded, masu.OccasionHouse}}
	if err := g.svc.SetNotices(g.ctx, want); err != nil {
		g.Fatal(err)
	}
	if got, err := g.svc.Notices(g.ctx); err != nil || got.Webhook != want.Webhook || !slices.Equal(got.On, want.On) {
		g.Errorf("notices: %+v, %v", got, err)
	}
	if err := g.svc.TryNotices(g.ctx); err != nil {
		g.Error(err)
	}
	if got, err := g.other().Notices(g.ctx); err != nil || got.Webhook != "" {
		g.Errorf("another's: %+v, %v", got, err)
	}
	if err := g.svc.SetNotices(g.ctx, masu.NotifyWish{}); err != nil {
		g.Error(err)
	}
}

func testServiceMembers(g *guest, admin masu.Service) {
	most, role, cores := 2, masu.RoleTeacher, 1.5
	if err := admin.ChangeMember(g.ctx, "suite-b", masu.MemberChange{Role: &role, Limits: masu.MemberLimits{Runs: &most, CPUs: &cores}}); err != nil {
		g.Fatal(err)
	}
	list, err := admin.Members(g.ctx)
	i := slices.IndexFunc(list, func(m masu.MemberUse) bool { return m.Name == "suite-b" })
	if err != nil || i < 0 || list[i].Role != role || list[i].Limits.Runs == nil || *list[i].Limits.Runs != most || *list[i].Limits.CPUs != cores || list[i].Limits.GPUs != nil {
		g.Errorf("members: %+v, %v", list, err)
	}
	testServiceLimits(g, admin)
	yes, none, wrong := true, masu.RoleMember, masu.Role("king")
	wantError(g.T, admin.ChangeMember(g.ctx, "suite-c", masu.MemberChange{Disabled: &yes}), masu.Conflict, "not_yourself")
	wantError(g.T, admin.ChangeMember(g.ctx, "suite-c", masu.MemberChange{Role: &none}), masu.Conflict, "not_yourself")
	wantError(g.T, admin.ChangeMember(g.ctx, "suite-b", masu.MemberChange{Role: &wrong}), masu.Invalid, "member_change")
	link, err := admin.Invite(g.ctx, "suite-b")
	if err != nil || !strings.Contains(link.URL, "/enter?code=") || link.Expires.Before(time.Now().AddDate(0, 0, 6)) {
		g.Errorf("invite: %+v, %v", link, err)
	}
	w := g.up()
	wantError(g.T, admin.Unadopt(g.ctx, "suite-a/"+w.Name), masu.Conflict, "not_adopted")
	// Maintenance: what runs goes on, nothing new begins, and admins may try.
	if err := admin.SetHouse(g.ctx, masu.House{Banner: "金曜は停電です", ClosedAt: time.Now().Add(-time.Minute)}); err != nil {
		g.Fatal(err)
	}
	hello, err := g.svc.Whoami(g.ctx)
	if err != nil || hello.House.Banner != "金曜は停電です" || !hello.House.Closed(time.Now()) {
		g.Errorf("hello: %+v, %v", hello.House, err)
	}
	if again, err := g.svc.Up(g.ctx, masu.UpRequest{Name: w.Name}); err != nil || again.Phase != masu.Running {
		g.Errorf("what runs: %+v, %v", again.Phase, err)
	}
	_, err = g.svc.Up(g.ctx, masu.UpRequest{Dir: g.folder(), Name: suiteName()})
	wantError(g.T, err, masu.Full, "house_closed")
	board, err := g.other().Board(g.ctx) // who shares a host sees who uses it
	if err != nil || !slices.ContainsFunc(board.Users, func(u masu.BoardUse) bool { return u.Member == "suite-a" && u.Running > 0 }) ||
		board.Host.Memory.Percent() < 0 || board.At.IsZero() {
		g.Errorf("board: %+v, %v", board, err)
	}
	wantError(g.T, admin.SetHouse(g.ctx, masu.House{Banner: "a\nb"}), masu.Invalid, "banner_wrong")
	if err := admin.SetHouse(g.ctx, masu.House{}); err != nil {
		g.Error(err)
	}
}

// testServiceLimits: what an admin says for one member holds for them at once, and they are told.
func testServiceLimits(g *guest, admin masu.Service) {
	none, back, little := 0, -1, 64*masu.MiB
	set := func(l masu.MemberLimits) error {
		return admin.ChangeMember(g.ctx, "suite-a", masu.MemberChange{Limits: l})
	}
	wantError(g.T, set(masu.MemberLimits{Memory: &little}), masu.Invalid, "limits_wrong")
	if err := set(masu.MemberLimits{Workspaces: &none, GPUs: &none, Runs: &none}); err != nil {
		g.Fatal(err)
	}
	hello, err := g.svc.Whoami(g.ctx)
	if err != nil || hello.Limits.Workspaces == nil || *hello.Limits.Workspaces != 0 || *hello.Limits.GPUs != 0 {
		g.Errorf("what holds: %+v, %v", hello.Limits, err)
	}
	_, err = g.svc.Up(g.ctx, masu.UpRequest{Dir: g.folder(), Name: suiteName()})
	wantError(g.T, err, masu.Full, "workspaces_full_own")
	_, err = g.svc.Submit(g.ctx, masu.RunWish{Argv: []string{"true"}})
	wantError(g.T, err, masu.Denied, "runs_denied")
	wantError(g.T, g.svc.ChangeMember(g.ctx, "suite-a", masu.MemberChange{Limits: masu.MemberLimits{Workspaces: &back}}), masu.Denied, "not_admin")
	if err := set(masu.MemberLimits{Workspaces: &back, Runs: &back}); err != nil {
		g.Fatal(err)
	}
	_, err = g.svc.Forecast(g.ctx, masu.Want{Count: 1})
	wantError(g.T, err, masu.Invalid, "gpus_too_many_own")
	if err := set(masu.MemberLimits{GPUs: &back}); err != nil {
		g.Fatal(err)
	}
	if _, err := g.svc.Forecast(g.ctx, masu.Want{Count: 1}); err != nil {
		g.Errorf("as the rules say again: %v", err)
	}
}

// testServiceHandover: what somebody leaves changes its owner, once nothing of it runs.
func testServiceHandover(g *guest, admin masu.Service) {
	dir, name := g.folder(), suiteName()
	w, err := g.svc.Up(g.ctx, masu.UpRequest{Dir: dir, Name: name})
	if err != nil {
		g.Fatal(err)
	}
	q := masu.HandoverWish{From: "suite-a", To: "suite-b", Only: []string{name}}
	if _, err = admin.Handover(g.ctx, q); masu.CodeOf(err) != "handover_running" {
		g.Errorf("while it runs: %v", err)
	}
	if _, err := g.svc.Stop(g.ctx, name); err != nil {
		g.Fatal(err)
	}
	_, err = admin.Handover(g.ctx, masu.HandoverWish{From: "suite-a", To: "suite-a"})
	wantError(g.T, err, masu.Conflict, "handover_same")
	q.Dry = true
	h, err := admin.Handover(g.ctx, q)
	if err != nil || h.Done || h.Trouble != nil || len(h.Workspaces) != 1 || h.Workspaces[0].As != name || len(h.Folders) != 1 || h.Folders[0].Dir != dir || !strings.Contains(h.Folders[0].Command, "chown") {
		g.Errorf("what would be: %+v, %v", h, err)
	}
	if same, err := g.svc.Workspace(g.ctx, name); err != nil || same.Owner != "suite-a" {
		g.Errorf("after asking what would be: %+v, %v", same, err)
	}
	q.Dry, q.As = false, map[string]string{name: "taken-over"}
	if h, err = admin.Handover(g.ctx, q); err != nil || !h.Done {
		g.Fatalf("%+v, %v", h, err)
	}
	_, err = g.svc.Workspace(g.ctx, string(w.ID))
	wantError(g.T, err, masu.NotFound, "no_workspace")
	now, err := g.other().Workspace(g.ctx, "taken-over")
	if err != nil || now.ID != w.ID || now.Owner != "suite-b" || now.Phase != masu.Stopped || now.Trouble == nil || now.Trouble.Code != "handed_over" {
		g.Errorf("the receiver's: %+v, %v", now, err)
	}
	events, err := admin.Events(g.ctx, masu.EventQuery{Verb: "handover", Limit: 5})
	if err != nil || len(events) == 0 || events[0].Actor != "suite-c" || events[0].Code != "" {
		g.Errorf("the log: %+v, %v", events, err)
	}
	if err := g.other().Remove(g.ctx, "taken-over"); err != nil {
		g.Error(err)
	}
}

func second[T any](_ T, err error) error { return err }
