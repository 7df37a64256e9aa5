package masutest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/masu-lab/masu"
)

// Service runs the suite that every masu.Service passes: a lab's own, and one
// that came over a wire. open gives the service of an actor; all that it gives
// speak to one lab, whose boxes have a POSIX shell, and whose default
// environment can be had without a network. The suite makes its own folders
// and workspaces and removes them.
func Service(t *testing.T, open func(t *testing.T, a masu.Actor) masu.Service) {
	for _, test := range []struct {
		name string
		run  func(*guest)
	}{
		{"Whoami", testWhoami},
		{"UpStopRemove", testUpStopRemove},
		{"WatchReplays", testWatchReplays},
		{"NotYours", testNotYours},
		{"Admin", testAdmin},
		{"Changes", testServiceChanges},
		{"Exec", testServiceExec},
		{"ExecBig", testServiceExecBig},
		{"ExecCancelled", testServiceExecCancelled},
		{"Dial", testServiceDial},
		{"Logs", testServiceLogs},
		{"Run", testServiceRun},
		{"Build", testServiceBuild},
		{"Read", testServiceRead},
		{"Projects", testServiceProjects},
		{"People", testServicePeople},
		{"Keys", testServiceKeys},
		{"Guests", testServiceGuests},
		{"AppShares", testServiceAppShares},
		{"Sharing", testServiceSharing},
		{"Images", testServiceImages},
		{"Keep", testServiceKeep},
		{"Programs", testServicePrograms},
		{"Lending", testServiceLending},
		{"OrCPU", testServiceOrCPU},
		{"Reserve", testServiceReserve},
		{"Runs", testServiceRuns},
		{"Refusals", testRefusals},
		{"Link", testLink},
		{"Parallel", testParallel},
	} {
		t.Run(test.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			t.Cleanup(cancel)
			g := &guest{T: t, ctx: ctx, open: func(a masu.Actor) masu.Service { return open(t, a) }}
			g.svc = g.open(suiteActor("suite-a", 30995, false))
			test.run(g)
		})
	}
}

// guest is what one test of the suite has in hand.
type guest struct {
	*testing.T
	ctx  context.Context
	open func(masu.Actor) masu.Service
	svc  masu.Service // alice's
}

func suiteActor(name masu.Username, uid int, admin bool) masu.Actor {
	return masu.Actor{User: masu.User{Name: name, UID: uid, GID: uid, Home: "/home/" + string(name), Admin: admin}, Door: masu.DoorSocket}
}

func (g *guest) other() masu.Service { return g.open(suiteActor("suite-b", 30996, false)) }
func (g *guest) teacher() masu.Service {
	return g.open(masu.Actor{User: masu.User{Name: "suite-t", UID: 30994, GID: 30994, Home: "/home/suite-t", Role: masu.RoleTeacher}, Door: masu.DoorSocket})
}
func (g *guest) admin() masu.Service { return g.open(suiteActor("suite-c", 30997, true)) }

func suiteName() string { return "suite-" + strings.ToLower(rand.Text()[:8]) }

// folder makes a project folder that is alice's.
func (g *guest) folder() string {
	g.Helper()
	dir := g.TempDir()
	err := errors.Join(os.Chmod(filepath.Dir(dir), 0o755), os.Chmod(dir, 0o755))
	if os.Geteuid() == 0 {
		err = errors.Join(err, os.Chown(dir, 30995, 30995))
	}
	if err != nil {
		g.Fatal(err)
	}
	return dir
}

// up brings a workspace up and waits until it runs.
func (g *guest) up() masu.Workspace {
	g.Helper()
	name := suiteName()
	g.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(g.ctx), patience)
		defer cancel()
		if err := g.svc.Remove(ctx, name); err != nil && masu.KindOf(err) != masu.NotFound {
			g.Errorf("remove %s: %v", name, err)
		}
	})
	if _, err := g.svc.Up(g.ctx, masu.UpRequest{Dir: g.folder(), Name: name}); err != nil {
		g.Fatalf("up: %v", err)
	}
	return g.settle(name)
}

// settle waits until a workspace runs.
func (g *guest) settle(name string) masu.Workspace {
	g.Helper()
	for _, err := range g.svc.Watch(g.ctx, name) {
		if err != nil {
			g.Fatalf("watch: %v", err)
		}
	}
	w, err := g.svc.Workspace(g.ctx, name)
	if err != nil {
		g.Fatalf("workspace: %v", err)
	}
	if w.Phase != masu.Running {
		g.Fatalf("it is %s and does not run: %+v", w.Phase, w.Trouble)
	}
	return w
}

