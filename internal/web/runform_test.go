package web

import (
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/masu-lab/masu"
	"github.com/masu-lab/masu/internal/text"
)

// TestRunWish: what a filled-in form means, and at which field it says what is wrong.
func TestRunWish(t *testing.T) {
	ws := masu.Workspace{Project: masu.Project{Dir: "/home/alice/thesis", Source: "masu.yaml", Want: masu.Want{Count: 1, Model: "A100"}, Environment: masu.Environment{Preset: "pytorch"}}}
	bare := ws
	bare.Project.Source = ""
	own, two, none := ws.Project.Want, masu.Want{Count: 2}, masu.Want{}
	for _, c := range []struct {
		filled string
		ws     masu.Workspace
		want   masu.RunWish
		at     string // the field that is wrong
	}{
		{"notebook=a.ipynb", ws, masu.RunWish{Want: &own, Notebook: &masu.Notebook{Path: "a.ipynb"}}, ""},
		{"command=+python3++train.py+--lr+0.1+", bare, masu.RunWish{Want: &own, Preset: "pytorch", Argv: []string{"python3", "train.py", "--lr", "0.1"}}, ""},
		{"command=python3+a.py+%26%26+python3+b.py&gpus=2&limit=8h&name=both&class=paper&after=aaaabbbbcccc", ws,
			masu.RunWish{Want: &two, Argv: []string{"sh", "-c", "python3 a.py && python3 b.py"}, Limit: 8 * time.Hour, Name: "both", Class: "paper", After: []masu.WorkspaceID{"aaaabbbbcccc"}}, ""},
		{"command=true&gpus=0&limit=1.5&array=3-9", ws, masu.RunWish{Want: &none, Argv: []string{"true"}, Limit: 90 * time.Minute, Array: true, First: 3, Last: 9}, ""},
		{"command=true&limit=2d", ws, masu.RunWish{Want: &own, Argv: []string{"true"}, Limit: 48 * time.Hour}, ""},
		{"command=true&notebook=a.ipynb", ws, masu.RunWish{}, "command"}, {"command=++&notebook=", ws, masu.RunWish{}, "command"},
		{"command=true&gpus=many", ws, masu.RunWish{}, "gpus"}, {"command=true&gpus=-1", ws, masu.RunWish{}, "gpus"},
		{"command=true&limit=soon", ws, masu.RunWish{}, "limit"}, {"command=true&limit=-1h", ws, masu.RunWish{}, "limit"}, {"command=true&limit=0", ws, masu.RunWish{}, "limit"},
		{"command=true&array=3", ws, masu.RunWish{}, "array"},
	} {
		v, err := url.ParseQuery(c.filled)
		if err != nil {
			t.Fatal(err)
		}
		got, err := readRunForm(v).wish(c.ws)
		if c.want.Dir = c.ws.Project.Dir; c.at == "" && (err != nil || !reflect.DeepEqual(got, c.want)) {
			t.Errorf("%s: %+v, %v; want %+v", c.filled, got, err, c.want)
		}
		if c.at != "" && (err == nil || fieldOf(err) != c.at) {
			t.Errorf("%s: %v is wrong at %q, want %q", c.filled, err, fieldOf(err), c.at)
		}
	}
	for code, field := range map[string]string{"run_nothing": "command", "notebook_missing": "notebook", "gpus_impossible": "gpus", "limit_most": "limit", "array_wrong": "array", "no_run": "after", "class_denied": "class", "workspace_name": "name", "runs_full": "", "gpus_busy": "gpus", "notebook_path": "notebook", "limit_wrong": "limit", "class_unknown": "class"} {
		if got := fieldOf(masu.E(masu.Invalid, code)); got != field {
			t.Errorf("%s is shown at %q, want %q", code, got, field)
		}
		for _, lang := range []masu.Lang{masu.Japanese, masu.English} {
			if _, fix := text.Error(lang, masu.E(masu.Invalid, code, "1", "2")); code != "run_nothing" && strings.Contains(fix, "--") { // which a form does not cause
				t.Errorf("beside the form, %s speaks of a command's flags: %s", code, fix)
			}
		}
	}
}

