package masutest

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/masu-lab/masu"
)

// submit asks for a run of a shell's.
func (g *guest) submit(w masu.RunWish, script string) []masu.Run {
	g.Helper()
	w.Argv = []string{"sh", "-c", script}
	list, err := g.svc.Submit(g.ctx, w)
	if err != nil {
		g.Fatalf("submit %q: %v", script, err)
	}
	return list
}

// over waits until a run is over.
func (g *guest) over(id masu.WorkspaceID) masu.Run {
	g.Helper()
	for {
		r, err := g.svc.RunByID(g.ctx, id)
		if err != nil {
			g.Fatal(err)
		}
		if r.Over() {
			return r
		}
		select {
		case <-time.After(5 * time.Millisecond):
		case <-g.ctx.Done():
			g.Fatalf("it is never over: %+v", r)
		}
	}
}

// testServiceRuns: commands run by themselves, one after the other where that
// is wished, end with their own codes, and are nobody else's.
func testServiceRuns(g *guest) {
	for _, c := range []struct {
		wish masu.RunWish
		code string
	}{
		{masu.RunWish{}, "run_nothing"}, {masu.RunWish{Argv: []string{"true"}, Name: "no good"}, "workspace_name"},
		{masu.RunWish{Argv: []string{"true"}, Array: true, First: 3, Last: 2}, "array_wrong"}, {masu.RunWish{Argv: []string{"true"}, Array: true, Last: 5000}, "array_wrong"},
		{masu.RunWish{Argv: []string{"true"}, Limit: -time.Second}, "limit_wrong"}, {masu.RunWish{Argv: []string{"true"}, Retries: -1}, "retries_wrong"},
		{masu.RunWish{Argv: []string{"true"}, Want: &masu.Want{Count: 9}}, "gpus_impossible"},
	} {
		_, err := g.svc.Submit(g.ctx, c.wish)
		wantError(g.T, err, masu.Invalid, c.code)
	}
	_, err := g.svc.Submit(g.ctx, masu.RunWish{Argv: []string{"true"}, After: []masu.WorkspaceID{"aaaabbbbcccc"}})
	wantError(g.T, err, masu.NotFound, "no_run")

	one := g.submit(masu.RunWish{Name: "train", Env: []string{"LR=3"}}, "echo rate $LR; exit 7")[0]
	if r := g.over(one.ID); r.Phase != masu.RunEnded || r.Code != 7 || r.Name != "train" || r.StartedAt.IsZero() || r.EndedAt.Before(r.StartedAt) || r.Well() {
		g.Errorf("a run that ends with 7: %+v", r)
	}
	var log bytes.Buffer
	if err := g.svc.RunLog(g.ctx, one.ID, &log, true); err != nil || log.String() != "rate 3\n" {
		g.Errorf("its log: %q, %v", log.String(), err)
	}

	array := g.submit(masu.RunWish{Array: true, First: 1, Last: 3}, "echo number $MASU_ARRAY_INDEX")
	for i, r := range array {
		log.Reset()
		if r = g.over(r.ID); !r.Well() || r.Index != i+1 || r.Series == "" || r.Series != array[0].Series {
			g.Errorf("of an array: %+v", r)
		}
		if err := g.svc.RunLog(g.ctx, r.ID, &log, false); err != nil || log.String() != fmt.Sprintf("number %d\n", i+1) {
			g.Errorf("its log: %q, %v", log.String(), err)
		}
	}
	after := g.submit(masu.RunWish{After: []masu.WorkspaceID{array[0].ID, array[2].ID}}, "true")[0]
	if r := g.over(after.ID); !r.Well() {
		g.Errorf("after others: %+v", r)
	}
	never := g.submit(masu.RunWish{After: []masu.WorkspaceID{one.ID}}, "true")[0]
	if r := g.over(never.ID); r.Phase != masu.RunFailed || r.Trouble == nil || r.Trouble.Code != "run_after" || !r.StartedAt.IsZero() {
		g.Errorf("after one that failed: %+v", r)
	}
	testRunsAreOnesOwn(g, one, array)
	testRunNotebook(g)
}

