package web

import (
	"encoding/json"
	"fmt"
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
	Card        card
	Environment []fact
	Notes       []string
	Server      string // for the line that ssh needs
}

type fact struct{ Name, Value string }

func (s *Server) workspace(w http.ResponseWriter, r *http.Request, v *visit) error {
	ws, err := v.service.Workspace(r.Context(), r.PathValue("name"))
	if err != nil {
		return err
	}
	lang := s.lang(r, v)
	view := &workspaceView{Card: newCard(lang, ws), Environment: facts(lang, ws), Server: s.cfg.HostName}
	for _, n := range ws.Project.Notes {
		view.Notes = append(view.Notes, text.Strings(lang, n.Code, n.Args))
	}
	return s.show(w, r, http.StatusOK, "workspace", view)
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
	ws, err := v.service.Up(r.Context(), masu.UpRequest{Name: r.PathValue("name"), Restart: r.PostFormValue("restart") != ""})
	if err != nil {
		return err
	}
	http.Redirect(w, r, "/w/"+url.PathEscape(ws.Name), http.StatusSeeOther)
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
	name := r.PathValue("name")
	if r.PostFormValue("confirm") != name {
		return masu.E(masu.Invalid, "remove_unconfirmed", name)
	}
	if err := v.service.Remove(r.Context(), name); err != nil {
		return err
	}
	http.Redirect(w, r, "/", http.StatusSeeOther)
	return nil
}

// stream is a response of server-sent events.
type stream struct {
	w http.ResponseWriter
	c *http.ResponseController
}

func newStream(w http.ResponseWriter) *stream {
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("X-Accel-Buffering", "no")
	w.WriteHeader(http.StatusOK)
	s := &stream{w, http.NewResponseController(w)}
	_ = s.c.Flush()
	return s
}

func (s *stream) send(event string, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintf(s.w, "event: %s\ndata: %s\n\n", event, b); err != nil {
		return err
	}
	return s.c.Flush()
}

// streamLife bounds a stream: the browser comes again by itself, and is asked again who it is.
const streamLife = 30 * time.Minute

// events tells the home page about the member's workspaces as they change: the
// card as it is to be shown, ready made.
func (s *Server) events(w http.ResponseWriter, r *http.Request, v *visit) error {
	ctx, cancel := s.whileSignedIn(r, v)
	defer cancel()
	out := newStream(w)
	lang := s.lang(r, v)
	for ws, err := range v.service.Changes(ctx) {
		if err != nil {
			return nil // the browser comes again
		}
		msg := map[string]any{"id": ws.ID, "phase": ws.Phase}
		if ws.Phase != "" {
			html, err := s.looks.render(lang, "home", "card", newCard(lang, ws))
			if err != nil {
				s.cfg.Log.Error("page", "part", "card", "error", err)
				return nil
			}
			msg["html"] = string(html)
		}
		if out.send("workspace", msg) != nil {
			return nil
		}
	}
	return nil
}

// logLine is one thing that an operation told.
type logLine struct {
	Step  string             `json:"step,omitempty"`
	Name  string             `json:"name,omitempty"`
	State masu.ProgressState `json:"state,omitempty"`
	Line  string             `json:"line,omitempty"`
	Say   string             `json:"say,omitempty"`
	Bytes string             `json:"bytes,omitempty"`
	At    int64              `json:"at"` // milliseconds
}

// buildLog replays and follows what happens to a workspace, and says at the end how it stands.
func (s *Server) buildLog(w http.ResponseWriter, r *http.Request, v *visit) error {
	name := r.PathValue("name")
	if _, err := v.service.Workspace(r.Context(), name); err != nil {
		return err
	}
	ctx, cancel := s.whileSignedIn(r, v)
	defer cancel()
	out := newStream(w)
	lang := s.lang(r, v)
	for p, err := range v.service.Watch(ctx, name) {
		if err != nil {
			return nil
		}
		l := logLine{Step: p.Step, Name: p.Name, State: p.State, Line: p.Line, At: p.At.UnixMilli()}
		if p.Code != "" {
			l.Say = text.Strings(lang, p.Code, p.Args)
		}
		if p.Total > 0 {
			l.Bytes = p.Current.String() + " / " + p.Total.String()
		}
		if out.send("progress", l) != nil {
			return nil
		}
	}
	ws, err := v.service.Workspace(r.Context(), name)
	if err == nil {
		_ = out.send("end", map[string]any{"phase": ws.Phase})
	}
	return nil
}
