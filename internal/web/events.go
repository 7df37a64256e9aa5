package web

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"unicode"

	"github.com/masu-lab/masu"
	"github.com/masu-lab/masu/internal/text"
)

// event is one message of a stream.
type event struct {
	name string
	data any
}

// cardEvent is a workspace as it is now, ready to be put into a page; without HTML it is gone.
type cardEvent struct {
	ID    masu.WorkspaceID `json:"id"`
	Phase masu.Phase       `json:"phase"`
	HTML  string           `json:"html,omitempty"`
}

func (s *Server) newCardEvent(lang masu.Lang, part string, ws masu.Workspace, me masu.Username) (cardEvent, error) {
	e := cardEvent{ID: ws.ID, Phase: ws.Phase}
	if ws.Phase == "" || ws.Part {
		return e, nil
	}
	b, err := s.looks.render(lang, part, newCard(lang, ws, me))
	e.HTML = string(b)
	return e, err
}

// events tells the home page which workspaces there are, and then each as it changes.
func (s *Server) events(w http.ResponseWriter, r *http.Request, v *visit) error {
	page := &line{}
	home := s.homes.join(s.until, audience{v.actor.Name, s.lang(r, v)}, page)
	leave := func() { s.homes.leave(home, page); page.close() }
	first, err := s.homeNow(r.Context(), home, v.service)
	if err != nil {
		leave()
		return err
	}
	s.watchHome(home, v.service)
	ctx, end, out, apart := s.begin(w, r, v)
	page.begin(out, end, first)
	if apart {
		context.AfterFunc(ctx, leave)
		return nil
	}
	defer end()
	<-ctx.Done()
	leave()
	page.writing.Wait() // the answer is the request's
	return nil
}

// homeNow is what a page is told first: which workspaces there are, and each.
func (s *Server) homeNow(ctx context.Context, h *home, service masu.Service) ([][]byte, error) {
	list, err := service.Workspaces(ctx, false)
	if err != nil {
		return nil, err
	}
	ids, cards := []masu.WorkspaceID{}, [][]byte{nil}
	for _, ws := range list {
		if !ws.Part { // that has no card
			ids = append(ids, ws.ID)
		}
		card, err := s.homeCard(h.who, ws)
		if err != nil {
			return nil, err
		}
		s.homes.shows(h, ws.ID, card)
		cards = append(cards, card)
	}
	cards[0], err = event{"list", ids}.bytes()
	return cards, err
}

// workspaceEvents tells a workspace's page how it stands, and what its last
// start tells: "state", "begin" (of an operation), "progress", "end".
func (s *Server) workspaceEvents(w http.ResponseWriter, r *http.Request, v *visit) error {
	ws, err := s.named(r.Context(), v, r.PathValue("name"))
	if err != nil {
		return err
	}
	t := &teller{s: s, v: v, lang: s.lang(r, v), ws: ws, news: make(chan event)}
	s.stream(w, r, v, func(ctx context.Context, out *stream) {
		ctx, cancel := context.WithCancel(ctx)
		var wg sync.WaitGroup
		defer wg.Wait()
		defer cancel()
		wg.Go(func() {
			defer close(t.news)
			t.run(ctx)
		})
		for e := range t.news {
			if out.send(e) != nil {
				return
			}
		}
	})
	return nil
}

// teller follows one workspace for one page.
type teller struct {
	s    *Server
	v    *visit
	lang masu.Lang
	ws   masu.Workspace
	news chan event
}

func (t *teller) tell(ctx context.Context, name string, data any) bool {
	select {
	case t.news <- event{name, data}:
		return true
	case <-ctx.Done():
		return false
	}
}

