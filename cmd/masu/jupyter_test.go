package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/coder/websocket/wsjson"

	"github.com/masu-lab/masu"
)

// doors is as much of masu's pages and of Jupyter as a check meets: a one-time
// link on one origin leads to an app on another, which wants its own cookie.
type doors struct {
	url string // of the pages
	app string // origin of the app

	mu    sync.Mutex
	links map[string]bool
}

func newDoors(t *testing.T) *doors {
	t.Helper()
	d := &doors{links: map[string]bool{}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET localhost/enter", func(w http.ResponseWriter, r *http.Request) {
		d.mu.Lock()
		fresh := d.links[r.URL.RawQuery]
		delete(d.links, r.URL.RawQuery)
		d.mu.Unlock()
		if !fresh {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		http.SetCookie(w, &http.Cookie{Name: "pages", Value: "1", Path: "/", HttpOnly: true})
		http.Redirect(w, r, d.app+"/.masu/enter?code=x", http.StatusSeeOther)
	})
	mux.HandleFunc("GET /.masu/enter", func(w http.ResponseWriter, r *http.Request) {
		http.SetCookie(w, &http.Cookie{Name: "app", Value: "1", Path: "/", HttpOnly: true})
		http.Redirect(w, r, "/lab", http.StatusSeeOther)
	})
	mux.HandleFunc("GET /lab", d.guard(func(w http.ResponseWriter, r *http.Request) {
		http.SetCookie(w, &http.Cookie{Name: "_xsrf", Value: "token", Path: "/"})
	}))
	mux.HandleFunc("POST /api/sessions", d.guard(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Origin") != d.app || r.Header.Get("X-XSRFToken") != "token" {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		w.WriteHeader(http.StatusCreated)
		fmt.Fprint(w, `{"id":"s","kernel":{"id":"k"}}`)
	}))
	mux.HandleFunc("DELETE /api/sessions/s", d.guard(func(http.ResponseWriter, *http.Request) {}))
	mux.HandleFunc("GET /api/kernels/k/channels", d.guard(cell))
	srv := httptest.NewServer(mux)
	t.Cleanup(srv.Close)
	u, err := url.Parse(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	d.url = "http://localhost:" + u.Port()
	d.app = "http://bert--alice.localhost:" + u.Port()
	return d
}

// guard lets only the app's own cookie in; the pages' must not have come.
func (d *doors) guard(h http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		_, app := r.Cookie("app")
		_, pages := r.Cookie("pages")
		if app != nil || pages == nil || "http://"+r.Host != d.app {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		h(w, r)
	}
}

// link makes a one-time link.
func (d *doors) link() masu.OpenLink {
	secret := rand.Text()
	d.mu.Lock()
	defer d.mu.Unlock()
	d.links[secret] = true
	return masu.OpenLink{URL: d.url + "/enter?" + secret, Expires: time.Now().Add(time.Minute)}
}

// cell is a kernel that answers every cell with 42.
func cell(w http.ResponseWriter, r *http.Request) {
	ws, err := websocket.Accept(w, r, nil)
	if err != nil {
		return
	}
	defer ws.CloseNow()
	var m struct {
		Header map[string]any `json:"header"`
	}
	ctx := r.Context()
	if wsjson.Read(ctx, ws, &m) != nil {
		return
	}
	say := func(kind string, content map[string]any) {
		wsjson.Write(ctx, ws, map[string]any{"header": map[string]any{"msg_type": kind}, "parent_header": m.Header, "content": content})
	}
	say("stream", map[string]any{"text": "42\n"})
	say("execute_reply", map[string]any{"status": "ok"})
	say("status", map[string]any{"execution_state": "idle"})
	ws.Read(ctx) // until the client leaves
}

// linker is a service whose links lead to doors.
type linker struct {
	masu.Service
	d *doors
}

func (l linker) Link(ctx context.Context, name string) (masu.OpenLink, error) {
	if _, err := l.Service.Link(ctx, name); err != nil {
		return masu.OpenLink{}, err
	}
	return l.d.link(), nil
}

func TestTryCell(t *testing.T) {
	d := newDoors(t)
	a := newApp(nil, nil, nil, func(string) string { return "" }, nil)
	c, err := a.tryCell(t.Context(), fixedLink{link: d.link()}, "bert", "6*7")
	if err != nil || c.Output != "42" || c.took() <= 0 {
		t.Errorf("%+v, %v", c, err)
	}
}

// fixedLink gives always the same link.
type fixedLink struct {
	masu.Service
	link masu.OpenLink
}

func (f fixedLink) Link(context.Context, string) (masu.OpenLink, error) { return f.link, nil }

// TestTryCellKeepsTheSecret: whatever is wrong with the door, the one-time code is not told.
func TestTryCellKeepsTheSecret(t *testing.T) {
	d := newDoors(t)
	for name, link := range map[string]string{
		"used up":   d.url + "/enter?SECRET",
		"nobody":    "http://localhost:1/enter?SECRET",
		"no scheme": "localhost/enter?SECRET",
		"nonsense":  "http://[/enter?SECRET",
	} {
		a := newApp(nil, nil, nil, func(string) string { return "" }, nil)
		_, err := a.tryCell(t.Context(), fixedLink{link: masu.OpenLink{URL: link}}, "bert", "1")
		if masu.CodeOf(err) != "door_closed" {
			t.Errorf("%s: %v", name, err)
		}
		if err != nil && strings.Contains(err.Error(), "SECRET") {
			t.Errorf("%s: the code is in the error: %v", name, err)
		}
	}
}