// testRunNotebook: a run of a notebook has a place for its outputs, which only its owner can read.
func testRunNotebook(g *guest) {
	dir := g.folder()
	text := `{"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}`
	write := func(name string) {
		g.Helper()
		path := filepath.Join(dir, name)
		err := os.WriteFile(path, []byte(text), 0o600)
		if err == nil && os.Geteuid() == 0 {
			err = os.Chown(path, 30995, 30995)
		}
		if err != nil {
			g.Fatal(err)
		}
	}
	write("train.ipynb")
	testNotebooks(g, dir, write)
	for _, c := range []struct {
		n    masu.Notebook
		code string
	}{
		{masu.Notebook{}, "notebook_path"}, {masu.Notebook{Path: "train.py"}, "notebook_path"}, {masu.Notebook{Path: "../train.ipynb"}, "notebook_path"}, {masu.Notebook{Path: "/train.ipynb"}, "notebook_path"},
		{masu.Notebook{Path: "train.ipynb", Out: "../x.ipynb"}, "notebook_path"}, {masu.Notebook{Path: "train.ipynb", Out: "train.txt"}, "notebook_path"},
		{masu.Notebook{Path: "train.ipynb", Out: "./train.ipynb"}, "notebook_same"}, {masu.Notebook{Path: "other.ipynb"}, "notebook_missing"},
		{masu.Notebook{Path: "train.ipynb", Parameters: []string{"import os"}}, "parameter_wrong"},
	} {
		_, err := g.svc.Submit(g.ctx, masu.RunWish{Dir: dir, Notebook: &c.n})
		wantError(g.T, err, masu.Invalid, c.code)
	}
	_, err := g.svc.Submit(g.ctx, masu.RunWish{Dir: dir, Argv: []string{"true"}, Notebook: &masu.Notebook{Path: "train.ipynb"}})
	wantError(g.T, err, masu.Invalid, "run_nothing")

	list, err := g.svc.Submit(g.ctx, masu.RunWish{Dir: dir, Notebook: &masu.Notebook{Path: "./train.ipynb", Parameters: []string{"lr=0.1"}}, Array: true, First: 1, Last: 2})
	if err != nil {
		g.Fatal(err)
	}
	for _, r := range list {
		if r.Notebook == nil || r.Notebook.Path != "train.ipynb" || r.Notebook.Out != "train.run-"+string(r.ID)+".ipynb" || !slices.Equal(r.Argv, r.Notebook.Argv()) || r.Words() != "train.ipynb -p lr=0.1" {
			g.Errorf("a run of a notebook: %+v, %+v", r, r.Notebook)
		}
		g.over(r.ID) // the suite's boxes have no masu to execute it
	}
	named, err := g.svc.Submit(g.ctx, masu.RunWish{Dir: dir, Notebook: &masu.Notebook{Path: "train.ipynb", Out: "out.ipynb"}, Array: true, First: 7, Last: 7})
	if err != nil || named[0].Notebook.Out != "out-7.ipynb" {
		g.Errorf("of an array, with a name: %+v, %v", named, err)
	}
	var file bytes.Buffer
	wantError(g.T, g.svc.RunNotebook(g.ctx, named[0].ID, &file), masu.NotFound, "no_notebook")
	write("out-7.ipynb")
	if err := g.svc.RunNotebook(g.ctx, named[0].ID, &file); err != nil || file.String() != text {
		g.Errorf("its notebook: %q, %v", file.String(), err)
	}
	wantError(g.T, g.other().RunNotebook(g.ctx, named[0].ID, &file), masu.NotFound, "no_run")
	text = strings.Repeat(" ", int(masu.NotebookMost)) + text
	write("out-7.ipynb")
	wantError(g.T, g.svc.RunNotebook(g.ctx, named[0].ID, &file), masu.Invalid, "notebook_large")
	g.over(named[0].ID)
	plain := g.submit(masu.RunWish{}, "true")[0]
	wantError(g.T, g.svc.RunNotebook(g.ctx, plain.ID, &file), masu.NotFound, "no_notebook")
	g.over(plain.ID)
}

