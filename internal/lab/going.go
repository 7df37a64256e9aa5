package lab

import (
	"time"

	"github.com/masu-lab/masu"
)

// goingRun is a run that is being waited for: by itself, or by somebody at a terminal.
type goingRun struct {
	owner masu.Username
	name  string
	since time.Time       // when its box began; zero: it waits for something
	asked []masu.Username // who would like to have its GPUs
	words chan notice     // for the terminal at which it runs; nil for one that runs by itself
	cells bool            // it executes a notebook: its kernel works until the last cell has ended
}

// goes notes that a run is being waited for.
func (l *Lab) goes(id masu.WorkspaceID, g goingRun) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.runs[id] = &g
}

// began notes since when a run's box runs.
func (l *Lab) began(id masu.WorkspaceID, at time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if g := l.runs[id]; g != nil {
		g.since = at
	}
}

func (l *Lab) goesNoMore(id masu.WorkspaceID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if g := l.runs[id]; g != nil {
		l.leaveLine(g.owner, id)
	}
	delete(l.runs, id)
}

// runningBox is a box that runs, a workspace's or a run's.
type runningBox struct {
	id    masu.WorkspaceID
	owner masu.Username
	since time.Time
	run   bool
	cells bool
}

// running lists the boxes that run: those of all workspaces, and those of runs.
func (l *Lab) running(all []masu.Workspace) (list []runningBox) {
	for _, w := range all {
		if w.Phase == masu.Running {
			list = append(list, runningBox{id: w.ID, owner: w.Owner, since: w.ChangedAt})
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for id, g := range l.runs {
		if !g.since.IsZero() {
			list = append(list, runningBox{id: id, owner: g.owner, since: g.since, run: true, cells: g.cells})
		}
	}
	return list
}