// ended tells whether err is what an ended context gives.
func ended(err error) bool {
	return errors.Is(err, context.Canceled) || masu.KindOf(err) == masu.Cancelled
}

func testWhoami(g *guest) {
	h, err := g.svc.Whoami(g.ctx)
	if err != nil || h.Actor.Name != "suite-a" || h.Actor.UID != 30995 || h.Actor.Door != masu.DoorSocket || h.Lab == "" {
		g.Errorf("got %+v, %v", h, err)
	}
	if err := g.svc.SetLang(g.ctx, masu.Japanese); err != nil {
		g.Fatal(err)
	}
	if h, err := g.svc.Whoami(g.ctx); err != nil || h.Actor.Lang != masu.Japanese {
		g.Errorf("after SetLang: %+v, %v", h.Actor, err)
	}
}

func testUpStopRemove(g *guest) {
	w := g.up()
	if w.Owner != "suite-a" || w.ID == "" || w.Label == "" || w.Project.Dir == "" || w.CreatedAt.IsZero() || w.ChangedAt.IsZero() {
		g.Errorf("a running workspace is %+v", w)
	}
	same, err := g.svc.Up(g.ctx, masu.UpRequest{Dir: w.Project.Dir, Name: w.Name})
	if err != nil || same.ID != w.ID || same.Phase != masu.Running || !same.ChangedAt.Equal(w.ChangedAt) {
		g.Errorf("up of what runs: %+v, %v", same, err)
	}
	for _, name := range []string{w.Name, string(w.ID), "suite-a/" + w.Name} {
		if got, err := g.svc.Workspace(g.ctx, name); err != nil || got.ID != w.ID {
			g.Errorf("named %s: %+v, %v", name, got, err)
		}
	}
	list, err := g.svc.Workspaces(g.ctx, false)
	if err != nil || !slices.ContainsFunc(list, func(x masu.Workspace) bool { return x.ID == w.ID && x.Phase == masu.Running }) {
		g.Errorf("the list is %+v, %v", list, err)
	}
	for range 2 { // it succeeds when it is already so
		if s, err := g.svc.Stop(g.ctx, w.Name); err != nil || s.Phase != masu.Stopped || s.ID != w.ID {
			g.Errorf("stop: %+v, %v", s, err)
		}
	}
	_, err = g.svc.Exec(g.ctx, w.Name, masu.Exec{Argv: []string{"true"}})
	if masu.KindOf(err) != masu.Conflict {
		g.Errorf("exec in a stopped one: %v", err)
	}
	if _, err := g.svc.Dial(g.ctx, w.Name, masu.AgentPort); masu.KindOf(err) != masu.Conflict {
		g.Errorf("dial into a stopped one: %v", err)
	}
	if _, err := g.svc.Up(g.ctx, masu.UpRequest{Name: w.Name}); err != nil {
		g.Fatalf("up again by name: %v", err)
	}
	if again := g.settle(w.Name); again.ID != w.ID || again.Project.Dir != w.Project.Dir {
		g.Errorf("up again made another: %+v", again)
	}
	if err := g.svc.Remove(g.ctx, w.Name); err != nil {
		g.Fatalf("remove: %v", err)
	}
	_, err = g.svc.Workspace(g.ctx, w.Name)
	wantError(g.T, err, masu.NotFound, "no_workspace")
	_, err = g.svc.Up(g.ctx, masu.UpRequest{Name: w.Name})
	wantError(g.T, err, masu.NotFound, "no_workspace")
	wantError(g.T, g.svc.Remove(g.ctx, w.Name), masu.NotFound, "no_workspace")
	if _, err := os.Stat(w.Project.Dir); err != nil {
		g.Errorf("the project folder was touched: %v", err)
	}
}

func testWatchReplays(g *guest) {
	w := g.up()
	var told [2][]masu.Progress
	for i := range told {
		for p, err := range g.svc.Watch(g.ctx, w.Name) {
			if err != nil {
				g.Fatal(err)
			}
			told[i] = append(told[i], p)
		}
	}
	if len(told[0]) == 0 || len(told[0]) != len(told[1]) {
		g.Fatalf("told %d, then %d", len(told[0]), len(told[1]))
	}
	for i, p := range told[0] {
		if p.Step == "" && p.Code == "" {
			g.Errorf("%+v tells nothing", p)
		}
		if fmt.Sprint(p.Step, p.State, p.Line, p.Code, p.Args) != fmt.Sprint(told[1][i].Step, told[1][i].State, told[1][i].Line, told[1][i].Code, told[1][i].Args) {
			g.Errorf("number %d is %+v, then %+v", i, p, told[1][i])
		}
	}
	for range g.svc.Watch(g.ctx, w.Name) { // leaving early hurts nobody
		break
	}
	if _, err := g.svc.Workspace(g.ctx, w.Name); err != nil {
		g.Error(err)
	}
}

