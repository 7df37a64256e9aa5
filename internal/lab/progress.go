package lab

import (
	"context"
	"iter"
	"slices"
	"sync"
	"time"

	"github.com/masu-lab/masu"
)

// journalSize bounds what is kept of one operation: a build that says more has lost its beginning.
const journalSize = 5000

// journal keeps what an operation has told, for those who come later.
type journal struct {
	mu     sync.Mutex
	first  int // number of entries[0]
	all    []masu.Progress
	closed bool
	more   chan struct{} // closed and replaced when something came
}

func newJournal() *journal { return &journal{more: make(chan struct{})} }

func (j *journal) tell(p masu.Progress) {
	if p.At.IsZero() {
		p.At = time.Now()
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.closed {
		return
	}
	j.all = append(j.all, p)
	if len(j.all) > journalSize {
		j.first += len(j.all) - journalSize
		j.all = append(j.all[:0:0], j.all[len(j.all)-journalSize:]...)
	}
	close(j.more)
	j.more = make(chan struct{})
}

func (j *journal) say(code string, args ...any) {
	j.tell(masu.Progress{Code: code, Args: masu.E(0, code, args...).Args})
}

func (j *journal) close() {
	j.mu.Lock()
	defer j.mu.Unlock()
	if !j.closed {
		j.closed = true
		close(j.more)
	}
}

// read yields everything from the beginning and then what comes, until the operation has ended.
func (j *journal) read(ctx context.Context) iter.Seq2[masu.Progress, error] {
	return func(yield func(masu.Progress, error) bool) {
		for next := 0; ; {
			j.mu.Lock()
			next = max(next, j.first)
			batch := j.all[next-j.first:]
			closed, more := j.closed, j.more
			j.mu.Unlock()
			for _, p := range batch {
				if !yield(p, nil) {
					return
				}
			}
			next += len(batch)
			if closed {
				return
			}
			select {
			case <-more:
			case <-ctx.Done():
				yield(masu.Progress{}, ctx.Err())
				return
			}
		}
	}
}

// hub tells every watcher about the workspaces it may see, as they change.
type hub struct {
	mu     sync.Mutex
	shown  func(w masu.Workspace, to masu.Username) (masu.Workspace, bool)
	all    map[*watcher]bool
	closed bool
}

// watcher holds the newest state of each workspace that its reader has not
// seen yet: a slow reader misses states in between, never the last one. Most
// have nothing to hold at most times, and a lab has hundreds of them.
type watcher struct {
	of      masu.Username
	open    map[masu.WorkspaceID]bool // others' workspaces that are open to them
	knows   bool                      // open is what it was told to begin with, and since
	pending map[masu.WorkspaceID]masu.Workspace
	order   []masu.WorkspaceID
	wake    chan struct{}
}

func newHub(shown func(masu.Workspace, masu.Username) (masu.Workspace, bool)) *hub {
	return &hub{shown: shown, all: map[*watcher]bool{}}
}

// send wakes only those whom a change concerns, and tells them what they may see. For a guest who is one no more, the workspace is gone.
func (h *hub) send(w masu.Workspace) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for r := range h.all {
		told, shown := w, true
		if w.Owner != r.of {
			told, shown = h.shown(w, r.of)
		}
		switch {
		case w.Owner != r.of && shown:
			r.opened(w.ID)
		case w.Owner != r.of && (r.open[w.ID] || !r.knows):
			delete(r.open, w.ID)
			told = masu.Workspace{ID: w.ID, Owner: w.Owner, Name: w.Name, Label: w.Label}
		case w.Owner != r.of:
			continue
		}
		if r.pending == nil {
			r.pending = map[masu.WorkspaceID]masu.Workspace{}
		}
		if _, waits := r.pending[w.ID]; !waits {
			r.order = append(r.order, w.ID)
		}
		r.pending[w.ID] = told
		select {
		case r.wake <- struct{}{}:
		default:
		}
	}
}

func (r *watcher) opened(id masu.WorkspaceID) {
	if r.open == nil {
		r.open = map[masu.WorkspaceID]bool{}
	}
	r.open[id] = true
}

// begin notes which workspaces a watcher has read since it joined. What has
// ended meanwhile of others' is news only if it is among them.
func (h *hub) begin(r *watcher, list []masu.Workspace) {
	h.mu.Lock()
	defer h.mu.Unlock()
	read := map[masu.WorkspaceID]bool{}
	for _, w := range list {
		if read[w.ID] = true; w.Owner != r.of {
			r.opened(w.ID)
		}
	}
	r.knows = true
	r.order = slices.DeleteFunc(r.order, func(id masu.WorkspaceID) bool {
		w := r.pending[id]
		nothing := w.Owner != r.of && w.Phase == "" && !read[id]
		if nothing {
			delete(r.pending, id)
		}
		return nothing
	})
}

func (h *hub) join(of masu.Username) *watcher {
	r := &watcher{of: of, wake: make(chan struct{}, 1)}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		close(r.wake)
	} else {
		h.all[r] = true
	}
	return r
}

func (h *hub) leave(r *watcher) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.all, r)
}

func (h *hub) take(r *watcher) (batch []masu.Workspace) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, id := range r.order {
		batch = append(batch, r.pending[id])
	}
	r.pending, r.order = nil, nil
	return batch
}

func (h *hub) close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closed = true
	for r := range h.all {
		close(r.wake)
		delete(h.all, r)
	}
}
