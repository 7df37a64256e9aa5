package metrics

import (
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

// Counter counts events, apart for each set of label values. Those are few, and never come from members.
type Counter struct {
	name, help string
	labels     []string

	mu   sync.Mutex
	sums map[string]float64
}

// Histogram counts how long things take, apart for each set of label values.
type Histogram struct {
	name, help string
	labels     []string
	bounds     []float64 // seconds

	mu     sync.Mutex
	series map[string]*series
}

type series struct {
	counts []uint64 // up to each bound, and above all
	sum    float64
}

const between = "\x00" // of label values in a key

// newCounter makes one whose series for these values are there from the
// beginning: nobody sees the first event of a series that begins with it.
func newCounter(name, help, label string, values ...string) *Counter {
	c := &Counter{name: name, help: help, labels: []string{label}, sums: map[string]float64{}}
	for _, v := range values {
		c.sums[v] = 0
	}
	return c
}

// Add counts one event.
func (c *Counter) Add(values ...string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sums[strings.Join(values, between)]++
}

func (c *Counter) write(t *Text) {
	c.mu.Lock()
	defer c.mu.Unlock()
	t.head(c.name, "counter", c.help)
	for _, key := range slices.Sorted(maps.Keys(c.sums)) {
		t.line(c.name, named(c.labels, key), c.sums[key])
	}
}

func newHistogram(name, help string, bounds []float64, labels []string, known ...[]string) *Histogram {
	h := &Histogram{name: name, help: help, bounds: bounds, labels: labels, series: map[string]*series{}}
	for _, values := range known {
		h.of(values)
	}
	return h
}

// Observe counts something that took so long.
func (h *Histogram) Observe(d time.Duration, values ...string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	s, i := h.of(values), 0
	for i < len(h.bounds) && d.Seconds() > h.bounds[i] {
		i++
	}
	s.counts[i]++
	s.sum += d.Seconds()
}

// of is called with the lock held, or before anybody else knows of h.
func (h *Histogram) of(values []string) *series {
	key := strings.Join(values, between)
	if h.series[key] == nil {
		h.series[key] = &series{counts: make([]uint64, len(h.bounds)+1)}
	}
	return h.series[key]
}

func (h *Histogram) write(t *Text) {
	h.mu.Lock()
	defer h.mu.Unlock()
	t.head(h.name, "histogram", h.help)
	for _, key := range slices.Sorted(maps.Keys(h.series)) {
		s, sum := h.series[key], uint64(0)
		for i, n := range s.counts {
			sum += n
			bound := "+Inf"
			if i < len(h.bounds) {
				bound = number(h.bounds[i])
			}
			t.line(h.name+"_bucket", named(h.labels, key, "le", bound), float64(sum))
		}
		t.line(h.name+"_sum", named(h.labels, key), s.sum)
		t.line(h.name+"_count", named(h.labels, key), float64(sum))
	}
}

// named writes the labels of a series, and more.
func named(labels []string, key string, more ...string) string {
	var pairs []string
	if len(labels) > 0 {
		for i, v := range strings.Split(key, between) {
			pairs = append(pairs, labels[i], v)
		}
	}
	return Labels(append(pairs, more...)...)
}