// testNotebooks: those in a folder can be chosen from; what is hidden, far below, put out by a run or reached by a link is not listed.
func testNotebooks(g *guest, dir string, write func(string)) {
	g.Helper()
	for _, sub := range []string{"week2", ".ipynb_checkpoints", "a/b/c/d"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o755); err != nil {
			g.Fatal(err)
		}
	}
	for _, name := range []string{"week2/二.ipynb", ".hidden.ipynb", ".ipynb_checkpoints/train-checkpoint.ipynb", "a/b/c/far.ipynb", "a/b/c/d/further.ipynb", "train.run-abcdefghijkl.ipynb", "notes.txt"} {
		write(name)
	}
	for link, to := range map[string]string{"link.ipynb": "train.ipynb", "out": ".."} {
		if err := os.Symlink(to, filepath.Join(dir, link)); err != nil {
			g.Fatal(err)
		}
	}
	want := []string{"a/b/c/far.ipynb", "train.ipynb", "week2/二.ipynb"}
	if got, err := g.svc.Notebooks(g.ctx, dir); err != nil || !slices.Equal(got, want) {
		g.Errorf("notebooks: %q, %v; want %q", got, err, want)
	}
	_, err := g.svc.Notebooks(g.ctx, filepath.Join(dir, "nowhere"))
	wantError(g.T, err, masu.Invalid, "folder_not_found")
}

func testRunsAreOnesOwn(g *guest, one masu.Run, array []masu.Run) {
	long := g.submit(masu.RunWish{}, "echo begun; sleep 60")[0]
	bob, log := g.other(), bytes.Buffer{}
	for what, err := range map[string]error{
		"look": second(bob.RunByID(g.ctx, long.ID)), "samples": second(bob.RunSamples(g.ctx, long.ID)), "cancel": second(bob.CancelRun(g.ctx, long.ID)), "forget": bob.ForgetRun(g.ctx, one.ID), "log": bob.RunLog(g.ctx, one.ID, &log, false),
		"after": second(bob.Submit(g.ctx, masu.RunWish{Argv: []string{"true"}, After: []masu.WorkspaceID{one.ID}})),
	} {
		if masu.CodeOf(err) != "no_run" || masu.KindOf(err) != masu.NotFound {
			g.Errorf("another's: %s: %v", what, err)
		}
	}
	_, err := bob.Runs(g.ctx, true)
	wantError(g.T, err, masu.Denied, "not_admin")
	if list, err := bob.Runs(g.ctx, false); err != nil || slices.ContainsFunc(list, func(r masu.Run) bool { return r.Owner != "suite-b" }) {
		g.Errorf("another's list: %+v, %v", list, err)
	}
	if list, err := g.admin().Runs(g.ctx, true); err != nil || !slices.ContainsFunc(list, func(r masu.Run) bool { return r.ID == long.ID }) {
		g.Errorf("the admin's list: %+v, %v", list, err)
	}
	for !strings.Contains(log.String(), "begun") {
		log.Reset()
		if err := g.svc.RunLog(g.ctx, long.ID, &log, false); err != nil || g.ctx.Err() != nil {
			g.Fatalf("the log of what runs: %q, %v", log.String(), err)
		}
		time.Sleep(5 * time.Millisecond)
	}
	wantError(g.T, g.svc.ForgetRun(g.ctx, long.ID), masu.Conflict, "run_goes_on")
	if r, err := g.svc.CancelRun(g.ctx, long.ID); err != nil || r.Phase != masu.RunCancelled {
		g.Errorf("cancelled: %+v, %v", r, err)
	}
	if r, err := g.svc.CancelRun(g.ctx, one.ID); err != nil || r.Phase != masu.RunEnded {
		g.Errorf("cancelled when it was over: %+v, %v", r, err)
	}
	limited := g.submit(masu.RunWish{Limit: 300 * time.Millisecond}, "sleep 60")[0]
	if r := g.over(limited.ID); r.Phase != masu.RunFailed || r.Trouble == nil || r.Trouble.Code != "run_limit" {
		g.Errorf("over its limit: %+v", r)
	}
	for _, r := range append(array, one, long, limited) {
		if err := g.svc.ForgetRun(g.ctx, r.ID); err != nil {
			g.Error(err)
		}
	}
	_, err = g.svc.RunByID(g.ctx, one.ID)
	wantError(g.T, err, masu.NotFound, "no_run")
}
