package api

import (
	"encoding/json"
	"net/http"
	"sync"
)

// line is one line of an answer that comes as it happens. The last one has a
// Result or an Error; an answer that ends without it was cut off.
type line struct {
	Item   json.RawMessage `json:"item,omitempty"`
	Result json.RawMessage `json:"result,omitempty"`
	Error  *wireError      `json:"error,omitempty"`
}

// lines writes them. The head of the answer waits for the first, so that an
// error at the start has its own status.
type lines struct {
	s *Server
	w http.ResponseWriter
	r *http.Request

	mu      sync.Mutex
	started bool
}

func newLines(s *Server, w http.ResponseWriter, r *http.Request) *lines {
	return &lines{s: s, w: w, r: r}
}

func (l *lines) send(v line) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.started {
		l.started = true
		l.w.Header().Set("Content-Type", typeLines)
	}
	if _, err := l.w.Write(append(b, '\n')); err != nil {
		return err
	}
	return http.NewResponseController(l.w).Flush()
}

func (l *lines) item(v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return l.send(line{Item: b})
}

func (l *lines) result(v any) {
	b, err := json.Marshal(v)
	if err != nil {
		_ = l.fail(err)
		return
	}
	_ = l.send(line{Result: b}) // an error means that nobody reads
}

// fail ends the lines with an error, or returns it when there are none yet.
func (l *lines) fail(err error) error {
	l.mu.Lock()
	started := l.started
	l.mu.Unlock()
	if !started {
		return err
	}
	_ = l.send(line{Error: toWire(l.s.said(l.r, err))}) // an error means that nobody reads
	return nil
}
