package web

import (
	"cmp"
	"context"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/masu-lab/masu"
	"github.com/masu-lab/masu/internal/text"
)

// presets are the environments that can be chosen for a folder that says nothing.
var presets = [...]string{"pytorch", "tensorflow", "python"}

// homeView is the first page: one big Start, my workspaces, this server.
type homeView struct {
	base
	Folder  string // what the big Start starts
	Preset  string
	Presets []string
	Problem *problem // why it did not
	Cards   []card
	Shared  []sharedApp // of colleagues
	Board   boardView   // as far as it is known without measuring
	Notices []string
}

// card is a workspace as a list shows it.
type card struct {
	ID         masu.WorkspaceID
	Name, Path string        // Path: of its page
	Owner      masu.Username // of another's, that was opened to the actor or that an admin sees; "" for one's own
	Guests     int
	Adopted    bool // made by hand: masu only opens, starts and stops it
	Phase      masu.Phase
	Since      time.Time
	Folder     string
	GPU        string // "" for none
	Apps       []appLink
	Sides      []sideView
	Problem    *problem
	Busy       bool // something is going on
	Running    bool
	Startable  bool
	Until      string // the GPUs are lent until then
	Ending     string // why, and when, they will be taken back
	Lost       string // its box is refused them
	Asked      []masu.Username
	Without    bool   // it runs on the CPU, and is meant to have GPUs
	Waits      bool   // … and has its place in the queue
	Turn       bool   // … and they are kept for it
	Waiting    bool   // it could begin on the CPU
	Place      string // in the queue for GPUs
	Why        string // why it runs without
}

// appLink opens an app of a running workspace.
type appLink struct {
	Name, Title, Path string
	Main              bool
}

// key is how the pages' addresses name a workspace: one's own by its name,
// another's by its label, which is nobody else's.
func key(w masu.Workspace, me masu.Username) string {
	if w.Owner == me {
		return url.PathEscape(w.Name)
	}
	return url.PathEscape(w.Label)
}

func newCard(lang masu.Lang, w masu.Workspace, me masu.Username) card {
	c := card{ID: w.ID, Name: w.Name, Path: "/w/" + key(w, me), Guests: len(w.Guests), Phase: w.Phase, Since: w.ChangedAt, Folder: w.Project.Dir,
		Running: w.Phase == masu.Running, Startable: w.Phase == masu.Stopped || w.Phase == masu.Failed, Busy: !w.Phase.Settled()}
	if w.Owner != me {
		c.Owner = w.Owner
	}
	if w.Adopted != nil {
		c.Adopted, c.Folder = true, text.Say(lang, "web.adopted", w.Adopted.Container)
	}
	if n := len(w.GPUs); n > 0 {
		c.GPU = text.Say(lang, "web.gpus", n)
	}
	if !w.Until.IsZero() {
		c.Until = text.Say(lang, "web.until", near(w.Until))
	}
	if !w.EndsAt.IsZero() {
		c.Ending = text.Say(lang, "web.ending."+string(w.EndWhy), near(w.EndsAt))
	}
	if w.Lost && w.Phase == masu.Running {
		c.Lost, _ = text.Error(lang, masu.E(masu.Conflict, "gpu_lost", w.Name))
	}
	if code, args := w.Queue.Sentence(near); code != "" {
		c.Place = text.Say(lang, code, args...)
	}
	if w.Owner == me {
		c.Asked = w.Asked
		c.Without, c.Waits, c.Turn, c.Waiting = w.Without(), w.Waits, w.EndWhy == masu.EndUnclaimed, w.Phase == masu.Waiting
		if c.Without && w.Trouble != nil {
			c.Why, _ = text.Error(lang, w.Trouble.Err())
		}
	}
	if w.Trouble != nil && c.Startable {
		c.Problem = newProblem(lang, w.Trouble.Err())
	}
	if c.Running {
		c.Apps = appLinks(lang, w, key(w, me))
		c.Sides = sideViews(lang, w.Sides)
	}
	return c
}

// sideView is a service as a page shows it.
type sideView struct {
	Name, State string
	Bad         bool
}

func sideViews(lang masu.Lang, sides []masu.SideStatus) (all []sideView) {
	for _, s := range sides {
		v := sideView{Name: s.Name, Bad: s.State == masu.SideUnwell || s.State == masu.SideEnded}
		switch {
		case s.State == masu.SideEnded && s.OOM:
			v.State = text.Say(lang, "web.side.oom")
		case s.State == masu.SideEnded:
			v.State = text.Say(lang, "web.side.ended", s.ExitCode)
		default:
			v.State = text.Say(lang, "web.side."+string(s.State))
		}
		if s.Restarts > 0 {
			v.State += " · " + text.Say(lang, "web.side.restarts", s.Restarts)
		}
		all = append(all, v)
	}
	return all
}