// testNotYours: to whom it does not belong, a workspace is one that never was.
func testNotYours(g *guest) {
	w := g.up()
	bob := g.other()
	calls := map[string]func(name string) error{
		"Workspace": func(n string) error { _, err := bob.Workspace(g.ctx, n); return err },
		"Stop":      func(n string) error { _, err := bob.Stop(g.ctx, n); return err },
		"Remove":    func(n string) error { return bob.Remove(g.ctx, n) },
		"Exec":      func(n string) error { _, err := bob.Exec(g.ctx, n, masu.Exec{Argv: []string{"true"}}); return err },
		"Logs":      func(n string) error { return bob.Logs(g.ctx, n, io.Discard, true) },
		"SideLogs":  func(n string) error { return bob.SideLogs(g.ctx, n, "db", io.Discard, true) },
		"Dial":      func(n string) error { _, err := bob.Dial(g.ctx, n, masu.AgentPort); return err },
		"Link":      func(n string) error { _, err := bob.Link(g.ctx, n); return err },
		"Watch": func(n string) error {
			for _, err := range bob.Watch(g.ctx, n) {
				return err
			}
			return nil
		},
	}
	for what, call := range calls {
		for _, pair := range [][2]string{
			{w.Name, suiteName()}, {string(w.ID), string(newID())}, {"suite-a/" + w.Name, "suite-a/" + suiteName()},
		} {
			theirs, nobodys := call(pair[0]), call(pair[1])
			wantError(g.T, theirs, masu.NotFound, "no_workspace")
			a, b := words(theirs, pair[0]), words(nobodys, pair[1])
			if a != b {
				g.Errorf("%s tells them apart: %s and %s", what, a, b)
			}
		}
	}
	if list, err := bob.Workspaces(g.ctx, false); err != nil || slices.ContainsFunc(list, func(x masu.Workspace) bool { return x.Owner != "suite-b" }) {
		g.Errorf("bob's list is %+v, %v", list, err)
	}
	if list, _ := bob.Workspaces(g.ctx, true); slices.ContainsFunc(list, func(x masu.Workspace) bool { return x.Owner != "suite-b" }) {
		g.Errorf("who is no admin lists %+v", list)
	}
	if got, err := g.svc.Workspace(g.ctx, w.Name); err != nil || got.Phase != masu.Running {
		g.Errorf("after all that it is %s, %v", got.Phase, err)
	}
}

// words is what a person is told, the name taken out.
func words(err error, name string) string {
	e, ok := errors.AsType[*masu.Error](err)
	if !ok {
		return fmt.Sprint(err)
	}
	return strings.ReplaceAll(fmt.Sprint(e.Kind, e.Code, e.Args), name, "NAME")
}

func testAdmin(g *guest) {
	w, admin := g.up(), g.admin()
	for _, name := range []string{"suite-a/" + w.Name, string(w.ID)} {
		if got, err := admin.Workspace(g.ctx, name); err != nil || got.ID != w.ID {
			g.Errorf("an admin, %s: %+v, %v", name, got, err)
		}
	}
	_, err := admin.Workspace(g.ctx, w.Name) // that would be the admin's own
	wantError(g.T, err, masu.NotFound, "no_workspace")
	isIt := func(x masu.Workspace) bool { return x.ID == w.ID }
	if all, err := admin.Workspaces(g.ctx, true); err != nil || !slices.ContainsFunc(all, isIt) {
		g.Errorf("everybody's: %+v, %v", all, err)
	}
	if own, err := admin.Workspaces(g.ctx, false); err != nil || slices.ContainsFunc(own, isIt) {
		g.Errorf("the admin's own: %+v, %v", own, err)
	}
	if s, err := admin.Stop(g.ctx, "suite-a/"+w.Name); err != nil || s.Phase != masu.Stopped {
		g.Errorf("an admin stops it: %+v, %v", s, err)
	}
}

func testServiceChanges(g *guest) {
	first := g.up()
	ctx, cancel := context.WithCancel(g.ctx)
	defer cancel()
	var second masu.Workspace
	stage := 0 // what is awaited: first as it is, second running, second stopped, second gone
	for w, err := range g.svc.Changes(ctx) {
		if err != nil {
			if stage < 4 || !ended(err) {
				g.Fatalf("at stage %d: %v", stage, err)
			}
			break
		}
		if w.Owner != "suite-a" {
			g.Fatalf("told of %s/%s", w.Owner, w.Name)
		}
		switch {
		case stage == 0 && w.ID == first.ID && w.Phase == masu.Running:
			second = g.up()
			stage++
		case stage == 1 && w.ID == second.ID && w.Phase == masu.Running:
			if _, err := g.svc.Stop(g.ctx, second.Name); err != nil {
				g.Fatal(err)
			}
			stage++
		case stage == 2 && w.ID == second.ID && w.Phase == masu.Stopped:
			if err := g.svc.Remove(g.ctx, second.Name); err != nil {
				g.Fatal(err)
			}
			stage++
		case stage == 3 && w.ID == second.ID && w.Phase == "":
			stage++
			cancel()
		}
	}
	if stage != 4 {
		g.Errorf("it ended at stage %d", stage)
	}
}

