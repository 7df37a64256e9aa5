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
	Mine    bool // they may be changed
	Apps    []programView
	Logs    string // the folder that TensorBoard shows, or would
}

// programView is one of them.
type programView struct {
	Name, Title, State, Words string
	Port                      int // 0 where its name says it
	Bad, Rests, Always, Own   bool
	Open                      string // where it is opened; "" where it cannot be
	Keep                      string // where it is made an app; "" where it is one
	Shares                    []shareView
}

// programForm is what was filled in for another one.
type programForm struct {
	Name, Command, Port, Idle, Logs string
	OnVisit                         bool
	Keeps                           bool // what runs at a port already
	Problem                         *problem
}

const tensorBoard = "tensorboard"

func newPrograms(lang masu.Lang, ws masu.Workspace, me masu.Username) programsView {
	v := programsView{Path: "/w/" + key(ws, me), Running: ws.Phase == masu.Running, Mine: ws.Owner == me, Logs: "runs"}
	for _, a := range ws.Project.Apps {
		if a.Name == tensorBoard && a.Logs != "" {
			v.Logs = a.Logs
		}
	}
	for _, a := range ws.Programs() {
		p := programView{Name: a.Name, Title: appTitle(a.Name), State: text.Say(lang, "app.state."+a.State()), Words: a.Error, Port: a.Port,
			Bad: a.State() == "fails", Rests: a.Rests, Always: a.Name == jupyter, Own: v.Mine && ws.Project.HasApp(a.Name) && a.Name != jupyter}
		if byHand(ws, a) {
			p.Title, p.Port = text.Say(lang, "web.open_port", a.Port), 0
		}
		if v.Mine {
			p.Shares = newShares(lang, ws, a.Name)
		}
		if v.Running {
			p.Open = barPath(key(ws, me), a.Name, "")
			if v.Mine && byHand(ws, a) {
				p.Keep = v.Path + "?keep=" + strconv.Itoa(a.Port) + "#apps"
			}
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
	field := func(name string) string { return strings.TrimSpace(r.PostForm.Get(name)) }
	form := programForm{Name: field("app"), Command: field("command"), Port: field("port"), Idle: field("idle"), Logs: field("logs"), OnVisit: field("visit") != ""}
	wish, err := form.wish(ws)
	if err == nil {
		err = v.service.PutApp(r.Context(), string(ws.ID), wish)
	}
	if err != nil {
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

// byHand tells whether somebody has begun it in a terminal, and it is not kept as an app yet.
func byHand(ws masu.Workspace, a masu.App) bool {
	return a.Name == "p"+strconv.Itoa(a.Port) && !ws.Project.HasApp(a.Name)
}

// keepForm is filled in with what runs at a port, as far as it is known.
func keepForm(ws masu.Workspace, port string) programForm {
	for _, a := range ws.Apps {
		if strconv.Itoa(a.Port) == port && byHand(ws, a) {
			return programForm{Name: "port" + port, Command: a.Command, Port: port, Keeps: true}
		}
	}
	return programForm{}
}

// wish is what was filled in. Of an app that masu knows, what was not asked for stays as it is.
func (f programForm) wish(ws masu.Workspace) (w masu.AppWish, err error) {
	w = masu.AppWish{Name: f.Name, Command: f.Command, OnVisit: f.OnVisit}
	if f.Name == tensorBoard {
		for _, a := range ws.Project.Apps {
			if a.Name == tensorBoard {
				w = a
			}
		}
		w.Logs = f.Logs
		return w, nil
	}
	if w.Port, err = strconv.Atoi(f.Port); err != nil {
		return w, masu.E(masu.Invalid, "app_number", f.Port)
	}
	if f.Idle != "" {
		minutes, err := strconv.Atoi(f.Idle)
		if err != nil || minutes < 1 {
			return w, masu.E(masu.Invalid, "app_number", f.Idle)
		}
		w.IdleFor = time.Duration(minutes) * time.Minute
	}
	return w, nil
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