// FuzzRunForm: whatever is filled in means a run that can be asked for, or is wrong at a field.
func FuzzRunForm(f *testing.F) {
	for _, s := range []string{"command=true", "notebook=a.ipynb&gpus=2&limit=2d", "command=a|b&array=0-9&after=x", "limit=1e300", "array=-1--2"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, filled string) {
		v, err := url.ParseQuery(filled)
		if err != nil {
			return
		}
		w, err := readRunForm(v).wish(masu.Workspace{})
		if err != nil && fieldOf(err) == "" {
			t.Errorf("%q is wrong nowhere: %v", filled, err)
		}
		if err == nil && (w.Limit < 0 || len(w.Argv) > 0 && w.Notebook != nil || w.Want.Count < 0) {
			t.Errorf("%q means %+v", filled, w)
		}
	})
}

// TestRunFromThePage: a notebook of the workspace's folder is run with one press, a command by the form;
// what is wrong is said at its field, and nobody runs anything in another's folder.
func TestRunFromThePage(t *testing.T) {
	g := newRig(t)
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "train.ipynb"), []byte(`{"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}`), 0o600); err != nil {
		t.Fatal(err)
	}
	g.lab.set(masu.Workspace{Owner: "alice", Name: "thesis", Phase: masu.Stopped, Project: masu.Project{Dir: dir}})
	b, bob := g.browser(), g.browser()
	b.signIn("alice")
	bob.signIn("bob")
	if a := b.get("/w/thesis"); a.StatusCode != http.StatusOK || !strings.Contains(a.text, `name="notebook" value="train.ipynb"`) || !strings.Contains(a.text, `action="/w/thesis/run"`) {
		t.Errorf("the page offers no notebook: %s %s", a.Status, a.text)
	}
	a := b.post("/w/thesis/run", url.Values{"notebook": {"train.ipynb"}})
	at := a.Header.Get("Location")
	if a.StatusCode != http.StatusSeeOther || !strings.HasPrefix(at, "/runs/") {
		t.Fatalf("a notebook: %s to %q: %s", a.Status, at, a.text)
	}
	id := masu.WorkspaceID(strings.TrimPrefix(at, "/runs/"))
	svc := g.lab.As(masu.Actor{User: masu.User{Name: "alice"}})
	if r, err := svc.RunByID(t.Context(), id); err != nil || r.Notebook == nil || r.Notebook.Path != "train.ipynb" || r.Project.Dir != dir {
		t.Errorf("it runs %+v, %v", r, err)
	}
	if a := b.post(at+"/again", nil); a.StatusCode != http.StatusSeeOther || !strings.HasPrefix(a.Header.Get("Location"), "/runs/") || a.Header.Get("Location") == at {
		t.Errorf("again: %s to %q", a.Status, a.Header.Get("Location"))
	}
	if a := b.post("/w/thesis/run", url.Values{"command": {"echo x"}, "array": {"1-2"}}); a.Header.Get("Location") != "/runs" {
		t.Errorf("an array: %s to %q", a.Status, a.Header.Get("Location"))
	}
	before := len(mine(t, svc))
	a = b.post("/w/thesis/run", url.Values{"command": {"python3 train.py"}, "limit": {"soon"}, "name": {"My Run"}})
	for _, want := range []string{`id="run-limit-wrong"`, `aria-describedby="run-limit-wrong"`, `value="python3 train.py"`, `value="soon"`, `value="My Run"`, `<details open>`} {
		if a.StatusCode != http.StatusBadRequest || !strings.Contains(a.text, want) {
			t.Errorf("a wrong limit: %s lacks %s", a.Status, want)
		}
	}
	if a := b.post("/w/thesis/run", url.Values{"notebook": {"../train.ipynb"}}); a.StatusCode != http.StatusBadRequest || !strings.Contains(a.text, `id="run-notebook-wrong"`) {
		t.Errorf("a notebook elsewhere: %s", a.Status)
	}
	if a := bob.post("/w/thesis/run", url.Values{"command": {"true"}}); a.StatusCode != http.StatusNotFound {
		t.Errorf("bob runs in her folder: %s", a.Status)
	}
	if a := bob.post(at+"/again", nil); a.StatusCode != http.StatusNotFound {
		t.Errorf("bob runs hers again: %s", a.Status)
	}
	if n := len(mine(t, svc)); n != before {
		t.Errorf("what was refused has made %d runs", n-before)
	}
	if a := b.post(at+"/release", nil); a.StatusCode != http.StatusSeeOther && a.StatusCode != http.StatusNotFound {
		t.Errorf("give back: %s", a.Status)
	}
	if !strings.Contains(g.lab.doings(), "alice release "+string(id)) {
		t.Errorf("it was not given back: %s", g.lab.doings())
	}
}

