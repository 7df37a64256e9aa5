package masutest

import (
	"bytes"

	"github.com/masu-lab/masu"
)

// testServicePrograms: apps come and go with a workspace that runs, by its owner's word alone.
func testServicePrograms(g *guest) {
	w, bob := g.up(), g.other()
	demo := masu.AppWish{Name: "demo", Command: "serve", Port: 8501, OnVisit: true}
	for what, err := range map[string]error{
		"put": bob.PutApp(g.ctx, "suite-a/"+w.Name, demo), "drop": bob.DropApp(g.ctx, "suite-a/"+w.Name, "jupyter"),
		"start": bob.StartApp(g.ctx, "suite-a/"+w.Name, "jupyter"), "stop": bob.StopApp(g.ctx, "suite-a/"+w.Name, "tensorboard"),
		"log": bob.AppLog(g.ctx, "suite-a/"+w.Name, "jupyter", new(bytes.Buffer), false),
	} {
		wantError(g.T, err, masu.NotFound, "no_workspace")
		if err == nil {
			g.Errorf("%s was somebody else's", what)
		}
	}
	wantError(g.T, g.admin().PutApp(g.ctx, "suite-a/"+w.Name, demo), masu.Denied, "not_owner")
	wantError(g.T, g.svc.PutApp(g.ctx, w.Name, masu.AppWish{Name: "unknown"}), masu.Invalid, "app_needs")
	wantError(g.T, g.svc.StartApp(g.ctx, w.Name, "demo"), masu.NotFound, "no_app")
	wantError(g.T, g.svc.StopApp(g.ctx, w.Name, "jupyter"), masu.Invalid, "app_always")
	wantError(g.T, g.svc.DropApp(g.ctx, w.Name, "jupyter"), masu.Invalid, "app_always")
	if err := g.svc.PutApp(g.ctx, w.Name, demo); err != nil {
		g.Fatal(err)
	}
	g.becomes(g.svc, w.Name, "has the app, which rests", func(w masu.Workspace) bool {
		a, ok := w.App("demo")
		return ok && a.Rests && a.Own && a.Port == 8501 && w.Project.HasApp("demo")
	})
	if err := g.svc.DropApp(g.ctx, w.Name, "demo"); err != nil {
		g.Fatal(err)
	}
	g.becomes(g.svc, w.Name, "has it no more", func(w masu.Workspace) bool { _, ok := w.App("demo"); return !ok && !w.Project.HasApp("demo") })
	if _, err := g.svc.Stop(g.ctx, w.Name); err != nil {
		g.Fatal(err)
	}
	wantError(g.T, g.svc.StartApp(g.ctx, w.Name, "jupyter"), masu.Conflict, "not_running")
}
