package web

import (
	"context"
	"net/http"
	"net/netip"
	"net/url"
	"strings"

	"github.com/masu-lab/masu"
)

const (
	sessionCookie = "masu_session"
	appCookie     = "masu_app"        // of a workspace's own origin
	framedCookie  = "masu_app_framed" // of the same, in a frame of the pages'
	langCookie    = "masu_lang"
)

const (
	week     = 7 * 24 * 60 * 60 // seconds
	nextMost = 2000             // bytes of a path to go on to
)

// visit is one request of a signed-in member.
type visit struct {
	actor   masu.Actor
	session masu.Session
	secret  string // of the session
	service masu.Service

	asked bool // hello was asked for
	said  masu.Hello
	err   error
}

// hello tells who asks and what everybody should know; a page asks once.
func (v *visit) hello(ctx context.Context) (masu.Hello, error) {
	if !v.asked {
		v.said, v.err = v.service.Whoami(ctx)
		v.asked = true
	}
	return v.said, v.err
}

// visit tells who asks; nil if nobody has signed in.
func (s *Server) visit(r *http.Request) *visit {
	c, err := r.Cookie(s.cookieName(sessionCookie))
	if err != nil {
		return nil
	}
	u, session, err := s.cfg.Gate.BySession(r.Context(), c.Value)
	if err != nil || session.For != "" { // an app's session opens no page
		return nil
	}
	a := masu.Actor{User: u, Door: masu.DoorWeb}
	return &visit{actor: a, session: session, secret: c.Value, service: s.cfg.As(a)}
}

func (s *Server) withVisit(h handler) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if err := h(w, r, s.visit(r)); err != nil {
			s.refuse(w, r, err)
		}
	}
}

// members keeps a page to those who have signed in, and shows others the way.
func members(h handler) handler {
	return func(w http.ResponseWriter, r *http.Request, v *visit) error {
		if v != nil {
			return h(w, r, v)
		}
		if r.Method != http.MethodGet || wantsEvents(r) {
			return masu.E(masu.Denied, "signin_needed")
		}
		to := "/signin"
		if r.URL.Path != "/" {
			to += "?next=" + url.QueryEscape(r.URL.RequestURI())
		}
		http.Redirect(w, r, to, http.StatusSeeOther)
		return nil
	}
}

// cookieName is how browsers know a cookie: with TLS, they hold it to this very host.
func (s *Server) cookieName(name string) string {
	if s.cfg.Origins.scheme == "https" {
		return "__Host-" + name
	}
	return name
}

// cookie makes one of ours. It must be Lax, not Strict: who comes back from an
// app's own origin comes from another site.
func (s *Server) cookie(name, value string, age int) *http.Cookie {
	return &http.Cookie{Name: s.cookieName(name), Value: value, Path: "/", HttpOnly: true, Secure: s.cfg.Origins.scheme == "https", SameSite: http.SameSiteLaxMode, MaxAge: age}
}

// signinView is the sign-in page.
type signinView struct {
	base
	Name, Next string
	Problem    *problem
	SSO        string // what people call the sign-in service; "" where there is none
	Plain      bool   // others on the network could read along
}

func (s *Server) signinPage(w http.ResponseWriter, r *http.Request, v *visit) error {
	next := safeNext(r.FormValue("next"))
	if v != nil {
		http.Redirect(w, r, next, http.StatusSeeOther)
		return nil
	}
	return s.show(w, r, nil, http.StatusOK, &signinView{Next: next, Plain: s.plain(r), SSO: s.cfg.SSOName})
}

func (s *Server) plain(r *http.Request) bool {
	return s.cfg.Origins.scheme == "http" && !isLocal(hostname(r.Host))
}

func (s *Server) signin(w http.ResponseWriter, r *http.Request, _ *visit) error {
	name, next := r.PostForm.Get("name"), safeNext(r.PostForm.Get("next"))
	from, err := netip.ParseAddrPort(r.RemoteAddr) // never a header: those can be made up
	if err != nil {
		return err
	}
	u, err := s.cfg.Gate.ByPassword(r.Context(), masu.Username(name), r.PostForm.Get("password"), from.Addr())
	if err != nil {
		if masu.KindOf(err) == masu.Internal {
			return err
		}
		retryAfter(w, err)
		return s.show(w, r, nil, status(err), &signinView{Name: name, Next: next, Plain: s.plain(r), SSO: s.cfg.SSOName, Problem: newProblem(s.lang(r, nil), err)})
	}
	return s.letIn(w, r, u, next)
}

