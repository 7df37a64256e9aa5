package web

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/masu-lab/masu"
)

const (
	// settleWithin is how long a notebook waits to be opened for what the box has
	// kept for it; then it is opened as it is.
	settleWithin = 5 * time.Second
	sessionMost  = 100 // characters of what a page calls itself
)

// attached is which pages hold a WebSocket to which kernels. Jupyter tells only how many do.
type attached struct {
	mu    sync.Mutex
	pages map[masu.WorkspaceID]map[*socket]bool
}

// socket is one such WebSocket.
type socket struct{ kernel, session string }

func (a *attached) join(id masu.WorkspaceID, p *socket) (leave func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.pages == nil {
		a.pages = map[masu.WorkspaceID]map[*socket]bool{}
	}
	if a.pages[id] == nil {
		a.pages[id] = map[*socket]bool{}
	}
	a.pages[id][p] = true
	return func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		if delete(a.pages[id], p); len(a.pages[id]) == 0 {
			delete(a.pages, id)
		}
	}
}

// of gives the sessions of a workspace's pages, by kernel.
func (a *attached) of(id masu.WorkspaceID) map[string][]string {
	a.mu.Lock()
	defer a.mu.Unlock()
	all := map[string][]string{}
	for p := range maps.Keys(a.pages[id]) {
		all[p.kernel] = append(all[p.kernel], p.session)
	}
	for _, sessions := range all {
		slices.Sort(sessions)
	}
	return all
}

// around has the outputs of cells whose page has gone put into a notebook that
// is about to be opened. The box does that, on its own word; nothing of it is
// read here, and if it fails the notebook is opened as it is.
func (a *attached) around(id masu.WorkspaceID, dial func(context.Context) (net.Conn, error)) func(*http.Request) func() {
	client := http.Client{Timeout: settleWithin, Transport: &http.Transport{DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx) }}}
	agent := "http://" + net.JoinHostPort("127.0.0.1", strconv.Itoa(masu.AgentPort)) + "/v1/outputs"
	return func(r *http.Request) func() {
		if p, ok := attaches(r); ok {
			return a.join(id, p)
		}
		path, ok := opensNotebook(r)
		if !ok {
			return nil
		}
		body, err := json.Marshal(masu.Opening{Path: path, Pages: a.of(id)})
		if err != nil {
			return nil
		}
		req, err := http.NewRequestWithContext(r.Context(), http.MethodPost, agent, bytes.NewReader(body))
		if err != nil {
			return nil
		}
		if resp, err := client.Do(req); err == nil {
			_, _ = io.CopyN(io.Discard, resp.Body, 1) // it has ended when the box has done it
			_ = resp.Body.Close()
		}
		return nil
	}
}

// attaches tells whether a request is a page that wants to talk to a kernel.
func attaches(r *http.Request) (*socket, bool) {
	path, ok := strings.CutPrefix(r.URL.Path, "/api/kernels/")
	kernel, rest, _ := strings.Cut(path, "/")
	session := r.URL.Query().Get("session_id")
	if !ok || rest != "channels" || r.Header.Get("Upgrade") == "" || len(kernel) > sessionMost || len(session) > sessionMost {
		return nil, false
	}
	return &socket{kernel, session}, true
}

// opensNotebook tells whether a request to Jupyter is a page that wants all of a notebook, and which.
func opensNotebook(r *http.Request) (path string, ok bool) {
	path, ok = strings.CutPrefix(r.URL.Path, "/api/contents/")
	if !ok || r.Method != http.MethodGet || !masu.IsNotebook(path) || r.Header.Get("Upgrade") != "" {
		return "", false
	}
	return path, r.URL.Query().Get("content") != "0"
}
