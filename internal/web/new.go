package web

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/masu-lab/masu"
	"github.com/masu-lab/masu/internal/text"
)

// newView is where a workspace is put together: folder, environment, GPUs.
type newView struct {
	base
	Dir     string
	Above   []folderLink // the folders it is in, from the home on
	Inside  []folderLink
	More    bool
	Source  string // the file that speaks for the folder; "" if none does
	Picks   []pick
	Text    string // masu.yaml, to be edited
	Was     string // which masu.yaml the text was made from
	GPUs    []int  // numbers that can be asked for; none where the host has none
	Wants   int
	Wish    gpuWish
	Models  []string
	Classes []string // of work, that the reader may name
	Class   string
	OrCPU   bool
	Name    string
	Shared  string // an environment that somebody shares, to be taken
	Plan    *planView
	Problem *problem
}

type folderLink struct{ Name, Path string }

// pick is one way to an environment.
type pick struct {
	Value, Title, Detail string
	Chosen               bool
}

const (
	pickOwn  = "own"  // what the folder says
	pickEdit = "edit" // masu.yaml, written here

	pickShared = "shared/" // and the ID of what somebody shares
)

// planView says in plain words what would be started.
type planView struct {
	Name    string
	Facts   []fact
	Built   bool
	Notes   []string
	GPUs    []planGPU // as they stand now
	Free    string    // how many of them are free
	Problem *problem
}

// newForm is what was filled in.
type newForm struct {
	dir, pick, text, was, name, shared string
	gpus                               int
	wish                               gpuWish
	want                               masu.Want // what both mean; none where the project's counts
	class                              string
	orCPU                              bool
}

func readNewForm(home string, v url.Values) (f newForm, err error) {
	f = newForm{dir: folder(home, strings.TrimSpace(v.Get("dir"))), pick: v.Get("env"), was: v.Get("was"), shared: v.Get("shared"), name: strings.TrimSpace(v.Get("name"))}
	f.orCPU = v.Get("or_cpu") != ""
	f.text = strings.ReplaceAll(v.Get("text"), "\r\n", "\n") // as forms send it
	if n := v.Get("gpus"); n != "" {
		if f.gpus, err = strconv.Atoi(n); err != nil || f.gpus < 0 || f.gpus > 1000 {
			return f, masu.E(masu.Invalid, "form_wrong")
		}
	}
	f.class, f.wish = v.Get("class"), readGPUWish(v)
	f.want, err = f.wish.want(f.gpus)
	return f, err
}

// draft is the masu.yaml that a choice writes. What lists in the folder ask for is kept.
func (s *Server) draft(lang masu.Lang, c masu.Choice, p masu.Project, want masu.Want) string {
	d := masu.Draft{Lang: lang, Preset: c.Preset, Want: want, Apt: p.Environment.Apt}
	if !c.Default { // who takes what suits the server keeps getting what suits it
		d.Torch, d.TensorFlow = c.Torch, c.TensorFlow
	}
	if strings.Contains(p.Source, "requirements.txt") {
		d.Pip = []string{"requirements.txt"}
	}
	return s.cfg.Template(d)
}

func choiceKey(c masu.Choice) string { return c.Preset + "/" + c.Torch + c.TensorFlow }

func chosen(all []masu.Choice, key string) (masu.Choice, bool) {
	for _, c := range all {
		if choiceKey(c) == key {
			return c, true
		}
	}
	return masu.Choice{}, false
}

// yaml gives the masu.yaml that a filled-in form means; false where the folder's own files speak.
func (s *Server) yaml(r *http.Request, v *visit, f newForm, choices []masu.Choice) (string, bool, error) {
	switch f.pick {
	case pickOwn:
		return "", false, nil
	case pickEdit:
		return f.text, true, nil
	}
	if id, ok := strings.CutPrefix(f.pick, pickShared); ok {
		u, err := v.service.Shared(r.Context(), id)
		return u.Shared.Text, true, err
	}
	c, ok := chosen(choices, f.pick)
	if !ok {
		return "", false, masu.E(masu.Invalid, "form_wrong")
	}
	plan, err := v.service.Read(r.Context(), f.dir)
	if err != nil && plan.Project.Dir == "" {
		return "", false, err
	}
	return s.draft(s.lang(r, v), c, plan.Project, f.want), true, nil
}

