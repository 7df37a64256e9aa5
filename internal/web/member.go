package web

import (
	"net/http"

	"github.com/masu-lab/masu"
)

// memberPage is one member as an admin sees them: what to know when they leave.
type memberPage struct {
	base
	Member     memberView
	Limits     []ruleView
	Workspaces []memberWorkspace
	Shared     []environmentView
	Heirs      []masu.Username // who could take over
	Handover   *handoverView   // just done, or asked about
	Problem    *problem
}

type memberWorkspace struct {
	Card   card
	Folder string
}

func (s *Server) memberPage(w http.ResponseWriter, r *http.Request, v *visit) error {
	return s.showMember(w, r, v, memberPage{}, nil)
}

// showMember shows the page with what came of an act, or what was wrong with it.
func (s *Server) showMember(w http.ResponseWriter, r *http.Request, v *visit, view memberPage, wrong error) error {
	lang, name := s.lang(r, v), masu.Username(r.PathValue("name"))
	list, err := v.service.Members(r.Context())
	if err != nil {
		return err
	}
	for _, m := range list {
		if m.Name != name && !m.Disabled && !m.Gone {
			view.Heirs = append(view.Heirs, m.Name)
		}
		if m.Name == name {
			view.Member, view.Limits = newMember(lang, m, v.actor.Name), newLimits(m.Limits)
		}
	}
	if view.Member.Name == "" {
		return masu.E(masu.NotFound, "no_member", name)
	}
	all, err := v.service.Workspaces(r.Context(), true)
	if err != nil {
		return err
	}
	for _, ws := range all {
		if ws.Owner == name {
			view.Workspaces = append(view.Workspaces, memberWorkspace{newCard(lang, ws, v.actor.Name), ws.Project.Dir})
		}
	}
	shared, err := v.service.Environments(r.Context())
	if err != nil {
		return err
	}
	for _, u := range shared {
		if u.Shared.Owner == name {
			view.Shared = append(view.Shared, newEnvironment(lang, u, v.actor.Name, true))
		}
	}
	code := http.StatusOK
	if wrong != nil {
		s.log(r, wrong)
		code, view.Problem = status(wrong), newProblem(lang, wrong)
	}
	return s.show(w, r, v, code, &view)
}
