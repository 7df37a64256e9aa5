package web

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/masu-lab/masu"
)

// press gives a notebook that is another each time, and counts how often.
type press struct {
	mu    sync.Mutex
	times int
	gate  chan struct{} // if there is one, it opens before anything is given
}

func (l *press) load() ([]byte, error) {
	l.mu.Lock()
	l.times++
	n := l.times
	l.mu.Unlock()
	if l.gate != nil {
		<-l.gate
	}
	return fmt.Appendf(nil, `{"nbformat":4,"cells":[{"cell_type":"code","source":"%d"}]}`, n), nil
}

// TestPapersOncePerSecond: whoever writes a notebook anew for each visitor has it read once a second.
func TestPapersOncePerSecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, l := newPapers(), &press{}
		want := func(source string, end time.Time) {
			t.Helper()
			if nb, err := p.read(t.Context(), "r", end, l.load); err != nil || nb.Cells[0].Source != source {
				t.Errorf("%+v, %v; want %s", nb, err, source)
			}
		}
		for range 10 {
			want("1", time.Time{})
		}
		time.Sleep(paperFor)
		want("2", time.Time{})
		time.Sleep(paperFor / 2)
		began := time.Now()
		want("3", began) // the run has ended: what comes last must be seen
		want("3", began)
		if waited := time.Since(began); waited != paperFor/2 || l.times != 3 {
			t.Errorf("it was read %d times, after %v", l.times, waited)
		}
	})
}

// TestPapersTogether: while somebody reads a run's notebook the others wait for it, or see what was there before.
func TestPapersTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, l := newPapers(), &press{gate: make(chan struct{})}
		var visitors sync.WaitGroup
		visit := func(want string) {
			visitors.Go(func() {
				if nb, err := p.read(t.Context(), "r", time.Time{}, l.load); err != nil || nb.Cells[0].Source != want {
					t.Errorf("%+v, %v; want %s", nb, err, want)
				}
			})
			synctest.Wait()
		}
		for range 10 {
			visit("1")
		}
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := p.read(gone, "r", time.Time{}, l.load); !errors.Is(err, context.Canceled) {
			t.Errorf("somebody who has gone waits: %v", err)
		}
		l.gate <- struct{}{}
		visitors.Wait()
		time.Sleep(paperFor)
		visit("2") // this one reads
		for range 10 {
			visit("1")
		}
		l.gate <- struct{}{}
		visitors.Wait()
		if l.times != 2 {
			t.Errorf("it was read %d times", l.times)
		}
	})
}

// TestPapersTurns: no more than two are parsed at once, few are kept, and one that could not be read is read again.
func TestPapersTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, l := newPapers(), &press{}
		for range papersTurns {
			p.turns <- struct{}{}
		}
		gone, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if _, err := p.read(gone, "r", time.Time{}, l.load); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("it is parsed without a turn: %v", err)
		}
		<-p.turns
		odd := errors.New("odd")
		if _, err := p.read(t.Context(), "r", time.Time{}, func() ([]byte, error) { return nil, odd }); !errors.Is(err, odd) {
			t.Error(err)
		}
		for i := range 3 * papersMost {
			if _, err := p.read(t.Context(), masu.WorkspaceID(strconv.Itoa(i)), time.Time{}, l.load); err != nil {
				t.Error(err)
			}
		}
		if len(p.last) != papersMost || len(p.turns) != papersTurns-1 {
			t.Errorf("%d are kept, %d turns are taken", len(p.last), len(p.turns))
		}
	})
}
