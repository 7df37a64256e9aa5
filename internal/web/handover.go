package web

import (
	"net/http"
	"strings"

	"github.com/masu-lab/masu"
	"github.com/masu-lab/masu/internal/text"
)

// handoverView is what was handed over, or would be, and what is left to an admin's own hands.
type handoverView struct {
	masu.Handover
	Left    []handedFolder
	Problem *problem // why it cannot be done yet
}

type handedFolder struct {
	masu.HandedFolder
	Why string // it was not given
}

func newHandover(lang masu.Lang, h masu.Handover) *handoverView {
	view := &handoverView{Handover: h}
	if h.Trouble != nil {
		view.Problem = newProblem(lang, h.Trouble.Err())
	}
	for _, f := range h.Folders {
		x := handedFolder{HandedFolder: f}
		if f.Trouble != nil {
			x.Why, _ = text.Error(lang, f.Trouble.Err())
		}
		view.Left = append(view.Left, x)
	}
	return view
}

// readHandover takes the form. Who leaves all of their workspaces leaves the rest with them.
func readHandover(r *http.Request) masu.HandoverWish {
	f := r.PostForm
	q := masu.HandoverWish{From: masu.Username(r.PathValue("name")), To: masu.Username(f.Get("to")), Files: f.Get("files") != "", Dry: f.Get("dry") != "", As: map[string]string{}}
	chosen := map[string]bool{}
	for _, name := range f["workspace"] {
		chosen[name] = true
		if as := strings.TrimSpace(f.Get("as." + name)); as != "" && as != name {
			q.As[name] = as
		}
	}
	for _, name := range f["there"] {
		if !chosen[name] {
			q.Only = f["workspace"]
		}
	}
	return q
}

// handOver shows what is handed over, or would be: the commands for the folders are told this once.
func (s *Server) handOver(w http.ResponseWriter, r *http.Request, v *visit) error {
	q := readHandover(r)
	if len(r.PostForm["there"]) > 0 && len(r.PostForm["workspace"]) == 0 {
		return s.showMember(w, r, v, memberPage{}, masu.E(masu.NotFound, "handover_nothing", q.From))
	}
	h, err := v.service.Handover(r.Context(), q)
	if err != nil {
		return s.showMember(w, r, v, memberPage{}, err)
	}
	return s.showMember(w, r, v, memberPage{Handover: newHandover(s.lang(r, v), h)}, nil)
}
