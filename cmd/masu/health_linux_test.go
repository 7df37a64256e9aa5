package main

import (
	"context"
	"errors"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/masu-lab/masu"
	"github.com/masu-lab/masu/internal/masutest"
)

// TestHealth: what those who watch over the daemon are told, and how often the daemon itself is asked for it.
func TestHealth(t *testing.T) {
	for _, c := range []struct {
		name, method, path string
		ready              func(context.Context) error
		code               int
		body               string
	}{
		{"it runs", "GET", "/healthz", func(context.Context) error { return errors.New("x") }, 200, "ok\n"},
		{"it waits", "GET", "/healthz", nil, 200, "ok\n"},
		{"ready", "GET", "/readyz", func(context.Context) error { return nil }, 200, "ok\n"},
		{"another one serves", "GET", "/readyz", nil, 503, "standby\n"},
		{"no cluster", "HEAD", "/readyz", func(context.Context) error {
			return masu.E(masu.Unreachable, "cluster_unreachable", "https://10.0.0.1:6443")
		}, 503, "unreachable\n"},
		{"our fault", "GET", "/readyz", func(context.Context) error { return errors.New("/var/lib/masu/masu.db: secret") }, 503, "internal\n"},
		{"a question only", "POST", "/readyz", nil, 405, ""},
	} {
		w := httptest.NewRecorder()
		newHealth(c.ready).ServeHTTP(w, httptest.NewRequest(c.method, c.path, nil))
		if w.Code != c.code || w.Body.String() != c.body || w.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %d %q", c.name, w.Code, w.Body.String())
		}
	}
	asked, now := 0, time.Unix(1, 0)
	h := newHealth(func(context.Context) error { asked++; return errors.New("x") })
	h.now = func() time.Time { return now }
	for range 100 {
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/readyz", nil))
	}
	now = now.Add(healthFresh)
	h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/readyz", nil))
	if asked != 2 {
		t.Errorf("asked %d times", asked)
	}
}

// TestReady asks a store and a runtime.
func TestReady(t *testing.T) {
	store, runtime := masutest.NewStore(), masutest.NewRuntime()
	if err := ready(store, runtime)(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := ready(store, runtime)(ended); err == nil {
		t.Error("ready without a store")
	}
}
