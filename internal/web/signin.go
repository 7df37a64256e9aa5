package web

import (
	"net/http"
	"net/netip"
	"net/url"
	"strings"

	"github.com/masu-lab/masu"
)

const (
	sessionCookie = "masu_session"
	appCookie     = "masu_app" // of a workspace's own origin
	langCookie    = "masu_lang"
)

// visit is one request of a signed-in member.
type visit struct {
	actor   masu.Actor
	session masu.Session
	service masu.Service
}

// signedIn lets a request through with its visit, or shows the way to sign in.
func (s *Server) signedIn(h func(http.ResponseWriter, *http.Request, *visit) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		v, err := s.visit(r)
		if err != nil && r.Method == http.MethodGet && r.Header.Get("Accept") != "text/event-stream" {
			to := "/signin"
			if r.URL.Path != "/" {
				to += "?next=" + url.QueryEscape(r.URL.RequestURI())
			}
			http.Redirect(w, r, to, http.StatusSeeOther)
			return
		}
		if err == nil {
			err = h(w, r, v)
		}
		if err != nil {
			s.refuse(w, r, err)
		}
	}
}

func (s *Server) visit(r *http.Request) (*visit, error) {
	c, err := r.Cookie(sessionCookie)
	if err != nil {
		return nil, masu.E(masu.Denied, "signin_needed")
	}
	u, session, err := s.cfg.Gate.BySession(r.Context(), c.Value)
	if err != nil {
		return nil, err
	}
	if session.For != "" {
		return nil, masu.E(masu.Denied, "signin_needed") // an app's session opens no page
	}
	a := masu.Actor{User: u, Door: masu.DoorWeb}
	return &visit{actor: a, session: session, service: s.cfg.As(a)}, nil
}

func (s *Server) cookie(name, value string, age int) *http.Cookie {
	return &http.Cookie{Name: name, Value: value, Path: "/", HttpOnly: true, Secure: s.cfg.Origins.scheme == "https", SameSite: http.SameSiteLaxMode, MaxAge: age}
}

const week = 7 * 24 * 60 * 60 // seconds

// signinView is the sign-in page.
type signinView struct {
	base
	Name, Next string
	Problem    *problem
	Plain      bool // the connection is not encrypted and not local
}

func (s *Server) signinPage(w http.ResponseWriter, r *http.Request) error {
	return s.show(w, r, http.StatusOK, "signin", &signinView{Next: safeNext(r.FormValue("next")), Plain: s.plain(r)})
}

// plain tells whether others on the network could read along.
func (s *Server) plain(r *http.Request) bool {
	host, _, _ := strings.Cut(r.Host, ":")
	ip, err := netip.ParseAddr(host)
	return s.cfg.Origins.scheme == "http" && host != "localhost" && !(err == nil && ip.IsLoopback())
}

func (s *Server) signin(w http.ResponseWriter, r *http.Request) error {
	name, next := r.PostFormValue("name"), safeNext(r.PostFormValue("next"))
	from, _ := netip.ParseAddrPort(r.RemoteAddr)
	u, err := s.cfg.Gate.ByPassword(r.Context(), masu.Username(name), r.PostFormValue("password"), from.Addr())
	if err != nil {
		if masu.KindOf(err) == masu.Internal {
			return err
		}
		lang := s.lang(r, nil)
		return s.show(w, r, status(err), "signin", &signinView{Name: name, Next: next, Plain: s.plain(r), Problem: newProblem(lang, err)})
	}
	return s.letIn(w, r, u, next)
}

// enter follows a one-time link. The code leaves the address at once.
func (s *Server) enter(w http.ResponseWriter, r *http.Request) error {
	u, link, err := s.cfg.Gate.ByLink(r.Context(), r.FormValue("code"))
	if err != nil || link.For != "" {
		// Somebody who is signed in and opens an old link wants to go to the pages.
		if v, verr := s.visit(r); verr == nil && v != nil {
			http.Redirect(w, r, "/", http.StatusSeeOther)
			return nil
		}
		lang := s.lang(r, nil)
		return s.show(w, r, http.StatusForbidden, "signin", &signinView{Next: "/", Plain: s.plain(r), Problem: newProblem(lang, masu.E(masu.Denied, "link_used"))})
	}
	return s.letIn(w, r, u, safeNext(link.Next))
}

// letIn opens a new session, never one that the browser brought.
func (s *Server) letIn(w http.ResponseWriter, r *http.Request, u masu.User, next string) error {
	if old, err := r.Cookie(sessionCookie); err == nil {
		if err := s.cfg.Gate.SignOut(r.Context(), old.Value); err != nil {
			return err
		}
	}
	secret, err := s.cfg.Gate.SignIn(r.Context(), masu.Session{User: u.Name, Agent: r.UserAgent()[:min(len(r.UserAgent()), 200)]})
	if err != nil {
		return err
	}
	http.SetCookie(w, s.cookie(sessionCookie, secret, week))
	http.Redirect(w, r, next, http.StatusSeeOther)
	return nil
}

func (s *Server) signout(w http.ResponseWriter, r *http.Request, _ *visit) error {
	c, err := r.Cookie(sessionCookie)
	if err == nil {
		err = s.cfg.Gate.SignOut(r.Context(), c.Value)
	}
	http.SetCookie(w, s.cookie(sessionCookie, "", -1))
	if err == nil {
		http.Redirect(w, r, "/signin", http.StatusSeeOther)
	}
	return err
}

// safeNext gives a path of ours, or "/": nothing that a browser could take for another host.
func safeNext(next string) string {
	u, err := url.Parse(next)
	if err != nil || len(next) > 2000 || u.IsAbs() || u.Host != "" || u.User != nil || u.Opaque != "" {
		return "/"
	}
	decoded, err := url.PathUnescape(next)
	if err != nil {
		return "/"
	}
	for _, form := range []string{next, decoded, u.Path} {
		if !strings.HasPrefix(form, "/") || strings.HasPrefix(form, "//") || strings.ContainsAny(form, "\\") ||
			strings.ContainsFunc(form, func(c rune) bool { return c < 0x20 || c == 0x7f }) {
			return "/"
		}
	}
	if strings.Contains(u.Path, "//") {
		return "/"
	}
	return (&url.URL{Path: u.Path, RawPath: u.RawPath, RawQuery: u.RawQuery}).String()
}

// setLang remembers the language, in the browser and for the member.
func (s *Server) setLang(w http.ResponseWriter, r *http.Request) error {
	lang := masu.Lang(r.PostFormValue("lang"))
	if lang != masu.Japanese && lang != masu.English {
		return masu.E(masu.Invalid, "lang_unknown", lang)
	}
	http.SetCookie(w, s.cookie(langCookie, string(lang), 365*24*60*60))
	if v, err := s.visit(r); err == nil {
		if err := v.service.SetLang(r.Context(), lang); err != nil {
			return err
		}
	}
	http.Redirect(w, r, safeNext(r.PostFormValue("next")), http.StatusSeeOther)
	return nil
}
