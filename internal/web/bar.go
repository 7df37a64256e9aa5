package web

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/masu-lab/masu"
)

// barView is a page of masu's that holds an app in a frame of the app's own
// origin, under a bar that tells what one must know of the workspace meanwhile.
type barView struct {
	base
	Name, App string // of the workspace; of the app, as people call it
	Path      string // the workspace's page
	Part      string // where the bar's moving part is
	Alone     string // opens the app by itself
	Frame     string // what the frame shows first
	Now       barPart
}

func (*barView) template() string            { return "bar" }
func (v *barView) title(masu.Lang) string    { return v.Name + " · " + v.App }
func (*framedView) template() string         { return "framed" }
func (v *framedView) title(masu.Lang) string { return v.Problem.Message }
func barPath(key, app, next string) string   { return withNext("/w/"+key+"/app/"+app, next) }
func alonePath(key, app, next string) string { return withNext("/open/"+key+"/"+app, next) }

// withNext adds where in the app to go on, if that is said.
func withNext(path, next string) string {
	if next == "" {
		return path
	}
	return path + "?next=" + url.QueryEscape(safeNext(next))
}

// barPart is what moves in the bar.
type barPart struct {
	Path    string
	Phase   masu.Phase
	Running bool
	Start   bool // it can be started again from here
	Mine    bool
	Problem *problem // why it does not run
	Meters  []barMeter
	Memory  string
	Until   time.Time // its owner may count on the GPUs until then
	Over    bool      // that time is over
	Ending  string    // why, and when, they will be taken back
	Lost    string    // its box is refused its GPUs
	Turn    bool      // they are kept for it until EndsAt: it runs on the CPU
	EndsAt  time.Time
	Asked   []masu.Username
	House   houseView
}

// barMeter is how a GPU of the workspace does.
type barMeter struct {
	Index      int
	Fill, Busy int  // percent
	Known      bool // it was read lately
	Says       string
}

// bar shows an app under the bar, where browsers can hold it in a frame.
func (s *Server) bar(w http.ResponseWriter, r *http.Request, v *visit) error {
	ws, app, err := s.wanted(r, v)
	if err != nil {
		return err
	}
	next, at := r.FormValue("next"), key(ws, v.actor.Name)
	if ws.Phase != masu.Running {
		http.Redirect(w, r, pageThen(at, "bar", app, next), http.StatusSeeOther)
		return nil
	}
	if !s.cfg.Origins.frames(r.Host) || ws.Owner != v.actor.Name { // what is a colleague's is not shown under the pages' address
		http.Redirect(w, r, alonePath(at, app, next), http.StatusSeeOther)
		return nil
	}
	origin, enter, err := s.entrance(r, v, ws, app, next)
	if err != nil {
		return err
	}
	view := &barView{Name: ws.Name, App: appTitle(app), Path: "/w/" + at, Part: "/w/" + at + "/bar", Alone: alonePath(at, app, next), Frame: enter + "&frame=1"}
	if view.Now, err = s.newBar(r, v, ws); err != nil {
		return err
	}
	h := w.Header()
	h.Set("Content-Security-Policy", policy+"; frame-src "+origin+"; frame-ancestors 'none'")
	h.Set("Cross-Origin-Opener-Policy", "same-origin-allow-popups") // else the app could open no window
	return s.show(w, r, v, http.StatusOK, view)
}

// barNow gives the part of the bar that moves.
func (s *Server) barNow(w http.ResponseWriter, r *http.Request, v *visit) error {
	ws, err := s.named(r.Context(), v, r.PathValue("name"))
	if err != nil {
		return err
	}
	now, err := s.newBar(r, v, ws)
	if err != nil {
		return err
	}
	return s.part(w, r, v, "barpart", now)
}

