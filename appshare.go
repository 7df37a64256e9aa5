package masu

import (
	"context"
	"slices"
	"strings"
)

// AppShare opens one app of a workspace, and nothing else of it, to a colleague
// or to the whole lab: one of With and Lab is said.
type AppShare struct {
	App  string   `json:"app"`
	With Username `json:"with,omitempty"`
	Lab  bool     `json:"lab,omitempty"`

	// Port and Command are those of the app when it was shared; masu writes them down. Another
	// program under that name is another app, and is not shared.
	Port    int    `json:"port,omitempty"`
	Command string `json:"command,omitempty"`
}

// Opens tells whether the share is somebody's.
func (s AppShare) Opens(name Username) bool { return s.Lab || s.With == name }

// Same tells whether two are about the same app and the same people.
func (s AppShare) Same(t AppShare) bool { return s.App == t.App && s.With == t.With && s.Lab == t.Lab }

// Reach is how far members may share an app.
type Reach string

const (
	ReachNobody     Reach = "nobody"
	ReachColleagues Reach = "colleagues" // with those whom they name
	ReachLab        Reach = "lab"        // with everybody, too
)

// Valid tells whether the reach is one of those that there are.
func (r Reach) Valid() bool { return r == ReachNobody || r == ReachColleagues || r == ReachLab }

// Covers tells whether a share is allowed.
func (r Reach) Covers(s AppShare) bool { return r == ReachLab || r == ReachColleagues && !s.Lab }

// AppSharing is the part of Service by which members share single apps.
type AppSharing interface {
	// ShareApp lets a colleague, or the lab, open one app that masu.yaml names, and nothing else of the
	// workspace. NotFound "no_app", "no_member"; Invalid "share_app_whom", "share_app_by_hand"; Denied
	// "share_app_forbidden", "share_app_shell" for what offers a terminal, which is not for the whole lab.
	ShareApp(ctx context.Context, name string, s AppShare) (Workspace, error)
	// UnshareApp takes it back, and ends what is open by it; NotFound "no_app_share". Who was given an app may give it back.
	UnshareApp(ctx context.Context, name string, s AppShare) (Workspace, error)
}

// Wish finds what the workspace wants as its app of that name.
func (w Workspace) Wish(app string) (AppWish, bool) {
	wishes := w.Project.Apps
	if len(wishes) == 0 && w.Adopted == nil {
		wishes = NamedApps("jupyter")
	}
	i := slices.IndexFunc(wishes, func(a AppWish) bool { return a.Name == app })
	if i < 0 {
		return AppWish{}, false
	}
	a := wishes[i]
	if port, known := AppPort(a.Name); known {
		a.Port = port
	}
	return a, true
}

// Shell tells whether who opens the app can type commands there, as far as its
// name and its command line say it. A program may offer as much under any other name.
func (a AppWish) Shell() bool {
	if a.Name == "jupyter" || a.Name == "code" {
		return true
	}
	command := strings.ToLower(a.Command)
	return slices.ContainsFunc([]string{
		"jupyter", "code-server", "openvscode", "theia", "code serve", "code tunnel", "marimo edit", "rserver", "rstudio", "spyder",
		"ttyd", "gotty", "wetty", "webssh", "shellinabox", "butterfly", "terminal", "vnc", "xpra", "guacd", "cloud9",
	}, func(s string) bool { return strings.Contains(command, s) })
}

// KeepShares forgets the shares of apps that are not what was shared any more, and gives those.
func (w *Workspace) KeepShares() (lost []AppShare) {
	var kept []AppShare
	for _, s := range w.Shares {
		if a, ok := w.Wish(s.App); ok && a.Port == s.Port && a.Command == s.Command {
			kept = append(kept, s)
		} else {
			lost = append(lost, s)
		}
	}
	w.Shares = kept
	return lost
}

// ShownTo is what somebody who is no admin may see of the workspace; false is
// nothing. With whom apps were shared sees those apps, and neither its project,
// its folder, what it runs on nor what it has printed.
func (w Workspace) ShownTo(name Username) (Workspace, bool) {
	if w.Owner == name {
		return w, true
	}
	if w.Guest(name) {
		w.Apps = slices.Clone(w.Apps)
		for i := range w.Apps { // a command line may hold what is secret
			w.Apps[i].Command = ""
		}
		return w, true
	}
	part := Workspace{ID: w.ID, Owner: w.Owner, Name: w.Name, Label: w.Label, Phase: w.Phase, CreatedAt: w.CreatedAt, ChangedAt: w.ChangedAt, UsedAt: w.UsedAt, Part: true}
	for _, s := range w.Shares {
		if !s.Opens(name) {
			continue
		}
		part.Shares = append(part.Shares, AppShare{App: s.App, With: s.With, Lab: s.Lab})
		if part.Project.HasApp(s.App) {
			continue
		}
		part.Project.Apps = append(part.Project.Apps, AppWish{Name: s.App, Port: s.Port})
		if a, ok := w.App(s.App); ok && a.Port == s.Port {
			a.Error, a.Command = "", ""
			part.Apps = append(part.Apps, a)
		}
	}
	return part, len(part.Shares) > 0
}
