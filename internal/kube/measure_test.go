package kube

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/masu-lab/masu"
)

// TestReadings: what a box tells of its cards is kept under the places that it
// was lent, for a while; one that tells of more or fewer cards is not believed.
func TestReadings(t *testing.T) {
	cards := `[{"gpu":"x","busy":0.5,"memory":1048576},{"busy":-1,"memory":-1,"processes":[{"pid":1}]}]`
	agent := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/v1/gauge/cards" || r.Host != "box" {
			http.NotFound(w, r)
			return
		}
		_, _ = w.Write([]byte(cards))
	}))
	defer agent.Close()
	rt := testRuntime()
	rt.gauges = newGauges(func(ctx context.Context, id masu.WorkspaceID, port int) (net.Conn, error) {
		if id != "two" && id != "three" || port != masu.AgentPort {
			return nil, masu.E(masu.NotFound, "no_box", id)
		}
		return new(net.Dialer).DialContext(ctx, "tcp", agent.Listener.Addr().String())
	})
	rt.gauges.saw([]masu.BoxStatus{
		{ID: "two", State: masu.BoxRunning, GPUs: []masu.GPUID{"n1/nvidia.com/gpu/0", "n1/nvidia.com/gpu/1"}},
		{ID: "three", State: masu.BoxRunning, GPUs: []masu.GPUID{"n2/nvidia.com/gpu/0", "n2/nvidia.com/gpu/1", "n2/nvidia.com/gpu/2"}},
		{ID: "gone", State: masu.BoxRunning, GPUs: []masu.GPUID{"n3/nvidia.com/gpu/0"}},
	})
	rt.gauges.readCards(t.Context())
	got, err := rt.Readings(t.Context())
	by := map[masu.GPUID]masu.Reading{}
	for _, r := range got {
		by[r.GPU] = r
	}
	if first, second := by["n1/nvidia.com/gpu/0"], by["n1/nvidia.com/gpu/1"]; err != nil || len(by) != 2 || first.Busy != 0.5 || first.Memory != masu.MiB || second.Busy != -1 || second.Processes != nil || time.Since(first.At) > time.Minute {
		t.Errorf("%+v, %v", got, err)
	}
	old := by["n1/nvidia.com/gpu/0"]
	old.At = time.Now().Add(-2 * cardsStale)
	rt.gauges.cards[old.GPU] = old
	if got, _ := rt.Readings(t.Context()); len(got) != 1 || got[0].GPU == old.GPU {
		t.Errorf("what is old is still known: %+v", got)
	}
}

// TestCores: the load is the mean between two looks; a box that was begun anew has not gone back in time.
func TestCores(t *testing.T) {
	g := newGauges(nil)
	begun := time.Now()
	for i, c := range []struct {
		cpu  time.Duration
		at   time.Duration
		want float64
	}{{time.Second, 0, 0}, {3 * time.Second, time.Second, 2}, {0, 2 * time.Second, 0}, {time.Second, 4 * time.Second, 0.5}} {
		if got := g.cores("a", c.cpu, begun.Add(c.at)); got != c.want {
			t.Errorf("look %d: %v cores, want %v", i, got, c.want)
		}
	}
	g.saw(nil)
	if len(g.used) > 0 {
		t.Error("a box that has gone is remembered")
	}
}

// TestGauges: a pod tells what it uses and how its card does, without any right over its node.
func TestGauges(t *testing.T) {
	rt := open(t, testConfig(t))
	b := small(t, rt, "n1/nvidia.com/gpu/0")
	begin(t, rt, b)
	await(t, rt, b.ID)
	says(t, rt, b.ID, "nohup sh -c 'while :; do :; done' >/dev/null 2>&1 &")
	until(t, "a busy box has a load", func() bool {
		l, err := rt.Measure(t.Context(), b.ID)
		return err == nil && l.CPU > 0.1 && l.MemoryLimit == b.Limits.Memory
	})
	readings := filepath.Join(os.Getenv("MASU_TEST_KUBE"), "n1", "smi", "readings")
	before, err := os.ReadFile(readings)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.WriteFile(readings, before, 0o644) })
	if err := os.WriteFile(readings, []byte("75, 1024, 60, 200\n"), 0o644); err != nil {
		t.Skip("only root changes what the made-up cards say: ", err)
	}
	if _, err := rt.Boxes(t.Context()); err != nil {
		t.Fatal(err)
	}
	until(t, "the card's reading is there", func() bool {
		rt.gauges.readCards(t.Context())
		list, err := rt.Readings(t.Context())
		return err == nil && len(list) == 1 && list[0].GPU == b.GPUs[0] && list[0].Busy == 0.75 && list[0].Memory == masu.GiB
	})
	if err := rt.Stop(t.Context(), b.ID, time.Second); err != nil {
		t.Fatal(err)
	}
	if _, err := rt.Measure(t.Context(), b.ID); err == nil || strings.Contains(err.Error(), "500") {
		t.Errorf("a box that has ended is measured: %v", err)
	}
}
