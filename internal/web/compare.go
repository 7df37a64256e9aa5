package web

import (
	"cmp"
	"net/http"
	"net/url"
	"regexp"
	"strings"

	"github.com/masu-lab/masu"
	"github.com/masu-lab/masu/internal/text"
)

// compareView shows how two environments differ: of workspaces, or shared ones.
type compareView struct {
	base
	A, B    []sideChoice // the same list, chosen differently
	NameA   string
	NameB   string
	Ready   bool // both are chosen
	Asked   bool // what was asked for is compared, because one of them was never built
	Groups  []differences
	Problem *problem
}

func (*compareView) template() string            { return "compare" }
func (*compareView) title(lang masu.Lang) string { return text.Say(lang, "web.compare") }

// sideChoice is what can be compared: "w/NAME" is a workspace of the member's, "e/ID" is an environment that is shared.
type sideChoice struct {
	Value, Title string
	Chosen       bool
}

// differences are those of one sort.
type differences struct {
	ID, Title string
	Rows      []differenceRow
}

type differenceRow struct{ Kind, Name, A, B string }

// side is one of both, as far as it is known.
type side struct {
	env   masu.Environment
	built *masu.Contents // nil where no image or lock tells exactly what is in it
	title string
}

// compare shows the choice, and what it comes to.
func (s *Server) compare(w http.ResponseWriter, r *http.Request, v *visit) error {
	lang := s.lang(r, v)
	a, b := r.FormValue("a"), r.FormValue("b")
	var choices []sideChoice
	workspaces, err := v.service.Workspaces(r.Context(), false)
	if err != nil {
		return err
	}
	for _, ws := range workspaces {
		if ws.Owner == v.actor.Name && ws.Adopted == nil {
			choices = append(choices, sideChoice{Value: "w/" + ws.Name, Title: ws.Name})
		}
	}
	shared, err := v.service.Environments(r.Context())
	if err != nil {
		return err
	}
	for _, u := range shared {
		if x := u.Shared; x.ID != "" {
			choices = append(choices, sideChoice{Value: "e/" + x.ID, Title: x.Title + " (" + string(x.Owner) + ")"})
		}
	}
	view := &compareView{Ready: a != "" && b != ""}
	if !view.Ready {
		view.A, view.B = withChosen(choices, a, ""), withChosen(choices, b, "")
		return s.show(w, r, v, http.StatusOK, view)
	}
	one, err := s.side(r, v, a)
	if err != nil {
		return err
	}
	two, err := s.side(r, v, b)
	if err != nil {
		return err
	}
	view.A, view.B = withChosen(choices, a, one.title), withChosen(choices, b, two.title)
	view.NameA, view.NameB = one.title, two.title
	view.Asked = one.built == nil || two.built == nil
	view.Groups = newDifferences(lang, one, two)
	return s.show(w, r, v, http.StatusOK, view)
}

// withChosen is the list with one of it chosen, which is there even if nobody has listed it: an environment that came by its link.
func withChosen(choices []sideChoice, value, title string) (list []sideChoice) {
	found := value == "" || title == ""
	for _, c := range choices {
		c.Chosen = c.Value == value
		found = found || c.Chosen
		list = append(list, c)
	}
	if !found {
		list = append(list, sideChoice{Value: value, Title: title, Chosen: true})
	}
	return list
}

// side finds what an address names. What is shared is known exactly where the
// member has built it, or where its lock says it.
func (s *Server) side(r *http.Request, v *visit, value string) (side, error) {
	kind, name, _ := strings.Cut(value, "/")
	switch kind {
	case "w":
		ws, err := v.service.Workspace(r.Context(), name)
		if err != nil || ws.Owner != v.actor.Name || ws.Adopted != nil {
			return side{}, cmp.Or(err, error(masu.E(masu.NotFound, "no_workspace", name)))
		}
		c, err := s.contents(r, v, string(ws.ID))
		return side{ws.Project.Environment, c, ws.Name}, err
	case "e":
		u, err := v.service.Shared(r.Context(), name)
		if err != nil {
			return side{}, err
		}
		x := side{env: u.Env, title: u.Shared.Title}
		for _, own := range u.Workspaces {
			if x.built == nil && err == nil {
				x.built, err = s.contents(r, v, own)
			}
		}
		if lock, lerr := masu.ParseLock(u.Shared.Lock); x.built == nil && u.Shared.Lock != "" && lerr == nil {
			x.built = &masu.Contents{Env: u.Env, Lock: lock}
		}
		if x.built != nil {
			x.built.Variables = nil // a workspace's, and not shared
		}
		return x, err
	}
	return side{}, masu.E(masu.NotFound, "no_page")
}

