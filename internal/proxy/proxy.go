// Package proxy is the way through to Jupyter, TensorBoard and any other app
// of a box: one reverse proxy for HTTP and WebSocket that asks, for every
// request, who is allowed where. Apps believe what it lets through, so the
// checks here are the only ones there are.
//
// It speaks HTTP/1.1 to the apps itself, on kept connections, instead of using
// http.Transport: one goroutine carries a request to the app and its answer
// back, and the kernel moves large bodies from socket to socket.
package proxy

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"

	"github.com/masu-lab/masu"
)

// Target is where one authorised request goes.
type Target struct {
	Dial   func(ctx context.Context) (net.Conn, error)
	Key    string // of the app: requests with an equal key may share connections
	Origin string // the app's exact origin: "http://thesis--alice.localhost:8888"
	User   masu.Username
	// Framers are the origins whose pages may hold the app in a frame.
	Framers []string
	// Framed says that the request is authorised by what a browser keeps for such a frame only, where the
	// pages around it are another site to it.
	Framed bool
	// Before is called when a request is let through, before the app has it; nil means that nothing is to be done.
	Before func(r *http.Request)
	// OnEnd has f called when the session ends, until stop is called: what it
	// still has going ends with it. nil means that it never ends.
	OnEnd func(f func()) (stop func() bool)
}

// Config is what a Proxy needs.
type Config struct {
	// Authorize is asked exactly once for every request, WebSockets too.
	Authorize func(*http.Request) (Target, error)
	// Refuse answers a request that does not go through. Its error is a
	// *masu.Error: Invalid "path_wrong", Denied "cross_origin", Unreachable
	// "app_unreachable", or what Authorize and Dial have said.
	Refuse func(w http.ResponseWriter, r *http.Request, err error)
	// Cookies are prefixes of names that never reach a box and that no box may set.
	Cookies []string
	Log     *slog.Logger
}

// Proxy is the handler.
type Proxy struct {
	cfg    Config
	pool   pool
	blocks sync.Pool // of *[blockSize]byte, for bytes on their way
}

// New checks the configuration.
func New(c Config) (*Proxy, error) {
	if c.Authorize == nil || c.Refuse == nil || c.Log == nil {
		return nil, errors.New("proxy: a part of Config is missing")
	}
	return &Proxy{cfg: c, pool: pool{idle: map[string][]*upstream{}},
		blocks: sync.Pool{New: func() any { return new([blockSize]byte) }}}, nil
}

// ServeHTTP lets a request through, or refuses it before anything is dialled.
// An answer that breaks off half-way breaks off for the browser too.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	err := plainPath(r)
	var t Target
	if err == nil {
		t, err = p.cfg.Authorize(r)
	}
	if err == nil {
		err = sameOrigin(r, t.Origin)
	}
	if err == nil && t.Framed {
		err = inside(r)
	}
	if err == nil && t.Before != nil {
		t.Before(r)
	}
	switch {
	case err != nil:
	case isWebSocket(r):
		err = p.upgrade(w, r, t)
	default:
		err = p.exchange(w, r, t)
	}
	if err != nil {
		p.refuse(w, r, err)
	}
}

// errCut says that an answer broke off after its first byte was sent, or that
// nobody waits for it any more: nothing can be told.
var errCut = errors.New("proxy: cut")

func (p *Proxy) refuse(w http.ResponseWriter, r *http.Request, err error) {
	if errors.Is(err, errCut) || r.Context().Err() != nil {
		panic(http.ErrAbortHandler) // the server closes the connection and says nothing
	}
	if _, ok := errors.AsType[*masu.Error](err); !ok {
		err = masu.E(masu.Unreachable, "app_unreachable").Because(err)
	}
	p.cfg.Log.Debug("proxy", "host", r.Host, "error", err)
	p.cfg.Refuse(w, r, err)
}

// plainPath refuses addresses with control characters, however they are
// written, and those that are no path (CONNECT, OPTIONS *).
func plainPath(r *http.Request) error {
	if !strings.HasPrefix(r.URL.Path, "/") || strings.ContainsFunc(r.URL.Path, func(c rune) bool { return c < 0x20 || c == 0x7f }) {
		return masu.E(masu.Invalid, "path_wrong")
	}
	return nil
}

// sameOrigin holds unsafe requests and handshakes to the app's own origin. An
// absent Origin is refused too: a browser sends it, and who is no browser has
// no business with a browser's cookie. (Fetch metadata cannot stand in:
// browsers send none over plain HTTP to a host name.)
func sameOrigin(r *http.Request, origin string) error {
	safe := r.Method == http.MethodGet || r.Method == http.MethodHead || r.Method == http.MethodOptions
	if safe && r.Header["Upgrade"] == nil {
		return nil
	}
	if got := r.Header["Origin"]; len(got) != 1 || got[0] != origin {
		return masu.E(masu.Denied, "cross_origin")
	}
	return nil
}

// isWebSocket tells whether a request asks for the only upgrade that is
// passed on. Another one (h2c) would be a tunnel past every check here; its
// request is passed on as if it had not asked.
func isWebSocket(r *http.Request) bool {
	up := r.Header["Upgrade"]
	return r.Method == http.MethodGet && r.ContentLength == 0 && len(up) == 1 && strings.EqualFold(up[0], "websocket") &&
		hasToken(r.Header["Connection"], "upgrade")
}
