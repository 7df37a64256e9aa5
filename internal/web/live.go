package web

import (
	"context"
	"crypto/sha256"
	"maps"
	"sync"
	"time"

	"github.com/masu-lab/masu"
	"github.com/masu-lab/masu/internal/proxy"
)

// live knows what is open, and by which session of whom. Its lives grow with
// the sessions that were used since the daemon started, by some bytes each.
type live struct {
	mu    sync.Mutex
	lives map[string]life // by the session's hash
	open  map[*hold]bool
}

// life is how long a session lasts and its member may do what they might.
type life struct {
	member masu.Username
	done   <-chan struct{}
	onEnd  func(f func()) (stop func() bool)
	end    context.CancelFunc
}

// hold is something open: who opened it, and by which secret, so that the gate can be asked again.
type hold struct {
	user   masu.User
	secret string
	end    func()
}

func newLive() live { return live{lives: map[string]life{}, open: map[*hold]bool{}} }

// of gives the life of a member's session.
func (l *live) of(hash string, member masu.Username) life {
	l.mu.Lock()
	defer l.mu.Unlock()
	if known, ok := l.lives[hash]; ok {
		return known
	}
	ctx, end := context.WithCancel(context.Background())
	born := life{member, ctx.Done(), func(f func()) func() bool { return context.AfterFunc(ctx, f) }, end}
	l.lives[hash] = born
	return born
}

// hold has what is open ended when the gate says less of who opened it, until stop is called.
func (l *live) hold(u masu.User, secret string, end func()) (stop func()) {
	h := &hold{u, secret, end}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open[h] = true
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.open, h)
	}
}

func (l *live) end(hash string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if known, ok := l.lives[hash]; ok {
		known.end()
		delete(l.lives, hash)
	}
}

// endOf ends all that a member has open, by whichever session. The sessions
// themselves may last: what the browser opens next is asked about anew.
func (l *live) endOf(member masu.Username) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for hash, known := range l.lives {
		if known.member == member {
			known.end()
			delete(l.lives, hash)
		}
	}
}

// ended heeds what the gate says has ended.
func (l *live) ended(e masu.Ending) {
	if e.Session != "" {
		l.end(e.Session)
	}
	if e.Member != "" {
		l.endOf(e.Member)
	}
}

const (
	askEvery = 10 * time.Second
	askTime  = 5 * time.Second
)

// watchOpen asks again and again about everything that is open, until ctx
// ends: nobody tells when a group of the host loses somebody.
func (s *Server) watchOpen(ctx context.Context) {
	tick := time.NewTicker(askEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			s.askAgain(ctx)
		case <-ctx.Done():
			return
		}
	}
}

// askAgain asks the gate once about every session by which something is open,
// and ends what was opened by one who is gone or may do less now.
func (s *Server) askAgain(ctx context.Context) {
	s.live.mu.Lock()
	open := map[string][]*hold{}
	for h := range s.live.open {
		open[h.secret] = append(open[h.secret], h)
	}
	s.live.mu.Unlock()
	for secret, holds := range open {
		asking, cancel := context.WithTimeout(ctx, askTime)
		u, _, err := s.cfg.Gate.BySession(asking, secret)
		unheard := asking.Err() != nil // that is no answer
		cancel()
		if unheard {
			continue
		}
		for _, h := range holds {
			if err != nil || less(u, h.user) {
				s.cfg.Log.Info("web: not welcome any more", "user", h.user.Name, "error", err)
				h.end()
			}
		}
	}
}

// less tells whether somebody is less than they were, or another.
func less(now, was masu.User) bool {
	return now.Name != was.Name || now.UID != was.UID || was.Admin && !now.Admin || now.Role.Below(was.Role)
}

// streamLife bounds a stream: the browser comes again by itself, and is asked again who it is.
const streamLife = 30 * time.Minute

// whileSignedIn gives a context that ends with the session, its parent, or a stream's life.
func (s *Server) whileSignedIn(parent context.Context, v *visit) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(parent, streamLife)
	forget := s.live.of(v.session.Hash, v.actor.Name).onEnd(cancel)
	release := s.live.hold(v.actor.User, v.secret, cancel)
	return ctx, func() { forget(); release(); cancel() }
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
	ended  []<-chan struct{} // any of them
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
	for _, ended := range g.ended {
		select {
		case <-ended:
			return proxy.Target{}, false
		default:
		}
	}
	return g.target, true
}

func (s *seen) put(key string, t proxy.Target, ended []<-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	if len(s.sights) >= sightMost {
		maps.DeleteFunc(s.sights, func(_ string, g sight) bool { return now.After(g.until) })
	}
	s.sights[key] = sight{t, ended, now.Add(sightFor)}
}
