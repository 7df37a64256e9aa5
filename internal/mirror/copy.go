package mirror

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"path"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/masu-lab/masu"
)

// Copied sums up what a copy has done.
type Copied struct {
	Files int
	Bytes int64
	Left  []string // what is neither a file, nor a folder, nor a link
}

// item is one path to be copied.
type item struct {
	from, to string
	e        Entry
}

// copying is one Copy.
type copying struct {
	src, dst Tree
	count    func(name string, bytes, total int64)
	total    int64

	mu     sync.Mutex
	passed int64
	sum    Copied
}

// Copy copies a file or a whole folder from one tree to another, links as links,
// with permissions and times. Files replace files, each at once and whole;
// folders are merged. count is told of the bytes as they pass, and of the total.
func Copy(ctx context.Context, src, dst Tree, from, to string, count func(name string, bytes, total int64)) (Copied, error) {
	c := &copying{src: src, dst: dst, count: count}
	var all, made []item
	if err := gather(ctx, src, from, to, &all, &c.sum); err != nil {
		return c.sum, err
	}
	for _, i := range all {
		c.total += i.e.Size
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(movesAtOnce)
	for _, i := range all {
		if i.e.Kind != Folder {
			g.Go(func() error { return c.leaf(ctx, i) })
			continue
		}
		fresh, err := ensureFolder(dst, i)
		if err != nil {
			return c.sum, errors.Join(g.Wait(), err)
		}
		if fresh {
			made = append(made, i)
		}
	}
	err := g.Wait()
	for _, i := range slices.Backward(made) { // what came into them has changed their times
		if err == nil && !i.e.Time.IsZero() {
			err = dst.Stamp(i.to, i.e.Mode, i.e.Time)
		}
	}
	return c.sum, err
}

// leaf copies a file or a link.
func (c *copying) leaf(ctx context.Context, i item) error {
	if !c.dst.Rules().takes(i.to, i.e) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.sum.Left = append(c.sum.Left, i.from)
		return nil
	}
	if e, err := c.dst.Look(i.to); err == nil && e.Kind == Folder {
		return masu.E(masu.Conflict, "cp_folder_there", i.to)
	}
	_, err := Transfer(ctx, c.src, c.dst, i.from, i.to, i.e, func(n int64) {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.passed += n; c.count != nil {
			c.count(path.Base(i.from), c.passed, c.total)
		}
	}, nil)
	if errors.Is(err, ErrMeanwhile) {
		err = masu.E(masu.Conflict, "cp_changed", i.from)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if err == nil {
		c.sum.Files++
		c.sum.Bytes += i.e.Size
	}
	return err
}

// gather lists what is to be copied, folders before what is in them.
func gather(ctx context.Context, src Tree, from, to string, all *[]item, c *Copied) error {
	e, err := src.Look(from)
	if err != nil {
		return err
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	switch {
	case e.Kind == Other:
		c.Left = append(c.Left, from)
		return nil
	case e.leaf():
		*all = append(*all, item{from, to, e})
		return nil
	}
	*all = append(*all, item{from, to, e})
	entries, err := src.List(from)
	if err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(entries)) {
		if unfinished(name) {
			continue
		}
		if err := gather(ctx, src, join(from, name), join(to, name), all, c); err != nil {
			return err
		}
	}
	return nil
}

// ensureFolder makes a folder that is not there yet.
func ensureFolder(dst Tree, i item) (fresh bool, err error) {
	e, err := dst.Look(i.to)
	switch {
	case err == nil && e.Kind == Folder:
		return false, nil
	case err == nil:
		return false, masu.E(masu.Conflict, "cp_file_there", i.to)
	case !errors.Is(err, fs.ErrNotExist):
		return false, err
	}
	mode := i.e.Mode
	if mode == 0 {
		mode = 0o755
	}
	return true, dst.MakeFolder(i.to, mode|0o700)
}