// contents is what is in a workspace's image; nil where nobody knows it.
func (s *Server) contents(r *http.Request, v *visit, name string) (*masu.Contents, error) {
	c, err := v.service.Contents(r.Context(), name)
	switch {
	case err == nil:
		return &c, nil
	case masu.CodeOf(err) == "not_built", masu.KindOf(err) == masu.NotFound: // no image yet or any more, or one that says nothing of itself
		return nil, nil
	}
	return nil, err
}

// newDifferences sorts in what two differ: what only one has, what both have in
// another version, and everything else.
func newDifferences(lang masu.Lang, one, two side) []differences {
	var a, b masu.Contents
	if one.built != nil && two.built != nil {
		a, b = *one.built, *two.built
		if a.Variables == nil || b.Variables == nil { // a workspace beside what is shared
			a.Variables, b.Variables = nil, nil
		}
	} else {
		free := text.Say(lang, "web.compare_any")
		a, b = asContents(one.env, free), asContents(two.env, free)
	}
	groups := []differences{
		{ID: "other", Title: text.Say(lang, "web.compare_other")}, {ID: "versions", Title: text.Say(lang, "web.compare_versions")},
		{ID: "only-a", Title: text.Say(lang, "web.compare_only", one.title)}, {ID: "only-b", Title: text.Say(lang, "web.compare_only", two.title)},
	}
	for _, d := range masu.Compare(a, b) {
		i := 0
		if d.Kind == masu.FromBase || d.Kind == masu.FromApt || d.Kind == masu.FromPip {
			switch {
			case d.B == "":
				i = 2
			case d.A == "":
				i = 3
			default:
				i = 1
			}
		}
		groups[i].Rows = append(groups[i].Rows, differenceRow{text.Say(lang, "web.diff."+d.Kind), d.Name, d.A, d.B})
	}
	var list []differences
	for _, g := range groups {
		if len(g.Rows) > 0 {
			list = append(list, g)
		}
	}
	return list
}

var wishedName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*`)

// asContents is what an environment asks for, in the form of what one has; free is said of a package in whichever version.
func asContents(e masu.Environment, free string) masu.Contents {
	c := masu.Contents{Env: e, Image: "asked"}
	c.Lock.Image, c.Lock.Python = e.Base, e.Python
	if e.Base == "" {
		c.Lock.Image = masu.ImageRef(cmp.Or(e.Dockerfile, e.Preset))
	}
	add := func(from, name, version string) {
		c.Lock.Packages = append(c.Lock.Packages, masu.Package{From: from, Name: name, Version: cmp.Or(version, free)})
	}
	for _, p := range e.Apt {
		name, version, _ := strings.Cut(p, "=")
		add(masu.FromApt, name, version)
	}
	for _, x := range [][2]string{{"torch", e.Torch}, {"tensorflow", e.TensorFlow}, {"cuda", e.CUDA}} {
		if x[1] != "" {
			add(masu.FromPip, x[0], x[1])
		}
	}
	for _, p := range e.Pip {
		name := wishedName.FindString(p)
		version := strings.TrimSpace(strings.TrimPrefix(p, name))
		add(masu.FromPip, cmp.Or(strings.ReplaceAll(strings.ToLower(name), "_", "-"), p), strings.TrimPrefix(version, "=="))
	}
	return c
}

// comparePath is the page with one side chosen.
func comparePath(value string) string { return "/compare?" + url.Values{"a": {value}}.Encode() }
