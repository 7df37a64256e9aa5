package web

import (
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/masu-lab/masu"
	"github.com/masu-lab/masu/internal/text"
)

// base is what every page has.
type base struct {
	Title   string
	Lang    masu.Lang
	Other   masu.Lang // the one to switch to
	Host    string    // of the machine, for people
	Version string
	User    masu.Username // "" before sign-in
	Here    string        // path to come back to
	App     bool          // at an app's origin, where the pages' forms do not work
	Root    string        // where masu's own files are: "", or its corner of an app's origin
	Pages   string        // the pages' origin, for links; "" when we are there
	Admin   bool          // User administers the lab
	Notice  houseView     // what everybody should know
	Refresh bool          // without scripts, the page comes again by itself; the page says so
}

func (b *base) set(v base) {
	v.Refresh = b.Refresh
	*b = v
}

// page is a struct that one template shows.
type page interface {
	set(base)
	template() string
	title(lang masu.Lang) string
}

func (*signinView) template() string       { return "signin" }
func (*homeView) template() string         { return "home" }
func (*newView) template() string          { return "new" }
func (*settingsView) template() string     { return "settings" }
func (*memberPage) template() string       { return "member" }
func (*adminView) template() string        { return "admin" }
func (*auditView) template() string        { return "audit" }
func (*workspaceView) template() string    { return "workspace" }
func (*ssoView) template() string          { return "sso" }
func (*environmentsView) template() string { return "environments" }
func (*gpusView) template() string         { return "gpus" }
func (*environmentView) template() string  { return "environment" }
func (*waitView) template() string         { return "wait" }
func (*errorView) template() string        { return "error" }

func (*signinView) title(lang masu.Lang) string        { return text.Say(lang, "web.signin") }
func (*homeView) title(lang masu.Lang) string          { return text.Say(lang, "web.home") }
func (*newView) title(lang masu.Lang) string           { return text.Say(lang, "web.new") }
func (*settingsView) title(lang masu.Lang) string      { return text.Say(lang, "web.settings") }
func (v *memberPage) title(masu.Lang) string           { return string(v.Member.Name) }
func (*adminView) title(lang masu.Lang) string         { return text.Say(lang, "web.admin") }
func (*auditView) title(lang masu.Lang) string         { return text.Say(lang, "web.audit") }
func (v *workspaceView) title(lang masu.Lang) string   { return v.Card.Name }
func (*gpusView) title(lang masu.Lang) string          { return text.Say(lang, "web.gpus_title") }
func (*environmentsView) title(lang masu.Lang) string  { return text.Say(lang, "web.environments") }
func (v *environmentView) title(lang masu.Lang) string { return v.Name }
func (v *ssoView) title(lang masu.Lang) string         { return text.Say(lang, "web.sso_to", v.Name) }
func (v *waitView) title(lang masu.Lang) string        { return v.Name }
func (v *errorView) title(lang masu.Lang) string       { return v.Problem.Message }

// lang is what the browser was switched to, else what the member chose, else what the browser wishes.
func (s *Server) lang(r *http.Request, v *visit) masu.Lang {
	if c, err := r.Cookie(s.cookieName(langCookie)); err == nil {
		if l := masu.Lang(c.Value); l == masu.Japanese || l == masu.English {
			return l
		}
	}
	if v != nil && (v.actor.Lang == masu.Japanese || v.actor.Lang == masu.English) {
		return v.actor.Lang
	}
	return text.FromHeader(r.Header.Get("Accept-Language"))
}

func (s *Server) base(r *http.Request, v *visit) base {
	b := base{Lang: s.lang(r, v), Other: masu.English, Host: s.cfg.HostName, Version: s.cfg.Version, Here: "/"}
	if b.Lang == masu.English {
		b.Other = masu.Japanese
	}
	if r.Method == http.MethodGet {
		b.Here = r.URL.RequestURI()
	}
	if v != nil {
		b.User, b.Admin = v.actor.Name, v.actor.Admin
		if hello, err := v.hello(r.Context()); err == nil { // a page without its notice is better than none
			b.Notice = newHouse(b.Lang, hello.House, time.Now())
		}
	}
	if _, _, b.App = s.cfg.Origins.placeOf(r); b.App {
		b.Root, b.Pages = strings.TrimSuffix(reserved, "/"), s.cfg.Origins.pagesFor(r)
	}
	return b
}

// show renders a page wholly before it sends the first byte.
func (s *Server) show(w http.ResponseWriter, r *http.Request, v *visit, code int, p page) error {
	b := s.base(r, v)
	b.Title = p.title(b.Lang)
	if b.App {
		framable(w.Header(), s.cfg.Origins.framers(r))
	}
	p.set(b)
	body, err := s.looks.render(b.Lang, p.template(), p)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Vary", "Accept-Language, Cookie")
	w.WriteHeader(code)
	_, _ = w.Write(body) // it may have gone already
	return nil
}

// problem is an error as a page shows it.
type problem struct{ Message, Fix, Code string }

func newProblem(lang masu.Lang, err error) *problem {
	m, fix := text.Error(lang, err)
	return &problem{m, fix, masu.CodeOf(err)}
}

// status is the HTTP status of an error.
func status(err error) int {
	switch masu.CodeOf(err) {
	case "host_unknown":
		return http.StatusMisdirectedRequest
	case "signin_too_often":
		return http.StatusTooManyRequests
	case "signin_needed":
		return http.StatusUnauthorized
	case "not_by_get":
		return http.StatusMethodNotAllowed
	case "form_wrong":
		return http.StatusUnsupportedMediaType
	case "form_large":
		return http.StatusRequestEntityTooLarge
	}
	switch masu.KindOf(err) {
	case masu.Invalid:
		return http.StatusBadRequest
	case masu.NotFound:
		return http.StatusNotFound
	case masu.Conflict:
		return http.StatusConflict
	case masu.Denied:
		return http.StatusForbidden
	case masu.Full:
		return http.StatusInsufficientStorage
	case masu.Unreachable:
		return http.StatusBadGateway
	}
	return http.StatusInternalServerError
}

// errorView is the page of an error.
type errorView struct {
	base
	Status  int
	Problem *problem
}

// refuse shows an error. What is internal goes to the log, and only there.
func (s *Server) refuse(w http.ResponseWriter, r *http.Request, err error) {
	s.log(r, err)
	secure(w.Header())
	retryAfter(w, err)
	if wantsEvents(r) {
		briefly(w, err)
		return
	}
	v := s.visit(r)
	if shown := s.show(w, r, v, status(err), &errorView{Status: status(err), Problem: newProblem(s.lang(r, v), err)}); shown != nil {
		s.log(r, shown)
		briefly(w, err)
	}
}

// log notes errors that are ours. Neither query nor headers are noted: they may hold secrets.
func (s *Server) log(r *http.Request, err error) {
	if masu.KindOf(err) == masu.Internal && r.Context().Err() == nil {
		s.cfg.Log.Error("page", "method", r.Method, "path", r.URL.Path, "error", err)
	}
}

// retryAfter tells when it is worth to try again, for programs.
func retryAfter(w http.ResponseWriter, err error) {
	if e, ok := errors.AsType[*masu.Error](err); ok && e.Code == "signin_too_often" && len(e.Args) > 0 {
		w.Header().Set("Retry-After", e.Args[0])
	}
}
