package web

import (
	"net/http"
	"testing"

	"github.com/masu-lab/masu/internal/masutest"
	"github.com/masu-lab/masu/internal/metrics"
)

// TestRequestsAreCounted by what they are for and how they ended, and a stream apart from them; never by who or where.
func TestRequestsAreCounted(t *testing.T) {
	g := newRig(t)
	g.server.cfg.API = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/api/v1/changes" {
			w.Header().Set("Content-Type", "application/jsonl")
		}
		_, _ = w.Write([]byte("{}"))
	})
	g.lab.set(running("alice", "thesis"))
	alice := g.browser()
	alice.signIn("alice")
	before := counts(t, g)
	for range 3 {
		alice.get("/")
	}
	alice.get("/w/nothing")
	alice.get("/w/" + "%00")
	alice.get("/api/v1/workspaces")
	alice.get("/api/v1/changes")
	after := counts(t, g)
	for labels, want := range map[string]float64{`class="page",code="2xx"`: 3, `class="page",code="4xx"`: 2, `class="api",code="2xx"`: 1, `class="stream",code="2xx"`: 1} {
		name := "masu_http_request_duration_seconds_count{" + labels + "}"
		if got := after.Values[name] - before.Values[name]; got != want {
			t.Errorf("%s: %v more, want %v", labels, got, want)
		}
	}
}

func counts(t *testing.T, g *rig) masutest.Metrics {
	t.Helper()
	var text metrics.Text
	g.server.cfg.Metrics.Write(&text)
	m, err := masutest.ParseMetrics(text.String())
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestStatusClass(t *testing.T) {
	for status, want := range map[int]string{200: "2xx", 101: "1xx", 599: "5xx", 600: "other", 0: "other", 99: "other"} {
		if got := statusClass(status); got != want {
			t.Errorf("%d is %s", status, got)
		}
	}
}
