package kube

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/masu-lab/masu"
)

// What a pod uses only its node knows, and to ask nodes would take rights over
// all that run there. So its own agent is asked, over the connection that stands anyway.

const (
	mostGauge   = 64 << 10
	cardsEvery  = 10 * time.Second
	cardsStale  = 25 * time.Second // what is older is not known
	cardsWithin = 8 * time.Second
	cardsAtOnce = 32
)

// gauges are what boxes have told of themselves.
type gauges struct {
	client http.Client

	mu    sync.Mutex
	used  map[masu.WorkspaceID]usedAt
	lent  map[masu.WorkspaceID][]masu.GPUID // running boxes with GPUs, as they were last seen
	cards map[masu.GPUID]masu.Reading
}

// usedAt is the processor time that a box, begun anew by each start, had used at a moment.
type usedAt struct {
	cpu time.Duration
	at  time.Time
}

func newGauges(dial func(ctx context.Context, id masu.WorkspaceID, port int) (net.Conn, error)) *gauges {
	g := &gauges{used: map[masu.WorkspaceID]usedAt{}, lent: map[masu.WorkspaceID][]masu.GPUID{}, cards: map[masu.GPUID]masu.Reading{}}
	g.client.Transport = &http.Transport{DisableKeepAlives: true, // the stream would outlive the box's pod
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return dial(ctx, ctx.Value(gaugeOf{}).(masu.WorkspaceID), masu.AgentPort)
		}}
	return g
}

type gaugeOf struct{} // key of the box's ID: the agent must not hear a name

// gauge asks a box's agent. One that is older than gauges does not know them.
func (g *gauges) gauge(ctx context.Context, id masu.WorkspaceID, what string, answer any) error {
	q, err := http.NewRequestWithContext(context.WithValue(ctx, gaugeOf{}, id), http.MethodGet, "http://box/v1/gauge/"+what, nil)
	if err != nil {
		return err
	}
	res, err := g.client.Do(q)
	if err != nil {
		return fmt.Errorf("kube: gauge: %w", err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("kube: gauge of %s: %s", id, res.Status)
	}
	return json.NewDecoder(io.LimitReader(res.Body, mostGauge)).Decode(answer)
}

var (
	_ masu.Measurer = (*Runtime)(nil)
	_ masu.Meter    = (*Runtime)(nil)
)

// Measure tells what a running box uses: its CPU as the mean since the last Measure, 0 the first time.
func (r *Runtime) Measure(ctx context.Context, id masu.WorkspaceID) (masu.Load, error) {
	ctx, cancel := context.WithTimeout(ctx, quick)
	defer cancel()
	var now masu.Gauge
	if err := r.gauges.gauge(ctx, id, "use", &now); err != nil {
		return masu.Load{}, err
	}
	return masu.Load{CPU: r.gauges.cores(id, now.CPU, time.Now()), Memory: now.Memory, MemoryLimit: now.MemoryLimit, PIDs: now.PIDs}, nil
}

func (g *gauges) cores(id masu.WorkspaceID, cpu time.Duration, at time.Time) float64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	last, seen := g.used[id]
	g.used[id] = usedAt{cpu, at}
	wall := at.Sub(last.at)
	if !seen || wall <= 0 || cpu < last.cpu {
		return 0
	}
	return float64(cpu-last.cpu) / float64(wall)
}

// Used tells what a running box has used.
func (r *Runtime) Used(ctx context.Context, id masu.WorkspaceID) (masu.Use, error) {
	ctx, cancel := context.WithTimeout(ctx, quick)
	defer cancel()
	var now masu.Gauge
	err := r.gauges.gauge(ctx, id, "use", &now)
	return now.Use, err
}

// Disk tells what the home of a running box holds. What it has written beside
// it is its node's, and goes with the pod.
func (r *Runtime) Disk(ctx context.Context, id masu.WorkspaceID) (used, most masu.Bytes, err error) {
	ctx, cancel := context.WithTimeout(ctx, slow)
	defer cancel()
	err = r.gauges.gauge(ctx, id, "disk", &used)
	return used, 0, err
}

// saw notes which GPUs a box has; whoever is asked for readings asks those.
func (g *gauges) saw(boxes []masu.BoxStatus) {
	g.mu.Lock()
	defer g.mu.Unlock()
	clear(g.lent)
	running := map[masu.WorkspaceID]bool{}
	for _, s := range boxes {
		if running[s.ID] = s.State == masu.BoxRunning; running[s.ID] && len(s.GPUs) > 0 {
			g.lent[s.ID] = s.GPUs
		}
	}
	for id := range g.used {
		if !running[id] {
			delete(g.used, id)
		}
	}
}

// Run asks the boxes that have GPUs how those do, until ctx ends.
func (r *Runtime) Run(ctx context.Context) error {
	tick := time.NewTicker(cardsEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			r.gauges.readCards(ctx)
		}
	}
}

func (g *gauges) readCards(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, cardsWithin)
	defer cancel()
	g.mu.Lock()
	lent := maps.Clone(g.lent)
	g.mu.Unlock()
	var all errgroup.Group
	all.SetLimit(cardsAtOnce)
	for id, gpus := range lent {
		all.Go(func() error {
			var cards []masu.Reading
			if err := g.gauge(ctx, id, "cards", &cards); err == nil && len(cards) == len(gpus) { // else it sees others' cards, or not all of its own
				g.tell(gpus, cards)
			}
			return nil
		})
	}
	_ = all.Wait() // none of them fails
}

// tell keeps readings under the places that were lent: which card is which does not matter to who holds all of them.
func (g *gauges) tell(gpus []masu.GPUID, cards []masu.Reading) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for i, c := range cards {
		c.GPU, c.At, c.Processes = gpus[i], time.Now(), nil
		g.cards[c.GPU] = c
	}
}

// Readings gives what the boxes that have GPUs have told of them lately.
func (r *Runtime) Readings(context.Context) ([]masu.Reading, error) {
	g := r.gauges
	g.mu.Lock()
	defer g.mu.Unlock()
	var list []masu.Reading
	for id, c := range g.cards {
		if time.Since(c.At) > cardsStale {
			delete(g.cards, id)
			continue
		}
		list = append(list, c)
	}
	return list, nil
}
