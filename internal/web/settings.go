package web

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/masu-lab/masu"
	"github.com/masu-lab/masu/internal/text"
)

// settingsView is what a member decides about themselves.
type settingsView struct {
	base
	Sessions []sessionView
	Tokens   []masu.Token
	Keys     []masu.SSHKey
	SSH      masu.SSHDoor
	Notices  masu.NotifyWish
	On       []occasionView
	Limits   []string
	Secret   string // of a token just made, shown this once
	Done     string // what was done
	Problem  *problem
}

// sessionView is a signed-in browser.
type sessionView struct {
	Hash, Agent string
	At          time.Time
	Here        bool // the one that looks at the page
}

func (s *Server) settings(w http.ResponseWriter, r *http.Request, v *visit) error {
	return s.showSettings(w, r, v, http.StatusOK, settingsView{})
}

// showSettings shows the page with what came of an act.
func (s *Server) showSettings(w http.ResponseWriter, r *http.Request, v *visit, code int, view settingsView) error {
	sessions, err := v.service.Sessions(r.Context())
	if err != nil {
		return err
	}
	if view.Tokens, err = v.service.Tokens(r.Context()); err != nil {
		return err
	}
	if view.Keys, err = v.service.Keys(r.Context()); err != nil {
		return err
	}
	hello, err := v.service.Whoami(r.Context())
	if err != nil {
		return err
	}
	view.SSH, view.Limits = hello.SSH, text.Limits(s.lang(r, v), hello.Limits)
	if view.Notices, err = v.service.Notices(r.Context()); err != nil {
		return err
	}
	for _, o := range masu.Occasions() {
		if o != masu.OccasionServer || v.actor.Admin {
			never := view.Notices.Webhook == "" && view.Notices.Mail == ""
			view.On = append(view.On, occasionView{o, never || slices.Contains(view.Notices.On, o)})
		}
	}
	for _, x := range sessions {
		view.Sessions = append(view.Sessions, sessionView{x.Hash, browserName(s.lang(r, v), x.Agent), x.At, x.Hash == v.session.Hash})
	}
	return s.show(w, r, v, code, &view)
}

// occasionView is one to tick.
type occasionView struct {
	Name masu.Occasion
	On   bool
}

// setNotices takes how the member wants to be told.
func (s *Server) setNotices(w http.ResponseWriter, r *http.Request, v *visit) error {
	f := r.PostForm
	n := masu.NotifyWish{Webhook: strings.TrimSpace(f.Get("webhook")), Mail: strings.TrimSpace(f.Get("mail"))}
	for _, o := range f["on"] {
		n.On = append(n.On, masu.Occasion(o))
	}
	return s.settled(w, r, v, "web.notices_set", v.service.SetNotices(r.Context(), n))
}

func (s *Server) tryNotices(w http.ResponseWriter, r *http.Request, v *visit) error {
	return s.settled(w, r, v, "web.notices_tried", v.service.TryNotices(r.Context()))
}

// settled shows what came of an act on the settings page.
func (s *Server) settled(w http.ResponseWriter, r *http.Request, v *visit, done string, err error) error {
	if err != nil {
		s.log(r, err)
		return s.showSettings(w, r, v, status(err), settingsView{Problem: newProblem(s.lang(r, v), err)})
	}
	return s.showSettings(w, r, v, http.StatusOK, settingsView{Done: text.Say(s.lang(r, v), done)})
}

// setPassword takes a password that was typed twice; empty twice means none.
func (s *Server) setPassword(w http.ResponseWriter, r *http.Request, v *visit) error {
	password := r.PostForm.Get("password")
	if password != r.PostForm.Get("again") {
		return s.settled(w, r, v, "", masu.E(masu.Invalid, "passwords_differ"))
	}
	done := "web.password_set"
	if password == "" {
		done = "web.password_none"
	}
	return s.settled(w, r, v, done, v.service.SetPassword(r.Context(), password))
}

func (s *Server) endSessionOf(w http.ResponseWriter, r *http.Request, v *visit) error {
	hash := r.PostForm.Get("session")
	err := v.service.EndSession(r.Context(), hash)
	if err == nil {
		s.live.end(hash)
	}
	if hash == v.session.Hash && err == nil {
		http.Redirect(w, r, "/signin", http.StatusSeeOther)
		return nil
	}
	return s.settled(w, r, v, "web.session_ended", err)
}

func (s *Server) newToken(w http.ResponseWriter, r *http.Request, v *visit) error {
	days, err := strconv.Atoi(r.PostForm.Get("days"))
	if err != nil {
		days = 0 // which the service refuses in its own words
	}
	k, err := v.service.NewToken(r.Context(), masu.TokenWish{Name: r.PostForm.Get("name"), Scope: masu.Scope(r.PostForm.Get("scope")), Days: days})
	if err != nil {
		return s.settled(w, r, v, "", err)
	}
	return s.showSettings(w, r, v, http.StatusOK, settingsView{Secret: k.Secret})
}

func (s *Server) deleteToken(w http.ResponseWriter, r *http.Request, v *visit) error {
	return s.settled(w, r, v, "web.token_deleted", v.service.DeleteToken(r.Context(), r.PostForm.Get("token")))
}

func (s *Server) addKey(w http.ResponseWriter, r *http.Request, v *visit) error {
	_, err := v.service.AddKey(r.Context(), r.PostForm.Get("key"), r.PostForm.Get("name"))
	return s.settled(w, r, v, "web.key_added", err)
}

func (s *Server) removeKey(w http.ResponseWriter, r *http.Request, v *visit) error {
	return s.settled(w, r, v, "web.key_removed", v.service.RemoveKey(r.Context(), r.PostForm.Get("key")))
}

// browserName says in a word which browser a User-Agent is, as people know them.
func browserName(lang masu.Lang, agent string) string {
	name := text.Say(lang, "web.browser")
	for _, known := range []struct{ mark, name string }{{"Edg/", "Edge"}, {"OPR/", "Opera"}, {"Firefox/", "Firefox"}, {"Chrome/", "Chrome"}, {"Safari/", "Safari"}} {
		if strings.Contains(agent, known.mark) {
			name = known.name
			break
		}
	}
	for _, known := range []struct{ mark, name string }{{"iPhone", "iPhone"}, {"iPad", "iPad"}, {"Android", "Android"}, {"Windows", "Windows"}, {"Mac OS X", "Mac"}, {"Linux", "Linux"}} {
		if strings.Contains(agent, known.mark) {
			return name + " · " + known.name
		}
	}
	return name
}
