package main

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/masu-lab/masu"
	"github.com/masu-lab/masu/internal/sched"
)

// year is a lab that lives through a plan: who waits, who holds what, and what came of it.
type year struct {
	now      time.Time
	gpus     []masu.GPU
	coming   []*job
	waiting  []*ask
	holds    []*hold
	reserved []masu.Reservation
	used     map[masu.Username]float64 // as internal/lab counts it: half is forgotten in a week
	lender   lender
	asked    int
	tally
}

// lender is a way to share GPUs: it gives what it can give now, takes back
// what it takes back, and tells when it wants to be asked again.
type lender interface {
	lend(y *year) (again time.Time)
	reserves() bool
}

// ask is a job, or what is left of it, that waits for its turn.
type ask struct {
	*job
	ticket masu.Ticket
	left   []span // of its work
	again  bool   // it ran before
}

// hold is a job that has its GPUs.
type hold struct {
	*ask
	lease masu.Lease
	works bool
	until time.Time // this work, or this pause, goes on
	idle  time.Time // since
}

const halfLife = 7 * 24 * time.Hour

// live goes from event to event until all that was wanted in the year is done or given up.
func live(p plan, gpus int, l lender) *year {
	y := &year{now: begin, coming: slices.Clone(p.jobs), lender: l, used: map[masu.Username]float64{}, tally: newTally(gpus)}
	for i := range gpus {
		y.gpus = append(y.gpus, masu.GPU{ID: masu.GPUID(fmt.Sprint("gpu", i)), Index: i, Model: "A100", Memory: 80 * masu.GiB})
	}
	if l.reserves() {
		y.reserve(p.reserved)
	}
	var again time.Time
	for len(y.coming)+len(y.waiting)+len(y.holds) > 0 {
		if y.now.After(end.AddDate(1, 0, 0)) {
			panic("somebody waits for what they can never get")
		}
		y.pass(y.next(again))
		y.happen()
		again = l.lend(y)
	}
	return y
}

func (y *year) reserve(list []masu.Reservation) {
	for _, r := range list {
		ids, ok := sched.Reserve(y.gpus, y.reserved, r.Want, r.From, r.Until)
		if !ok {
			panic("the plan has two reservations for one slot")
		}
		r.GPUs = ids
		y.reserved = append(y.reserved, r)
	}
}

// next is when something happens next.
func (y *year) next(again time.Time) time.Time {
	at := again
	sooner := func(t time.Time) {
		if at.IsZero() || t.Before(at) {
			at = t
		}
	}
	if len(y.coming) > 0 {
		sooner(y.coming[0].at)
	}
	for _, a := range y.waiting {
		if a.gives > 0 && !a.again {
			sooner(a.at.Add(a.gives))
		}
	}
	for _, h := range y.holds {
		sooner(h.until)
	}
	return at
}

// pass lets time go by, and counts what it was.
func (y *year) pass(to time.Time) {
	d := to.Sub(y.now)
	rate := math.Ln2 / halfLife.Hours()
	keep := math.Exp2(-d.Hours() / halfLife.Hours())
	for who := range y.used {
		y.used[who] *= keep
	}
	for _, h := range y.holds {
		y.used[h.member] += float64(h.gpus) * (1 - keep) / rate
	}
	y.span(y, d)
	y.now = to
}

// happen is what members do at this minute.
func (y *year) happen() {
	for len(y.coming) > 0 && !y.now.Before(y.coming[0].at) {
		y.wants(y.coming[0], y.coming[0].spans, false)
		y.coming = y.coming[1:]
	}
	y.waiting = slices.DeleteFunc(y.waiting, func(a *ask) bool {
		gone := a.gives > 0 && !a.again && !y.now.Before(a.at.Add(a.gives))
		if gone {
			y.gaveUp(a, y.now)
		}
		return gone
	})
	for _, h := range slices.Clone(y.holds) {
		for !y.now.Before(h.until) {
			if h.works {
				h.works, h.idle, h.until = false, h.until, h.until.Add(h.left[0].pause)
				if len(h.left) == 1 {
					y.done(h)
				}
				continue
			}
			if h.left = h.left[1:]; len(h.left) == 0 {
				y.giveBack(h)
				break
			}
			h.works, h.until = true, h.until.Add(h.left[0].work)
		}
	}
	y.reserved = slices.DeleteFunc(y.reserved, func(r masu.Reservation) bool { return !y.now.Before(r.Until) })
}

func (y *year) wants(j *job, left []span, again bool) {
	y.asked++
	a := &ask{job: j, left: slices.Clone(left), again: again}
	a.ticket = masu.Ticket{Workspace: masu.WorkspaceID(fmt.Sprintf("w%06d", y.asked)), Holder: j.member, Want: masu.Want{Count: j.gpus}, Limit: j.limit, At: y.now}
	y.waiting = append(y.waiting, a)
}

// grant lets a job that waits begin.
func (y *year) grant(a *ask, gpus []masu.GPUID, until time.Time) {
	y.waiting = slices.DeleteFunc(y.waiting, func(x *ask) bool { return x == a })
	if !a.again {
		y.began(a, y.now)
	}
	h := &hold{ask: a, works: true, until: y.now.Add(a.left[0].work)}
	h.lease = masu.Lease{ID: masu.LeaseID("l-" + a.ticket.Workspace), Workspace: a.ticket.Workspace, Holder: a.member, Want: a.ticket.Want, GPUs: gpus, From: y.now, Until: until}
	y.holds = append(y.holds, h)
}

func (y *year) giveBack(h *hold) {
	y.holds = slices.DeleteFunc(y.holds, func(x *hold) bool { return x == h })
}

// stop takes a job's GPUs back. Who was at work asks again for what is left
// (it was saved now and then); who was away, when they are back.
func (y *year) stop(h *hold, why masu.EndReason) {
	y.giveBack(h)
	switch {
	case h.works:
		y.stopped[why]++
		h.left[0].work = h.until.Sub(y.now)
		y.wants(h.job, h.left, true)
	case len(h.left) > 1:
		y.away[why]++
		rest := *h.job
		rest.spans, rest.at = h.left[1:], h.until
		y.comeBack(&rest)
	default:
		y.forgotten[why]++
	}
}

// comeBack is a member who finds their notebook stopped, and asks again.
func (y *year) comeBack(j *job) {
	i, _ := slices.BinarySearchFunc(y.coming, j, func(a, b *job) int { return cmp.Or(a.at.Compare(b.at), cmp.Compare(a.id, b.id)) })
	y.coming = slices.Insert(y.coming, i, j)
}

// idleFor is how long a hold is used by nobody.
func (y *year) idleFor(h *hold) time.Duration {
	if h.works {
		return 0
	}
	return y.now.Sub(h.idle)
}
