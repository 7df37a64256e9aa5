package web

import (
	"bytes"
	"context"
	"crypto/sha256"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/masu-lab/masu"
	"github.com/masu-lab/masu/internal/notebook"
)

const (
	papersMost  = 4           // that are kept
	papersTurns = 2           // that are parsed at once, whoever's they are
	paperFor    = time.Second // is how long what was read is good enough: a box writes no faster
)

// papers keeps the notebooks that were read last: a page comes back for each
// picture, and reading a large one takes a while. Each run's is read by one
// visitor at a time, and the others see what was there before.
type papers struct {
	turns chan struct{}
	mu    sync.Mutex
	last  []*paper // the last used first
}

// paper is a run's notebook. What was parsed is only looked at.
type paper struct {
	run  masu.WorkspaceID
	busy chan struct{} // closed when who reads it now is done; nil if nobody does
	at   time.Time     // when reading nb began; zero for never
	next time.Time     // when it may be read again
	sum  [sha256.Size]byte
	nb   *notebook.Notebook
	err  error // of parsing it
}

func newPapers() *papers { return &papers{turns: make(chan struct{}, papersTurns)} }

// read gives a run's notebook by load's file. What was read before a run's end, which is
// zero while it goes on, does not do after it: nobody would come back for the rest.
func (p *papers) read(ctx context.Context, run masu.WorkspaceID, end time.Time, load func() ([]byte, error)) (*notebook.Notebook, error) {
	for {
		p.mu.Lock()
		k := p.of(run)
		old := !time.Now().Before(k.next)
		if k.at.After(end) && (!old || k.busy != nil) {
			defer p.mu.Unlock()
			return k.nb, k.err
		}
		if k.busy == nil && old {
			k.busy = make(chan struct{})
			p.mu.Unlock()
			return p.renew(ctx, k, load)
		}
		wait, later := k.busy, (<-chan time.Time)(nil)
		if wait == nil {
			later = time.After(time.Until(k.next))
		}
		p.mu.Unlock()
		select {
		case <-wait:
		case <-later:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// of gives the run's paper, and forgets those that were not used for longest; p.mu is held.
func (p *papers) of(run masu.WorkspaceID) *paper {
	k := &paper{run: run}
	if i := slices.IndexFunc(p.last, func(k *paper) bool { return k.run == run }); i >= 0 {
		k = p.last[i]
		p.last = slices.Delete(p.last, i, i+1)
	}
	p.last = slices.Insert(p.last, 0, k)
	for i := len(p.last) - 1; i > 0 && len(p.last) > papersMost; i-- {
		if p.last[i].busy == nil {
			p.last = slices.Delete(p.last, i, i+1)
		}
	}
	return k
}

// renew reads the paper, which is the caller's while it is busy.
func (p *papers) renew(ctx context.Context, k *paper, load func() ([]byte, error)) (nb *notebook.Notebook, err error) {
	at := time.Now()
	read := false
	sum := k.sum
	defer func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		if read {
			k.at, k.next, k.sum, k.nb, k.err = at, time.Now().Add(paperFor), sum, nb, err
		}
		close(k.busy)
		k.busy = nil
	}()
	file, err := load()
	if err != nil {
		return nil, err
	}
	if sum = sha256.Sum256(file); sum == k.sum && !k.at.IsZero() {
		read = true
		return k.nb, k.err
	}
	select {
	case p.turns <- struct{}{}:
		defer func() { <-p.turns }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	nb, err = notebook.Parse(file)
	read = true
	return nb, err
}

// notebook reads what a run that the visitor may see has put into its notebook; nil if there is none, or not yet.
func (s *Server) notebook(r *http.Request, v *visit, run masu.Run) (*notebook.Notebook, error) {
	var end time.Time
	if run.Over() {
		end = run.EndedAt
	}
	nb, err := s.papers.read(r.Context(), run.ID, end, func() ([]byte, error) {
		var file bytes.Buffer
		err := v.service.RunNotebook(r.Context(), run.ID, &file)
		return file.Bytes(), err
	})
	if err != nil && masu.CodeOf(err) == "no_notebook" {
		return nil, nil
	}
	return nb, err
}
