package main

import (
	"context"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/masu-lab/masu"
)

const (
	healthFresh = 5 * time.Second // how long an answer is believed: whoever asks often makes no more work
	healthTime  = 4 * time.Second // what the store and the runtime have to answer
)

// health answers those who watch over the daemon, at /healthz and /readyz. They
// need no sign-in and learn nothing but a word.
type health struct {
	ready func(context.Context) error // nil while another masu serves the lab
	now   func() time.Time

	mu    sync.Mutex
	asked time.Time
	last  error
}

func newHealth(ready func(context.Context) error) *health {
	return &health{ready: ready, now: time.Now}
}

func (h *health) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Cache-Control", "no-store")
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.WriteHeader(http.StatusMethodNotAllowed)
		return
	}
	word := "ok"
	if r.URL.Path == "/readyz" {
		if word = h.word(); word != "ok" {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}
	_, _ = io.WriteString(w, word+"\n") // it may have gone already
}

// word is "ok", or what kind of trouble keeps the daemon from serving.
func (h *health) word() string {
	if h.ready == nil {
		return "standby"
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if now := h.now(); h.asked.IsZero() || now.Sub(h.asked) >= healthFresh {
		// Not the request's context: who hangs up would leave an answer for the others.
		ctx, cancel := context.WithTimeout(context.Background(), healthTime)
		defer cancel()
		h.last, h.asked = h.ready(ctx), now
	}
	if h.last == nil {
		return "ok"
	}
	return masu.KindOf(h.last).String()
}

// ready tells whether the daemon can serve: its store reads, and its runtime answers.
func ready(store masu.Store, runtime masu.Runtime) func(context.Context) error {
	return func(ctx context.Context) error {
		if err := store.View(ctx, func(tx masu.Tx) error {
			_, err := tx.Lab()
			return err
		}); err != nil {
			return err
		}
		_, err := runtime.Info(ctx)
		return err
	}
}
