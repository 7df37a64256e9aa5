package lab

import (
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/masu-lab/masu"
	"github.com/masu-lab/masu/internal/masutest"
	"github.com/masu-lab/masu/internal/metrics"
)

func counts(t *testing.T, l *Lab) masutest.Metrics {
	t.Helper()
	var text metrics.Text
	l.cfg.Metrics.Write(&text)
	m, err := masutest.ParseMetrics(text.String())
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// TestCounted: a day of a lab, as who watches over it sees it.
func TestCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWeek(t, 1, func(p *Policy) { p.GPUs.IdleFor = time.Hour })
		w.plug(func() { w.busy() })
		l, stop := w.daemon()
		defer func() { w.over(stop) }()
		w.wants("alice", 1)
		w.is("alice", "running", runsWithGPUs(1))
		w.wants("bob", 1)
		w.is("bob", "waiting", in(masu.Waiting))
		w.wants("carol", 1)
		w.is("carol", "waiting", in(masu.Waiting))
		if _, err := w.as("carol").Stop(t.Context(), "work"); err != nil { // who waits no longer has waited in vain
			t.Fatal(err)
		}
		w.wants("dave", 7)
		w.is("dave", "refused", in(masu.Failed))
		time.Sleep(90 * time.Minute)
		w.is("bob", "running", runsWithGPUs(1))
		for range 2 {
			if _, err := l.ByPassword(t.Context(), "alice", "wrong", netip.MustParseAddr("192.0.2.1")); err == nil {
				t.Fatal("a wrong password opens")
			}
		}
		if _, _, err := l.ByLink(t.Context(), "x"); err == nil {
			t.Fatal("a wrong link opens")
		}
		if _, _, err := l.ByToken(t.Context(), "x"); err == nil {
			t.Fatal("a wrong token opens")
		}
		m := counts(t, l)
		for series, want := range map[string]float64{
			`masu_start_duration_seconds_count{outcome="failed",image="ready"}`: 1,
			`masu_gpu_wait_seconds_count`:                                       2,
			`masu_gpu_wait_seconds_bucket{le="1"}`:                              1,
			`masu_gpu_wait_seconds_bucket{le="3600"}`:                           1, // an hour, and the grace
			`masu_gpu_wait_seconds_bucket{le="7200"}`:                           2,
			`masu_gpu_reclaims_total{reason="idle"}`:                            1,
			`masu_gpu_reclaims_total{reason="time"}`:                            0,
			`masu_signin_failures_total{way="password"}`:                        2,
			`masu_signin_failures_total{way="link"}`:                            1,
			`masu_signin_failures_total{way="token"}`:                           1,
		} {
			if got := m.Values[series]; got != want {
				t.Errorf("%s is %v, want %v", series, got, want)
			}
		}
		sum := func(name, outcome string) float64 {
			return m.Values[name+`{outcome="`+outcome+`",image="ready"}`] + m.Values[name+`{outcome="`+outcome+`",image="built"}`]
		}
		const name = "masu_start_duration_seconds"
		if ok, stopped, took := sum(name+"_count", "ok"), sum(name+"_count", "stopped"), sum(name+"_sum", "ok"); ok != 2 || stopped < 1 || took > 60 { // a look at everything may take the one that was stopped up once more, before its owner has it
			t.Errorf("%v starts went well, in %v s in all; %v were stopped", ok, took, stopped)
		}
		if built := m.Values[`masu_build_duration_seconds_count{outcome="ok"}`]; built == 0 {
			t.Error("nobody built anything")
		}
	})
}
