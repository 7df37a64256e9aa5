package lab

import (
	"context"
	"slices"
	"time"

	"github.com/masu-lab/masu"
)

// place is a run's in its member's line.
type place struct {
	id      masu.WorkspaceID
	at      time.Time // when it was asked for
	running bool      // its box runs already
}

func (p place) before(q place) bool {
	if p.running != q.running {
		return p.running
	}
	return p.at.Before(q.at)
}

// joinLine gives a run its place, or another one where it has begun to run meanwhile.
func (l *Lab) joinLine(owner masu.Username, p place) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.leaveLine(owner, p.id)
	line := l.lines[owner]
	at := slices.IndexFunc(line, p.before)
	if at < 0 {
		at = len(line)
	}
	l.lines[owner] = slices.Insert(line, at, p)
}

// leaveLine takes a run out of its member's line; l.mu is held.
func (l *Lab) leaveLine(owner masu.Username, id masu.WorkspaceID) {
	l.moveUp()
	line := slices.DeleteFunc(l.lines[owner], func(p place) bool { return p.id == id })
	if len(line) == 0 {
		delete(l.lines, owner)
		return
	}
	l.lines[owner] = line
}

// awaitLine waits until a run is among the first of its member's, of which so
// many may go at once: one who starts a thousand must not fill the host. waits
// is told once, if it has to. A run that waits for GPUs has its place here.
func (l *Lab) awaitLine(ctx context.Context, owner masu.Username, p place, waits func(most int)) error {
	l.joinLine(owner, p)
	for told := false; ; told = true {
		l.mu.Lock()
		moved := l.moved
		now, _ := l.limits(owner)
		at := slices.IndexFunc(l.lines[owner], func(q place) bool { return q.id == p.id })
		l.mu.Unlock()
		if now.Runs == nil || at < *now.Runs {
			return nil
		}
		if !told {
			waits(*now.Runs)
		}
		if err := await(ctx, moved); err != nil {
			return err
		}
	}
}
