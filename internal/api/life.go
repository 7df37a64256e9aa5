package api

import (
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/masu-lab/masu"
)

// lives ends what is under way when the way in that it came by has ended: a
// member is shut out, a token is deleted. What begins is asked by the gate.
type lives struct {
	mu    sync.Mutex
	turn  int // counts endings
	going map[*request]bool
}

// request is one under way.
type request struct {
	member masu.Username
	token  string // its ID; "" on the socket
	end    context.CancelFunc
}

// turnNow is what admit compares with.
func (l *lives) turnNow() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.turn
}

// admit takes a request up, unless something has ended since turn: then the gate must be asked again.
func (l *lives) admit(q *request, turn int) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.turn != turn {
		return false
	}
	l.going[q] = true
	return true
}

func (l *lives) done(q *request) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.going, q)
}

func (l *lives) ended(e masu.Ending) {
	if e.Member == "" && e.Token == "" {
		return // a browser's, which the pages see to
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.turn++
	for q := range l.going {
		if e.Member != "" && q.member == e.Member || e.Token != "" && q.token == e.Token {
			q.end()
		}
	}
}

// whileAdmitted asks who brings a request, and gives a request that ends with their way in. done must be called.
func (s *Server) whileAdmitted(r *http.Request) (a masu.Actor, bound *http.Request, done func(), err error) {
	for {
		turn := s.lives.turnNow()
		a, k, err := s.actor(r)
		if err != nil {
			return a, r, func() {}, err
		}
		ctx, cancel := until(r.Context(), k.Expires)
		q := &request{a.Name, k.ID, cancel}
		if s.lives.admit(q, turn) {
			return a, r.WithContext(ctx), func() { s.lives.done(q); cancel() }, nil
		}
		cancel()
	}
}

func until(ctx context.Context, end time.Time) (context.Context, context.CancelFunc) {
	if end.IsZero() {
		return context.WithCancel(ctx)
	}
	return context.WithDeadline(ctx, end)
}

// watchEndings asks the gate until ctx ends.
func (s *Server) watchEndings(ctx context.Context) {
	for e := range s.Gate.Ended(ctx) {
		s.lives.ended(e)
	}
}
