// Package web is what a browser sees of masu: the pages (sign-in, my
// workspaces, errors), and each workspace's own origin, behind which its apps
// are reached through internal/proxy.
package web

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/masu-lab/masu"
	"github.com/masu-lab/masu/internal/metrics"
	"github.com/masu-lab/masu/internal/proxy"
	"github.com/masu-lab/masu/internal/text"
)

// Config is what a Server needs.
type Config struct {
	Gate     masu.Gate
	As       func(masu.Actor) masu.Service
	Template func(masu.Draft) string                   // writes a masu.yaml
	SSO      SSO                                       // a sign-in service; nil for none
	SSOName  string                                    // what people call it
	API      http.Handler                              // for programs with a token, at /api/ and /metrics; nil for none
	Health   http.Handler                              // for who watches over the daemon, at /healthz and /readyz under any name; nil for none
	Wall     func(context.Context) (masu.Board, error) // the board for who has not signed in; nil for nobody
	Metrics  *metrics.Set                              // what the whole daemon counts; nil where nobody counts
	Origins  *Origins
	Log      *slog.Logger
	Version  string
	HostName string // of this machine, as people call it
}

// Server serves the pages and the apps.
type Server struct {
	cfg      Config
	pages    http.Handler
	apps     http.Handler
	looks    *looks
	live     live
	homes    homes
	seen     seen
	papers   *papers
	attached attached
	opened   chan opened     // app ports on their way to Run
	until    context.Context // of all that outlives a request
	end      context.CancelFunc
}

// opened is a port that an app was given.
type opened struct {
	l  net.Listener
	at place
}

// New reads the embedded pages and checks the configuration.
func New(c Config) (*Server, error) {
	if c.Gate == nil || c.As == nil || c.Template == nil || c.Origins == nil || c.Log == nil {
		return nil, errors.New("web: a part of Config is missing")
	}
	if c.Metrics == nil {
		c.Metrics = metrics.New()
	}
	s := &Server{cfg: c, opened: make(chan opened),
		live: newLive(), homes: newHomes(), seen: seen{sights: map[string]sight{}}, papers: newPapers()}
	s.until, s.end = context.WithCancel(context.Background())
	var err error
	if s.looks, err = newLooks(); err != nil {
		return nil, err
	}
	through, err := proxy.New(proxy.Config{Authorize: s.authorize, Refuse: s.refuseApp, Cookies: []string{"masu_"}, Log: c.Log})
	if err != nil {
		return nil, err
	}
	s.pages = s.protect(s.pageRoutes())
	s.apps = s.appRoutes(through)
	c.Origins.serve = func(l net.Listener, at place) {
		select {
		case s.opened <- opened{l, at}:
		case <-s.until.Done():
			_ = l.Close() // nobody will serve it
		}
	}
	return s, nil
}

// Handler serves every origin by its host name.
func (s *Server) Handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _, isApp := s.cfg.Origins.placeOf(r)
		switch {
		case isApp:
			s.count(metrics.App, s.apps, w, r)
		case s.cfg.Health != nil && (r.URL.Path == "/healthz" || r.URL.Path == "/readyz"): // a kubelet knows no name but the address
			s.count(metrics.Health, s.cfg.Health, w, r)
		case s.cfg.Origins.pages(r) && s.cfg.API != nil && (strings.HasPrefix(r.URL.Path, "/api/") || r.URL.Path == "/metrics"):
			s.count(metrics.API, s.cfg.API, w, r)
		case s.cfg.Origins.pages(r):
			s.count(metrics.Page, s.pages, w, r)
		default:
			s.count(metrics.Other, http.HandlerFunc(s.stranger), w, r)
		}
	})
}

// stranger answers a host name that is not ours: one that was made to point
// here, or an address that the daemon was not told of.
func (s *Server) stranger(w http.ResponseWriter, r *http.Request) {
	secure(w.Header())
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(http.StatusMisdirectedRequest)
	m, fix := text.Error(s.lang(r, nil), masu.E(masu.NotFound, "host_unknown"))
	_, _ = fmt.Fprintf(w, "%s\n%s\n%s\n", m, fix, s.cfg.Origins.Pages()) // it may have gone already
}

// Run ends live connections with what they came by and serves the ports of apps, until ctx ends.
func (s *Server) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	defer s.end()
	wg.Go(func() {
		for e := range s.cfg.Gate.Ended(ctx) {
			s.live.ended(e)
		}
	})
	wg.Go(func() { s.watchOpen(ctx) })
	for {
		select {
		case <-ctx.Done():
			return nil
		case o := <-s.opened:
			srv := &http.Server{Handler: s.Handler(), ReadHeaderTimeout: 20 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10,
				ErrorLog:    slog.NewLogLogger(s.cfg.Log.Handler(), slog.LevelDebug),
				BaseContext: func(net.Listener) context.Context { return withPlace(ctx, o.at) }}
			wg.Go(func() { _ = srv.Serve(o.l) })            // ends when it is closed, one line below
			wg.Go(func() { <-ctx.Done(); _ = srv.Close() }) // its listener is closed either way
		}
	}
}

// appRoutes serves workspaces' origins: masu's own corner, and the app itself.
func (s *Server) appRoutes(through http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+reserved+"enter", s.enterApp)
	mux.HandleFunc("GET "+reserved+"framed", s.framedHere)
	mux.HandleFunc("GET "+masu.PortPath+"{port}", s.toPort)
	mux.HandleFunc("GET "+masu.PortPath+"{port}/", s.toPort)
	mux.HandleFunc("GET "+terminalPath, s.terminal)
	mux.Handle("GET "+reserved+"static/", http.StripPrefix(strings.TrimSuffix(reserved, "/"), s.looks))
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { s.refuse(w, r, masu.E(masu.NotFound, "no_page")) })
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// The mux would clean other paths by a redirect; they are the app's to understand.
		if strings.HasPrefix(r.URL.Path, reserved) {
			mux.ServeHTTP(w, r)
			return
		}
		through.ServeHTTP(w, r)
	})
}

// briefly tells a script, which reads no pages, why it was refused.
func briefly(w http.ResponseWriter, err error) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status(err))
	_, _ = io.WriteString(w, "masu: "+masu.CodeOf(err)+"\n") // it may have gone already
}