// newPage shows the form for a folder, the home if none is said.
func (s *Server) newPage(w http.ResponseWriter, r *http.Request, v *visit) error {
	f, err := readNewForm(v.actor.Home, r.URL.Query())
	if err != nil {
		return err
	}
	if r.URL.Query().Get("dir") == "" {
		f.dir = v.actor.Home
	}
	return s.showNew(w, r, v, http.StatusOK, f, nil)
}

func (s *Server) showNew(w http.ResponseWriter, r *http.Request, v *visit, code int, f newForm, problem *problem) error {
	lang := s.lang(r, v)
	list, err := v.service.Browse(r.Context(), f.dir)
	if err != nil {
		return err
	}
	choices, err := v.service.Choices(r.Context())
	if err != nil {
		return err
	}
	old, err := v.service.ProjectFile(r.Context(), f.dir)
	if err != nil {
		return err
	}
	hello, err := v.hello(r.Context())
	if err != nil {
		return err
	}
	n := &newView{Dir: f.dir, Above: above(v.actor.Home, f.dir, f.shared), More: list.More, Source: list.Source, Wants: f.gpus, OrCPU: f.orCPU, Name: f.name,
		Wish: f.wish, Models: models(hello.Host.GPUs), Classes: hello.Classes, Class: f.class,
		Text: f.text, Was: digest(old), Problem: problem}
	for _, name := range list.Folders {
		n.Inside = append(n.Inside, folderLink{name, newPath(path.Join(f.dir, name), f.shared)})
	}
	for i := range len(hello.Host.GPUs) + 1 {
		if len(hello.Host.GPUs) > 0 {
			n.GPUs = append(n.GPUs, i)
		}
	}
	shared, err := s.offered(r, v, f.shared)
	if err != nil {
		return err
	}
	n.Shared = f.shared
	n.Picks = picks(lang, list.Source, choices, shared, &f)
	if f.shared != "" && !slices.ContainsFunc(n.Picks, func(p pick) bool { return p.Value == pickShared+f.shared }) {
		n.Problem = cmp.Or(n.Problem, newProblem(lang, masu.E(masu.Conflict, "folder_has_own", list.Source)))
	}
	if n.Text == "" {
		if n.Text = old; old == "" && len(choices) > 0 {
			n.Text = s.draft(lang, choices[0], masu.Project{Source: list.Source}, f.want)
		}
	}
	n.Plan = s.planFor(r, v, f, choices)
	return s.show(w, r, v, code, n)
}

// picks lists the ways to an environment for a folder, and chooses the first
// where nothing was chosen. A folder that has a masu.yaml or a Dockerfile is
// changed by editing, not by a choice that would hide the file.
func picks(lang masu.Lang, source string, choices []masu.Choice, shared []masu.Shared, f *newForm) []pick {
	var all []pick
	if source != "" {
		all = append(all, pick{Value: pickOwn, Title: text.Say(lang, "web.pick_own"), Detail: text.Say(lang, "web.pick_own_how", source)})
	}
	if source == "" || strings.HasSuffix(source, ".txt") {
		for _, c := range choices {
			p := pick{Value: choiceKey(c), Title: text.Say(lang, "web.preset."+c.Preset), Detail: c.String()}
			if c.Default {
				p.Detail += " · " + text.Say(lang, "web.pick_suits")
			}
			all = append(all, p)
		}
		for _, x := range shared {
			all = append(all, pick{Value: pickShared + x.ID, Title: x.Title, Detail: text.Say(lang, "web.pick_shared", x.Owner)})
			if x.ID == f.shared && f.pick == "" {
				f.pick = pickShared + x.ID
			}
		}
	}
	all = append(all, pick{Value: pickEdit, Title: text.Say(lang, "web.pick_edit"), Detail: text.Say(lang, "web.pick_edit_how")})
	for i := range all {
		all[i].Chosen = all[i].Value == f.pick
		if all[i].Chosen {
			return all
		}
	}
	all[0].Chosen, f.pick = true, all[0].Value
	return all
}

