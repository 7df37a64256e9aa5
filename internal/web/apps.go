package web

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/masu-lab/masu"
	"github.com/masu-lab/masu/internal/proxy"
)

// reserved is the part of an app's origin that is masu's.
const reserved = "/_masu/"

// whileSignedIn gives a context that ends with the session, the request, or a stream's life.
func (s *Server) whileSignedIn(r *http.Request, v *visit) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(r.Context(), streamLife)
	done := s.live.done(v.session.Hash)
	go func() {
		select {
		case <-done:
			cancel()
		case <-ctx.Done():
		}
	}()
	return ctx, cancel
}

// open sends a signed-in browser into a workspace's own origin, by a one-time code.
func (s *Server) open(w http.ResponseWriter, r *http.Request, v *visit) error {
	ws, err := v.service.Workspace(r.Context(), r.PathValue("name"))
	if err != nil {
		return err
	}
	app := r.PathValue("app")
	if app == "" {
		app = "jupyter"
	}
	if ws.Phase != masu.Running {
		http.Redirect(w, r, "/w/"+url.PathEscape(ws.Name), http.StatusSeeOther)
		return nil
	}
	if _, ok := ws.App(app); !ok {
		return masu.E(masu.NotFound, "no_app", app)
	}
	origin, err := s.cfg.Origins.near(r.Host, ws, app)
	if err != nil {
		return err
	}
	next := "/"
	if app == "jupyter" {
		next = "/lab"
	}
	code, err := s.cfg.Gate.EnterLink(r.Context(), v.session, ws.ID, next)
	if err != nil {
		return err
	}
	http.Redirect(w, r, origin+reserved+"enter?code="+url.QueryEscape(code), http.StatusSeeOther)
	return nil
}

// appRoutes serves workspaces' origins: masu's own corner, and the app itself.
func (s *Server) appRoutes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+reserved+"enter", s.enterApp)
	mux.HandleFunc(reserved, func(w http.ResponseWriter, r *http.Request) { s.refuse(w, r, masu.E(masu.NotFound, "no_page")) })
	mux.Handle("GET "+reserved+"static/", http.StripPrefix(strings.TrimSuffix(reserved, "/"), s.looks))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// The mux would clean other paths by a redirect; they are the app's to understand.
		if strings.HasPrefix(r.URL.Path, reserved) {
			mux.ServeHTTP(w, r)
			return
		}
		s.proxy.ServeHTTP(w, r)
	})
}

// cookieFor names the cookie of an app's origin. Where apps share a host name
// and differ by port, browsers send all of them to each: so each has its own.
func cookieFor(p place, r *http.Request) string {
	if _, byPort := r.Context().Value(placeKey{}).(place); byPort {
		_, port, _ := net.SplitHostPort(r.Host)
		return appCookie + "_" + port
	}
	return appCookie
}

// enterApp follows the one-time code that open made.
func (s *Server) enterApp(w http.ResponseWriter, r *http.Request) {
	at, _, _ := s.cfg.Origins.placeOf(r)
	_, link, err := s.cfg.Gate.ByLink(r.Context(), r.FormValue("code"))
	if err != nil || link.For == "" {
		s.toPages(w, r, at)
		return
	}
	secret, err := s.cfg.Gate.SignIn(r.Context(), masu.Session{User: link.User, For: link.For, Parent: link.Parent})
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	http.SetCookie(w, s.cookie(cookieFor(at, r), secret, week))
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Referrer-Policy", "no-referrer")
	http.Redirect(w, r, safeNext(link.Next), http.StatusSeeOther)
}

// toPages sends a browser that may not enter to where it can sign in.
func (s *Server) toPages(w http.ResponseWriter, r *http.Request, at place) {
	w.Header().Set("Cache-Control", "no-store")
	name, _, _ := strings.Cut(at.label, "--")
	http.Redirect(w, r, s.pagesFor(r)+"/open/"+url.PathEscape(name)+"/"+at.app, http.StatusSeeOther)
}

