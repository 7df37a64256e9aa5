package mirror

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"sync"
	"time"

	"github.com/pkg/sftp"
	"golang.org/x/sync/errgroup"

	"github.com/masu-lab/masu"
)

var (
	errTooMany = masu.E(masu.Full, "sync_many", mostPaths)
	errIgnore  = masu.E(masu.Invalid, "sync_ignore", IgnoreFile)
)

const (
	movesAtOnce = 8
	mostRead    = 64 << 20 // of a file that is read before it is replaced or removed
	mostFar     = 1 << 20  // of one that is read again over the network because it is young
	youth       = 3 * time.Second
)

// Sync keeps two folders alike.
type Sync struct {
	Near, Far Tree
	Base      Base // what was last alike; each round leaves a new one
	Host      string
	Now       func() time.Time
	Tell      func(Done)
}

// Done is something that was done, or that could not be.
type Done struct {
	Step
	Size int64
	As   string // the name under which the nearer of two versions was kept
	Err  error
}

// round is one time that everything is looked at.
type round struct {
	*Sync
	base Base
	now  [2]Picture
	mu   sync.Mutex
	next Base
	more bool // something is left for the next
}

func (s *Sync) tree(at Side) Tree {
	if at == Near {
		return s.Near
	}
	return s.Far
}

// look takes both pictures.
func (s *Sync) look(ctx context.Context) (*round, error) {
	ignore, err := ReadIgnore(s.Near)
	if _, none := s.Near.Look(IgnoreFile); err == nil && errors.Is(none, fs.ErrNotExist) {
		ignore, err = ReadIgnore(s.Far)
	}
	if err != nil {
		return nil, err
	}
	r := &round{Sync: s, base: Base{}, next: Base{}}
	maps.Copy(r.base, s.Base)
	maps.Copy(r.next, s.Base)
	g, both := errgroup.WithContext(ctx)
	for _, at := range []Side{Near, Far} {
		g.Go(func() (err error) { r.now[at], err = Scan(both, s.tree(at), ignore); return err })
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	for _, at := range []Side{Near, Far} { // more likely a disk that is not there than a wish
		if len(s.Base) > 0 && len(r.now[at]) == 0 && len(r.now[at.other()]) > 0 {
			return nil, masu.E(masu.Conflict, "sync_emptied")
		}
	}
	return r, r.again(ctx)
}

// again reads what was young when it was last alike; what has another content
// than it had then counts as new.
func (r *round) again(ctx context.Context) error {
	for p, rec := range r.base {
		if !rec.Young {
			continue
		}
		for _, at := range []Side{Near, Far} {
			e := rec.at(at)
			if !r.now[at][p].same(e) || e.Size > [2]int64{mostRead, mostFar}[at] {
				continue
			}
			sum, err := Sum(ctx, r.tree(at), p)
			if err != nil || sum != rec.Sum {
				delete(r.base, p)
				delete(r.next, p)
			}
		}
		if rec.Young = r.young(rec); !rec.Young && r.base[p].Sum != "" {
			r.base[p], r.next[p] = rec, rec
		}
	}
	return ctx.Err()
}

// young tells whether a file may be written again without showing it.
func (r *round) young(rec Record) bool {
	age := r.Now().Sub(rec.Near.Time).Abs()
	return rec.Sum != "" && min(age, r.Now().Sub(rec.Far.Time).Abs()) < youth
}

func (r *round) plan() []Step {
	return Plan(r.base, r.now[Near], r.now[Far], r.Near.Rules(), r.Far.Rules())
}

// Plan tells what a round would do.
func (s *Sync) Plan(ctx context.Context) ([]Step, error) {
	r, err := s.look(ctx)
	if err != nil {
		return nil, err
	}
	return r.plan(), nil
}

// Round makes both sides alike, as far as that goes: what could not be done is
// told, and stays for the next; more means that another may do it at once. It
// ends early only with ctx or the connection.
func (s *Sync) Round(ctx context.Context) (more bool, err error) {
	r, err := s.look(ctx)
	if err != nil {
		return false, err
	}
	steps := r.plan()
	defer func() { s.Base = r.next }()
	for len(steps) > 0 {
		n := 1
		for n < len(steps) && steps[n].rank == steps[0].rank {
			n++
		}
		if err := r.do(ctx, steps[:n]); err != nil {
			return false, err
		}
		steps = steps[n:]
	}
	return r.more, nil
}

// do does the steps of one rank.
func (r *round) do(ctx context.Context, steps []Step) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(movesAtOnce)
	switch steps[0].rank {
	case rankRoomFolder, rankFolder, rankClearFolder, rankRest:
		g.SetLimit(1) // in order
	}
	for _, s := range steps {
		g.Go(func() error {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			d := Done{Step: s}
			d.Err = r.step(ctx, s, &d)
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if errors.Is(d.Err, sftp.ErrSSHFxConnectionLost) {
				return d.Err
			}
			r.mu.Lock()
			defer r.mu.Unlock()
			switch {
			case errors.Is(d.Err, ErrMeanwhile):
				r.more = true
			case d.Do != "" && r.Tell != nil:
				r.Tell(d)
			}
			return nil
		})
	}
	return g.Wait()
}

func (r *round) step(ctx context.Context, s Step, d *Done) error {
	switch s.Do {
	case Forget:
		d.Do = ""
		r.note(s.Path, nil)
	case Make:
		return r.make(ctx, s.Path, s.At, d)
	case Settle:
		return r.settle(ctx, s.Path, d)
	case Bring:
		d.Size = r.kept(s.At.other(), s.Path).Size
		return r.bring(ctx, s.Path, s.At, d)
	case Clear:
		return r.clear(ctx, s.Path, s.At, d)
	}
	return nil
}

