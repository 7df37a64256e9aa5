package web

import (
	"cmp"
	"context"

	"github.com/masu-lab/masu"
)

// Handover hands over what this lab has: workspaces by name, in folders that stay where they are.
func (a *fakeActor) Handover(_ context.Context, q masu.HandoverWish) (h masu.Handover, err error) {
	if q.From == q.To {
		return h, masu.E(masu.Conflict, "handover_same", q.To)
	}
	h = masu.Handover{From: q.From, To: q.To, Done: !q.Dry}
	a.mu.Lock()
	list := a.list
	a.mu.Unlock()
	for _, w := range list {
		if w.Owner != q.From {
			continue
		}
		as, dir := cmp.Or(q.As[w.Name], w.Name), w.Project.Dir
		h.Workspaces = append(h.Workspaces, masu.HandedWorkspace{Name: w.Name, As: as, Dir: dir})
		h.Folders = append(h.Folders, masu.HandedFolder{Dir: dir, At: dir, Owner: q.From, Size: masu.GiB, Command: "sudo chown -R -P " + string(q.To) + ": -- " + dir})
		if !q.Dry {
			a.note("handover", string(q.From)+">"+string(q.To)+" "+w.Name+"="+as)
		}
	}
	return h, nil
}