// pagesFor is the pages' origin for a browser that is at an app's.
func (s *Server) pagesFor(r *http.Request) string {
	if _, byPort := r.Context().Value(placeKey{}).(place); byPort {
		address, _, _ := net.SplitHostPort(r.Host)
		for _, h := range s.cfg.Origins.hosts {
			if mine, _, err := net.SplitHostPort(h); err == nil && mine == address {
				return s.cfg.Origins.scheme + "://" + h
			}
		}
	}
	return s.cfg.Origins.Pages()
}

// authorize says, for every request to an app, who may go where. It is the
// only function that does, for HTTP and WebSocket alike.
func (s *Server) authorize(r *http.Request) (proxy.Target, error) {
	at, origin, ok := s.cfg.Origins.placeOf(r)
	if !ok {
		return proxy.Target{}, masu.E(masu.NotFound, "host_unknown")
	}
	c, err := r.Cookie(cookieFor(at, r))
	if err != nil {
		return proxy.Target{}, masu.E(masu.Denied, "signin_needed")
	}
	u, session, err := s.cfg.Gate.BySession(r.Context(), c.Value)
	if err != nil || session.For == "" {
		return proxy.Target{}, masu.E(masu.Denied, "signin_needed")
	}
	service := s.cfg.As(masu.Actor{User: u, Door: masu.DoorWeb})
	ws, err := service.Workspace(r.Context(), string(session.For))
	if err != nil || ws.Label != at.label {
		return proxy.Target{}, masu.E(masu.NotFound, "no_workspace", at.label) // another workspace's cookie opens nothing here
	}
	if ws.Phase != masu.Running {
		return proxy.Target{}, masu.E(masu.Conflict, "not_running", ws.Name)
	}
	app, ok := ws.App(at.app)
	if !ok {
		return proxy.Target{}, masu.E(masu.NotFound, "no_app", at.app)
	}
	return proxy.Target{
		Dial:   func(ctx context.Context) (net.Conn, error) { return service.Dial(ctx, string(ws.ID), app.Port) },
		Key:    string(ws.ID) + "." + strconv.Itoa(app.Port) + "." + strconv.FormatInt(ws.ChangedAt.UnixNano(), 36),
		Origin: origin, User: u.Name, Done: s.live.done(sessionRoot(session)),
	}, nil
}

// sessionRoot is the session that a sign-out ends.
func sessionRoot(s masu.Session) string {
	if s.Parent != "" {
		return s.Parent
	}
	return s.Hash
}

// waitView is shown at an app's origin while there is nothing behind it.
type waitView struct {
	base
	Name, Path string
	Phase      masu.Phase
}

// refuseApp answers what the proxy lets not through. A browser that opened a
// page is sent to where it can go on; a script is told in a few words.
func (s *Server) refuseApp(w http.ResponseWriter, r *http.Request, err error) {
	navigates := r.Method == http.MethodGet && r.Header.Get("Upgrade") == "" && strings.Contains(r.Header.Get("Accept"), "text/html")
	if !navigates {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.WriteHeader(status(err))
		_, _ = io.WriteString(w, "masu: "+masu.CodeOf(err)+"\n")
		return
	}
	at, _, _ := s.cfg.Origins.placeOf(r)
	switch masu.CodeOf(err) {
	case "signin_needed", "no_workspace":
		s.toPages(w, r, at)
	case "not_running", "app_unreachable", "box_not_running":
		name, _, _ := strings.Cut(at.label, "--")
		secure(w.Header())
		w.Header().Set("Refresh", "3")
		view := &waitView{Name: name, Path: s.pagesFor(r) + "/w/" + url.PathEscape(name)}
		if serr := s.show(w, r, http.StatusServiceUnavailable, "wait", view); serr != nil {
			s.refuse(w, r, serr)
		}
	default:
		s.refuse(w, r, err)
	}
}
