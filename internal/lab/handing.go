package lab

import (
	"slices"
	"time"

	"github.com/masu-lab/masu"
)

// handing is a handover as it was read from the store.
type handing struct {
	h          masu.Handover
	workspaces []masu.Workspace // as they are
	next       []masu.Workspace // as they will be
	open       int              // runs that are not over
	runs       []masu.Run
	shared     []masu.Shared
	reserved   []masu.Reservation
}

// handing plans a handover in one moment of the store.
func (l *Lab) handing(tx masu.Tx, q masu.HandoverWish, from, to masu.User) (p handing, err error) {
	p.h = masu.Handover{From: q.From, To: q.To}
	all, err := tx.Workspaces()
	if err != nil {
		return p, err
	}
	for _, w := range all {
		if w.Owner == q.From && (len(q.Only) == 0 || slices.Contains(q.Only, w.Name)) {
			p.workspaces = append(p.workspaces, w)
		}
	}
	for _, name := range q.Only {
		if !slices.ContainsFunc(p.workspaces, func(w masu.Workspace) bool { return w.Name == name }) {
			return p, masu.E(masu.NotFound, "no_workspace", string(q.From)+"/"+name)
		}
	}
	for name, as := range q.As {
		if !slices.ContainsFunc(p.workspaces, func(w masu.Workspace) bool { return w.Name == name }) {
			return p, masu.E(masu.NotFound, "no_workspace", string(q.From)+"/"+name)
		}
		if !masu.ValidWorkspaceName(as) {
			return p, masu.E(masu.Invalid, "workspace_name", as)
		}
	}
	var at map[string]string
	p.h.Folders, at = foldersOf(p.workspaces, from, to, q.Into)
	if err := p.staying(all); err != nil {
		return p, err
	}
	p.rename(all, q, at)
	if len(q.Only) > 0 {
		return p, nil
	}
	return p, p.rest(tx, at)
}

// staying refuses to take a folder away from a workspace that stays with the leaver.
func (p *handing) staying(all []masu.Workspace) error {
	for _, w := range all {
		goes := slices.ContainsFunc(p.workspaces, func(x masu.Workspace) bool { return x.ID == w.ID })
		if w.Owner != p.h.From || goes || w.Project.Dir == "" {
			continue
		}
		for _, f := range p.h.Folders {
			if inFolder(w.Project.Dir, f.Dir) {
				return masu.E(masu.Conflict, "handover_folder", f.Dir, w.Name)
			}
		}
	}
	return nil
}

// rename makes the workspaces the receiver's. Who was let in by the leaver is
// not let in by the receiver: guests work with the files of whose it is. What
// the leaver has left in a home runs as the receiver from then on.
func (p *handing) rename(all []masu.Workspace, q masu.HandoverWish, at map[string]string) {
	names, labels := map[string]bool{}, map[string]bool{}
	for _, w := range all {
		labels[w.Label] = true
		names[w.Name] = names[w.Name] || w.Owner == q.To
	}
	for _, w := range p.workspaces {
		now, hand := w, masu.HandedWorkspace{Name: w.Name, As: w.Name, Dir: at[w.Project.Dir]}
		if as := q.As[w.Name]; as != "" {
			hand.As = as
		}
		switch {
		case w.Phase != masu.Stopped && w.Phase != masu.Failed:
			hand.Trouble = troubleOf(masu.E(masu.Conflict, "handover_running", w.Name))
		case names[hand.As]:
			hand.Trouble = troubleOf(masu.E(masu.Conflict, "handover_name", q.To, hand.As, w.Name))
		}
		names[hand.As] = true
		now.Owner, now.Name, now.Label = q.To, hand.As, label(hand.As, q.To, labels)
		labels[now.Label] = true
		now.GaveBack()
		now.Opened = true
		now.Guests, now.Shares, now.Class, now.Project.Dir, now.ChangedAt = nil, nil, "", hand.Dir, time.Now()
		now.Phase, now.Trouble = masu.Stopped, troubleOf(masu.E(masu.Conflict, "handed_over", q.From, hand.Dir))
		if hand.Dir == "" {
			now.Trouble = troubleOf(masu.E(masu.Conflict, "handed_over_bare", q.From))
		}
		p.next, p.h.Workspaces = append(p.next, now), append(p.h.Workspaces, hand)
	}
}

// rest finds what else there is of the leaver's.
func (p *handing) rest(tx masu.Tx, at map[string]string) error {
	runs, err := tx.Runs(p.h.From)
	if err != nil {
		return err
	}
	for _, r := range runs {
		if !r.Over() {
			p.open++
		}
		if dir, ok := at[r.Project.Dir]; ok {
			r.Project.Dir = dir
		}
		r.Owner = p.h.To
		p.runs = append(p.runs, r)
	}
	shared, err := tx.SharedEnvironments()
	if err != nil {
		return err
	}
	for _, x := range shared {
		if x.Owner == p.h.From {
			x.Owner = p.h.To
			p.shared = append(p.shared, x)
		}
	}
	reserved, err := tx.Reservations(time.Now())
	if err != nil {
		return err
	}
	for _, r := range reserved {
		if r.Holder == p.h.From {
			r.Holder = p.h.To
			p.reserved = append(p.reserved, r)
		}
	}
	p.h.Runs, p.h.Environments, p.h.Reservations = len(p.runs), len(p.shared), len(p.reserved)
	return nil
}

// refusal is why it cannot be done as things stand.
func (p *handing) refusal() error {
	for _, w := range p.h.Workspaces {
		if w.Trouble != nil {
			return w.Trouble.Err()
		}
	}
	switch {
	case p.open > 0:
		return masu.E(masu.Conflict, "handover_runs", p.h.From, p.open)
	case len(p.workspaces)+len(p.runs)+len(p.shared)+len(p.reserved) == 0:
		return masu.E(masu.NotFound, "handover_nothing", p.h.From)
	}
	return nil
}

// write writes it down.
func (p *handing) write(tx masu.Tx) error {
	for _, w := range p.next {
		if err := tx.PutWorkspace(w); err != nil {
			return err
		}
	}
	for _, r := range p.runs {
		if err := tx.PutRun(r); err != nil {
			return err
		}
	}
	for _, x := range p.shared {
		if err := tx.PutShared(x); err != nil {
			return err
		}
	}
	for _, r := range p.reserved {
		if err := tx.PutReservation(r); err != nil {
			return err
		}
	}
	return nil
}

// names are those of the workspaces, as they are called from then on.
func (p *handing) names() (names []string) {
	for _, w := range p.next {
		names = append(names, w.Name)
	}
	return names
}