func mine(t *testing.T, svc masu.Service) []masu.Run {
	t.Helper()
	list, err := svc.Runs(t.Context(), false)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// TestRunInABrowser: the form is filled in by the keyboard, says at the field what is wrong, and fits a phone in both languages.
func TestRunInABrowser(t *testing.T) {
	if _, err := exec.LookPath("chromium"); err != nil {
		t.Skip("chromium is not installed")
	}
	g := newRig(t)
	dir := t.TempDir()
	for _, name := range []string{"train.ipynb", "a notebook whose name is as long as names of notebooks are in laboratories.ipynb"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(`{"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}`), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	g.lab.hello = masu.Hello{Host: masu.Host{GPUs: []masu.GPU{{ID: "g"}, {ID: "h"}}}, Classes: []string{"paper"}}
	g.lab.set(masu.Workspace{Owner: "alice", Name: "thesis", Phase: masu.Stopped, Project: masu.Project{Dir: dir}})
	c, axe := newChromium(t), axeScript(t)
	base := "http://localhost:" + g.port
	c.cookie(base, "masu_session", g.secret("alice"))
	for _, lang := range []string{"ja", "en"} {
		c.lang(lang)
		for width, scheme := range map[int]string{1280: "light", 390: "light", 360: "dark"} {
			c.size(width)
			c.scheme(scheme)
			c.goTo(base + "/w/thesis")
			c.eval(`document.querySelector("#run summary").focus()`)
			c.enter()
			c.until(`document.getElementById("run-limit").checkVisibility()`)
			for _, typed := range [][2]string{{"#run-command", "python3 train.py"}, {"#run-limit", "soon"}} {
				c.tabTo(typed[0])
				c.call("Input.insertText", map[string]any{"text": typed[1]}, nil)
			}
			c.enter()
			c.until(`document.readyState === "complete" && document.getElementById("run-limit-wrong")?.checkVisibility()`)
			if c.eval(`document.getElementById("run-command").value`) != "python3 train.py" {
				t.Error("what was filled in is lost")
			}
			shot := "runform-" + lang + "-" + strconv.Itoa(width)
			c.eval(`document.getElementById("run").scrollIntoView()`)
			c.shoot(shot)
			c.axe(axe, shot)
			c.well(shot)
		}
	}
	c.goTo(base + "/w/thesis")
	c.eval(`[...document.querySelectorAll("#run .lines button")].at(-1).focus()`)
	c.enter()
	c.until(`location.pathname.startsWith("/runs/") && document.querySelector("h1")`)
}

// TestRunAsked: who asked for a run's GPUs is on its page with what can be done about it, until it is over.
func TestRunAsked(t *testing.T) {
	r := masu.Run{ID: "abcdefghijkl", Owner: "alice", Name: "train", Phase: masu.RunRunning, Asked: []masu.Username{"bob"}}
	if v := newRun(masu.English, r); len(v.Asked) != 1 {
		t.Errorf("while it runs: %v", v.Asked)
	}
	r.Phase = masu.RunEnded
	if v := newRun(masu.English, r); v.Asked != nil {
		t.Errorf("when it is over: %v", v.Asked)
	}
}
