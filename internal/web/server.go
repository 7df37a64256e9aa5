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
	Wall     func(context.Context) (masu.Board, error) // the board for who has not signed in; nil for nobody
	Origins  *Origins
	Log      *slog.Logger
	Version  string
	HostName string // of this machine, as people call it
}

// Server serves the pages and the apps.
type Server struct {
	cfg    Config
	pages  http.Handler
	apps   http.Handler
	looks  *looks
	live   live
	seen   seen
	papers *papers
	opened chan opened // app ports on their way to Run
	ended  chan struct{}
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
	s := &Server{cfg: c, opened: make(chan opened), ended: make(chan struct{}),
		live: newLive(), seen: seen{sights: map[string]sight{}}, papers: newPapers()}
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
		case <-s.ended:
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
			s.apps.ServeHTTP(w, r)
		case s.cfg.Origins.pages(r) && s.cfg.API != nil && (strings.HasPrefix(r.URL.Path, "/api/") || r.URL.Path == "/metrics"):
			s.cfg.API.ServeHTTP(w, r)
		case s.cfg.Origins.pages(r):
			s.pages.ServeHTTP(w, r)
		default:
			s.stranger(w, r)
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
	defer close(s.ended)
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

// handler is a page or an act of one; v is nil where nobody has signed in.
type handler func(w http.ResponseWriter, r *http.Request, v *visit) error

func (s *Server) pageRoutes() http.Handler {
	mux := http.NewServeMux()
	route := func(pattern string, h handler) {
		mux.HandleFunc(pattern, s.withVisit(h))
	}
	act := func(path string, h handler) { // nothing is ever changed by GET
		route("POST "+path, h)
		mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Allow", http.MethodPost)
			s.refuse(w, r, masu.E(masu.Invalid, "not_by_get"))
		})
	}
	mux.Handle("GET /static/", s.looks)
	mux.HandleFunc("GET /favicon.ico", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, s.looks.path("masu.svg"), http.StatusFound)
	})
	route("GET /signin", s.signinPage)
	act("/signin", s.signin)
	act("/signin/sso", s.beginSSO)
	route("GET "+CallbackPath, s.endSSO)
	route("GET /enter", s.enter)
	act("/lang", s.setLang)
	act("/signout", members(s.signout))
	route("GET /{$}", members(s.home))
	act("/start", members(s.start))
	route("GET /board", members(s.board))
	route("GET /house", members(s.house))
	route("GET /settings", members(s.settings))
	act("/settings/password", members(s.setPassword))
	act("/settings/session", members(s.endSessionOf))
	act("/settings/notices", members(s.setNotices))
	act("/settings/notices/try", members(s.tryNotices))
	act("/settings/token", members(s.newToken))
	act("/settings/token/delete", members(s.deleteToken))
	act("/settings/key", members(s.addKey))
	act("/settings/key/delete", members(s.removeKey))
	route("GET /admin", admins(s.adminPage))
	route("GET /admin/member/{name}", admins(s.memberPage))
	route("GET /admin/doctor", admins(s.doctor))
	act("/admin/rules", admins(s.setRules))
	act("/admin/member", admins(s.changeMember))
	act("/admin/invite", admins(s.invite))
	act("/admin/house", admins(s.setHouse))
	act("/admin/stop", admins(s.adminStop))
	act("/admin/prune", admins(s.prune))
	route("GET /audit", members(s.audit))
	route("GET /audit.csv", members(s.auditCSV))
	route("GET /new", members(s.newPage))
	act("/new/preview", members(s.preview))
	act("/new/folder", members(s.makeFolder))
	route("POST /new", members(s.create))
	route("GET /gpus", members(s.gpus))
	route("GET /gpus/board", members(s.gpuBoard))
	route("GET /runs", members(s.runs))
	route("GET /runs/list", members(s.runList))
	route("GET /runs/{id}", members(s.run))
	route("GET /runs/{id}/now", members(s.runNow))
	route("GET /runs/{id}/picture/{cell}/{output}", members(s.runPicture))
	route("GET /runs/{id}/log", members(s.runLog))
	act("/runs/{id}/cancel", members(s.cancelRun))
	act("/runs/{id}/forget", members(s.forgetRun))
	route("GET /usage", members(s.usage))
	route("GET /usage.csv", members(s.usageCSV))
	route("GET /gpus.ics", members(s.calendar))
	route("GET /wall", s.wall)
	route("GET /wall/board", s.wallBoard)
	act("/gpus/reserve", members(s.reserve))
	act("/gpus/unreserve", members(s.unreserve))
	act("/gpus/ask", members(s.askFor))
	route("GET /environments", members(s.environments))
	route("GET /e/{id}", members(s.environment))
	act("/e/{id}/change", members(s.changeEnvironment))
	act("/e/{id}/delete", members(s.unshare))
	route("GET /events", members(s.events))
	route("GET /w/{name}", members(s.workspace))
	route("GET /w/{name}/events", members(s.workspaceEvents))
	route("GET /w/{name}/log", members(s.textLog))
	route("GET /w/{name}/use", members(s.use))
	route("GET /w/{name}/load", members(s.load))
	route("GET /w/{name}/added", members(s.added))
	act("/w/{name}/keep", members(s.keep))
	act("/w/{name}/extend", members(s.extend))
	act("/w/{name}/release", members(s.release))
	act("/w/{name}/guest", members(s.admit))
	act("/w/{name}/dismiss", members(s.dismiss))
	act("/w/{name}/share", members(s.share))
	act("/w/{name}/start", members(s.startAgain))
	act("/w/{name}/restart", members(s.restart))
	act("/w/{name}/meanwhile", members(s.meanwhile))
	act("/w/{name}/stop", members(s.stop))
	act("/w/{name}/remove", members(s.remove))
	route("GET /w/{name}/app/{app}", members(s.bar))
	route("GET /w/{name}/bar", members(s.barNow))
	route("GET /open/{name}", members(s.open))
	route("GET /open/{name}/{app}", members(s.open))
	route("/", func(http.ResponseWriter, *http.Request, *visit) error { return masu.E(masu.NotFound, "no_page") })
	return mux
}

// appRoutes serves workspaces' origins: masu's own corner, and the app itself.
func (s *Server) appRoutes(through http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+reserved+"enter", s.enterApp)
	mux.HandleFunc("GET "+reserved+"framed", s.framedHere)
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
