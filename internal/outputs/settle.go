package outputs

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/masu-lab/masu"
	"github.com/masu-lab/masu/internal/notebook"
)

const fileMost = 128 << 20 // bytes of a notebook

// settle puts into a notebook what was kept for it. The outputs of a page that
// is still attached are its own to save.
func (k *keeper) settle(ctx context.Context, page masu.Opening) error {
	if !filepath.IsLocal(page.Path) {
		return nil
	}
	list, err := k.of(ctx, page)
	if err != nil {
		return err
	}
	for b, attached := range list {
		if err := b.settle(filepath.Join(k.cfg.Work, filepath.FromSlash(page.Path)), attached, k.cfg.Lang); err != nil {
			return err
		}
	}
	return nil
}

// pages tells whether a session's page is attached to a kernel.
type pages func(session string) bool

// of gives what is kept for a notebook, with the pages that are attached. If
// Jupyter counts more than masu has let through, any page may be.
func (k *keeper) of(ctx context.Context, page masu.Opening) (map[*book]pages, error) {
	k.mu.Lock()
	empty := !slices.ContainsFunc(k.order, func(id string) bool { return k.books[id].weight() > 0 })
	k.mu.Unlock()
	if empty { // the most frequent case
		return nil, nil
	}
	sessions, err := k.sessions(ctx)
	if err != nil {
		return nil, err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	counted := map[string]int{}
	for _, s := range sessions { // a notebook may have been renamed
		if b := k.books[s.Kernel.ID]; b != nil {
			b.name(s.Path)
			counted[s.Kernel.ID] = s.Kernel.Connections
		}
	}
	list := map[*book]pages{}
	for id, b := range k.books {
		if known := page.Pages[id]; b.is(page.Path) && b.weight() > 0 {
			list[b] = func(session string) bool { return counted[id] > len(known) || slices.Contains(known, session) }
		}
	}
	return list, nil
}

func (b *book) name(path string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.path, b.located = path, true
}

func (b *book) is(path string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.path == path
}

// settle fills a file's cells. It is written in one step, and only if it is still what was read.
func (b *book) settle(path string, attached pages, lang masu.Lang) error {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	}
	text, fi, err := read(path)
	if err != nil {
		return err
	}
	nb, err := notebook.Parse(text)
	if err != nil {
		return err
	}
	filled, err := b.fill(nb, fi.ModTime(), attached, lang)
	if err != nil || len(filled) == 0 {
		return err
	}
	if text, err = nb.Bytes(); err != nil {
		return err
	}
	if err := replace(path, text, fi); err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for e, last := range filled {
		e.written = last
	}
	return nil
}

// fill puts the outputs of executions into the cells they are of, and tells up
// to when. The notebook's file was last saved at the time that is given.
func (b *book) fill(nb *notebook.Notebook, saved time.Time, attached pages, lang masu.Lang) (filled map[*execution]time.Time, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, e := range b.runs {
		if _, known := b.gone[e.session]; attached(e.session) {
			delete(b.gone, e.session)
		} else if !known {
			b.gone[e.session] = time.Now()
		}
	}
	filled = map[*execution]time.Time{}
	for c, e := range b.match(nb) {
		outputs, err := e.cell.Written(e.note(lang))
		if err != nil {
			return nil, err
		}
		old, err := c.Written("")
		if err != nil {
			return nil, err
		}
		if e.missing(c, old, outputs, file{saved, b.gone[e.session]}) {
			c.Fill(outputs, e.count)
			filled[e] = e.last
		}
	}
	return filled, nil
}

// file is how a notebook's file stands to an execution.
type file struct {
	saved time.Time
	gone  time.Time // since when it is known that the page that asked for the execution has gone; zero if it has not
}

// missing tells whether the file lacks what the execution has printed.
func (e *execution) missing(c *notebook.Cell, old, outputs json.RawMessage, f file) bool {
	switch {
	case f.gone.IsZero(): // it will save it
		return false
	case bytes.Equal(old, outputs) && c.Count() == e.count:
		return false
	case e.cut && len(old) >= len(outputs): // a page has more than was kept
		return false
	case e.last.After(f.saved), e.last.After(f.gone): // nobody has saved that, or can have had it
		return e.last.After(e.written)
	default: // a page has saved it, but what came while its connection was broken is not there
		return len(c.Outputs()) > 0 && len(old) < len(outputs) && (c.Count() == 0 || c.Count() == e.count)
	}
}

// match finds the cell of each execution: the one with exactly the text that
// ran. Of several, it is the one with the execution's number, or else the next
// after the cell that ran before; where that is not known either, none.
// A later execution of a cell takes the place of an earlier one.
func (b *book) match(nb *notebook.Notebook) map[*notebook.Cell]*execution {
	same := map[string][]int{}
	for i, c := range nb.Cells {
		if c.Kind == notebook.Code {
			same[c.Source] = append(same[c.Source], i)
		}
	}
	all := map[*notebook.Cell]*execution{}
	at := -1
	for _, e := range b.runs {
		list := same[e.code]
		if len(list) > 1 {
			list = narrow(nb, list, e.count, at)
		}
		if len(list) != 1 {
			continue
		}
		at = list[0]
		all[nb.Cells[at]] = e
	}
	return all
}

func narrow(nb *notebook.Notebook, list []int, count, at int) []int {
	numbered := slices.DeleteFunc(slices.Clone(list), func(i int) bool { return nb.Cells[i].Count() != count })
	if len(numbered) == 1 {
		return numbered
	}
	next := slices.IndexFunc(list, func(i int) bool { return i > at })
	if at < 0 || next < 0 {
		return nil
	}
	return list[next : next+1]
}

// note is what stands under outputs that are not whole. It stands here and not
// in the catalogue because it goes into a file.
func (e *execution) note(lang masu.Lang) string {
	ja := lang == masu.Japanese
	switch {
	case e.cut && ja:
		return "… [masu: 長いため、ここから先の出力は残していません]"
	case e.cut:
		return "… [masu: cut here; the output was too long to be kept]"
	case e.running && ja:
		return "… [masu: このセルは実行中です。続きは masu が受け取っています。終わったらページを再読み込みしてください]"
	case e.running:
		return "… [masu: this cell is still running, and the rest is being kept: reload the page when it has ended]"
	}
	return ""
}

// read reads a notebook that is not too large.
func read(path string) ([]byte, fs.FileInfo, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0) // a pipe would wait for who writes
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	fi, err := f.Stat()
	if err != nil {
		return nil, nil, err
	}
	if !fi.Mode().IsRegular() || fi.Size() > int64(fileMost) {
		return nil, nil, errors.New("the notebook is too large")
	}
	text, err := io.ReadAll(io.LimitReader(f, int64(fileMost)))
	return text, fi, err
}

// replace puts a file in the place of the one that was read, unless somebody has saved it since.
func replace(path string, text []byte, was fs.FileInfo) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name())
		}
	}()
	_, err = f.Write(text)
	if err = errors.Join(err, f.Chmod(was.Mode().Perm()), f.Close()); err != nil {
		return err
	}
	now, err := os.Stat(path)
	if err != nil || !os.SameFile(now, was) || !now.ModTime().Equal(was.ModTime()) {
		return errors.Join(err, errors.New("the notebook was saved meanwhile"))
	}
	return os.Rename(f.Name(), path)
}
