package web

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/masu-lab/masu"
)

// TestHomesShareAWatch: the pages of one member are told alike, also one that
// comes later; nobody else is, and with the last
// page the watch ends.
func TestHomesShareAWatch(t *testing.T) {
	g := newRig(t)
	g.lab.set(running("alice", "thesis"))
	b, other := g.browser(), g.browser()
	b.signIn("alice")
	other.signIn("bob")
	theirs, _ := other.events(t, "/events")
	var ids []string
	if theirs.next("list", &ids); len(ids) != 0 {
		t.Errorf("bob sees %v", ids)
	}
	var pages []*reader
	var c cardEvent
	for range 3 {
		events, _ := b.events(t, "/events")
		events.next("list", &ids)
		events.next("workspace", &c)
		if len(ids) != 1 || c.Phase != masu.Running {
			t.Errorf("%v, %+v", ids, c)
		}
		pages = append(pages, events)
	}
	homes := func() (n int) {
		g.server.homes.mu.Lock()
		defer g.server.homes.mu.Unlock()
		return len(g.server.homes.of)
	}
	if n := homes(); n != 2 {
		t.Errorf("%d watches for two members", n)
	}
	w := running("alice", "thesis")
	w.Phase = masu.Stopped
	g.lab.set(w)
	for i, events := range pages {
		if events.next("workspace", &c); c.Phase != masu.Stopped {
			t.Errorf("page %d: %+v", i, c)
		}
	}
	b.post("/signout", nil)
	eventually(t, "the watch ends with the last page", func() bool { return homes() == 1 })
	g.lab.set(running("bob", "own"))
	if theirs.next("workspace", &c); c.ID != "own-bob" {
		t.Errorf("%+v", c)
	}
}

// slow is a browser that takes what it is sent when it is let.
type slow struct {
	let chan struct{}
	mu  sync.Mutex
	got bytes.Buffer
	err error
}

func (s *slow) Write(b []byte) (int, error) {
	<-s.let
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return 0, s.err
	}
	return s.got.Write(b)
}

func (s *slow) stream() *stream { return &stream{s, func() error { return nil }} }

// TestLineKeepsOrder: what a page is begun with comes first, though the other came before it was known.
func TestLineKeepsOrder(t *testing.T) {
	to := &slow{let: make(chan struct{})}
	close(to.let)
	l := &line{}
	l.put([]byte("c"))
	l.begin(to.stream(), func() {}, [][]byte{[]byte("a"), []byte("b")})
	l.put([]byte("d"))
	l.writing.Wait()
	if to.got.String() != "abcd" {
		t.Errorf("%q", to.got.String())
	}
	l.close()
	l.put([]byte("e"))
	l.writing.Wait()
	if to.got.String() != "abcd" {
		t.Errorf("a page that is over was told %q", to.got.String())
	}
}

// TestLineEnds: with a browser that has gone, with one that reads nothing, and with a page that was over before it began.
func TestLineEnds(t *testing.T) {
	for name, run := range map[string]func(l *line, to *slow, end func()){
		"gone": func(l *line, to *slow, end func()) {
			to.err = errors.New("gone")
			close(to.let)
			l.begin(to.stream(), end, [][]byte{[]byte("a")})
		},
		"reads nothing": func(l *line, to *slow, end func()) {
			l.begin(to.stream(), end, [][]byte{[]byte("a")})
			for range 3 {
				l.put([]byte(strings.Repeat("x", lineMost/2)))
			}
			close(to.let)
		},
		"over": func(l *line, to *slow, end func()) {
			close(to.let)
			l.close()
			l.begin(to.stream(), end, [][]byte{[]byte("a")})
		},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, end := context.WithTimeout(t.Context(), 20*time.Second)
			defer end()
			l, ended := &line{}, make(chan struct{})
			var once sync.Once
			run(l, &slow{let: make(chan struct{})}, func() { once.Do(func() { close(ended) }) })
			select {
			case <-ended:
			case <-ctx.Done():
				t.Error("it goes on")
			}
			l.writing.Wait()
			if l.waits != nil || l.busy {
				t.Errorf("%d wait", len(l.waits))
			}
		})
	}
}
