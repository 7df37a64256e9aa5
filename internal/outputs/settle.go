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

	"github.com/masu-lab/masu"
	"github.com/masu-lab/masu/internal/notebook"
)

// How long a page that was just closed has until Jupyter has noticed.
const (
	leaves     = time.Second
	leavesLook = 50 * time.Millisecond
	fileMost   = 128 << 20 // bytes of a notebook
)

// settle puts into a notebook what was kept for it. While a page is attached to
// its kernel, it is the page's to save: only what no page can have any more is put there then.
func (k *keeper) settle(ctx context.Context, path string) error {
	if !filepath.IsLocal(path) {
		return nil
	}
	list, attached, err := k.of(ctx, path)
	if err != nil || len(list) == 0 {
		return err
	}
	for until := time.Now().Add(leaves); attached && time.Now().Before(until); {
		time.Sleep(leavesLook)
		if list, attached, err = k.of(ctx, path); err != nil {
			return err
		}
	}
	for _, b := range list {
		if err := b.settle(filepath.Join(k.cfg.Work, filepath.FromSlash(path)), attached, k.cfg.Lang); err != nil {
			return err
		}
	}
	return nil
}

// of gives what is kept for a notebook, and whether a page is attached to a kernel of it.
func (k *keeper) of(ctx context.Context, path string) (list []*book, attached bool, err error) {
	k.mu.Lock()
	empty := !slices.ContainsFunc(k.order, func(id string) bool { return k.books[id].weight() > 0 })
	k.mu.Unlock()
	if empty { // the most frequent case
		return nil, false, nil
	}
	sessions, err := k.sessions(ctx)
	if err != nil {
		return nil, false, err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, s := range sessions { // a notebook may have been renamed
		if b := k.books[s.Kernel.ID]; b != nil {
			b.name(s.Path)
			attached = attached || s.Path == path && s.Kernel.Connections > 0
		}
	}
	for _, id := range k.order {
		if b := k.books[id]; b.is(path) && b.weight() > 0 {
			list = append(list, b)
		}
	}
	return list, attached, nil
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
func (b *book) settle(path string, attached bool, lang masu.Lang) error {
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
func (b *book) fill(nb *notebook.Notebook, saved time.Time, attached bool, lang masu.Lang) (filled map[*execution]time.Time, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !attached { // the page that is about to open takes the place of those before
		for _, e := range b.runs {
			if _, known := b.gone[e.session]; !known {
				b.gone[e.session] = time.Now()
			}
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
		if e.missing(c, old, outputs, file{saved, b.gone[e.session], attached}) {
			c.Fill(outputs, e.count)
			filled[e] = e.last
		}
	}
	return filled, nil
}

// file is how a notebook's file stands to an execution.
type file struct {
	saved    time.Time
	gone     time.Time // when the page that had asked for the execution was known to have gone; zero if it was not
	attached bool      // some page is
}

// missing tells whether the file lacks what the execution has printed.
func (e *execution) missing(c *notebook.Cell, old, outputs json.RawMessage, f file) bool {
	switch gone := !f.gone.IsZero(); {
	case bytes.Equal(old, outputs) && c.Count() == e.count:
		return false
	case e.cut && len(old) >= len(outputs): // a page has more than was kept
		return false
	case gone && e.last.After(f.gone) && e.last.After(e.written): // no page has had that
		return true
	case f.attached: // it will save it
		return false
	case e.last.After(f.saved):
		return e.last.After(e.written)
	default: // a page has saved it, but what came while its connection was broken is not there
		return gone && len(c.Outputs()) > 0 && len(old) < len(outputs) && (c.Count() == 0 || c.Count() == e.count)
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
	f, err := os.Open(path)
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
