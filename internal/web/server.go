// Package web is what a browser sees of masu: the pages (sign-in, my
// workspaces, errors), and each workspace's own origin, behind which its apps
// are reached through internal/proxy.
package web

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/masu-lab/masu"
	"github.com/masu-lab/masu/internal/proxy"
)

// Config is what a Server needs.
type Config struct {
	Gate     masu.Gate
	As       func(masu.Actor) masu.Service
	Origins  *Origins
	Log      *slog.Logger
	Version  string
	HostName string
}

// Server serves the pages and the apps.
type Server struct {
	cfg     Config
	pages   http.Handler
	apps    http.Handler
	proxy   *proxy.Proxy
	looks   *looks
	live    live
	opened  chan opened // app ports on their way to Run
	ended   chan struct{}
	started time.Time
}

// opened is a port that an app was given.
type opened struct {
	l  net.Listener
	at place
}

// New reads the embedded pages and checks the configuration.
func New(c Config) (*Server, error) {
	if c.Gate == nil || c.As == nil || c.Origins == nil || c.Log == nil {
		return nil, errors.New("web: a part of Config is missing")
	}
	s := &Server{cfg: c, opened: make(chan opened), ended: make(chan struct{}), started: time.Now(), live: live{ends: map[string]chan struct{}{}}}
	var err error
	if s.looks, err = newLooks(); err != nil {
		return nil, err
	}
	if s.proxy, err = proxy.New(proxy.Config{Authorize: s.authorize, Refuse: s.refuseApp, Cookies: []string{"masu_"}, Log: c.Log}); err != nil {
		return nil, err
	}
	s.pages = s.protect(s.pageRoutes())
	s.apps = s.appRoutes()
	c.Origins.serve = func(l net.Listener, at place) {
		select {
		case s.opened <- opened{l, at}:
		case <-s.ended:
			l.Close()
		}
	}
	return s, nil
}

// Handler serves every origin by its host name.
func (s *Server) Handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case s.cfg.Origins.pages(r.Host):
			s.pages.ServeHTTP(w, r)
		default:
			if _, _, ok := s.cfg.Origins.placeOf(r); !ok {
				s.refuse(w, r, masu.E(masu.NotFound, "host_unknown")) // a name that was made to point here
				return
			}
			s.apps.ServeHTTP(w, r)
		}
	})
}

// Run ends live connections with their sessions and serves the ports of apps, until ctx ends.
func (s *Server) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	defer close(s.ended)
	wg.Go(func() {
		for hash := range s.cfg.Gate.Ended(ctx) {
			s.live.end(hash)
		}
	})
	for {
		select {
		case <-ctx.Done():
			return nil
		case o := <-s.opened:
			srv := &http.Server{Handler: s.Handler(), ReadHeaderTimeout: 20 * time.Second, IdleTimeout: 2 * time.Minute,
				ErrorLog:    slog.NewLogLogger(s.cfg.Log.Handler(), slog.LevelDebug),
				BaseContext: func(net.Listener) context.Context { return withPlace(ctx, o.at) }}
			wg.Go(func() { _ = srv.Serve(o.l) })
			wg.Go(func() { <-ctx.Done(); _ = srv.Close() })
		}
	}
}

func (s *Server) pageRoutes() *http.ServeMux {
	mux := http.NewServeMux()
	page := func(pattern string, h func(http.ResponseWriter, *http.Request, *visit) error) {
		mux.HandleFunc(pattern, s.signedIn(h))
	}
	open := func(pattern string, h func(http.ResponseWriter, *http.Request) error) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			if err := h(w, r); err != nil {
				s.refuse(w, r, err)
			}
		})
	}
	mux.Handle("GET /static/", s.looks)
	open("GET /signin", s.signinPage)
	open("POST /signin", s.signin)
	open("GET /enter", s.enter)
	open("POST /lang", s.setLang)
	page("POST /signout", s.signout)
	page("GET /{$}", s.home)
	page("POST /start", s.start)
	page("GET /w/{name}", s.workspace)
	page("POST /w/{name}/start", s.startAgain)
	page("POST /w/{name}/stop", s.stop)
	page("POST /w/{name}/remove", s.remove)
	page("GET /w/{name}/log", s.buildLog)
	page("GET /events", s.events)
	page("GET /open/{name}", s.open)
	page("GET /open/{name}/{app}", s.open)
	open("/", func(http.ResponseWriter, *http.Request) error { return masu.E(masu.NotFound, "no_page") })
	return mux
}

// protect sets what every page is sent with, and refuses what another origin
// wishes to be done in a signed-in member's name.
func (s *Server) protect(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		secure(w.Header())
		safe := r.Method == http.MethodGet || r.Method == http.MethodHead
		if !safe && r.Header.Get("Origin") != s.cfg.Origins.scheme+"://"+r.Host {
			s.refuse(w, r, masu.E(masu.Denied, "cross_origin"))
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, 64<<10)
		next.ServeHTTP(w, r)
	})
}

// secure sets the headers of a page: it runs only what masu sent, is framed by nobody, and tells nobody where it was.
func secure(h http.Header) {
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
	h.Set("X-Frame-Options", "DENY")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "same-origin")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
}

// live knows what hangs on each session.
type live struct {
	mu   sync.Mutex
	ends map[string]chan struct{}
}

// done gives a channel that is closed when the session ends.
func (l *live) done(hash string) <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	c, ok := l.ends[hash]
	if !ok {
		if len(l.ends) > 100_000 {
			clear(l.ends) // only the sign-out of sessions that long ago loses its haste
		}
		c = make(chan struct{})
		l.ends[hash] = c
	}
	return c
}

func (l *live) end(hash string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if c, ok := l.ends[hash]; ok {
		close(c)
		delete(l.ends, hash)
	}
}
