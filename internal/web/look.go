package web

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"html/template"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strings"
	"time"

	"github.com/masu-lab/masu"
	"github.com/masu-lab/masu/internal/text"
)

//go:embed templates/*.html static/*
var files embed.FS

// looks are the templates and the static files, read once.
type looks struct {
	pages  map[string]*template.Template
	assets map[string]asset  // by hashed name
	hashed map[string]string // plain name to hashed name
}

type asset struct {
	plain, gzipped []byte
	kind           string
}

func newLooks() (*looks, error) {
	l := &looks{pages: map[string]*template.Template{}, assets: map[string]asset{}, hashed: map[string]string{}}
	static, err := fs.ReadDir(files, "static")
	if err != nil {
		return nil, err
	}
	for _, e := range static {
		b, err := files.ReadFile("static/" + e.Name())
		if err != nil {
			return nil, err
		}
		sum := sha256.Sum256(b)
		ext := path.Ext(e.Name())
		name := strings.TrimSuffix(e.Name(), ext) + "." + hex.EncodeToString(sum[:])[:10] + ext
		var z bytes.Buffer
		zw, _ := gzip.NewWriterLevel(&z, gzip.BestCompression)
		if _, err := zw.Write(b); err != nil || zw.Close() != nil {
			return nil, errors.New("web: gzip " + e.Name())
		}
		l.assets[name], l.hashed[e.Name()] = asset{b, z.Bytes(), mime.TypeByExtension(ext)}, name
	}
	for _, page := range []string{"signin", "home", "workspace", "wait", "error"} {
		t := template.New("layout.html").Funcs(template.FuncMap{
			"asset": func(name string) string { return "/static/" + l.hashed[name] },
			"say":   func(string, ...any) string { return "" }, // bound to a language when shown
			"ago":   func(time.Time) string { return "" },
		})
		if l.pages[page], err = t.ParseFS(files, "templates/layout.html", "templates/parts.html", "templates/"+page+".html"); err != nil {
			return nil, err
		}
	}
	return l, nil
}

// ServeHTTP serves the static files; their names change with their contents, so they never go stale.
func (l *looks) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a, ok := l.assets[strings.TrimPrefix(r.URL.Path, "/static/")]
	if !ok {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", a.kind)
	w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	w.Header().Set("Vary", "Accept-Encoding")
	body := a.plain
	if strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		w.Header().Set("Content-Encoding", "gzip")
		body = a.gzipped
	}
	_, _ = w.Write(body)
}

// base is what every page has.
type base struct {
	Lang     masu.Lang
	Other    masu.Lang // the one to switch to
	Host     string
	Version  string
	User     masu.Username // "" before sign-in
	Here     string        // path to come back to
	Personal bool
	Notes    []string
	App      bool   // on an app's origin: the pages' forms are not there
	Root     string // where masu's own files are: "", or a corner of an app's origin
	Pages    string
}

func (b *base) set(v base) { *b = v }

type page interface{ set(base) }

// lang is what the member chose, else the cookie, else the browser's wish.
func (s *Server) lang(r *http.Request, v *visit) masu.Lang {
	if c, err := r.Cookie(langCookie); err == nil && (c.Value == "ja" || c.Value == "en") {
		return masu.Lang(c.Value)
	}
	if v != nil && v.actor.Lang != "" {
		return v.actor.Lang
	}
	return text.FromHeader(r.Header.Get("Accept-Language"))
}

// show renders a page wholly before it sends the first byte.
func (s *Server) show(w http.ResponseWriter, r *http.Request, code int, name string, p page) error {
	v, err := s.visit(r)
	if err != nil {
		v = nil
	}
	b, err := s.render(r, v, name, p)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Vary", "Accept-Language, Cookie")
	w.WriteHeader(code)
	_, _ = w.Write(b)
	return nil
}

func (s *Server) base(r *http.Request, v *visit) base {
	b := base{Lang: s.lang(r, v), Host: s.cfg.HostName, Version: s.cfg.Version, Here: r.URL.RequestURI(), Pages: s.cfg.Origins.Pages()}
	b.Other = masu.English
	if b.Lang == masu.English {
		b.Other = masu.Japanese
	}
	if r.Method != http.MethodGet {
		b.Here = "/"
	}
	if v != nil {
		b.User = v.actor.Name
	}
	_, _, app := s.cfg.Origins.placeOf(r)
	if b.App = app && !s.cfg.Origins.pages(r.Host); b.App {
		b.Root = strings.TrimSuffix(reserved, "/")
	}
	return b
}

func (s *Server) render(r *http.Request, v *visit, name string, p page) ([]byte, error) {
	b := s.base(r, v)
	p.set(b)
	return s.looks.render(b.Lang, name, "layout.html", p)
}

func (l *looks) render(lang masu.Lang, name, part string, data any) ([]byte, error) {
	t, err := l.pages[name].Clone()
	if err != nil {
		return nil, err
	}
	t.Funcs(template.FuncMap{
		"say": func(code string, args ...any) string { return text.Say(lang, code, args...) },
		"ago": func(at time.Time) string { return ago(lang, time.Since(at)) },
	})
	var out bytes.Buffer
	if err := t.ExecuteTemplate(&out, part, data); err != nil {
		return nil, fmt.Errorf("web: page %s: %w", name, err)
	}
	return out.Bytes(), nil
}

// ago says how long something lasts, in the largest unit that tells enough.
func ago(lang masu.Lang, d time.Duration) string {
	switch {
	case d < time.Minute:
		return text.Say(lang, "time.seconds", max(0, int(d.Seconds())))
	case d < time.Hour:
		return text.Say(lang, "time.minutes", int(d.Minutes()))
	case d < 48*time.Hour:
		return text.Say(lang, "time.hours", int(d.Hours()), int(d.Minutes())%60)
	}
	return text.Say(lang, "time.days", int(d.Hours()/24))
}

// problem is an error as a page shows it.
type problem struct{ Message, Fix, Code string }

func newProblem(lang masu.Lang, err error) *problem {
	m, fix := text.Error(lang, err)
	return &problem{m, fix, masu.CodeOf(err)}
}

// status is the HTTP status of an error.
func status(err error) int {
	switch code := masu.CodeOf(err); {
	case code == "host_unknown":
		return http.StatusMisdirectedRequest
	case code == "signin_too_often":
		return http.StatusTooManyRequests
	case code == "signin_needed":
		return http.StatusUnauthorized
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
	case masu.Cancelled:
		return 499
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
	secure(w.Header())
	code := status(err)
	if code == http.StatusInternalServerError {
		s.cfg.Log.Error("page", "path", r.URL.Path, "error", err)
	}
	v, verr := s.visit(r)
	if verr != nil {
		v = nil
	}
	b, rerr := s.render(r, v, "error", &errorView{Status: code, Problem: newProblem(s.lang(r, v), err)})
	if rerr != nil {
		s.cfg.Log.Error("page", "path", r.URL.Path, "error", rerr)
		http.Error(w, "masu: internal error", http.StatusInternalServerError)
		return
	}
	if e, ok := errors.AsType[*masu.Error](err); ok && code == http.StatusTooManyRequests && len(e.Args) > 0 {
		w.Header().Set("Retry-After", e.Args[0])
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(code)
	_, _ = w.Write(b)
}
