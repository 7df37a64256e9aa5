package web

import (
	"context"
	"net/http"
	"net/url"
	"strings"

	"github.com/masu-lab/masu"
	"github.com/masu-lab/masu/internal/oidc"
)

// SSO is a sign-in service of the university's or the lab's.
type SSO interface {
	Begin(ctx context.Context, t oidc.Try) (string, error)
	Finish(ctx context.Context, t oidc.Try, state, code string) (masu.Username, error)
}

const (
	tryCookie = "masu_try"
	tryFor    = 10 * 60 // seconds
	// CallbackPath is where the service sends browsers back to.
	CallbackPath = "/signin/callback"
)

// beginSSO sends the browser to the service, and lets it keep what proves afterwards that it was the one.
func (s *Server) beginSSO(w http.ResponseWriter, r *http.Request, _ *visit) error {
	if s.cfg.SSO == nil {
		return masu.E(masu.NotFound, "no_page")
	}
	t := oidc.NewTry()
	to, err := s.cfg.SSO.Begin(r.Context(), t)
	if err != nil {
		return err
	}
	next := url.QueryEscape(safeNext(r.PostForm.Get("next")))
	http.SetCookie(w, s.cookie(tryCookie, strings.Join([]string{t.State, t.Nonce, t.Verifier, next}, "."), tryFor))
	// The page's policy lets forms go nowhere else, redirects included: a link does it.
	return s.show(w, r, nil, http.StatusOK, &ssoView{To: to, Name: s.cfg.SSOName})
}

// ssoView sends the browser on to the sign-in service.
type ssoView struct {
	base
	To, Name string
}

// endSSO takes the browser back.
func (s *Server) endSSO(w http.ResponseWriter, r *http.Request, _ *visit) error {
	if s.cfg.SSO == nil {
		return masu.E(masu.NotFound, "no_page")
	}
	c, err := r.Cookie(s.cookieName(tryCookie))
	if err != nil {
		return masu.E(masu.Denied, "sso_stale")
	}
	http.SetCookie(w, s.cookie(tryCookie, "", -1))
	parts := strings.Split(c.Value, ".")
	if len(parts) != 4 {
		return masu.E(masu.Denied, "sso_stale")
	}
	next, err := url.QueryUnescape(parts[3])
	if err != nil {
		return masu.E(masu.Denied, "sso_stale")
	}
	q := r.URL.Query()
	name, err := s.cfg.SSO.Finish(r.Context(), oidc.Try{State: parts[0], Nonce: parts[1], Verifier: parts[2]}, q.Get("state"), q.Get("code"))
	if err != nil {
		s.cfg.Log.Info("sign-in by the service refused", "error", err)
		return s.refuseSSO(w, r, err)
	}
	u, err := s.cfg.Gate.ByName(r.Context(), name)
	if err != nil {
		return s.refuseSSO(w, r, err)
	}
	return s.letIn(w, r, u, safeNext(next))
}

// refuseSSO shows the sign-in page with what went wrong: another way in may be open.
func (s *Server) refuseSSO(w http.ResponseWriter, r *http.Request, err error) error {
	if masu.KindOf(err) == masu.Denied {
		err = masu.E(masu.Denied, "sso_refused", s.cfg.SSOName).Because(err)
	}
	return s.show(w, r, nil, status(err), &signinView{Next: "/", Plain: s.plain(r), SSO: s.cfg.SSOName, Problem: newProblem(s.lang(r, nil), err)})
}