func testServiceBuild(g *guest) {
	dir := g.folder()
	image, err := g.svc.Build(g.ctx, masu.BuildWish{Dir: dir}, func(masu.Progress) {})
	if err != nil || image.ID == "" {
		g.Fatalf("build: %+v, %v", image, err)
	}
	all, err := g.svc.Images(g.ctx)
	if err != nil || !slices.ContainsFunc(all, func(i masu.ImageUse) bool { return i.ID == image.ID }) {
		g.Errorf("the images are %+v, %v", all, err)
	}
	_, err = g.svc.Build(g.ctx, masu.BuildWish{Dir: "/no/such/folder"}, nil)
	wantError(g.T, err, masu.Invalid, "folder_not_found")
	ctx, cancel := context.WithCancel(g.ctx)
	cancel()
	if _, err := g.svc.Build(ctx, masu.BuildWish{Dir: dir, NoCache: true}, nil); !ended(err) {
		g.Errorf("build whose context has ended: %v", err)
	}
}

func testServiceRead(g *guest) {
	dir := g.folder()
	p, err := g.svc.Read(g.ctx, dir)
	if err != nil || p.Project.Dir != dir || p.Ref == "" || len(p.Recipe) == 0 {
		g.Errorf("got %+v, %v", p, err)
	}
	_, err = g.svc.Read(g.ctx, "/no/such/folder")
	wantError(g.T, err, masu.Invalid, "folder_not_found")
}

func testRefusals(g *guest) {
	_, err := g.svc.Up(g.ctx, masu.UpRequest{Dir: "/no/such/folder", Name: suiteName()})
	wantError(g.T, err, masu.Invalid, "folder_not_found")
	if e, ok := errors.AsType[*masu.Error](err); !ok || !slices.Contains(e.Args, "/no/such/folder") {
		g.Errorf("it does not say which folder: %v", err)
	}
	for _, name := range []string{"研究", "-a", "A", "a--b", strings.Repeat("a", 31), "../a"} {
		if _, err := g.svc.Up(g.ctx, masu.UpRequest{Dir: g.folder(), Name: name}); masu.KindOf(err) != masu.Invalid {
			g.Errorf("up %q: %v", name, err)
		}
	}
	wantError(g.T, g.svc.SetPassword(g.ctx, "x"), masu.Invalid, "password_short")
	for _, p := range []string{"correct horse battery staple", ""} {
		if err := g.svc.SetPassword(g.ctx, p); err != nil {
			g.Errorf("SetPassword: %v", err)
		}
	}
	if err := g.svc.RemoveImage(g.ctx, "masu/env:neverbuilt"); masu.KindOf(err) != masu.NotFound {
		g.Errorf("remove an image that never was: %v", err)
	}
	if _, err := g.svc.PruneImages(g.ctx, true); err != nil {
		g.Errorf("prune, only told: %v", err)
	}
}

func testLink(g *guest) {
	for _, name := range []string{"", g.up().Name} {
		a, err := g.svc.Link(g.ctx, name)
		b, err2 := g.svc.Link(g.ctx, name)
		if err != nil || err2 != nil || !strings.HasPrefix(a.URL, "http") || a.URL == b.URL || !a.Expires.After(time.Now()) {
			g.Errorf("links into %q: %+v, %v, %+v, %v", name, a, err, b, err2)
		}
	}
}

func testParallel(g *guest) {
	w := g.up()
	var all sync.WaitGroup
	for i := range 50 {
		all.Go(func() {
			if got, err := g.svc.Workspace(g.ctx, w.Name); err != nil || got.ID != w.ID {
				g.Errorf("%d: %+v, %v", i, got, err)
			}
			var out safeBuffer
			code, err := g.svc.Exec(g.ctx, w.Name, masu.Exec{Argv: []string{"echo", fmt.Sprint(i)}, Stdout: &out})
			if code != 0 || err != nil || out.String() != fmt.Sprintln(i) {
				g.Errorf("%d: %d, %v, %q", i, code, err, out.String())
			}
		})
	}
	all.Wait()
}
