package web

import (
	"net/http"

	"github.com/masu-lab/masu"
)

// memberPage is one member as an admin sees them: what to know when they leave.
type memberPage struct {
	base
	Member     memberView
	Workspaces []memberWorkspace
	Shared     []environmentView
}

type memberWorkspace struct {
	Card   card
	Folder string
}

func (s *Server) memberPage(w http.ResponseWriter, r *http.Request, v *visit) error {
	lang, name := s.lang(r, v), masu.Username(r.PathValue("name"))
	list, err := v.service.Members(r.Context())
	if err != nil {
		return err
	}
	view := &memberPage{}
	for _, m := range list {
		if m.Name == name {
			view.Member = newMember(lang, m, v.actor.Name)
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
	return s.show(w, r, v, http.StatusOK, view)
}
