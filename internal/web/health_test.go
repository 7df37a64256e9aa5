package web

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

// TestHealth: a kubelet asks by an address that no page has and without a
// session; an app's own /healthz stays the app's.
func TestHealth(t *testing.T) {
	g := newRig(t)
	g.server.cfg.Health = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusTeapot) })
	for _, c := range []struct {
		host, path string
		ours       bool
	}{
		{"10.201.1.7:443", "/healthz", true},
		{"10.201.1.7:443", "/readyz", true},
		{"localhost:" + g.port, "/readyz", true},
		{"10.201.1.7:443", "/", false},
		{"localhost:" + g.port, "/healthz/x", false},
		{"alice--thesis.localhost:" + g.port, "/healthz", false},
		{"code--alice--thesis.localhost:" + g.port, "/healthz", false},
	} {
		r := httptest.NewRequest(http.MethodGet, "http://"+c.host+c.path, nil)
		w := httptest.NewRecorder()
		g.server.Handler().ServeHTTP(w, r)
		if (w.Code == http.StatusTeapot) != c.ours {
			t.Errorf("%s%s: %d", c.host, c.path, w.Code)
		}
	}
}
