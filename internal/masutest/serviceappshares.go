package masutest

import (
	"bytes"
	"context"
	"io"
	"slices"
	"time"

	"github.com/masu-lab/masu"
)

// testServiceAppShares: one app is shared with a colleague, who finds it and nothing else of the workspace;
// the lab's policy says whether everybody may; an app that becomes another is not shared any more.
func testServiceAppShares(g *guest) {
	w, stranger := g.up(), g.open(suiteActor("suite-t", 30994, false))
	bob := g.open(masu.Actor{User: suiteActor("suite-b", 30996, false).User, Door: masu.DoorWeb})
	full := "suite-a/" + w.Name
	demo := masu.AppWish{Name: "demo", Command: "serve --secret x", Port: 8501, OnVisit: true}
	if err := g.svc.PutApp(g.ctx, w.Name, demo); err != nil {
		g.Fatal(err)
	}
	g.becomes(g.svc, w.Name, "has the app", func(w masu.Workspace) bool { _, ok := w.App("demo"); return ok })
	for _, c := range []struct {
		svc   masu.Service
		share masu.AppShare
		kind  masu.Kind
		code  string
	}{
		{g.svc, masu.AppShare{App: "demo"}, masu.Invalid, "share_app_whom"},
		{g.svc, masu.AppShare{App: "demo", With: "suite-b", Lab: true}, masu.Invalid, "share_app_whom"},
		{g.svc, masu.AppShare{App: "demo", With: "suite-a"}, masu.Conflict, "guest_is_owner"},
		{g.svc, masu.AppShare{App: "demo", With: "nobody-known"}, masu.NotFound, "no_member"},
		{g.svc, masu.AppShare{App: "none", With: "suite-b"}, masu.NotFound, "no_app"},
		{g.svc, masu.AppShare{App: "demo", Lab: true}, masu.Denied, "share_app_lab_forbidden"}, // unless the admin lets them
		{bob, masu.AppShare{App: "demo", With: "suite-b"}, masu.NotFound, "no_workspace"},
		{g.admin(), masu.AppShare{App: "demo", With: "suite-b"}, masu.Denied, "not_owner"},
	} {
		_, err := c.svc.ShareApp(g.ctx, full, c.share)
		wantError(g.T, err, c.kind, c.code)
	}
	share := masu.AppShare{App: "demo", With: "suite-b"}
	for range 2 { // once more changes nothing
		if got, err := g.svc.ShareApp(g.ctx, w.Name, share); err != nil || len(got.Shares) != 1 || got.Part {
			g.Fatalf("share: %+v, %v", got.Shares, err)
		}
	}
	testPart(g, bob, full)
	testBeyondPart(g, bob, full)
	_, err := stranger.Workspace(g.ctx, full)
	wantError(g.T, err, masu.NotFound, "no_workspace")
	_, err = stranger.UnshareApp(g.ctx, full, share)
	wantError(g.T, err, masu.NotFound, "no_workspace")

	told := awaitGone(g, bob, w.ID)
	if _, err := g.svc.UnshareApp(g.ctx, w.Name, share); err != nil {
		g.Fatal(err)
	}
	if !<-told {
		g.Error("the colleague was not told that it is shut")
	}
	gone(g, bob, full)
	_, err = g.svc.UnshareApp(g.ctx, w.Name, share)
	wantError(g.T, err, masu.NotFound, "no_app_share")
	again(g, w.Name, share)
	if _, err := bob.UnshareApp(g.ctx, full, share); err != nil {
		g.Errorf("a colleague gives it back: %v", err)
	}
	gone(g, bob, full)

	testReplaced(g, bob, full, demo)
	testLabShare(g, stranger, full)
}

func again(g *guest, name string, s masu.AppShare) {
	g.Helper()
	if _, err := g.svc.ShareApp(g.ctx, name, s); err != nil {
		g.Fatal(err)
	}
}

func gone(g *guest, svc masu.Service, name string) {
	g.Helper()
	_, err := svc.Workspace(g.ctx, name)
	wantError(g.T, err, masu.NotFound, "no_workspace")
}

// testPart: what a colleague sees is the app.
func testPart(g *guest, bob masu.Service, full string) {
	got, err := bob.Workspace(g.ctx, full)
	if err != nil || !got.Part || got.Project.Dir != "" || got.Image != "" || len(got.Guests) != 0 || len(got.Apps) != 1 || got.Apps[0].Name != "demo" ||
		len(got.Shares) != 1 || got.Shares[0].Command != "" || len(got.Project.Apps) != 1 || got.Project.Apps[0].Command != "" {
		g.Errorf("the colleague sees %+v, %v", got, err)
	}
	list, err := bob.Workspaces(g.ctx, false)
	if err != nil || !slices.ContainsFunc(list, func(x masu.Workspace) bool { return x.ID == got.ID && x.Part && x.Project.Dir == "" }) {
		g.Errorf("the colleague's list: %+v, %v", list, err)
	}
	if _, err := bob.Link(g.ctx, full); err != nil {
		g.Errorf("a link to it: %v", err)
	}
}