// above lists the folders from the home down to dir; outside the home, dir alone.
func above(home, dir, shared string) []folderLink {
	rest, inside := strings.CutPrefix(dir, home)
	if !inside || rest != "" && rest[0] != '/' {
		return []folderLink{{"~", newPath(home, shared)}, {dir, newPath(dir, shared)}}
	}
	links := []folderLink{{"~", newPath(home, shared)}}
	at := home
	for name := range strings.SplitSeq(strings.Trim(rest, "/"), "/") {
		if name != "" {
			at = path.Join(at, name)
			links = append(links, folderLink{name, newPath(at, shared)})
		}
	}
	return links
}

func newPath(dir, shared string) string {
	q := url.Values{"dir": {dir}}
	if shared != "" {
		q.Set("shared", shared)
	}
	return "/new?" + q.Encode()
}

// offered lists what the lab shares, and the one that somebody came with a link to.
func (s *Server) offered(r *http.Request, v *visit, linked string) (list []masu.Shared, err error) {
	if linked != "" {
		u, err := v.service.Shared(r.Context(), linked)
		if err != nil {
			return nil, err
		}
		list = append(list, u.Shared)
	}
	all, err := v.service.Environments(r.Context())
	for _, u := range all {
		if x := u.Shared; x.ID != "" && x.ID != linked && x.Retired == "" {
			list = append(list, x)
		}
	}
	return list, err
}

// digest tells whether a text is still the same one.
func digest(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:8])
}

// planFor says what a filled-in form would start.
func (s *Server) planFor(r *http.Request, v *visit, f newForm, choices []masu.Choice) *planView {
	lang := s.lang(r, v)
	yaml, written, err := s.yaml(r, v, f, choices)
	var plan masu.Plan
	if err == nil && written {
		plan, err = v.service.Preview(r.Context(), f.dir, yaml)
	} else if err == nil {
		plan, err = v.service.Read(r.Context(), f.dir)
	}
	if err != nil {
		s.log(r, err)
		return &planView{Problem: newProblem(lang, err)}
	}
	p := &planView{Name: plan.Project.Name, Built: plan.Built}
	if f.name != "" {
		p.Name = f.name
	}
	ws := masu.Workspace{Project: plan.Project}
	ws.Project.Environment.Base = plan.Base
	p.Facts = facts(lang, ws)
	want := plan.Project.Want
	if !f.want.None() {
		want = f.want
	}
	p.GPUs, p.Free = s.gpusNow(r, v)
	if !want.None() {
		p.Facts = append(p.Facts, fact{"GPU", s.forecast(r, v, want)})
	}
	for _, n := range append(plan.Project.Notes, plan.Notes...) {
		p.Notes = append(p.Notes, text.Strings(lang, n.Code, n.Args))
	}
	return p
}

// forecast says when a want could be met.
func (s *Server) forecast(r *http.Request, v *visit, want masu.Want) string {
	lang, n := s.lang(r, v), wish(s.lang(r, v), want)
	f, err := v.service.Forecast(r.Context(), want)
	switch {
	case err != nil:
		s.log(r, err)
		message, _ := text.Error(lang, err)
		return n + ": " + message
	case f.Place == 0 && f.Until.IsZero():
		return text.Say(lang, "web.forecast_now", n)
	case f.Place == 0:
		return text.Say(lang, "web.forecast_now_until", n, near(f.Until))
	case f.Blocked != masu.WaitGPUs:
		return text.Say(lang, "web.forecast_limit", n)
	case f.Expect.IsZero():
		return text.Say(lang, "web.forecast_wait", n, strconv.Itoa(f.Place))
	}
	return text.Say(lang, "web.forecast_by", n, strconv.Itoa(f.Place), near(f.Expect))
}

