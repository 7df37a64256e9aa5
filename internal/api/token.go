package api

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/masu-lab/masu"
)

// APIPath is where programs with a token find the routes: /api/v1/…, the
// document that describes them at /api/v1/openapi.json, and /metrics.
const APIPath = "/api"

// tokenKey marks a request that brings a token; its value tells whether the route only reads.
type tokenKey struct{}

// TokenHandler serves the routes, but for those that take the connection over,
// to programs that bring a token: over the network, where the kernel cannot
// say who asks. Cookies mean nothing here, so no other site can ask in a
// browser's name.
func (s *Server) TokenHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+APIPath+"/v1/openapi.json", s.openAPI)
	mux.HandleFunc(APIPath+"/", s.byToken)
	mux.HandleFunc("GET /metrics", s.metrics)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Header().Set(headerVersion, fmt.Sprint(wire, " ", s.Version))
		w.Header().Set("Cache-Control", "no-store")
		mux.ServeHTTP(w, r)
	})
}

// bearer finds who a token belongs to.
func (s *Server) bearer(r *http.Request) (masu.Actor, masu.Token, error) {
	scheme, secret, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") || secret == "" || len(r.Header["Authorization"]) != 1 {
		return masu.Actor{}, masu.Token{}, masu.E(masu.Denied, "token_needed")
	}
	u, k, err := s.Gate.ByToken(r.Context(), secret)
	if masu.KindOf(err) == masu.Denied && err != nil {
		err = masu.E(masu.Denied, "token_needed").Because(err)
	}
	return masu.Actor{User: u, Door: masu.DoorToken}, k, err
}

func (s *Server) byToken(w http.ResponseWriter, r *http.Request) {
	path := strings.TrimPrefix(r.URL.Path, APIPath)
	i := slices.IndexFunc(s.api, func(x route) bool { return x.path == path && x.method == r.Method })
	if i < 0 {
		s.refuse(w, r, masu.E(masu.NotFound, "no_route", r.Method+" "+r.URL.Path))
		return
	}
	inner := r.Clone(context.WithValue(r.Context(), tokenKey{}, s.api[i].reads))
	inner.URL.Path, inner.URL.RawPath = path, ""
	inner.Header.Del(headerAs) // nobody acts for another by a token
	s.handler.ServeHTTP(w, inner)
}

// refuseToken also tells programs how to ask.
func (s *Server) refuseToken(w http.ResponseWriter, r *http.Request, err error) {
	if masu.CodeOf(err) == "token_needed" {
		w.Header().Set("WWW-Authenticate", `Bearer realm="masu"`)
		writeJSON(w, http.StatusUnauthorized, toWire(err))
		return
	}
	s.refuse(w, r, err)
}

// metrics answers Prometheus, to an admin's token.
func (s *Server) metrics(w http.ResponseWriter, r *http.Request) {
	a, _, err := s.bearer(r)
	if err == nil && !a.Admin {
		err = masu.E(masu.Denied, "not_admin")
	}
	if err != nil {
		s.refuseToken(w, r, err)
		return
	}
	text, err := metricsOf(r.Context(), s.As(a), s.Metrics)
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	_, _ = fmt.Fprint(w, text) // it may have gone already
}
