package lab

import (
	"context"
	"iter"
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

// hub tells every watcher about workspaces as they change.
type hub struct {
	mu     sync.Mutex
	all    map[*watcher]bool
	closed bool
}

// watcher holds the newest state of each workspace that its reader has not
// seen yet: a slow reader misses states in between, never the last one.
type watcher struct {
	pending map[masu.WorkspaceID]masu.Workspace
	order   []masu.WorkspaceID
	wake    chan struct{}
}

func newHub() *hub { return &hub{all: map[*watcher]bool{}} }

func (h *hub) send(w masu.Workspace) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for r := range h.all {
		if _, waits := r.pending[w.ID]; !waits {
			r.order = append(r.order, w.ID)
		}
		r.pending[w.ID] = w
		select {
		case r.wake <- struct{}{}:
		default:
		}
	}
}

func (h *hub) join() *watcher {
	r := &watcher{pending: map[masu.WorkspaceID]masu.Workspace{}, wake: make(chan struct{}, 1)}
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
	clear(r.pending)
	r.order = nil
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
