package web

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/masu-lab/masu"
	"github.com/masu-lab/masu/internal/text"
)

const (
	runsBefore  = 20 // runs that one can be chosen to come after
	notebooksAt = 8  // that have a button of their own; the others are in the form's list
)

// runForm asks for a run in a workspace's folder: what can be chosen, and what was filled in.
type runForm struct {
	Shown     bool
	Path      string // of the workspace's page
	Notebooks []string
	GPUs      []int // numbers that can be asked for; none where the host has none
	Own       int   // as the workspace has them
	Classes   []string
	Before    []runChoice

	Command, Notebook, Count string
	Limit, Array, After      string
	Class, Name              string
	At                       string   // the field that is wrong; "" where it is none of them
	Problem                  *problem // what is wrong there
}

// runChoice is a run that another may come after.
type runChoice struct{ ID, Says string }

// First are the notebooks that have a button of their own.
func (f runForm) First() []string { return f.Notebooks[:min(len(f.Notebooks), notebooksAt)] }

// Wrong is what is wrong at a field.
func (f runForm) Wrong(field string) *problem {
	if f.At != field {
		return nil
	}
	return f.Problem
}

// runField is a field with what is wrong there.
type runField struct {
	Name    string
	Problem *problem
}

// Field is a field's name with what is wrong there.
func (f runForm) Field(name string) runField { return runField{name, f.Wrong(name)} }

// readRunForm reads what was filled in.
func readRunForm(v url.Values) runForm {
	said := func(name string) string { return strings.TrimSpace(v.Get(name)) }
	return runForm{Command: said("command"), Notebook: v.Get("notebook"), Count: said("gpus"), Limit: said("limit"), Array: said("array"), After: said("after"), Class: said("class"), Name: said("name")}
}

// wish is what a filled-in form means for a workspace's folder.
func (f runForm) wish(ws masu.Workspace) (w masu.RunWish, err error) {
	want := ws.Project.Want
	w = masu.RunWish{Dir: ws.Project.Dir, Name: f.Name, Want: &want, Class: f.Class}
	if ws.Project.Source == "" { // the folder does not say it itself
		w.Preset = ws.Project.Environment.Preset
	}
	switch {
	case f.Command != "" && f.Notebook != "":
		return w, masu.E(masu.Invalid, "run_both")
	case f.Command == "" && f.Notebook == "":
		return w, masu.E(masu.Invalid, "run_neither")
	case f.Notebook != "":
		w.Notebook = &masu.Notebook{Path: f.Notebook}
	default:
		w.Argv = argv(f.Command)
	}
	if f.Count != "" {
		n, err := strconv.Atoi(f.Count)
		if err != nil || n < 0 || n > 1000 {
			return w, masu.E(masu.Invalid, "gpus_form", f.Count)
		}
		*w.Want = masu.Want{Count: n}
	}
	if w.Limit, err = spanOf(f.Limit); err != nil {
		return w, err
	}
	if f.Array != "" {
		if err := w.SetArray(f.Array); err != nil {
			return w, err
		}
	}
	if f.After != "" {
		w.After = []masu.WorkspaceID{masu.WorkspaceID(f.After)}
	}
	return w, nil
}

// argv is the command of a line: its words, or a shell's work where there is more to it than words.
func argv(line string) []string {
	if strings.ContainsAny(line, "\"'`\\$&|;<>()*?[]{}~#!=\n") {
		return []string{"sh", "-c", line}
	}
	return strings.Fields(line)
}

// spanOf reads how long a run may take: 30m, 8h, 2d, or a number of hours.
func spanOf(s string) (time.Duration, error) {
	if s == "" {
		return 0, nil
	}
	d, err := time.ParseDuration(s)
	if days, ok := strings.CutSuffix(s, "d"); ok {
		d, err = time.ParseDuration(days + "h")
		d *= 24
	} else if _, number := strconv.ParseFloat(s, 64); number == nil {
		d, err = time.ParseDuration(s + "h")
	}
	if err != nil || d <= 0 {
		return 0, masu.E(masu.Invalid, "limit_wrong", s)
	}
	return d, nil
}

