package web

import (
	"net/http"
	"strings"

	"github.com/masu-lab/masu"
	"github.com/masu-lab/masu/internal/text"
)

// shareView is one with whom an app is shared.
type shareView struct {
	Who  string // as people read it
	With masu.Username
	Lab  bool
}

func newShares(lang masu.Lang, ws masu.Workspace, app string) (list []shareView) {
	for _, x := range ws.Shares {
		if x.App != app {
			continue
		}
		v := shareView{Who: string(x.With), With: x.With, Lab: x.Lab}
		if x.Lab {
			v.Who = text.Say(lang, "app_whole_lab")
		}
		list = append(list, v)
	}
	return list
}

// shareForm is what can be shared, and what was filled in.
type shareForm struct {
	Apps    []shareChoice
	Lab     bool // with everybody, too
	With    string
	Problem *problem
}

type shareChoice struct {
	Name, Title string
	Chosen      bool
}

// newShareForm offers the apps that are of a workspace for good; none where nothing may be shared.
func newShareForm(ws masu.Workspace, reach masu.Reach) shareForm {
	f := shareForm{Lab: reach == masu.ReachLab}
	if reach != masu.ReachLab && reach != masu.ReachColleagues {
		return f
	}
	for _, a := range ws.Programs() {
		if _, wished := ws.Wish(a.Name); wished {
			f.Apps = append(f.Apps, shareChoice{Name: a.Name, Title: appTitle(a.Name), Chosen: a.Name == tensorBoard})
		}
	}
	return f
}

// asked reads whom a form means. What the button for the lab sends leaves the name out.
func asked(r *http.Request) masu.AppShare {
	x := masu.AppShare{App: r.PostForm.Get("app"), Lab: r.PostForm.Get("lab") != ""}
	if !x.Lab {
		x.With = masu.Username(strings.TrimSpace(r.PostForm.Get("with")))
	}
	return x
}

// shareApp shares one app, or says on the page why not.
func (s *Server) shareApp(w http.ResponseWriter, r *http.Request, v *visit) error {
	ws, err := v.service.Workspace(r.Context(), r.PathValue("name"))
	if err != nil {
		return err
	}
	x := asked(r)
	if _, err := v.service.ShareApp(r.Context(), string(ws.ID), x); err != nil {
		s.log(r, err)
		hello, herr := v.hello(r.Context())
		if herr != nil {
			return herr
		}
		lang := s.lang(r, v)
		view := newWorkspace(lang, ws, v.actor.Name)
		view.ShareApp = newShareForm(ws, hello.Reach)
		view.ShareApp.With, view.ShareApp.Problem = string(x.With), newProblem(lang, err)
		for i, c := range view.ShareApp.Apps {
			view.ShareApp.Apps[i].Chosen = c.Name == x.App
		}
		return s.show(w, r, v, status(err), view)
	}
	http.Redirect(w, r, pageOf(ws)+"#apps", http.StatusSeeOther)
	return nil
}

// unshareApp takes a share back; who gives back their own goes home.
func (s *Server) unshareApp(w http.ResponseWriter, r *http.Request, v *visit) error {
	ws, err := s.named(r.Context(), v, r.PathValue("name"))
	if err != nil {
		return err
	}
	if _, err := v.service.UnshareApp(r.Context(), string(ws.ID), asked(r)); err != nil {
		return err
	}
	to := "/w/" + key(ws, v.actor.Name) + "#apps"
	if ws.Part {
		to = "/"
	}
	http.Redirect(w, r, to, http.StatusSeeOther)
	return nil
}

// sharedApp is an app of a colleague's, as who may open it sees it.
type sharedApp struct {
	App, Title string
	Workspace  string
	Owner      masu.Username
	Open       string // where it is opened; "" while the workspace does not run
	State      string
	Path       string // of the page about it
	Mine       bool   // it was shared with this member by name, who may give it back
	Me         masu.Username
}

func newSharedApps(lang masu.Lang, ws masu.Workspace, me masu.Username) (list []sharedApp) {
	at := key(ws, me)
	for _, a := range ws.Programs() {
		v := sharedApp{App: a.Name, Title: appTitle(a.Name), Workspace: ws.Name, Owner: ws.Owner, Path: "/w/" + at, State: text.Say(lang, "web.phase."+string(ws.Phase)), Me: me}
		if ws.Phase == masu.Running {
			v.Open, v.State = alonePath(at, a.Name, ""), text.Say(lang, "app.state."+a.State())
		}
		for _, x := range ws.Shares {
			v.Mine = v.Mine || x.App == a.Name && x.With == me
		}
		list = append(list, v)
	}
	return list
}

// sharedApps is the part of the first page that lists what colleagues share.
func (s *Server) sharedApps(w http.ResponseWriter, r *http.Request, v *visit) error {
	list, err := v.service.Workspaces(r.Context(), false)
	if err != nil {
		return err
	}
	var apps []sharedApp
	for _, ws := range list {
		if ws.Part {
			apps = append(apps, newSharedApps(s.lang(r, v), ws, v.actor.Name)...)
		}
	}
	return s.part(w, r, v, "sharedapps", apps)
}

// sharedView is the page of a workspace for whom no more than apps of it are shared with.
type sharedView struct {
	base
	Name    string
	Owner   masu.Username
	Phase   masu.Phase
	Running bool
	Apps    []sharedApp
}

func (*sharedView) template() string         { return "shared" }
func (v *sharedView) title(masu.Lang) string { return v.Name }

func newShared(lang masu.Lang, ws masu.Workspace, me masu.Username) *sharedView {
	v := &sharedView{Name: ws.Name, Owner: ws.Owner, Phase: ws.Phase, Running: ws.Phase == masu.Running, Apps: newSharedApps(lang, ws, me)}
	v.Refresh = !v.Running
	return v
}
