package masutest

import (
	"context"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/masu-lab/masu"
)

// testServiceGuests: a workspace is opened to a colleague, who finds it, and shut again.
func testServiceGuests(g *guest) {
	w, bob, stranger := g.up(), g.other(), g.open(suiteActor("suite-t", 30994, false))
	full := "suite-a/" + w.Name
	_, err := bob.Workspace(g.ctx, full)
	wantError(g.T, err, masu.NotFound, "no_workspace")
	for _, c := range []struct {
		svc  masu.Service
		who  masu.Username
		kind masu.Kind
		code string
	}{
		{g.svc, "suite-a", masu.Conflict, "guest_is_owner"}, {g.svc, "nobody-known", masu.NotFound, "no_member"},
		{bob, "suite-b", masu.NotFound, "no_workspace"}, {g.admin(), "suite-b", masu.Denied, "not_owner"},
	} {
		_, err := c.svc.Admit(g.ctx, full, c.who)
		wantError(g.T, err, c.kind, c.code)
	}
	if got, err := g.svc.Admit(g.ctx, w.Name, "suite-b"); err != nil || !slices.Equal(got.Guests, []masu.Username{"suite-b"}) {
		g.Fatalf("admit: %+v, %v", got.Guests, err)
	}
	if got, err := bob.Workspace(g.ctx, full); err != nil || got.ID != w.ID {
		g.Errorf("the guest looks: %+v, %v", got, err)
	}
	if list, err := bob.Workspaces(g.ctx, false); err != nil || !slices.ContainsFunc(list, func(x masu.Workspace) bool { return x.ID == w.ID }) {
		g.Errorf("the guest's list: %+v, %v", list, err)
	}
	_, err = bob.Dial(g.ctx, full, masu.AgentPort)
	wantError(g.T, err, masu.Invalid, "bad_port")
	for what, err := range map[string]error{ // what the owner alone may
		"stop": second(bob.Stop(g.ctx, full)), "remove": bob.Remove(g.ctx, full), "up": second(bob.Up(g.ctx, masu.UpRequest{Name: full})),
		"exec": second(bob.Exec(g.ctx, full, masu.Exec{Argv: []string{"true"}})), "logs": bob.Logs(g.ctx, full, io.Discard, false),
		"admit": second(bob.Admit(g.ctx, full, "suite-t")), "share": second(bob.Share(g.ctx, masu.ShareWish{Workspace: full})),
		"a stranger dials": second(stranger.Dial(g.ctx, full, 8888)), "a stranger dismisses": second(stranger.Dismiss(g.ctx, full, "suite-b")),
	} {
		if masu.CodeOf(err) != "no_workspace" {
			g.Errorf("%s: %v", what, err)
		}
	}
	told := awaitGone(g, bob, w.ID)
	if _, err := g.svc.Dismiss(g.ctx, w.Name, "suite-b"); err != nil {
		g.Fatal(err)
	}
	if !<-told {
		g.Error("the guest was not told that it is shut")
	}
	_, err = bob.Workspace(g.ctx, full)
	wantError(g.T, err, masu.NotFound, "no_workspace")
	_, err = g.svc.Dismiss(g.ctx, w.Name, "suite-b")
	wantError(g.T, err, masu.NotFound, "no_guest")
	if _, err := g.svc.Admit(g.ctx, w.Name, "suite-b"); err != nil {
		g.Fatal(err)
	}
	if _, err := bob.Dismiss(g.ctx, full, "suite-b"); err != nil {
		g.Errorf("a guest leaves: %v", err)
	}
}

// awaitGone follows a service's changes until a workspace has come and gone.
func awaitGone(g *guest, svc masu.Service, id masu.WorkspaceID) <-chan bool {
	ctx, cancel := context.WithCancel(g.ctx)
	g.Cleanup(cancel)
	seen, gone := make(chan struct{}), make(chan bool, 1)
	go func() { // ends with ctx
		defer func() { gone <- false }()
		there := false
		for w, err := range svc.Changes(ctx) {
			switch {
			case err != nil:
				return
			case w.ID == id && w.Phase != "" && !there:
				there = true
				close(seen)
			case w.ID == id && w.Phase == "" && there:
				gone <- true
				return
			}
		}
	}()
	select {
	case <-seen:
	case <-g.ctx.Done():
	}
	return gone
}

