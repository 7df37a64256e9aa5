package lab

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/masu-lab/masu"
)

// reservedFor is how far ahead the board shows what is reserved.
const reservedFor = 7 * 24 * time.Hour

// boardGPUs puts on the board who holds which GPU, who waits, and what is reserved.
func (l *Lab) boardGPUs(ctx context.Context, all []masu.Workspace, b *masu.Board) error {
	gpus, err := l.cfg.Inventory.GPUs(ctx)
	if err != nil {
		b.Unknown = troubleOf(err)
		return nil // the rest of the board is as true as ever
	}
	if len(gpus) == 0 {
		return nil
	}
	var leases []masu.Lease
	err = l.cfg.Store.View(ctx, func(tx masu.Tx) (err error) {
		if leases, err = tx.Leases(); err != nil {
			return err
		}
		b.Reserved, err = tx.Reservations(time.Now())
		return err
	})
	if err != nil {
		return err
	}
	b.Reserved = slices.DeleteFunc(b.Reserved, func(r masu.Reservation) bool { return r.Missed || r.From.After(time.Now().Add(reservedFor)) })
	l.mu.Lock()
	b.Waiting = slices.Clone(l.waiting)
	l.mu.Unlock()
	names, lost := map[masu.WorkspaceID]string{}, map[masu.WorkspaceID]bool{}
	for _, w := range all {
		names[w.ID], lost[w.ID] = w.Name, w.Lost && w.Phase == masu.Running
	}
	readings := l.readings(ctx)
	tells := tellers(gpus, readings)
	for _, g := range gpus {
		x := masu.BoardGPU{GPU: g}
		r, known := readings[g.ID]
		lent := slices.ContainsFunc(leases, func(x masu.Lease) bool {
			return slices.ContainsFunc(x.GPUs, func(id masu.GPUID) bool { return tells[id] == tells[g.ID] })
		})
		outside, notebooks := l.users(readings[tells[g.ID]], lent)
		for _, lease := range leases {
			if slices.Contains(lease.GPUs, g.ID) {
				x.Holds = append(x.Holds, masu.Hold{Lease: lease.ID, Member: lease.Holder, Workspace: cmp.Or(names[lease.Workspace], lease.Name), Notebooks: notebooks[lease.Workspace], Share: lease.Share,
					Since: lease.From, Until: lease.Until, EndsAt: lease.EndsAt, Why: lease.Why, Lost: lost[lease.Workspace]})
			}
		}
		if x.Outside = outside; known {
			x.Reading = &r
		}
		b.GPUs = append(b.GPUs, x)
	}
	return nil
}

// users names who uses a card without a box of masu's, and the notebooks that use it in one.
func (l *Lab) users(r masu.Reading, lent bool) (list []masu.OutsideUser, notebooks map[masu.WorkspaceID][]string) {
	notebooks = map[masu.WorkspaceID][]string{}
	for _, p := range r.Processes {
		u := masu.OutsideUser{PID: p.PID, Command: p.Name, Memory: p.Memory}
		boxed := lent
		if l.cfg.Process != nil {
			if who, err := l.cfg.Process(p.PID); err == nil {
				u.Login, u.Command = who.Login, who.Command
				box := l.boxOf(who.Container)
				boxed = box != ""
				if path := l.notebook(box, who.Kernel); path != "" && !slices.Contains(notebooks[box], path) {
					notebooks[box] = append(notebooks[box], path)
				}
			}
		}
		if !boxed {
			list = append(list, u)
		}
	}
	return list, notebooks
}

// notebook gives the file in a box that a kernel works for; "" for none.
func (l *Lab) notebook(box masu.WorkspaceID, kernel string) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, n := range l.open[box] {
		if n.Kernel == kernel && kernel != "" {
			return n.Path
		}
	}
	return ""
}

// boxOf tells which of this lab's boxes a container is; "" is none.
func (l *Lab) boxOf(container string) masu.WorkspaceID {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.handles[container]
}

// seen is the board as the actor may see it: whose GPUs, not for what.
func (s *service) seen(ctx context.Context, b masu.Board) (masu.Board, error) {
	mine, err := s.Workspaces(ctx, false)
	if err != nil || s.actor.Admin {
		return b, err
	}
	own := map[masu.WorkspaceID]bool{}
	for _, w := range mine {
		own[w.ID] = w.Owner == s.actor.Name
	}
	b.GPUs, b.Waiting = slices.Clone(b.GPUs), slices.Clone(b.Waiting)
	for i, g := range b.GPUs {
		b.GPUs[i].Holds = slices.Clone(g.Holds)
		for j := range g.Holds {
			if g.Holds[j].Member != s.actor.Name {
				b.GPUs[i].Holds[j].Workspace, b.GPUs[i].Holds[j].Notebooks = "", nil
			}
		}
	}
	for i, w := range b.Waiting {
		if !own[w.Workspace] && w.Holder != s.actor.Name {
			b.Waiting[i].Workspace, b.Waiting[i].Name = "", ""
		}
	}
	return b, nil
}
