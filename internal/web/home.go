package web

import (
	"cmp"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/masu-lab/masu"
	"github.com/masu-lab/masu/internal/text"
)

// homeView is the first page: one big Start, my workspaces, the server's GPUs.
type homeView struct {
	base
	Folder  string // what the big Start starts
	Presets []string
	Cards   []card
	GPUs    []gpuView
	CPUs    int
	Memory  string
	Notices []string
}

// card is a workspace as a list shows it.
type card struct {
	Name, Path string // Path: of its page
	ID         masu.WorkspaceID
	Phase      masu.Phase
	Since      time.Time
	Folder     string
	GPU        string // "" for none
	Apps       []appLink
	Problem    *problem
	Busy       bool // something is going on
	Running    bool
	Startable  bool
}

type appLink struct {
	Name, Title, Path string
	Main, Ready       bool
}

// gpuView is a GPU of the board.
type gpuView struct {
	Index  int
	Model  string
	Memory string
	Mine   string // my workspace that has it
}

func newCard(lang masu.Lang, w masu.Workspace) card {
	c := card{Name: w.Name, Path: "/w/" + url.PathEscape(w.Name), ID: w.ID, Phase: w.Phase, Since: w.ChangedAt, Folder: w.Project.Dir,
		Running: w.Phase == masu.Running, Startable: w.Phase == masu.Stopped || w.Phase == masu.Failed, Busy: !w.Phase.Settled()}
	if n := len(w.GPUs); n > 0 {
		c.GPU = text.Say(lang, "web.gpus", n)
	}
	if w.Trouble != nil && (w.Phase == masu.Failed || w.Phase == masu.Stopped) {
		c.Problem = newProblem(lang, w.Trouble.Err())
	}
	if c.Running {
		c.Apps = appLinks(lang, w)
	}
	return c
}

// appLinks lists the apps that can be opened, Jupyter first.
func appLinks(lang masu.Lang, w masu.Workspace) []appLink {
	var links []appLink
	for _, a := range w.Apps {
		l := appLink{Name: a.Name, Title: a.Name, Path: "/open/" + url.PathEscape(w.Name) + "/" + a.Name, Ready: a.Ready}
		switch {
		case a.Name == "jupyter":
			l.Title, l.Main = text.Say(lang, "web.open_jupyter"), true
		case a.Name == "tensorboard":
			l.Title = "TensorBoard"
		case a.Name == "code":
			l.Title = "VS Code"
		default:
			l.Title = text.Say(lang, "web.open_port", a.Port)
		}
		links = append(links, l)
	}
	slices.SortStableFunc(links, func(a, b appLink) int { return cmp.Compare(rank(a), rank(b)) })
	return links
}

func rank(a appLink) int {
	if a.Main {
		return 0
	}
	return 1
}

func (s *Server) home(w http.ResponseWriter, r *http.Request, v *visit) error {
	hello, err := v.service.Whoami(r.Context())
	if err != nil {
		return err
	}
	list, err := v.service.Workspaces(r.Context(), false)
	if err != nil {
		return err
	}
	return s.show(w, r, http.StatusOK, "home", newHome(s.lang(r, v), hello, list))
}

// newHome builds the page from what is known.
func newHome(lang masu.Lang, hello masu.Hello, list []masu.Workspace) *homeView {
	h := &homeView{Folder: path.Join(hello.Actor.Home, "work"), Presets: []string{"python", "pytorch", "tensorflow"}, CPUs: hello.Host.CPUs, Memory: hello.Host.Memory.String()}
	mine := map[masu.GPUID]string{}
	for _, w := range list {
		h.Cards = append(h.Cards, newCard(lang, w))
		for _, g := range w.GPUs {
			mine[g] = w.Name
		}
	}
	slices.SortStableFunc(h.Cards, func(a, b card) int {
		return cmp.Or(cmp.Compare(order(a.Phase), order(b.Phase)), b.Since.Compare(a.Since))
	})
	for _, g := range hello.Host.GPUs {
		h.GPUs = append(h.GPUs, gpuView{Index: g.Index, Model: strings.TrimPrefix(g.Model, "NVIDIA "), Memory: g.Memory.String(), Mine: mine[g.ID]})
	}
	for _, n := range hello.Notes {
		h.Notices = append(h.Notices, text.Strings(lang, n.Code, n.Args))
	}
	return h
}

// order puts what is alive before what is not.
func order(p masu.Phase) int {
	switch p {
	case masu.Running:
		return 0
	case masu.Failed:
		return 2
	case masu.Stopped:
		return 3
	}
	return 1
}

// start begins a new workspace, or the one that the folder has already.
func (s *Server) start(w http.ResponseWriter, r *http.Request, v *visit) error {
	dir := strings.TrimSpace(r.PostFormValue("folder"))
	if dir == "" || dir == "~" {
		dir = path.Join(v.actor.Home, "work")
	} else if rest, ok := strings.CutPrefix(dir, "~/"); ok {
		dir = path.Join(v.actor.Home, rest)
	}
	ws, err := v.service.Up(r.Context(), masu.UpRequest{Dir: dir, Preset: r.PostFormValue("preset")})
	if err != nil {
		return err
	}
	http.Redirect(w, r, "/w/"+url.PathEscape(ws.Name), http.StatusSeeOther)
	return nil
}
