package metrics

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/masu-lab/masu/internal/masutest"
)

func parsed(t *testing.T, write func(*Text)) masutest.Metrics {
	t.Helper()
	var text Text
	write(&text)
	m, err := masutest.ParseMetrics(text.String())
	if err != nil {
		t.Fatalf("%v in\n%s", err, text.String())
	}
	return m
}

// TestSet: what is counted is told, and what nobody has counted yet is told as nothing.
func TestSet(t *testing.T) {
	s := New()
	none := parsed(t, s.Write)
	for _, series := range []string{`masu_gpu_reclaims_total{reason="idle"}`, `masu_signin_failures_total{way="password"}`, `masu_start_duration_seconds_count{outcome="failed",image="built"}`, `masu_build_duration_seconds_sum{outcome="ok"}`} {
		if v, there := none.Values[series]; !there || v != 0 {
			t.Errorf("%s is %v, %v, before anything happened", series, v, there)
		}
	}
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			s.Reclaims.Add("idle")
			s.Starts.Observe(700*time.Millisecond, OK, ImageReady)
			s.Waits.Observe(2 * time.Minute)
			s.Requests.Observe(time.Hour, App, "2xx")
			var text Text
			s.Write(&text)
		})
	}
	wg.Wait()
	s.Starts.Observe(500*time.Millisecond, OK, ImageReady) // a bound is part of what is below it
	m := parsed(t, s.Write)
	for series, want := range map[string]float64{
		`masu_gpu_reclaims_total{reason="idle"}`:                                        50,
		`masu_gpu_reclaims_total{reason="time"}`:                                        0,
		`masu_start_duration_seconds_bucket{outcome="ok",image="ready",le="0.5"}`:       1,
		`masu_start_duration_seconds_bucket{outcome="ok",image="ready",le="1"}`:         51,
		`masu_start_duration_seconds_bucket{outcome="ok",image="ready",le="+Inf"}`:      51,
		`masu_gpu_wait_seconds_count`:                                                   50,
		`masu_gpu_wait_seconds_sum`:                                                     6000,
		`masu_gpu_wait_seconds_bucket{le="60"}`:                                         0,
		`masu_http_request_duration_seconds_bucket{class="app",code="2xx",le="10"}`:     0,
		`masu_http_request_duration_seconds_count{class="app",code="2xx"}`:              50,
		`masu_start_duration_seconds_bucket{outcome="stopped",image="built",le="0.25"}`: 0,
	} {
		if got, there := m.Values[series]; !there || got != want {
			t.Errorf("%s is %v, %v, want %v", series, got, there, want)
		}
	}
	if !m.Told("masu_gpu_wait_seconds_bucket") || m.Told("masu_gpu_wait_seconds") || m.Told("masu_nothing_total") || !m.Told("masu_gpu_reclaims_total") {
		t.Error("what a query may ask for")
	}
}

// FuzzLabels: whatever something is called, it is one series.
func FuzzLabels(f *testing.F) {
	f.Add("NVIDIA A100", `a "b" \c`)
	f.Add("\n# TYPE x gauge\n", "\xff{}")
	f.Add("", `\`)
	f.Fuzz(func(t *testing.T, a, b string) {
		var text Text
		text.Family("x", "gauge", "An x.", Sample{Labels("a", a, "b", b), 1})
		m, err := masutest.ParseMetrics(text.String())
		if err != nil || len(m.Values) != 1 || strings.Count(text.String(), "\n") != 3 {
			t.Errorf("%q, %q: %v in %q", a, b, err, text.String())
		}
	})
}

// TestParse: the reader of the tests is strict.
func TestParse(t *testing.T) {
	const head = "# HELP h Some.\n# TYPE h histogram\n"
	for _, bad := range []string{
		"x 1", "# TYPE x gauge\nx 1", "# HELP x X.\n# TYPE x gauge\ny 1", "# HELP x X.\n# TYPE x gauge\nx 1\nx 1", "# HELP x X.\n# TYPE x gauge\nx{a=\"b} 1", "# HELP x X.\n# TYPE x gauge\nx{a=\"\\t\"} 1",
		"# HELP x X.\n# TYPE x counter\nx 1", "# HELP x X.\n# TYPE x gauge\nx one", "# HELP x X.\n# TYPE x summary\nx 1", "# HELP x X.\n# TYPE x gauge\nx_count 1", "# HELP x X.\n# TYPE x gauge\nx 1\n# HELP x X.\n# TYPE x gauge\n",
		head + "h 1", head + "h_bucket 1\nh_count 1", head + "h_bucket{le=\"1\"} 3\nh_bucket{le=\"+Inf\"} 2\nh_count 2", head + "h_bucket{le=\"+Inf\"} 2\nh_count 3", head + "h_sum{le=\"1\"} 2",
	} {
		if _, err := masutest.ParseMetrics(bad); err == nil {
			t.Errorf("%q passes", bad)
		}
	}
}
