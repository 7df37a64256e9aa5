package mirror

import (
	"context"
	"fmt"
	"path"
	"strings"
	"sync"
	"unicode/utf8"

	"golang.org/x/sync/errgroup"
)

// Picture is what a side looks like: every path that is not left out.
type Picture map[string]Entry

const (
	scansAtOnce = 16
	mostPaths   = 500_000 // of a folder that is kept alike
)

// partial begins the names of files that are being written.
const (
	partial    = ".masu-"
	partialEnd = ".part"
)

// unfinished tells whether a name is that of a file that is being written, or
// that somebody who was killed has left so.
func unfinished(p string) bool {
	name := path.Base(p)
	return strings.HasPrefix(name, partial) && strings.HasSuffix(name, partialEnd)
}

func join(dir, name string) string {
	if dir == "." {
		return name
	}
	return dir + "/" + name
}

// Scan takes a picture of a side. A folder that cannot be read ends it: what
// nobody has seen must not be taken for what is not there.
func Scan(ctx context.Context, t Tree, ignore *Ignore) (Picture, error) {
	all := Picture{}
	var mu sync.Mutex
	for level := []string{"."}; len(level) > 0; {
		var next []string
		g, ctx := errgroup.WithContext(ctx)
		g.SetLimit(scansAtOnce)
		for _, dir := range level {
			g.Go(func() error {
				if ctx.Err() != nil {
					return ctx.Err()
				}
				entries, err := t.List(dir)
				if err != nil {
					return err
				}
				mu.Lock()
				defer mu.Unlock()
				for name, e := range entries {
					p := join(dir, name)
					if e.Kind == Other || unfinished(p) || !utf8.ValidString(name) || ignore.Match(p) {
						continue
					}
					all[p] = e
					if e.Kind == Folder {
						next = append(next, p)
					}
				}
				if len(all) > mostPaths {
					return fmt.Errorf("%s: %w", dir, errTooMany)
				}
				return nil
			})
		}
		if err := g.Wait(); err != nil {
			return nil, err
		}
		level = next
	}
	return all, nil
}
