package web

import (
	"context"
	"crypto/sha256"
	"maps"
	"net/http"
	"sync"
	"time"

	"github.com/masu-lab/masu/internal/proxy"
)

// live knows what hangs on each session. It grows with the sessions that were
// used since the daemon started, by some bytes each.
type live struct {
	mu    sync.Mutex
	lives map[string]life // by the session's hash
}

// life is how long a session lasts.
type life struct {
	done  <-chan struct{}
	onEnd func(f func()) (stop func() bool)
	end   context.CancelFunc
}

// of gives the life of a session.
func (l *live) of(hash string) life {
	l.mu.Lock()
	defer l.mu.Unlock()
	if known, ok := l.lives[hash]; ok {
		return known
	}
	ctx, end := context.WithCancel(context.Background())
	born := life{ctx.Done(), func(f func()) func() bool { return context.AfterFunc(ctx, f) }, end}
	l.lives[hash] = born
	return born
}

func (l *live) end(hash string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if known, ok := l.lives[hash]; ok {
		known.end()
		delete(l.lives, hash)
	}
}

// streamLife bounds a stream: the browser comes again by itself, and is asked again who it is.
const streamLife = 30 * time.Minute

// whileSignedIn gives a context that ends with the session, the request, or a stream's life.
func (s *Server) whileSignedIn(r *http.Request, v *visit) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(r.Context(), streamLife)
	forget := s.live.of(v.session.Hash).onEnd(cancel)
	return ctx, func() { forget(); cancel() }
}

// seen remembers for a moment who was let through to which app. A page of
// Jupyter asks for a hundred files at once; the store need not answer the same
// question a hundred times. Nothing is remembered longer than its session
// lasts, and a refusal is not remembered at all.
type seen struct {
	mu     sync.Mutex
	sights map[string]sight
}

type sight struct {
	target proxy.Target
	ended  <-chan struct{}
	until  time.Time
}

const (
	sightFor  = time.Second
	sightMost = 4096
)

// key names a browser at an app; the cookie's secret is not kept.
func (s *seen) key(cookie string, at place) string {
	sum := sha256.Sum256([]byte(cookie))
	return string(sum[:]) + at.String()
}

func (s *seen) get(key string) (proxy.Target, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	g, ok := s.sights[key]
	if !ok || time.Now().After(g.until) {
		return proxy.Target{}, false
	}
	select {
	case <-g.ended:
		return proxy.Target{}, false
	default:
		return g.target, true
	}
}

func (s *seen) put(key string, t proxy.Target, ended <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	if len(s.sights) >= sightMost {
		maps.DeleteFunc(s.sights, func(_ string, g sight) bool { return now.After(g.until) })
	}
	s.sights[key] = sight{t, ended, now.Add(sightFor)}
}
