package kernel

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/coder/websocket"
	"github.com/coder/websocket/wsjson"

	"github.com/masu-lab/masu"
)

// jupyter is as much of a Jupyter server as this package speaks to; like the
// real one it refuses what comes without the cookie, the token or the origin.
type jupyter struct {
	t       *testing.T
	base    string
	xsrf    string // "" for a server that does not check
	status  int    // of POST /api/sessions; 0 means 201
	says    func(ctx context.Context, ws *websocket.Conn, parent map[string]any)
	deleted atomic.Int32
}

func start(t *testing.T, j *jupyter) *Client {
	t.Helper()
	j.t = t
	mux := http.NewServeMux()
	mux.HandleFunc("GET /lab", func(w http.ResponseWriter, r *http.Request) {}) // JupyterLab's page sets no cookie in some versions
	mux.HandleFunc("GET /tree", func(w http.ResponseWriter, r *http.Request) {
		if j.xsrf != "" {
			http.SetCookie(w, &http.Cookie{Name: "_xsrf", Value: j.xsrf, Path: "/"})
		}
	})
	mux.HandleFunc("GET /login", func(w http.ResponseWriter, r *http.Request) {})
	mux.HandleFunc("POST /api/sessions", j.guard(func(w http.ResponseWriter, r *http.Request) {
		var body struct{ Path, Type string }
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil || body.Path == "" || strings.Contains(body.Path, "/") || body.Type == "" {
			t.Errorf("the session asks for %+v (%v), want a name in the root folder", body, err)
		}
		if j.status != 0 {
			w.WriteHeader(j.status)
			return
		}
		w.WriteHeader(http.StatusCreated)
		w.Write([]byte(`{"id":"s1","kernel":{"id":"k1"}}`))
	}))
	mux.HandleFunc("DELETE /api/sessions/s1", j.guard(func(w http.ResponseWriter, r *http.Request) {
		j.deleted.Add(1)
		w.WriteHeader(http.StatusNoContent)
	}))
	mux.HandleFunc("GET /api/kernels/k1/channels", j.channels)
	srv := httptest.NewServer(mux)
	t.Cleanup(srv.Close)
	j.base = srv.URL
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &Client{HTTP: &http.Client{Jar: jar}, Base: srv.URL}
}

func (j *jupyter) guard(h http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Origin") != j.base || j.xsrf != "" && r.Header.Get("X-XSRFToken") != j.xsrf {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		h(w, r)
	}
}

func (j *jupyter) channels(w http.ResponseWriter, r *http.Request) {
	if _, err := r.Cookie("_xsrf"); r.Header.Get("Origin") != j.base || j.xsrf != "" && err != nil {
		w.WriteHeader(http.StatusForbidden)
		return
	}
	ws, err := websocket.Accept(w, r, nil)
	if err != nil {
		j.t.Error(err)
		return
	}
	defer ws.CloseNow()
	var m struct {
		Header  map[string]any `json:"header"`
		Content struct{ Code string }
		Channel string
	}
	if err := wsjson.Read(r.Context(), ws, &m); err != nil {
		j.t.Error(err)
		return
	}
	if m.Header["msg_type"] != "execute_request" || m.Channel != "shell" || m.Content.Code != "print(6*7)" {
		j.t.Errorf("the request is %+v", m)
	}
	j.says(r.Context(), ws, m.Header)
	ws.Read(r.Context()) // until the client leaves
}

func say(ctx context.Context, ws *websocket.Conn, parent map[string]any, kind string, content map[string]any) {
	wsjson.Write(ctx, ws, map[string]any{"header": map[string]any{"msg_id": "x", "msg_type": kind},
		"parent_header": parent, "metadata": map[string]any{}, "content": content, "channel": "iopub", "buffers": []any{}})
}