// newBar gathers what the bar tells.
func (s *Server) newBar(r *http.Request, v *visit, ws masu.Workspace) (barPart, error) {
	lang, now := s.lang(r, v), time.Now()
	c := newCard(lang, ws, v.actor.Name)
	p := barPart{Path: c.Path, Phase: ws.Phase, Running: c.Running, Start: c.Startable, Mine: ws.Owner == v.actor.Name, Problem: c.Problem, Asked: c.Asked}
	hello, err := v.hello(r.Context())
	if err != nil {
		return p, err
	}
	p.House = newHouse(lang, hello.House, now)
	if !c.Running {
		return p, nil
	}
	p.Until, p.Over = ws.Until, !ws.Until.IsZero() && !ws.Until.After(now)
	p.Ending, p.EndsAt, p.Turn, p.Lost = c.Ending, ws.EndsAt, c.Turn, c.Lost
	list, err := v.service.Samples(r.Context(), string(ws.ID), now.Add(-graphGap))
	if err != nil {
		return p, err
	}
	if len(list) > 0 {
		p.Memory = list[len(list)-1].Memory.String()
	}
	if len(ws.GPUs) == 0 {
		return p, nil
	}
	b, err := v.service.Board(r.Context())
	if err != nil {
		return p, err
	}
	p.Meters = newMeters(lang, b, ws.GPUs)
	return p, nil
}

func newMeters(lang masu.Lang, b masu.Board, own []masu.GPUID) (list []barMeter) {
	for _, id := range own {
		for _, g := range b.GPUs {
			if g.ID != id {
				continue
			}
			m := barMeter{Index: g.Index, Says: reading(lang, g.Reading)}
			if x := g.Reading; x != nil && x.Memory >= 0 && g.Memory > 0 {
				m.Known, m.Fill = true, int(min(100*x.Memory/g.Memory, 100))
				m.Says = fmt.Sprintf("%s / %s", x.Memory, g.Memory)
				if x.Busy >= 0 { // which no slice tells
					m.Busy = int(min(100*x.Busy, 100))
					m.Says = fmt.Sprintf("%d%% · %s", m.Busy, m.Says)
				}
			}
			list = append(list, m)
		}
	}
	return list
}

// framedView is shown in the frame in the place of an app that cannot be there.
type framedView struct {
	base
	Problem *problem
	Path    string // where to go on, in the whole window
}

// framedHere looks whether the browser keeps the sign-in that enterApp gave to
// a frame. Some keep none there: from them the frame says how to go on without it.
func (s *Server) framedHere(w http.ResponseWriter, r *http.Request) {
	secure(w.Header())
	next := safeNext(r.URL.Query().Get("next"))
	if _, err := s.authorize(r); masu.CodeOf(err) != "signin_needed" {
		http.Redirect(w, r, next, http.StatusSeeOther) // what else is wrong, the way there tells
		return
	}
	at, _, _ := s.cfg.Origins.placeOf(r)
	s.sayFramed(w, r, masu.E(masu.Denied, "frame_unkept"), s.cfg.Origins.pagesFor(r)+alonePath(url.PathEscape(at.label), at.app, next))
}

func (s *Server) sayFramed(w http.ResponseWriter, r *http.Request, err error, path string) {
	if shown := s.show(w, r, nil, status(err), &framedView{Problem: newProblem(s.lang(r, nil), err), Path: path}); shown != nil {
		s.refuse(w, r, shown)
	}
}

// inFrame tells whether a browser asks for something to show in a frame, where
// the pages cannot be.
func inFrame(r *http.Request) bool {
	dest := r.Header.Get("Sec-Fetch-Dest")
	return dest == "iframe" || dest == "frame"
}

// framers are the origins of the pages for a browser that is at an app's: only
// their pages may hold the app in a frame.
func (o *Origins) framers(r *http.Request) []string {
	_, byPort := r.Context().Value(placeKey{}).(place)
	var list []string
	for _, h := range o.hosts {
		switch {
		case byPort && hostname(h) == strings.ToLower(hostname(r.Host)), !byPort && !o.local:
			list = append(list, o.scheme+"://"+h)
		case !byPort && isLocal(hostname(h)): // at any port, as people's tunnels begin
			list = append(list, o.scheme+"://"+withPort(hostname(h), r.Host))
		}
	}
	return list
}

// frames tells whether the pages, reached by that host name, can hold an app in
// a frame: a browser must keep the sign-in there. It does so for an app's port of
// the same host. For an app's name, which is another site to it, it does so where
// it trusts the connection: encrypted, or to this very machine.
func (o *Origins) frames(host string) bool {
	return o.scheme == "https" || o.local && (isLocal(hostname(host)) || o.cfg.Listen != nil)
}
