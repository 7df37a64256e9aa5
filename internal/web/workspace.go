package web

import (
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/masu-lab/masu"
	"github.com/masu-lab/masu/internal/text"
)

// workspaceView is everything about one workspace.
type workspaceView struct {
	base
	Card         card
	Guests       []masu.Username
	Graphs       useGraphs
	Added        *addedView // asked for by a browser without scripts
	GuestProblem *problem   // why a colleague was not let in
	Editor       editorView
	Programs     programsView
	AppForm      programForm
	ShareApp     shareForm
	Run          runForm
	Environment  []fact
	Compare      string // where its environment is compared with another; "" where it has none of its own
	Notes        []string
	Changed      bool     // its folder asks for something else than what runs
	Problem      *problem // why it was not removed
	Next         string   // where to go as soon as it runs; "" to stay
}

type fact struct{ Name, Value string }

func (s *Server) workspace(w http.ResponseWriter, r *http.Request, v *visit) error {
	ws, err := s.named(r.Context(), v, r.PathValue("name"))
	if err != nil {
		return err
	}
	next := waitsFor(key(ws, v.actor.Name), r)
	if next != "" && ws.Phase == masu.Running {
		http.Redirect(w, r, next, http.StatusSeeOther)
		return nil
	}
	if ws.Part {
		return s.show(w, r, v, http.StatusOK, newShared(s.lang(r, v), ws, v.actor.Name))
	}
	view := newWorkspace(s.lang(r, v), ws, v.actor.Name)
	hello, err := v.hello(r.Context())
	if err != nil {
		return err
	}
	view.Editor, view.ShareApp = newEditor(ws, hello), newShareForm(ws, hello.Reach)
	view.AppForm = keepForm(ws, r.FormValue("keep"))
	view.Next, view.Changed = next, r.FormValue("changed") != "" && ws.Phase == masu.Running
	now := time.Now()
	samples, err := v.service.Samples(r.Context(), string(ws.ID), now.Add(-graphHours*time.Hour))
	if err != nil {
		return err
	}
	view.Graphs = newGraphs(s.lang(r, v), samples, now)
	if view.Run, err = s.runFormFor(r, v, ws, runForm{}); err != nil {
		return err
	}
	if r.FormValue("added") != "" {
		added := s.newAdded(r, v, ws)
		view.Added = &added
	}
	return s.show(w, r, v, http.StatusOK, view)
}

// waitsFor is where a browser that was sent here on its way to an app wants to go on to: under the bar, or without it.
func waitsFor(key string, r *http.Request) string {
	if app := r.FormValue("bar"); masu.ValidAppName(app) {
		return barPath(key, app, r.FormValue("next"))
	}
	if app := r.FormValue("go"); masu.ValidAppName(app) {
		return alonePath(key, app, r.FormValue("next"))
	}
	return ""
}

// newWorkspace builds the page from what is known.
func newWorkspace(lang masu.Lang, ws masu.Workspace, me masu.Username) *workspaceView {
	view := &workspaceView{Card: newCard(lang, ws, me), Guests: ws.Guests, Environment: facts(lang, ws), Programs: newPrograms(lang, ws, me)}
	view.Refresh = view.Card.Busy
	if ws.Owner == me && ws.Adopted == nil {
		view.Compare = comparePath("w/" + ws.Name)
	}
	for _, n := range ws.Project.Notes {
		view.Notes = append(view.Notes, text.Strings(lang, n.Code, n.Args))
	}
	return view
}

func facts(lang masu.Lang, w masu.Workspace) []fact {
	e := w.Project.Environment
	var f []fact
	add := func(code, value string) {
		if value != "" {
			f = append(f, fact{text.Say(lang, code), value})
		}
	}
	add("web.fact.folder", w.Project.Dir)
	add("web.fact.source", w.Project.Source)
	add("web.fact.preset", e.Preset)
	add("web.fact.base", string(e.Base))
	add("web.fact.dockerfile", e.Dockerfile)
	add("web.fact.python", e.Python)
	add("web.fact.torch", e.Torch)
	add("web.fact.tensorflow", e.TensorFlow)
	add("web.fact.apt", strings.Join(e.Apt, ", "))
	add("web.fact.pip", strings.Join(e.Pip, ", "))
	return f
}

func (s *Server) startAgain(w http.ResponseWriter, r *http.Request, v *visit) error {
	return s.upAgain(w, r, v, false)
}

func (s *Server) restart(w http.ResponseWriter, r *http.Request, v *visit) error {
	return s.upAgain(w, r, v, true)
}

// meanwhile begins on the CPU what waits for its GPUs.
func (s *Server) meanwhile(w http.ResponseWriter, r *http.Request, v *visit) error {
	ws, err := v.service.Workspace(r.Context(), r.PathValue("name"))
	if err != nil {
		return err
	}
	yes := true
	if ws, err = v.service.Up(r.Context(), masu.UpRequest{Name: r.PathValue("name"), Want: &ws.Project.Want, OrCPU: &yes}); err != nil {
		return err
	}
	http.Redirect(w, r, "/w/"+url.PathEscape(ws.Name), http.StatusSeeOther)
	return nil
}

func (s *Server) upAgain(w http.ResponseWriter, r *http.Request, v *visit, restart bool) error {
	ws, err := v.service.Up(r.Context(), masu.UpRequest{Name: r.PathValue("name"), Restart: restart})
	if err != nil {
		return err
	}
	to := "/w/" + url.PathEscape(ws.Name)
	if u, err := url.Parse(safeNext(r.PostForm.Get("next"))); err == nil { // goes on to the app by itself
		parts := strings.Split(u.Path, "/")
		app, next := parts[len(parts)-1], u.Query().Get("next")
		switch {
		case strings.HasPrefix(u.Path, "/open/"):
			to = pageThen(url.PathEscape(ws.Name), "go", app, next)
		case strings.HasPrefix(u.Path, "/w/") && len(parts) == 5:
			to = pageThen(url.PathEscape(ws.Name), "bar", app, next)
		}
	}
	http.Redirect(w, r, to, http.StatusSeeOther)
	return nil
}

func (s *Server) stop(w http.ResponseWriter, r *http.Request, v *visit) error {
	ws, err := v.service.Stop(r.Context(), r.PathValue("name"))
	if err != nil {
		return err
	}
	http.Redirect(w, r, "/w/"+url.PathEscape(ws.Name), http.StatusSeeOther)
	return nil
}

// remove wants the workspace's name typed: it deletes a home.
func (s *Server) remove(w http.ResponseWriter, r *http.Request, v *visit) error {
	ws, err := v.service.Workspace(r.Context(), r.PathValue("name"))
	if err != nil {
		return err
	}
	if r.PostForm.Get("confirm") != ws.Name {
		lang := s.lang(r, v)
		view := newWorkspace(lang, ws, v.actor.Name)
		unsure := masu.E(masu.Invalid, "remove_unconfirmed", ws.Name)
		view.Problem = newProblem(lang, unsure)
		return s.show(w, r, v, status(unsure), view)
	}
	if err := v.service.Remove(r.Context(), string(ws.ID)); err != nil {
		return err
	}
	http.Redirect(w, r, "/", http.StatusSeeOther)
	return nil
}