// testServiceSharing: an environment is shared by link, then with the lab, retired, and taken back.
func testServiceSharing(g *guest) {
	w, bob := g.up(), g.other()
	x, err := g.svc.Share(g.ctx, masu.ShareWish{Workspace: w.Name, Title: "画像の演習", About: "1 行目\n2 行目"})
	if err != nil || x.ID == "" || x.Owner != "suite-a" || x.Text == "" || x.At.Before(time.Now().Add(-time.Hour)) {
		g.Fatalf("share: %+v, %v", x, err)
	}
	if got, err := bob.Shared(g.ctx, x.ID); err != nil || got.Shared.Title != "画像の演習" || got.Key == "" || !slices.Contains(got.Members, "suite-a") || len(got.Workspaces) != 0 {
		g.Errorf("by its link: %+v, %v", got, err)
	}
	listed := func(svc masu.Service) bool {
		list, err := svc.Environments(g.ctx)
		if err != nil {
			g.Error(err)
		}
		return slices.ContainsFunc(list, func(u masu.EnvironmentUse) bool { return u.Shared.ID == x.ID })
	}
	if !listed(g.svc) || listed(bob) {
		g.Error("one shared by link is listed for its owner alone")
	}
	yes, words := true, "もっと新しいものがあります"
	_, err = bob.ChangeShared(g.ctx, x.ID, masu.SharedChange{Lab: &yes})
	wantError(g.T, err, masu.NotFound, "no_shared")
	if got, err := g.svc.ChangeShared(g.ctx, x.ID, masu.SharedChange{Lab: &yes, Retired: &words}); err != nil || !got.Lab || got.Retired != words || got.Title != x.Title {
		g.Errorf("change: %+v, %v", got, err)
	}
	if !listed(bob) {
		g.Error("one shared with the lab is not listed")
	}
	wantError(g.T, bob.Unshare(g.ctx, x.ID), masu.NotFound, "no_shared")
	if err := g.svc.Unshare(g.ctx, x.ID); err != nil {
		g.Error(err)
	}
	_, err = bob.Shared(g.ctx, x.ID)
	wantError(g.T, err, masu.NotFound, "no_shared")
	_, err = g.svc.Share(g.ctx, masu.ShareWish{Workspace: w.Name, Title: "a\nb"})
	wantError(g.T, err, masu.Invalid, "share_words")
	_, err = bob.Share(g.ctx, masu.ShareWish{Workspace: "suite-a/" + w.Name})
	wantError(g.T, err, masu.NotFound, "no_workspace")
	list, err := g.svc.Environments(g.ctx)
	if err != nil || !slices.ContainsFunc(list, func(u masu.EnvironmentUse) bool { return slices.Contains(u.Workspaces, w.Name) && u.Shared.ID == "" }) {
		g.Errorf("one's own, not shared: %+v, %v", list, err)
	}
	if _, err := g.svc.Samples(g.ctx, w.Name, time.Now().Add(-time.Hour)); err != nil {
		g.Error(err)
	}
	_, err = bob.Samples(g.ctx, "suite-a/"+w.Name, time.Time{})
	wantError(g.T, err, masu.NotFound, "no_workspace")
}

// testServiceKeep: what was installed by hand is written into the folder's file, by its owner alone.
func testServiceKeep(g *guest) {
	w, bob := g.up(), g.other()
	for what, err := range map[string]error{
		"added": second(bob.Added(g.ctx, "suite-a/"+w.Name)), "keep": bob.Keep(g.ctx, "suite-a/"+w.Name, masu.Layer{Apt: []string{"tree"}}),
	} {
		if masu.CodeOf(err) != "no_workspace" {
			g.Errorf("%s: %v", what, err)
		}
	}
	wantError(g.T, g.admin().Keep(g.ctx, "suite-a/"+w.Name, masu.Layer{Apt: []string{"tree"}}), masu.Denied, "not_owner")
	for _, l := range []masu.Layer{{}, {Pip: []string{"a b"}}, {Pip: []string{"--index-url=http://x\ny"}}} {
		wantError(g.T, g.svc.Keep(g.ctx, w.Name, l), masu.Invalid, "keep_nothing")
	}
	if err := g.svc.Keep(g.ctx, w.Name, masu.Layer{Apt: []string{"tree"}}); err != nil {
		g.Fatal(err)
	}
	if text, err := g.svc.ProjectFile(g.ctx, w.Project.Dir); err != nil || !strings.Contains(text, "- tree\n") {
		g.Errorf("masu.yaml is %q, %v", text, err)
	}
	if _, err := g.svc.Stop(g.ctx, w.Name); err != nil {
		g.Fatal(err)
	}
	if _, err := g.svc.Added(g.ctx, w.Name); masu.KindOf(err) != masu.Conflict {
		g.Errorf("what does not run: %v", err)
	}
}
