package execute

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/masu-lab/masu"
	"github.com/masu-lab/masu/internal/notebook"
)

// How often a notebook is written while its outputs come: once a second, or
// more slowly where writing takes long, so that it never costs more than a twentieth of the time.
const (
	saveEvery = time.Second
	saveShare = 20
)

// paper is a notebook and the file that it is written to as it grows.
type paper struct {
	path string

	mu       sync.Mutex
	nb       *notebook.Notebook
	recorder notebook.Recorder
	dirty    bool

	now chan struct{} // something is worth to be seen at once
}

func newPaper(nb *notebook.Notebook, path string) *paper {
	return &paper{path: path, nb: nb, now: make(chan struct{}, 1)}
}

// change does something that changes the notebook.
func (p *paper) change(do func(*notebook.Recorder)) {
	p.take(func(r *notebook.Recorder) bool { do(r); return true })
}

// take does something that may.
func (p *paper) take(do func(*notebook.Recorder) bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if do(&p.recorder) {
		p.dirty = true
	}
}

// soon asks for the notebook to be written as soon as it may.
func (p *paper) soon() {
	select {
	case p.now <- struct{}{}:
	default:
	}
}

// keep writes the notebook again and again, until stop, which writes it a last
// time and tells whether that went well. What fails in between is tried again.
func (p *paper) keep() (stop func() error) {
	ended := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		pause := saveEvery
		for {
			select {
			case <-ended:
				return
			case <-time.After(pause):
			case <-p.now:
			}
			began := time.Now()
			_ = p.save()
			took := time.Since(began)
			pause = max(saveEvery, saveShare*took)
			if took > saveEvery/saveShare { // a large one waits also when a cell has ended
				select {
				case <-ended:
					return
				case <-time.After(pause):
				}
			}
		}
	})
	return func() error {
		close(ended)
		wg.Wait()
		return p.save()
	}
}

// save writes the notebook if it has changed: wholly or not at all. Outputs that
// come while a disk is slow do not wait for it. One saves at a time.
func (p *paper) save() error {
	text, err := p.changed()
	if err == nil && text != nil {
		if err = writeFile(p.path, text); err != nil {
			p.take(func(*notebook.Recorder) bool { return true }) // it is to be tried again
		}
	}
	return err
}

// changed gives the notebook as it is to be written; nil if the file has it already.
func (p *paper) changed() ([]byte, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, err := os.Stat(p.path); !p.dirty && err == nil {
		return nil, nil
	}
	text, err := p.nb.Bytes()
	if err == nil {
		p.dirty = false
	}
	return text, err
}

// writeFile puts a file in the place of another in one step. What a killed
// writer has left beside it goes.
func writeFile(path string, text []byte) error {
	next := filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+".part")
	if err := os.Remove(next); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := os.OpenFile(next, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o666) // never through a link that a colleague has put there
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(next, path)
	}
	if err != nil {
		_ = os.Remove(next)
	}
	return err
}

// readFile reads a notebook that is not too large.
func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, masu.E(masu.Invalid, "notebook_missing", path)
	case err != nil:
		return nil, masu.E(masu.Denied, "notebook_not_read", path).Because(err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, int64(masu.NotebookMost)+1))
	if err != nil {
		return nil, masu.E(masu.Denied, "notebook_not_read", path).Because(err)
	}
	if len(text) > int(masu.NotebookMost) {
		return nil, masu.E(masu.Invalid, "notebook_large", masu.NotebookMost)
	}
	return text, nil
}

// same tells whether two paths are of one file.
func same(a, b string) bool {
	x, err1 := os.Stat(a)
	y, err2 := os.Stat(b)
	return err1 == nil && err2 == nil && os.SameFile(x, y)
}
