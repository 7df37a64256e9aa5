package web

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/masu-lab/masu"
	"github.com/masu-lab/masu/internal/text"
)

// addedView is what was installed by hand.
type addedView struct {
	masu.Layer
	Path    string
	Problem *problem
}

// added asks the box what was installed by hand, for the page's script.
func (s *Server) added(w http.ResponseWriter, r *http.Request, v *visit) error {
	ws, err := s.named(r.Context(), v, r.PathValue("name"))
	if err != nil {
		return err
	}
	return s.part(w, r, v, "added", s.newAdded(r, v, ws))
}

func (s *Server) newAdded(r *http.Request, v *visit, ws masu.Workspace) addedView {
	view := addedView{Path: "/w/" + key(ws, v.actor.Name)}
	if ws.Phase != masu.Running || ws.Owner != v.actor.Name {
		return view
	}
	l, err := v.service.Added(r.Context(), string(ws.ID))
	if err != nil {
		s.log(r, err)
		view.Problem = newProblem(s.lang(r, v), err)
	}
	view.Layer = l
	return view
}

// keep writes what was installed by hand into the folder's file.
func (s *Server) keep(w http.ResponseWriter, r *http.Request, v *visit) error {
	name := r.PathValue("name")
	if err := v.service.Keep(r.Context(), name, masu.Layer{Apt: r.PostForm["apt"], Pip: r.PostForm["pip"]}); err != nil {
		return err
	}
	http.Redirect(w, r, "/w/"+url.PathEscape(name)+"?changed=yes", http.StatusSeeOther)
	return nil
}

// admit opens a workspace to a colleague.
func (s *Server) admit(w http.ResponseWriter, r *http.Request, v *visit) error {
	ws, err := v.service.Workspace(r.Context(), r.PathValue("name"))
	if err != nil {
		return err
	}
	lang := s.lang(r, v)
	if _, err := v.service.Admit(r.Context(), string(ws.ID), masu.Username(strings.TrimSpace(r.PostForm.Get("guest")))); err != nil {
		s.log(r, err)
		view := newWorkspace(lang, ws, v.actor.Name)
		view.GuestProblem = newProblem(lang, err)
		return s.show(w, r, v, status(err), view)
	}
	http.Redirect(w, r, pageOf(ws)+"#guests", http.StatusSeeOther)
	return nil
}

// dismiss shuts a workspace to a guest; one who dismisses themselves goes home.
func (s *Server) dismiss(w http.ResponseWriter, r *http.Request, v *visit) error {
	ws, err := s.named(r.Context(), v, r.PathValue("name"))
	if err != nil {
		return err
	}
	guest := masu.Username(r.PostForm.Get("guest"))
	if _, err := v.service.Dismiss(r.Context(), string(ws.ID), guest); err != nil {
		return err
	}
	to := "/w/" + key(ws, v.actor.Name) + "#guests"
	if guest == v.actor.Name {
		to = "/"
	}
	http.Redirect(w, r, to, http.StatusSeeOther)
	return nil
}

// environmentsView lists environments: the member's, and the lab's.
type environmentsView struct {
	base
	Mine []environmentView
	Lab  []environmentView
}

// environmentView is one environment, of a list or on its own page.
type environmentView struct {
	base
	ID      string // "" where it is not shared
	Name    string // what its owner calls it, else its workspaces
	About   string
	Owner   masu.Username
	Own     bool // the actor shares it, or is an admin
	Lab     bool
	Retired string
	At      time.Time
	Text    string
	Link    string // to give to others
	Facts   []fact
	Size    string
	Used    []string // the actor's workspaces
	Members []string
	Compare string // where it is compared with another
	Problem *problem
}