func TestRun(t *testing.T) {
	type text = map[string]any
	other := text{"msg_id": "another client's"}
	for _, c := range []struct {
		name   string
		xsrf   string
		status int
		says   func(say func(parent text, kind string, content text), me text)
		output string
		code   string // of the error
	}{
		{name: "stream, value and display, in order; others' are left out", xsrf: "2|abc|def",
			says: func(say func(text, string, text), me text) {
				say(text{}, "status", text{"execution_state": "starting"})
				say(other, "stream", text{"text": "not mine"})
				say(me, "status", text{"execution_state": "busy"})
				say(me, "stream", text{"name": "stdout", "text": "4"})
				say(me, "stream", text{"name": "stdout", "text": "2\n"})
				say(me, "display_data", text{"data": text{"image/png": "…"}})
				say(me, "execute_result", text{"data": text{"text/plain": "'枡'", "text/html": "<b>枡</b>"}})
				say(other, "execute_reply", text{"status": "ok"})
				say(me, "status", text{"execution_state": "idle"})
				say(me, "execute_reply", text{"status": "ok"})
			}, output: "42\n'枡'\n"},
		{name: "output that comes after the reply is kept",
			says: func(say func(text, string, text), me text) {
				say(me, "execute_reply", text{"status": "ok"})
				say(me, "stream", text{"text": "late"})
				say(me, "status", text{"execution_state": "idle"})
			}, output: "late"},
		{name: "a cell that raises", xsrf: "t",
			says: func(say func(text, string, text), me text) {
				say(me, "stream", text{"text": "before"})
				say(me, "error", text{"ename": "ZeroDivisionError", "evalue": "division by zero"})
				say(me, "execute_reply", text{"status": "error", "ename": "ZeroDivisionError", "evalue": "division by zero"})
				say(me, "status", text{"execution_state": "idle"})
			}, output: "before", code: "cell_failed"},
		{name: "a kernel that dies",
			says: func(say func(text, string, text), me text) {
				say(text{}, "status", text{"execution_state": "restarting"})
			}, code: "kernel_died"},
		{name: "a server that goes away", says: func(func(text, string, text), text) {}, code: "jupyter_unreachable"},
		{name: "a server that refuses", status: http.StatusForbidden, code: "jupyter_unreachable"},
	} {
		t.Run(c.name, func(t *testing.T) {
			j := &jupyter{xsrf: c.xsrf, status: c.status}
			j.says = func(ctx context.Context, ws *websocket.Conn, me map[string]any) {
				c.says(func(parent text, kind string, content text) { say(ctx, ws, parent, kind, content) }, me)
				if c.code == "jupyter_unreachable" {
					ws.CloseNow()
				}
			}
			r, err := start(t, j).Run(t.Context(), "print(6*7)")
			if got := codeOf(err); got != c.code {
				t.Errorf("error %v, want code %q", err, c.code)
			}
			if r.Output != c.output {
				t.Errorf("output %q, want %q", r.Output, c.output)
			}
			if c.status == 0 && j.deleted.Load() != 1 {
				t.Errorf("the session was deleted %d times, want once", j.deleted.Load())
			}
		})
	}
}

func TestRunCancelledStillShutsTheKernelDown(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	j := &jupyter{says: func(context.Context, *websocket.Conn, map[string]any) { cancel() }}
	_, err := start(t, j).Run(ctx, "print(6*7)")
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want that of the context", err)
	}
	if j.deleted.Load() != 1 {
		t.Error("the kernel was left running")
	}
}

func TestRunWithoutServer(t *testing.T) {
	for _, base := range []string{"", "http://127.0.0.1:1", "::"} {
		jar, _ := cookiejar.New(nil)
		_, err := (&Client{HTTP: &http.Client{Jar: jar}, Base: base}).Run(t.Context(), "1")
		if codeOf(err) != "jupyter_unreachable" {
			t.Errorf("%q: %v", base, err)
		}
	}
}

func codeOf(err error) string {
	if err == nil {
		return ""
	}
	return masu.CodeOf(err)
}