// preview answers the page's script with the plan for what is filled in now.
func (s *Server) preview(w http.ResponseWriter, r *http.Request, v *visit) error {
	f, err := readNewForm(v.actor.Home, r.PostForm)
	if err != nil {
		return s.part(w, r, v, "plan", &planView{Problem: newProblem(s.lang(r, v), err)})
	}
	choices, err := v.service.Choices(r.Context())
	if err != nil {
		return err
	}
	return s.part(w, r, v, "plan", s.planFor(r, v, f, choices))
}

// create writes down what was chosen and starts it.
func (s *Server) create(w http.ResponseWriter, r *http.Request, v *visit) error {
	f, err := readNewForm(v.actor.Home, r.PostForm)
	if err != nil && masu.CodeOf(err) != "form_wrong" {
		return s.showNew(w, r, v, status(err), f, newProblem(s.lang(r, v), err))
	}
	if err != nil {
		return err
	}
	ws, err := s.createFrom(r, v, f)
	if err != nil {
		s.log(r, err)
		return s.showNew(w, r, v, status(err), f, newProblem(s.lang(r, v), err))
	}
	http.Redirect(w, r, pageOf(ws), http.StatusSeeOther)
	return nil
}

func (s *Server) createFrom(r *http.Request, v *visit, f newForm) (masu.Workspace, error) {
	choices, err := v.service.Choices(r.Context())
	if err != nil {
		return masu.Workspace{}, err
	}
	yaml, written, err := s.yaml(r, v, f, choices)
	if err != nil {
		return masu.Workspace{}, err
	}
	if written {
		old, err := v.service.ProjectFile(r.Context(), f.dir)
		if err == nil && digest(old) != f.was {
			err = masu.E(masu.Conflict, "project_changed", f.dir)
		}
		if err == nil {
			err = v.service.WriteProjectFile(r.Context(), f.dir, old, yaml)
		}
		if err != nil {
			return masu.Workspace{}, err
		}
	}
	up := masu.UpRequest{Dir: f.dir, Name: f.name, Class: f.class}
	if !f.want.None() {
		up.Want = &f.want
	}
	up.OrCPU = &f.orCPU
	return v.service.Up(r.Context(), up)
}

// pageOf is the page of a workspace that was just asked for; it says so where
// what runs is not what the folder asks for.
func pageOf(ws masu.Workspace) string {
	to := "/w/" + url.PathEscape(ws.Name)
	for _, n := range ws.Project.Notes {
		if n.Code == "restart_needed" {
			to += "?changed=1"
		}
	}
	return to
}

// makeFolder makes a folder in the one that is shown, and goes there.
func (s *Server) makeFolder(w http.ResponseWriter, r *http.Request, v *visit) error {
	in := folder(v.actor.Home, r.PostForm.Get("dir"))
	name, shared := strings.TrimSpace(r.PostForm.Get("name")), r.PostForm.Get("shared")
	if name == "" || strings.ContainsAny(name, "/\x00") || strings.HasPrefix(name, ".") {
		return s.showNew(w, r, v, http.StatusBadRequest, newForm{dir: in, shared: shared}, newProblem(s.lang(r, v), masu.E(masu.Invalid, "folder_name", name)))
	}
	dir := path.Join(in, name)
	if err := v.service.MakeFolder(r.Context(), dir); err != nil {
		s.log(r, err)
		return s.showNew(w, r, v, status(err), newForm{dir: in, shared: shared}, newProblem(s.lang(r, v), err))
	}
	http.Redirect(w, r, newPath(dir, shared), http.StatusSeeOther)
	return nil
}
