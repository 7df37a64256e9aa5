package web

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/masu-lab/masu"
	"github.com/masu-lab/masu/internal/text"
)

// programsView is the apps of a workspace, for its owner.
type programsView struct {
	Path    string // of the workspace's page
	Running bool
	Apps    []programView
}

// programView is one of them.
type programView struct {
	Name, Title, State, Words string
	Port                      int
	Bad, Rests, Always, Own   bool
	Open                      string // where it is opened; "" where it cannot be
}

// programForm is what was filled in for another one.
type programForm struct {
	Name, Command, Port, Idle string
	OnVisit                   bool
	Problem                   *problem
}

func newPrograms(lang masu.Lang, ws masu.Workspace, me masu.Username) programsView {
	v := programsView{Path: "/w/" + key(ws, me), Running: ws.Phase == masu.Running}
	for _, a := range ws.Programs() {
		p := programView{Name: a.Name, Title: appTitle(a.Name), State: text.Say(lang, "app.state."+a.State()), Words: a.Error, Port: a.Port,
			Bad: a.State() == "fails", Rests: a.Rests, Always: a.Name == jupyter, Own: ws.Project.HasApp(a.Name) && a.Name != jupyter}
		if v.Running {
			p.Open = barPath(key(ws, me), a.Name, "")
		}
		v.Apps = append(v.Apps, p)
	}
	return v
}

// programs is the part of the page that tells how the apps are now.
func (s *Server) programs(w http.ResponseWriter, r *http.Request, v *visit) error {
	ws, err := v.service.Workspace(r.Context(), r.PathValue("name"))
	if err != nil {
		return err
	}
	return s.part(w, r, v, "programs", newPrograms(s.lang(r, v), ws, v.actor.Name))
}

// putApp adds an app, or says on the page why not.
func (s *Server) putApp(w http.ResponseWriter, r *http.Request, v *visit) error {
	ws, err := v.service.Workspace(r.Context(), r.PathValue("name"))
	if err != nil {
		return err
	}
	form := programForm{Name: strings.TrimSpace(r.PostForm.Get("app")), Command: strings.TrimSpace(r.PostForm.Get("command")),
		Port: strings.TrimSpace(r.PostForm.Get("port")), Idle: strings.TrimSpace(r.PostForm.Get("idle")), OnVisit: r.PostForm.Get("visit") != ""}
	wish := masu.AppWish{Name: form.Name, Command: form.Command, OnVisit: form.OnVisit, Logs: strings.TrimSpace(r.PostForm.Get("logs"))}
	wish.Port, _ = strconv.Atoi(form.Port) // what is no number is told to be missing
	if minutes, err := strconv.Atoi(form.Idle); err == nil {
		wish.IdleFor = time.Duration(minutes) * time.Minute
	}
	if err := v.service.PutApp(r.Context(), string(ws.ID), wish); err != nil {
		s.log(r, err)
		lang := s.lang(r, v)
		view := newWorkspace(lang, ws, v.actor.Name)
		form.Problem = newProblem(lang, err)
		view.AppForm = form
		return s.show(w, r, v, status(err), view)
	}
	http.Redirect(w, r, pageOf(ws)+"#apps", http.StatusSeeOther)
	return nil
}

func (s *Server) dropApp(w http.ResponseWriter, r *http.Request, v *visit) error {
	return s.turnApp(w, r, v, v.service.DropApp)
}

func (s *Server) startApp(w http.ResponseWriter, r *http.Request, v *visit) error {
	return s.turnApp(w, r, v, v.service.StartApp)
}

func (s *Server) stopApp(w http.ResponseWriter, r *http.Request, v *visit) error {
	return s.turnApp(w, r, v, v.service.StopApp)
}

// turnApp does something about an app. One that does not start says so in the list.
func (s *Server) turnApp(w http.ResponseWriter, r *http.Request, v *visit, do func(ctx context.Context, name, app string) error) error {
	ws, err := v.service.Workspace(r.Context(), r.PathValue("name"))
	if err != nil {
		return err
	}
	if err := do(r.Context(), string(ws.ID), r.PostForm.Get("app")); err != nil && masu.CodeOf(err) != "app_not_ready" {
		return err
	}
	http.Redirect(w, r, pageOf(ws)+"#apps", http.StatusSeeOther)
	return nil
}

// appLog is what an app has printed lately, as text.
func (s *Server) appLog(w http.ResponseWriter, r *http.Request, v *visit) error {
	ws, err := v.service.Workspace(r.Context(), r.PathValue("name"))
	if err != nil {
		return err
	}
	out := &lateHead{w: w}
	err = v.service.AppLog(r.Context(), string(ws.ID), r.PathValue("app"), out, false)
	if err != nil && !out.begun {
		return err
	}
	out.begin()
	if err != nil && !errors.Is(err, context.Canceled) {
		s.log(r, err)
	}
	return nil
}

// lateHead is plain text whose head waits for the first of it, so that an error has its own.
type lateHead struct {
	w     http.ResponseWriter
	begun bool
}

func (l *lateHead) begin() {
	if !l.begun {
		l.begun = true
		l.w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	}
}

// Write is io.Writer's.
func (l *lateHead) Write(p []byte) (int, error) {
	l.begin()
	return l.w.Write(p)
}

