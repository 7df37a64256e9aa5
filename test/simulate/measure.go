package main

import (
	"math"
	"slices"
	"time"

	"github.com/masu-lab/masu"
)

// tally is what came of a year.
type tally struct {
	gpuCount  int
	waits     [kinds][]time.Duration // from asking to beginning; who gave up waited until then
	wide      []time.Duration        // waits of batch work for half of the GPUs or more
	left      [kinds]int             // gave up
	late      int                    // classes that did not begin at their minute
	slow      map[masu.Username][]float64
	got       map[masu.Username]float64 // GPU hours of work,
	wanted    map[masu.Username]float64 // and from asking to the end of the work
	busy      float64                   // GPU hours: at work,
	idle      float64                   // held for nothing,
	wasted    float64                   // and held for nothing while somebody waited
	stopped   map[masu.EndReason]int    // at work
	away      map[masu.EndReason]int    // in a pause from which the member came back
	forgotten map[masu.EndReason]int    // after the last of the work
}

func newTally(gpus int) tally {
	return tally{gpuCount: gpus, slow: map[masu.Username][]float64{}, got: map[masu.Username]float64{}, wanted: map[masu.Username]float64{},
		stopped: map[masu.EndReason]int{}, away: map[masu.EndReason]int{}, forgotten: map[masu.EndReason]int{}}
}

// span counts what the GPUs did for so long.
func (t *tally) span(y *year, d time.Duration) {
	for _, h := range y.holds {
		hours := float64(h.gpus) * d.Hours()
		switch {
		case h.works:
			t.busy += hours
		case len(y.waiting) > 0:
			t.wasted += hours
			fallthrough
		default:
			t.idle += hours
		}
	}
}

func (t *tally) began(a *ask, now time.Time) {
	wait := now.Sub(a.ticket.At)
	t.waits[a.kind] = append(t.waits[a.kind], wait)
	if a.kind == batch && 2*a.gpus >= t.gpuCount {
		t.wide = append(t.wide, wait)
	}
	if a.kind == course && wait > time.Minute {
		t.late++
	}
}

func (t *tally) gaveUp(a *ask, now time.Time) {
	t.waits[a.kind] = append(t.waits[a.kind], now.Sub(a.ticket.At))
	t.left[a.kind]++
	t.wanted[a.member] += float64(a.gpus) * now.Sub(a.ticket.At).Hours()
	if a.kind == course {
		t.late++
	}
}

// done counts a job whose work has ended. Short ones count as ten minutes, else a minute's wait would be a disaster.
func (t *tally) done(h *hold) {
	took, needs := h.until.Add(-h.left[0].pause).Sub(h.at), h.needs()
	t.slow[h.member] = append(t.slow[h.member], max(1, took.Hours()/max(needs, 10*time.Minute).Hours()))
	t.got[h.member] += float64(h.gpus) * needs.Hours()
	t.wanted[h.member] += float64(h.gpus) * max(took, needs).Hours()
}

// percentile of durations: so many of a hundred were no longer.
func percentile(all []time.Duration, of100 int) time.Duration {
	if len(all) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(all))
	return sorted[min(len(sorted)-1, len(sorted)*of100/100)]
}

// fairness is Jain's index over members of the part of the time in which they
// wanted GPUs and had them: 1 is the same for all.
func (t *tally) fairness() float64 {
	var sum, squares, n float64
	for who, wanted := range t.wanted {
		if wanted > 0 {
			x := t.got[who] / wanted
			sum, squares, n = sum+x, squares+x*x, n+1
		}
	}
	return sum * sum / (n * squares)
}

// worst is the mean slowdown of the member who had the worst: how much longer than their work takes it took.
func (t *tally) worst() (most float64) {
	for _, all := range t.slow {
		sum := 0.0
		for _, x := range all {
			sum += x
		}
		most = math.Max(most, sum/float64(len(all)))
	}
	return most
}

func (t *tally) longest() (most time.Duration) {
	for _, waits := range t.waits {
		for _, w := range waits {
			most = max(most, w)
		}
	}
	return most
}