// run ends when ctx does or the workspace is gone, and with it all that it started.
func (t *teller) run(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	watching := make(chan struct{}, 1) // holds a token while an operation is watched
	first := true
	for ws, err := range t.v.service.Changes(ctx) {
		if err != nil {
			return
		}
		if ws.ID != t.ws.ID {
			continue
		}
		e, err := t.s.newCardEvent(t.lang, "state", ws, t.v.actor.Name)
		if err != nil {
			t.s.cfg.Log.Error("page", "part", "state", "error", err)
			return
		}
		if !t.tell(ctx, "state", e) || ws.Phase == "" {
			return
		}
		if !first && ws.Phase.Settled() {
			continue
		}
		first = false
		select {
		case watching <- struct{}{}:
			wg.Go(func() { t.watch(ctx); <-watching })
		default: // its watcher sees what is new
		}
	}
}

// progressEvent is one thing that an operation told, in the page's language.
type progressEvent struct {
	Step  string             `json:"step,omitempty"`
	Name  string             `json:"name,omitempty"`
	State masu.ProgressState `json:"state,omitempty"`
	Line  *string            `json:"line,omitempty"`
	Say   string             `json:"say,omitempty"`
	Bytes string             `json:"bytes,omitempty"`
	At    int64              `json:"at"` // milliseconds
}

func (t *teller) watch(ctx context.Context) {
	if !t.tell(ctx, "begin", nil) {
		return
	}
	for p, err := range t.v.service.Watch(ctx, string(t.ws.ID)) {
		if err != nil || !t.tell(ctx, "progress", newProgress(t.lang, p)) {
			return
		}
	}
	t.tell(ctx, "end", nil)
}

func newProgress(lang masu.Lang, p masu.Progress) progressEvent {
	e := progressEvent{Step: p.Step, Name: p.Name, State: p.State, At: p.At.UnixMilli()}
	if p.Code != "" {
		e.Say = text.Strings(lang, p.Code, p.Args)
	}
	if p.Line != "" {
		l := plainLine(p.Line)
		e.Line = &l
	}
	if p.Total > 0 {
		e.Bytes = p.Current.String() + " / " + p.Total.String()
	}
	return e
}

// escapes are what programs send to a terminal to move its cursor and change its colours.
var escapes = regexp.MustCompile("\x1b(?:\\[[0-?]*[ -/]*[@-~]|\\][^\x07\x1b]*(?:\x07|\x1b\\\\)?|[@-Z\\\\^_])")

// plainLine is a line of output as a page shows it: of a progress bar that
// draws itself over and over, the last state.
func plainLine(l string) string {
	l = strings.TrimRight(escapes.ReplaceAllString(l, ""), "\r")
	l = l[strings.LastIndexByte(l, '\r')+1:]
	return strings.Map(func(c rune) rune {
		if unicode.IsControl(c) && c != '\t' {
			return -1
		}
		return c
	}, l)
}

// textLog gives the log of the last start as plain text, also while it is
// written: for browsers without scripts, and to keep.
func (s *Server) textLog(w http.ResponseWriter, r *http.Request, v *visit) error {
	ws, err := s.named(r.Context(), v, r.PathValue("name"))
	if err != nil {
		return err
	}
	ctx, cancel := s.whileSignedIn(r.Context(), v)
	defer cancel()
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	control := http.NewResponseController(w)
	lang := s.lang(r, v)
	for p, err := range v.service.Watch(ctx, string(ws.ID)) {
		if err != nil {
			return nil // told as much as there was
		}
		if _, err := w.Write(textLine(newProgress(lang, p))); err != nil || control.Flush() != nil {
			return nil
		}
	}
	return nil
}

func textLine(e progressEvent) []byte {
	var b bytes.Buffer
	switch {
	case e.Say != "":
		fmt.Fprintf(&b, "== %s\n", e.Say)
	case e.Line != nil:
		fmt.Fprintf(&b, "%s | %s\n", e.Step, *e.Line)
	case e.Bytes == "":
		fmt.Fprintf(&b, "[%s] %s %s\n", e.State, e.Step, e.Name)
	}
	return b.Bytes()
}