func newEnvironment(lang masu.Lang, u masu.EnvironmentUse, me masu.Username, admin bool) environmentView {
	x := u.Shared
	view := environmentView{ID: x.ID, Name: x.Title, About: x.About, Owner: x.Owner, Own: x.Owner == me || admin && x.ID != "", Lab: x.Lab, Retired: x.Retired, At: x.At, Text: x.Text,
		Facts: facts(lang, masu.Workspace{Project: masu.Project{Environment: u.Env}}), Used: u.Workspaces}
	switch {
	case x.ID != "":
		view.Compare = comparePath("e/" + x.ID)
	default:
		view.Name = strings.Join(u.Workspaces, ", ")
		if len(u.Workspaces) > 0 {
			view.Compare = comparePath("w/" + u.Workspaces[0])
		}
	}
	if u.Size > 0 {
		view.Size = u.Size.String()
	}
	for _, m := range u.Members {
		view.Members = append(view.Members, string(m))
	}
	return view
}

func (s *Server) environments(w http.ResponseWriter, r *http.Request, v *visit) error {
	list, err := v.service.Environments(r.Context())
	if err != nil {
		return err
	}
	view := &environmentsView{}
	for _, u := range list {
		e := newEnvironment(s.lang(r, v), u, v.actor.Name, v.actor.Admin)
		if u.Shared.ID == "" || u.Shared.Owner == v.actor.Name {
			view.Mine = append(view.Mine, e)
		}
		if u.Shared.Lab {
			view.Lab = append(view.Lab, e)
		}
	}
	slices.SortStableFunc(view.Lab, func(a, b environmentView) int { return len(a.Retired) - len(b.Retired) })
	return s.show(w, r, v, http.StatusOK, view)
}

func (s *Server) environment(w http.ResponseWriter, r *http.Request, v *visit) error {
	return s.showEnvironment(w, r, v, http.StatusOK, nil)
}

func (s *Server) showEnvironment(w http.ResponseWriter, r *http.Request, v *visit, code int, problem *problem) error {
	u, err := v.service.Shared(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	view := newEnvironment(s.lang(r, v), u, v.actor.Name, v.actor.Admin)
	view.Link, view.Problem = s.cfg.Origins.pagesFor(r)+"/e/"+view.ID, problem
	return s.show(w, r, v, code, &view)
}

// share shares the environment of a workspace, and goes to its page.
func (s *Server) share(w http.ResponseWriter, r *http.Request, v *visit) error {
	f := r.PostForm
	x, err := v.service.Share(r.Context(), masu.ShareWish{Workspace: r.PathValue("name"), Title: f.Get("title"), About: f.Get("about"), Lab: f.Get("lab") != ""})
	if err != nil {
		return err
	}
	http.Redirect(w, r, "/e/"+x.ID, http.StatusSeeOther)
	return nil
}

// changeEnvironment takes what its owner says of it.
func (s *Server) changeEnvironment(w http.ResponseWriter, r *http.Request, v *visit) error {
	var c masu.SharedChange
	said := func(name string) *string {
		if !r.PostForm.Has(name) {
			return nil
		}
		value := r.PostForm.Get(name)
		return &value
	}
	c.Title, c.About, c.Retired = said("title"), said("about"), said("retired")
	if c.Title != nil { // the form with the box to tick
		lab := r.PostForm.Get("lab") != ""
		c.Lab = &lab
	}
	if said("retire") != nil && c.Retired != nil && strings.TrimSpace(*c.Retired) == "" {
		words := text.Say(s.lang(r, v), "web.retired_plain")
		c.Retired = &words
	}
	if _, err := v.service.ChangeShared(r.Context(), r.PathValue("id"), c); err != nil {
		if masu.KindOf(err) == masu.NotFound {
			return err
		}
		s.log(r, err)
		return s.showEnvironment(w, r, v, status(err), newProblem(s.lang(r, v), err))
	}
	http.Redirect(w, r, "/e/"+r.PathValue("id"), http.StatusSeeOther)
	return nil
}

func (s *Server) unshare(w http.ResponseWriter, r *http.Request, v *visit) error {
	if err := v.service.Unshare(r.Context(), r.PathValue("id")); err != nil {
		return err
	}
	http.Redirect(w, r, "/environments", http.StatusSeeOther)
	return nil
}