// fieldOf is the field that an error is about.
func fieldOf(err error) string {
	switch code := masu.CodeOf(err); {
	case code == "run_nothing", code == "run_both", code == "run_neither":
		return "command"
	case code == "no_run":
		return "after"
	case code == "workspace_name":
		return "name"
	case strings.HasPrefix(code, "notebook_"):
		return "notebook"
	case strings.HasPrefix(code, "gpus_"):
		return "gpus"
	case strings.HasPrefix(code, "limit_"):
		return "limit"
	case strings.HasPrefix(code, "array_"):
		return "array"
	case strings.HasPrefix(code, "class_"):
		return "class"
	}
	return ""
}

// runFormFor adds what can be chosen. Where the folder cannot be looked at, there are no notebooks to choose from.
func (s *Server) runFormFor(r *http.Request, v *visit, ws masu.Workspace, f runForm) (runForm, error) {
	if ws.Owner != v.actor.Name || ws.Adopted != nil || ws.Project.Dir == "" {
		return f, nil
	}
	hello, err := v.hello(r.Context())
	if err != nil {
		return f, err
	}
	f.Shown, f.Path, f.Classes, f.Own = true, "/w/"+url.PathEscape(ws.Name), hello.Classes, max(len(ws.GPUs), ws.Project.Want.Count)
	for i := range len(hello.Host.GPUs) + 1 {
		if len(hello.Host.GPUs) > 0 {
			f.GPUs = append(f.GPUs, i)
		}
	}
	if f.Notebooks, err = v.service.Notebooks(r.Context(), ws.Project.Dir); err != nil {
		s.log(r, err)
	}
	list, err := v.service.Runs(r.Context(), false)
	lang := s.lang(r, v)
	for _, run := range list[:min(len(list), runsBefore)] {
		if !run.Over() || run.Well() {
			f.Before = append(f.Before, runChoice{string(run.ID), run.Name + " · " + text.Say(lang, "run."+string(run.Phase)) + " · " + run.Words()})
		}
	}
	return f, err
}

// runHere asks for a run in a workspace's folder, or says at the field why not.
func (s *Server) runHere(w http.ResponseWriter, r *http.Request, v *visit) error {
	ws, err := v.service.Workspace(r.Context(), r.PathValue("name"))
	if err != nil {
		return err
	}
	if ws.Owner != v.actor.Name || ws.Adopted != nil {
		return masu.E(masu.Denied, "not_owner")
	}
	f := readRunForm(r.PostForm)
	wish, err := f.wish(ws)
	var list []masu.Run
	if err == nil {
		list, err = v.service.Submit(r.Context(), wish)
	}
	if err != nil {
		s.log(r, err)
		lang := s.lang(r, v)
		f.At, f.Problem = fieldOf(err), newProblem(lang, err)
		view := newWorkspace(lang, ws, v.actor.Name)
		if view.Run, err = s.runFormFor(r, v, ws, f); err != nil {
			return err
		}
		return s.show(w, r, v, http.StatusBadRequest, view)
	}
	http.Redirect(w, r, pageOfRuns(list), http.StatusSeeOther)
	return nil
}

// pageOfRuns is where what was just asked for is looked at.
func pageOfRuns(list []masu.Run) string {
	if len(list) == 1 {
		return "/runs/" + url.PathEscape(string(list[0].ID))
	}
	return "/runs"
}

// runAgain asks for a run once more.
func (s *Server) runAgain(w http.ResponseWriter, r *http.Request, v *visit) error {
	run, err := v.service.RunByID(r.Context(), masu.WorkspaceID(r.PathValue("id")))
	if err != nil {
		return err
	}
	if run.Owner != v.actor.Name { // an admin looks; the folder is not theirs
		return masu.E(masu.Denied, "not_owner")
	}
	list, err := v.service.Submit(r.Context(), run.Again())
	if err != nil {
		return err
	}
	http.Redirect(w, r, pageOfRuns(list), http.StatusSeeOther)
	return nil
}

// releaseRun gives a run's GPUs back, which ends it.
func (s *Server) releaseRun(w http.ResponseWriter, r *http.Request, v *visit) error {
	if _, err := v.service.Release(r.Context(), r.PathValue("id")); err != nil {
		return err
	}
	http.Redirect(w, r, "/runs/"+url.PathEscape(r.PathValue("id")), http.StatusSeeOther)
	return nil
}