// appLinks lists the apps that can be opened, Jupyter first.
func appLinks(lang masu.Lang, w masu.Workspace, key string) []appLink {
	var links []appLink
	for _, a := range w.Apps {
		l := appLink{Name: a.Name, Title: appTitle(a.Name), Path: barPath(key, a.Name, ""), Main: a.Name == jupyter}
		switch {
		case l.Main:
			l.Title = text.Say(lang, "web.open_jupyter")
			links = slices.Insert(links, 0, l, appLink{Name: "terminal", Title: text.Say(lang, "web.open_terminal"), Path: barPath(key, a.Name, terminalPath)})
			continue
		case l.Title == a.Name && !a.Own:
			l.Title = text.Say(lang, "web.open_port", a.Port)
		}
		links = append(links, l)
	}
	return links
}

func (s *Server) home(w http.ResponseWriter, r *http.Request, v *visit) error {
	return s.showHome(w, r, v, http.StatusOK, homeView{Folder: "~/work"})
}

// showHome shows the first page, with what was filled in and what came of it.
func (s *Server) showHome(w http.ResponseWriter, r *http.Request, v *visit, code int, filled homeView) error {
	hello, err := v.hello(r.Context())
	if err != nil {
		return err
	}
	list, err := v.service.Workspaces(r.Context(), false)
	if err != nil {
		return err
	}
	return s.show(w, r, v, code, newHome(s.lang(r, v), hello, list, v.actor.Name, filled))
}

// newHome builds the page from what is known.
func newHome(lang masu.Lang, hello masu.Hello, list []masu.Workspace, me masu.Username, filled homeView) *homeView {
	h := &filled
	h.Presets = presets[:]
	for _, w := range list {
		if w.Part {
			h.Shared = append(h.Shared, newSharedApps(lang, w, me)...)
			continue
		}
		h.Cards = append(h.Cards, newCard(lang, w, me))
	}
	slices.SortStableFunc(h.Cards, func(a, b card) int {
		return cmp.Or(cmp.Compare(order(a.Phase), order(b.Phase)), b.Since.Compare(a.Since))
	})
	mine := held(list, me)
	for _, g := range hello.Host.GPUs {
		h.Board.GPUs = append(h.Board.GPUs, newGPU(lang, masu.BoardGPU{GPU: g}, me, mine[g.ID]))
	}
	h.Board.Boxes = []measureView{
		{Name: "CPU", Below: text.Say(lang, "web.cores", hello.Host.CPUs)},
		{Name: text.Say(lang, "web.memory"), Below: hello.Host.Memory.String()},
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
	filled := homeView{Folder: strings.TrimSpace(r.PostForm.Get("folder")), Preset: r.PostForm.Get("preset")}
	if filled.Preset != "" && !slices.Contains(presets[:], filled.Preset) {
		return masu.E(masu.Invalid, "form_wrong")
	}
	ws, err := s.up(r.Context(), v, folder(v.actor.Home, filled.Folder), filled.Preset)
	if err != nil {
		s.log(r, err)
		filled.Problem = newProblem(s.lang(r, v), err)
		return s.showHome(w, r, v, status(err), filled)
	}
	http.Redirect(w, r, pageOf(ws), http.StatusSeeOther)
	return nil
}

// up starts a folder. The one that the page offers is made for who has not got it yet.
func (s *Server) up(ctx context.Context, v *visit, dir, preset string) (masu.Workspace, error) {
	ws, err := v.service.Up(ctx, masu.UpRequest{Dir: dir, Preset: preset})
	if masu.CodeOf(err) != "folder_not_found" || dir != folder(v.actor.Home, "") {
		return ws, err
	}
	if err := v.service.MakeFolder(ctx, dir); err != nil {
		return ws, err
	}
	return v.service.Up(ctx, masu.UpRequest{Dir: dir, Preset: preset})
}

// folder is the path that a member means: ~ is the home, and so is where nothing is said.
func folder(home, said string) string {
	rest, atHome := strings.CutPrefix(said, "~")
	switch {
	case said == "":
		return path.Join(home, "work")
	case atHome && (rest == "" || rest[0] == '/'):
		return path.Join(home, rest)
	case !path.IsAbs(said):
		return path.Join(home, said)
	}
	return said
}
