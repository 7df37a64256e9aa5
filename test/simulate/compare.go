package main

import (
	"math"
	"sync"
	"time"

	"github.com/masu-lab/masu"
)

// way is a way to share GPUs that is compared.
type way struct {
	name   string // as the pages call it
	lender func(seed uint64) lender
}

// ways are those that are compared; masu's own is among them.
func ways() []way {
	const never = 1e9 // an hour of waiting outweighs all that anybody got
	queued := func(name string, change func(*queue)) way {
		return way{name, func(uint64) lender { return usual(change) }}
	}
	arrival := func(q *queue) { q.byArrival, q.Aging = true, never }
	return []way{
		{"grab", newGrab},
		queued("fcfs", func(q *queue) { arrival(q); q.headOnly, q.IdleFor = true, 0 }),
		queued("fcfs-fill", arrival),
		queued("no-fill", func(q *queue) { q.headOnly = true }),
		queued("masu", func(*queue) {}),
		queued("no-idle", func(q *queue) { q.IdleFor = 0 }),
		queued("idle-always", func(q *queue) { q.IdleAlways = true }),
		queued("aging-0", func(q *queue) { q.Aging = 0 }),
		queued("aging-4", func(q *queue) { q.Aging = 4 }),
		queued("no-hold", func(q *queue) { q.Hold = 0 }),
	}
}

// outcome is a year of each way on a server with so many GPUs.
type outcome struct {
	GPUs  int     `json:"gpus"`
	Jobs  int     `json:"jobs"`
	Load  float64 `json:"load"` // the work that was wanted, as a part of all GPU time
	Years []row   `json:"years"`
}

// row is what came of a year. Times are hours, parts of the GPU time hundredths.
type row struct {
	Way      string     `json:"way"`
	Notebook [3]float64 `json:"notebook"` // waited by half, by nine of ten, by 99 of 100 at most
	GaveUp   int        `json:"gave_up"`
	Batch    [3]float64 `json:"batch"`
	Wide     [3]float64 `json:"wide"` // for half of the GPUs or more
	Longest  float64    `json:"longest"`
	Work     float64    `json:"work"`
	Idle     float64    `json:"idle"`   // held for nothing
	Wasted   float64    `json:"wasted"` // of it, while somebody waited
	Fairness float64    `json:"fairness"`
	Worst    float64    `json:"worst"`
	Stopped  stops      `json:"stopped"` // at work
	Away     int        `json:"away"`    // stopped in a pause from which their member came back
	Classes  int        `json:"classes"`
	Late     int        `json:"late"`
}

// stops are how often work was stopped, and why.
type stops struct {
	Idle     int `json:"idle"`
	Time     int `json:"time"`
	Reserved int `json:"reserved"`
}

// servers are the sizes that are simulated.
var servers = []int{8, 4}

func compare(seed uint64) (all []outcome) {
	for _, gpus := range servers {
		p := newPlan(seed, gpus)
		o := outcome{GPUs: gpus, Jobs: len(p.jobs), Load: round(100*p.hours()/float64(gpus)/end.Sub(begin).Hours(), 1), Years: make([]row, len(ways()))}
		var wg sync.WaitGroup
		for i, w := range ways() {
			wg.Go(func() { o.Years[i] = summary(w.name, live(p, gpus, w.lender(seed))) })
		}
		wg.Wait()
		all = append(all, o)
	}
	return all
}

func (p plan) hours() (sum float64) {
	for _, j := range p.jobs {
		sum += float64(j.gpus) * j.work().Hours()
	}
	return sum
}

func summary(way string, y *year) row {
	three := func(all []time.Duration) (h [3]float64) {
		for i, p := range []int{50, 90, 99} {
			h[i] = round(percentile(all, p).Hours(), 1)
		}
		return h
	}
	part := func(hours float64) float64 { return round(100*hours/float64(len(y.gpus))/end.Sub(begin).Hours(), 1) }
	return row{
		Way: way, Notebook: three(y.waits[notebook]), GaveUp: y.left[notebook], Batch: three(y.waits[batch]), Wide: three(y.wide),
		Longest: round(y.longest().Hours(), 0), Work: part(y.busy), Idle: part(y.idle), Wasted: part(y.wasted),
		Fairness: round(y.fairness(), 2), Worst: round(y.worst(), 1),
		Stopped: stops{y.stopped[masu.EndIdle], y.stopped[masu.EndTime], y.stopped[masu.EndReserved]}, Away: y.away[masu.EndIdle],
		Classes: len(y.waits[course]), Late: y.late,
	}
}

func round(x float64, digits int) float64 {
	p := math.Pow10(digits)
	return math.Round(x*p) / p
}