// enter follows a one-time link. The code leaves the address at once.
func (s *Server) enter(w http.ResponseWriter, r *http.Request, v *visit) error {
	if ahead(r) {
		return masu.E(masu.Denied, "link_ahead")
	}
	u, link, err := s.cfg.Gate.ByLink(r.Context(), r.URL.Query().Get("code"))
	switch {
	case err == nil && link.For == "" && v != nil && v.actor.Name == u.Name: // open notebooks hang on the session that is there
		http.Redirect(w, r, safeNext(link.Next), http.StatusSeeOther)
		return nil
	case err == nil && link.For == "":
		return s.letIn(w, r, u, safeNext(link.Next))
	case v != nil: // who is signed in and opens an old link wants to go to the pages
		http.Redirect(w, r, "/", http.StatusSeeOther)
		return nil
	}
	used := masu.E(masu.Denied, "link_used")
	return s.show(w, r, nil, status(used), &signinView{Next: "/", Plain: s.plain(r), SSO: s.cfg.SSOName, Problem: newProblem(s.lang(r, nil), used)})
}

// letIn opens a new session, never one that the browser brought.
func (s *Server) letIn(w http.ResponseWriter, r *http.Request, u masu.User, next string) error {
	if err := s.endSession(r); err != nil {
		return err
	}
	secret, err := s.cfg.Gate.SignIn(r.Context(), masu.Session{User: u.Name, Agent: r.UserAgent()[:min(len(r.UserAgent()), 200)]})
	if err != nil {
		return err
	}
	http.SetCookie(w, s.cookie(sessionCookie, secret, week))
	http.Redirect(w, r, next, http.StatusSeeOther)
	return nil
}

// endSession ends the session that the browser has, if any, and all that hangs on it.
func (s *Server) endSession(r *http.Request) error {
	c, err := r.Cookie(s.cookieName(sessionCookie))
	if err != nil {
		return nil
	}
	v := s.visit(r)
	if err := s.cfg.Gate.SignOut(r.Context(), c.Value); err != nil {
		return err
	}
	if v != nil {
		s.live.end(v.session.Hash) // at once; the gate's own word may take a moment
	}
	return nil
}

func (s *Server) signout(w http.ResponseWriter, r *http.Request, _ *visit) error {
	if err := s.endSession(r); err != nil {
		return err
	}
	http.SetCookie(w, s.cookie(sessionCookie, "", -1))
	http.Redirect(w, r, "/signin", http.StatusSeeOther)
	return nil
}

// setLang remembers the language, in the browser and for the member.
func (s *Server) setLang(w http.ResponseWriter, r *http.Request, v *visit) error {
	lang := masu.Lang(r.PostForm.Get("lang"))
	if lang != masu.Japanese && lang != masu.English {
		return masu.E(masu.Invalid, "lang_unknown", lang)
	}
	http.SetCookie(w, s.cookie(langCookie, string(lang), 52*week))
	if v != nil {
		if err := v.service.SetLang(r.Context(), lang); err != nil {
			return err
		}
	}
	http.Redirect(w, r, safeNext(r.PostForm.Get("next")), http.StatusSeeOther)
	return nil
}

// safeNext gives a path of ours, or "/": nothing that a browser, in whatever
// way it reads an address, could take for another host.
func safeNext(next string) string {
	u, err := url.Parse(next)
	if err != nil || u.IsAbs() || u.Host != "" || u.User != nil || u.Opaque != "" {
		return "/"
	}
	forms := []string{next, u.Path}
	for _, unescape := range []func(string) (string, error){url.PathUnescape, url.QueryUnescape} {
		decoded, err := unescape(next)
		if err != nil {
			return "/"
		}
		forms = append(forms, decoded)
	}
	for _, form := range forms {
		path, _, _ := strings.Cut(form, "?")
		if !strings.HasPrefix(path, "/") || strings.Contains(path, "//") || strings.Contains(path, `\`) ||
			strings.ContainsFunc(form, func(c rune) bool { return c < 0x20 || c == 0x7f }) {
			return "/"
		}
	}
	to := (&url.URL{Path: u.Path, RawPath: u.RawPath, RawQuery: u.RawQuery}).String()
	if len(to) > nextMost {
		return "/"
	}
	return to
}