// seen is what the picture of a side shows.
func (r *round) seen(at Side, p string) (Entry, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	e, there := r.now[at][p]
	return e, there
}

func (r *round) kept(at Side, p string) Entry {
	e, _ := r.seen(at, p)
	return e
}

// see corrects the picture; no kind is nothing.
func (r *round) see(at Side, p string, e Entry) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if e.Kind == None {
		delete(r.now[at], p)
		return
	}
	r.now[at][p] = e
}

// note remembers what is alike now; nil is nothing.
func (r *round) note(p string, rec *Record) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if rec == nil {
		delete(r.next, p)
		return
	}
	rec.Young = r.young(*rec)
	r.next[p] = *rec
}

// untouched looks whether what stands at a side is still what the picture shows,
// and what was last alike: only then it may be replaced or removed. Two programs
// can write within one tick of a clock, so what is not too large is read.
func (r *round) untouched(ctx context.Context, p string, at Side) (bool, error) {
	e, err := r.tree(at).Look(p)
	seen, was := r.seen(at, p)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return true, nil
	case err != nil:
		return false, err
	case !was || !seen.same(e):
		return false, ErrMeanwhile
	case e.Kind == Folder:
		return true, nil
	}
	rec, ok := r.base[p]
	if !ok || !rec.at(at).same(e) {
		return false, nil
	}
	if e.Kind != File || rec.Sum == "" || e.Size > mostRead {
		return true, nil
	}
	sum, err := Sum(ctx, r.tree(at), p)
	return sum == rec.Sum, err
}

// bring copies a path to a side; if that turns out to have changed too, both are kept.
func (r *round) bring(ctx context.Context, p string, at Side, d *Done) error {
	ok, err := r.untouched(ctx, p, at)
	if err != nil {
		return err
	}
	if !ok {
		return r.conflict(ctx, p, d)
	}
	if e, there := r.seen(at, p); there && e.Kind == Folder {
		if r.tree(at).Remove(p) != nil { // it holds what is left out, or what came meanwhile
			return r.conflict(ctx, p, d)
		}
		r.see(at, p, Entry{})
	}
	return r.carry(ctx, p, at)
}

// carry copies a path to a side where nothing, or what is known, stands in its place.
func (r *round) carry(ctx context.Context, p string, at Side) error {
	src, dst, e := r.tree(at.other()), r.tree(at), r.kept(at.other(), p)
	sum, err := Transfer(ctx, src, dst, p, p, e, nil, func() error {
		now, err := dst.Look(p)
		seen, was := r.seen(at, p)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err == nil && (!was || !seen.same(now)) {
			err = ErrMeanwhile
		}
		return err
	})
	if err != nil {
		return err
	}
	got, err := dst.Look(p)
	if err != nil {
		return err
	}
	rec := Record{Near: e, Far: got, Sum: sum}
	if at == Near {
		rec.Near, rec.Far = got, e
	}
	r.note(p, &rec)
	return nil
}

func (r *round) make(ctx context.Context, p string, at Side, d *Done) error {
	t := r.tree(at)
	if e, there := r.seen(at, p); there && e.leaf() {
		switch ok, err := r.untouched(ctx, p, at); {
		case err != nil:
			return err
		case !ok:
			return r.conflict(ctx, p, d)
		}
		if err := t.Remove(p); err != nil {
			return err
		}
	}
	mode := r.kept(at.other(), p).Mode
	if mode == 0 {
		mode = 0o755
	}
	err := t.MakeFolder(p, mode|0o700)
	if err != nil {
		if e, look := t.Look(p); look != nil || e.Kind != Folder {
			return err
		}
	}
	r.note(p, &Record{Near: Entry{Kind: Folder}, Far: Entry{Kind: Folder}})
	return nil
}

func (r *round) clear(ctx context.Context, p string, at Side, d *Done) error {
	t := r.tree(at)
	ok, err := r.untouched(ctx, p, at)
	if err != nil {
		return err
	}
	if !ok { // it changed without showing: now it counts as new
		r.note(p, nil)
		return ErrMeanwhile
	}
	if err := t.Remove(p); err != nil && !errors.Is(err, fs.ErrNotExist) {
		if r.kept(at, p).Kind == Folder { // something that is left out is in it
			d.Do = ""
			return nil
		}
		return err
	}
	r.note(p, nil)
	return nil
}

// settle finds out whether two new things are one.
func (r *round) settle(ctx context.Context, p string, d *Done) error {
	n, f := r.kept(Near, p), r.kept(Far, p)
	rec := &Record{Near: n, Far: f}
	alike := n.Kind == f.Kind
	switch {
	case !alike:
	case n.Kind == Link:
		alike = n.Target == f.Target
	case n.Kind == File && n.Size != f.Size:
		alike = false
	case n.Kind == File && n.Size > mostRead && n.Time.Unix() == f.Time.Unix():
	case n.Kind == File:
		var sums [2]string
		for at := range sums {
			var err error
			if sums[at], err = Sum(ctx, r.tree(Side(at)), p); err != nil {
				return err
			}
		}
		rec.Sum, alike = sums[Near], sums[Near] == sums[Far]
	}
	if !alike {
		return r.conflict(ctx, p, d)
	}
	d.Do = ""
	r.note(p, rec)
	return nil
}
