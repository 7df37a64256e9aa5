package web

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/masu-lab/masu"
)

// settleWithin is how long a notebook waits to be opened for what the box has
// kept for it; then it is opened as it is.
const settleWithin = 5 * time.Second

// before has the outputs of cells whose page had gone put into a notebook that
// is about to be opened. The box does that, on its own word; nothing of it is
// read here, and if it fails the notebook is opened as it is.
func before(app string, dial func(context.Context) (net.Conn, error)) func(*http.Request) {
	if app != jupyter {
		return nil
	}
	client := http.Client{Timeout: settleWithin, Transport: &http.Transport{DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx) }}}
	agent := "http://" + net.JoinHostPort("127.0.0.1", strconv.Itoa(masu.AgentPort)) + "/v1/outputs?path="
	return func(r *http.Request) {
		path, ok := opensNotebook(r)
		if !ok {
			return
		}
		req, err := http.NewRequestWithContext(r.Context(), http.MethodPost, agent+url.QueryEscape(path), nil)
		if err != nil {
			return
		}
		if resp, err := client.Do(req); err == nil {
			_, _ = io.CopyN(io.Discard, resp.Body, 1) // it has ended when the box has done it
			_ = resp.Body.Close()
		}
	}
}

// opensNotebook tells whether a request to Jupyter is a page that wants all of a notebook, and which.
func opensNotebook(r *http.Request) (path string, ok bool) {
	path, ok = strings.CutPrefix(r.URL.Path, "/api/contents/")
	if !ok || r.Method != http.MethodGet || !masu.IsNotebook(path) || r.Header.Get("Upgrade") != "" {
		return "", false
	}
	return path, r.URL.Query().Get("content") != "0"
}
