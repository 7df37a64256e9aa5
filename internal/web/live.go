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
	mu   sync.Mutex
	ends map[string]chan struct{} // by the session's hash
}

// done gives a channel that is closed when the session ends.
func (l *live) done(hash string) <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	c, ok := l.ends[hash]
	if !ok {
		c = make(chan struct{})
		l.ends[hash] = c
	}
	return c
}

func (l *live) end(hash string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if c, ok := l.ends[hash]; ok {
		close(c)
		delete(l.ends, hash)
	}
}

// streamLife bounds a stream: the browser comes again by itself, and is asked again who it is.
const streamLife = 30 * time.Minute

// whileSignedIn gives a context that ends with the session, the request, or a stream's life.
func (s *Server) whileSignedIn(r *http.Request, v *visit) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(r.Context(), streamLife)
	done := s.live.done(v.session.Hash)
	go func() {
		select {
		case <-done:
			cancel()
		case <-ctx.Done():
		}
	}()
	return ctx, cancel
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
	case <-g.target.Done:
		return proxy.Target{}, false
	default:
		return g.target, true
	}
}

func (s *seen) put(key string, t proxy.Target) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	if len(s.sights) >= sightMost {
		maps.DeleteFunc(s.sights, func(_ string, g sight) bool { return now.After(g.until) })
	}
	s.sights[key] = sight{t, now.Add(sightFor)}
}