// testBeyondPart: nothing else is theirs, by any door.
func testBeyondPart(g *guest, bob masu.Service, full string) {
	terminal := g.open(suiteActor("suite-b", 30996, false))
	for what, err := range map[string]error{
		"another app's port": second(bob.Dial(g.ctx, full, 8888)), "the agent's": second(bob.Dial(g.ctx, full, masu.AgentPort)),
		"by another door than the page": second(terminal.Dial(g.ctx, full, 8501)),
	} {
		if masu.CodeOf(err) != "bad_port" {
			g.Errorf("%s: %v", what, err)
		}
	}
	watch := func() (err error) {
		for _, err = range bob.Watch(g.ctx, full) {
			break
		}
		return err
	}
	for what, err := range map[string]error{
		"stop": second(bob.Stop(g.ctx, full)), "remove": bob.Remove(g.ctx, full), "up": second(bob.Up(g.ctx, masu.UpRequest{Name: full})),
		"exec": second(bob.Exec(g.ctx, full, masu.Exec{Argv: []string{"true"}})), "logs": bob.Logs(g.ctx, full, io.Discard, false), "watch": watch(),
		"samples": second(bob.Samples(g.ctx, full, time.Time{})), "added": second(bob.Added(g.ctx, full)),
		"its log": bob.AppLog(g.ctx, full, "demo", new(bytes.Buffer), false), "start": bob.StartApp(g.ctx, full, "demo"), "put": bob.PutApp(g.ctx, full, masu.AppWish{Name: "demo"}),
		"share": second(bob.Share(g.ctx, masu.ShareWish{Workspace: full})), "admit": second(bob.Admit(g.ctx, full, "suite-t")),
		"share on": second(bob.ShareApp(g.ctx, full, masu.AppShare{App: "demo", With: "suite-t"})),
		"unshare":  second(bob.UnshareApp(g.ctx, full, masu.AppShare{App: "demo", Lab: true})),
	} {
		if masu.CodeOf(err) != "no_workspace" {
			g.Errorf("%s: %v", what, err)
		}
	}
}

// testReplaced: another program under that name is not shared.
func testReplaced(g *guest, bob masu.Service, full string, demo masu.AppWish) {
	name := full[len("suite-a/"):]
	share := masu.AppShare{App: "demo", With: "suite-b"}
	resting := demo
	resting.IdleFor = time.Hour
	port, command := demo, demo
	port.Port, command.Command = 8502, "another"
	for _, c := range []struct {
		what  string
		do    func() error
		stays bool
	}{
		{"the same", func() error { return g.svc.PutApp(g.ctx, name, resting) }, true},
		{"another port", func() error { return g.svc.PutApp(g.ctx, name, port) }, false},
		{"another command", func() error { return g.svc.PutApp(g.ctx, name, command) }, false},
		{"taken out", func() error { return g.svc.DropApp(g.ctx, name, "demo") }, false},
	} {
		again(g, name, share)
		if err := c.do(); err != nil {
			g.Fatal(err)
		}
		if _, err := bob.Workspace(g.ctx, full); (err == nil) != c.stays {
			g.Errorf("%s: %v", c.what, err)
		}
		if err := g.svc.PutApp(g.ctx, name, demo); err != nil { // as it was: what was lost does not come back
			g.Fatal(err)
		}
		if _, err := bob.Workspace(g.ctx, full); (err == nil) != c.stays {
			g.Errorf("%s, and back: %v", c.what, err)
		}
	}
}

// testLabShare: where the admin lets members, everybody finds an app, but no terminal.
func testLabShare(g *guest, stranger masu.Service, full string) {
	name, admin := full[len("suite-a/"):], g.admin()
	rules := func(r masu.Reach) {
		g.Helper()
		if err := admin.SetRules(g.ctx, masu.Rules{ShareApps: &r}); err != nil {
			g.Fatal(err)
		}
	}
	g.Cleanup(func() {
		if err := admin.SetRules(context.WithoutCancel(g.ctx), masu.Rules{}); err != nil {
			g.Error(err)
		}
	})
	rules(masu.ReachLab)
	_, err := g.svc.ShareApp(g.ctx, name, masu.AppShare{App: "jupyter", Lab: true})
	wantError(g.T, err, masu.Denied, "share_app_shell")
	again(g, name, masu.AppShare{App: "demo", Lab: true})
	if got, err := stranger.Workspace(g.ctx, full); err != nil || !got.Part {
		g.Errorf("everybody sees it: %+v, %v", got, err)
	}
	_, err = stranger.UnshareApp(g.ctx, full, masu.AppShare{App: "demo", Lab: true})
	wantError(g.T, err, masu.NotFound, "no_workspace")
	told := awaitGone(g, stranger, mustID(g, full))
	rules(masu.ReachColleagues)
	if !<-told {
		g.Error("nobody was told that it is shut")
	}
	gone(g, stranger, full)
	rules(masu.ReachNobody)
	_, err = g.svc.ShareApp(g.ctx, name, masu.AppShare{App: "demo", With: "suite-b"})
	wantError(g.T, err, masu.Denied, "share_app_forbidden")
	wantError(g.T, admin.SetRules(g.ctx, masu.Rules{ShareApps: new(masu.Reach)}), masu.Invalid, "rules_wrong")
	if _, err := admin.UnshareApp(g.ctx, full, masu.AppShare{App: "demo", Lab: true}); err != nil {
		g.Errorf("an admin shuts it: %v", err)
	}
}

func mustID(g *guest, name string) masu.WorkspaceID {
	g.Helper()
	w, err := g.svc.Workspace(g.ctx, name)
	if err != nil {
		g.Fatal(err)
	}
	return w.ID
}
