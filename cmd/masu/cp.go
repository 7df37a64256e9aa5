package main

import (
	"context"
	"errors"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/masu-lab/masu"
	"github.com/masu-lab/masu/internal/mirror"
)

func (a *app) cpCommand() *cobra.Command {
	var quiet bool
	c := a.command("cp", "cp SRC... DST", groupWork, a.args(2, -1), func(ctx context.Context, args []string) error {
		dst := a.place(args[len(args)-1])
		boxes := dst.workspace
		for _, said := range args[:len(args)-1] {
			boxes += a.place(said).workspace
		}
		if boxes == "" {
			return masu.E(masu.Invalid, "cp_no_workspace")
		}
		return a.with(ctx, func(s service) error {
			t := &trip{app: a, s: s, open: map[string]*boxFiles{}, quiet: quiet}
			defer t.end()
			return t.copy(ctx, args[:len(args)-1], dst, args[len(args)-1])
		})
	})
	c.Flags().BoolP("recursive", "r", false, "") // what scp needs; here folders go as they are
	c.Flags().BoolVarP(&quiet, "quiet", "q", false, "")
	return c
}

// trip is one copying, with the boxes that it goes to.
type trip struct {
	*app
	s     service
	open  map[string]*boxFiles
	quiet bool
}

func (t *trip) end() {
	for _, b := range t.open {
		b.end()
	}
}

// box opens the files of a workspace once.
func (t *trip) box(ctx context.Context, name string) (*boxFiles, error) {
	if b := t.open[name]; b != nil {
		return b, nil
	}
	if _, err := t.running(ctx, t.s, name); err != nil {
		return nil, err
	}
	b, err := t.boxFiles(ctx, t.s, name)
	if err == nil {
		t.open[name] = b
	}
	return b, err
}

// stop is one end of a copying.
type stop struct {
	tree  mirror.Tree
	path  string
	close func() error
}

func (t *trip) copy(ctx context.Context, sources []string, dst place, said string) error {
	var sum mirror.Copied
	for _, one := range sources {
		from, base, err := t.from(ctx, t.place(one))
		if err != nil {
			return t.why(one, err)
		}
		to, err := t.to(ctx, dst, base, len(sources) > 1)
		if err != nil {
			return errors.Join(t.why(said, err), from.close())
		}
		c, err := t.show(ctx, from, to, one)
		_, _ = from.close(), to.close() // nothing is written by closing a folder
		sum.Files, sum.Bytes, sum.Left = sum.Files+c.Files, sum.Bytes+c.Bytes, append(sum.Left, c.Left...)
		if err != nil {
			return t.why(one, err)
		}
	}
	for _, left := range sum.Left {
		t.note("cp_left", plain(left))
	}
	if !t.quiet {
		t.note("cp_done", sum.Files, masu.Bytes(sum.Bytes), said)
	}
	return nil
}

// why names what went wrong; where a box has gone, that is it.
func (t *trip) why(what string, err error) error {
	for _, b := range t.open {
		if lost(err) {
			if why := b.ended(); why != nil {
				return why
			}
		}
	}
	return fileError(what, err)
}

// show copies, and tells how far it is.
func (t *trip) show(ctx context.Context, from, to stop, what string) (mirror.Copied, error) {
	_, tty := terminal(t.err)
	p := t.progress(t.quiet || !tty)
	p.tell(masu.Progress{Step: "cp", Name: what, State: masu.StepRunning})
	c, err := mirror.Copy(ctx, from.tree, to.tree, from.path, to.path, func(name string, n, total int64) {
		p.tell(masu.Progress{Step: "cp", Name: name, Current: masu.Bytes(n), Total: masu.Bytes(total)})
	})
	p.end(false)
	return c, err
}

// from finds a source, and the name that it keeps; "." means its contents.
func (t *trip) from(ctx context.Context, p place) (stop, string, error) {
	if p.workspace == "" {
		return fromHere(p.path)
	}
	b, err := t.box(ctx, p.workspace)
	if err != nil {
		return stop{}, "", err
	}
	at := b.at(p.path)
	base := path.Base(at)
	if p.path == "" || contents(p.path) {
		base = "."
	}
	for range 10 { // one that is named may be a link; those below it stay links
		target, err := b.ReadLink(at)
		if err != nil {
			break
		}
		if !path.IsAbs(target) {
			target = path.Join(path.Dir(at), target)
		}
		at = path.Clean(target)
	}
	return stop{b.all(), below(at), func() error { return nil }}, base, nil
}

// below is an absolute path as the tree of all files knows it.
func below(at string) string {
	if at == "/" {
		return "."
	}
	return strings.TrimPrefix(at, "/")
}

// contents tells whether a path means what is in a folder rather than the folder.
func contents(said string) bool {
	said = filepath.ToSlash(said)
	return said == "." || said == ".." || strings.HasSuffix(said, "/.") || strings.HasSuffix(said, "/..")
}

func fromHere(said string) (stop, string, error) {
	real, err := filepath.EvalSymlinks(said)
	if err == nil {
		real, err = filepath.Abs(real)
	}
	if err != nil {
		return stop{}, "", err
	}
	base := filepath.Base(filepath.Clean(said))
	if contents(said) {
		base = "."
	}
	dir, name := filepath.Dir(real), filepath.Base(real)
	if dir == real { // the whole disk
		name, base = ".", "."
	}
	l, err := mirror.OpenLocal(dir)
	if err != nil {
		return stop{}, "", err
	}
	return stop{l, name, l.Close}, base, nil
}

// to finds where a source of that name goes: into a folder that is there, or under the name that was said.
func (t *trip) to(ctx context.Context, p place, base string, many bool) (stop, error) {
	into := many || strings.HasSuffix(filepath.ToSlash(p.path), "/")
	if p.workspace == "" {
		return toHere(p.path, base, into)
	}
	b, err := t.box(ctx, p.workspace)
	if err != nil {
		return stop{}, err
	}
	at := b.at(p.path)
	info, err := b.Stat(at)
	switch {
	case err == nil && info.IsDir():
		at = path.Join(at, base)
	case into:
		return stop{}, masu.E(masu.NotFound, "cp_no_folder", p.workspace+":"+p.path)
	}
	return stop{b.all(), below(at), func() error { return nil }}, nil
}

func toHere(said, base string, into bool) (stop, error) {
	dir, name := said, base
	if info, err := os.Stat(said); err != nil || !info.IsDir() {
		if into {
			return stop{}, masu.E(masu.NotFound, "cp_no_folder", said)
		}
		dir, name = filepath.Dir(said), filepath.Base(said)
	}
	l, err := mirror.OpenLocal(dir)
	if err != nil {
		return stop{}, err
	}
	return stop{l, name, l.Close}, nil
}
