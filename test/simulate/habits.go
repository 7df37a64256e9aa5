package main

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/masu-lab/masu"
)

// What is known of real labs' work, from published traces. Only its shape is taken: what a
// company's clusters of thousands of GPUs saw is scaled to one server, and nothing here is a trace.
//
// Batch work is shaped after Microsoft's Philly trace (Jeon et al., USENIX ATC 2019), as summed up
// in the data of Hu et al., NSDI 2024 (AcmeTrace, data/cluster_summary.csv): half of the
// jobs run for less than 874 s, the mean is 18,006 s; half ask for one GPU, the mean is 1.93; six
// of ten complete, the others fail or are cancelled, which their duration has in it already. That few members
// cause most of the load, and that less is submitted by night, is after SenseTime's Helios trace (Hu et al., SC 2021).
const (
	batchMedian = 874 * time.Second
	batchMean   = 18006 * time.Second
	batchMost   = 3 * 24 * time.Hour // a lab's patience; the trace goes on to 49 days
	limitMost   = 4 * 24 * time.Hour // what anybody says that theirs may take
)

// batchGPUs is how many GPUs batch work asks for, and in how many of a hundred cases.
var batchGPUs = []struct{ n, of100 int }{{1, 70}, {2, 13}, {4, 11}, {8, 6}} // mean 1.88

// byHour is how much is begun in each hour of a day, as a part of the busiest one.
var byHour = [24]float64{.35, .2, .12, .1, .08, .08, .1, .15, .3, .65, .95, 1, .7, .85, 1, 1, 1, .95, .75, .7, .7, .7, .65, .5}

// kind is a sort of work.
type kind int

const (
	notebook kind = iota // a member sits before it, goes away, and forgets it
	batch                // ends by itself
	course               // a class in its hour, with reserved GPUs
	kinds
)

// span is work, and the pause after it in which the GPUs are held for nothing.
type span struct{ work, pause time.Duration }

// job is something that a member wants GPUs for.
type job struct {
	id     int
	member masu.Username
	kind   kind
	at     time.Time
	gpus   int
	limit  time.Duration // as stated; 0: none
	spans  []span
	gives  time.Duration // up, when it has not begun by then; 0: never
}

// work is how long a job computes in all.
func (j *job) work() (sum time.Duration) {
	for _, s := range j.spans {
		sum += s.work
	}
	return sum
}

// needs is how long a job takes from its beginning to the end of its work.
func (j *job) needs() (sum time.Duration) {
	for i, s := range j.spans {
		if sum += s.work; i < len(j.spans)-1 {
			sum += s.pause
		}
	}
	return sum
}

// habit is how a kind of member works.
type habit struct {
	name      string
	members   int
	notebooks float64 // begun on a usual working day
	batches   float64
	sweep     int // batches that are begun together
	deadlines bool
}

// habits are those of 25 members. They are made up: no trace tells of a lab's notebooks.
var habits = []habit{
	{name: "student", members: 14, notebooks: .55, batches: .25, sweep: 1},
	{name: "doctoral", members: 8, notebooks: .45, batches: .8, sweep: 1, deadlines: true},
	{name: "sweeper", members: 2, notebooks: .2, batches: 3.5, sweep: 10},
	{name: "teacher", members: 1, notebooks: .3, batches: .1, sweep: 1},
}

// deadlines are those of papers: in the weeks before them those who write them begin two and a half times as much.
var deadlines = []time.Time{day(1, 28), day(5, 15), day(9, 24), day(11, 14)}

const rush = 21 * 24 * time.Hour

func day(month time.Month, d int) time.Time { return time.Date(2026, month, d, 0, 0, 0, 0, time.UTC) }

var (
	begin = day(1, 1)
	end   = begin.AddDate(1, 0, 0)
)

// season is how busy a day is, as a part of a usual working day.
func season(at time.Time, h habit) float64 {
	part := 1.0
	if wd := at.Weekday(); wd == time.Saturday || wd == time.Sunday {
		part = .3
	}
	if away := at.Before(day(1, 5)) || !at.Before(day(12, 28)) || !at.Before(day(8, 8)) && at.Before(day(8, 24)); away {
		part *= .25
	}
	if h.deadlines && slices.ContainsFunc(deadlines, func(d time.Time) bool { return at.Before(d) && d.Sub(at) < rush }) {
		part *= 2.5
	}
	return part
}

// plan is what a lab's members want in a year, and the reservations of its course, which a lab without masu has not.
type plan struct {
	jobs     []*job
	reserved []masu.Reservation
}

// newPlan makes a year for a server with so many GPUs. With fewer GPUs everybody wants less, so that the lab is as full.
func newPlan(seed uint64, gpus int) plan {
	r := rand.New(rand.NewPCG(seed, uint64(gpus)))
	var p plan
	for _, h := range habits {
		for i := range h.members {
			who := masu.Username(fmt.Sprintf("%s%02d", h.name, i+1))
			for at := begin; at.Before(end); at = at.AddDate(0, 0, 1) {
				many := season(at, h) * float64(gpus) / 8
				for range poisson(r, h.notebooks*many) {
					p.jobs = append(p.jobs, newNotebook(r, who, hourOf(r, at)))
				}
				for range poisson(r, h.batches*many/float64(h.sweep)) {
					p.jobs = append(p.jobs, newSweep(r, who, hourOf(r, at), gpus, h.sweep)...)
				}
			}
		}
	}
	p.teach(r, gpus)
	slices.SortStableFunc(p.jobs, func(a, b *job) int { return cmp.Or(a.at.Compare(b.at), cmp.Compare(a.member, b.member)) })
	for i, j := range p.jobs {
		j.id = i
	}
	return p
}

// hourOf is some time of a day.
func hourOf(r *rand.Rand, day time.Time) time.Time {
	for {
		if h := r.IntN(24); r.Float64() < byHour[h] {
			return day.Add(time.Duration(h)*time.Hour + time.Duration(r.IntN(3600))*time.Second)
		}
	}
}

// newNotebook is somebody at a notebook for an hour or two, often with a pause, who forgets it one time in three.
func newNotebook(r *rand.Rand, who masu.Username, at time.Time) *job {
	j := &job{member: who, kind: notebook, at: at, gpus: 1, gives: 12 * time.Hour}
	j.spans = []span{{work: lognormal(r, 80*time.Minute, .8, 10*time.Minute, 9*time.Hour)}}
	switch x := r.Float64(); {
	case x < .15: // a lecture, a meeting: longer than masu takes for idle
		j.spans[0].pause = time.Duration(130+r.IntN(110)) * time.Minute
		j.spans = append(j.spans, span{work: lognormal(r, time.Hour, .7, 10*time.Minute, 6*time.Hour)})
	case x < .5: // lunch
		j.spans[0].pause = time.Duration(20+r.IntN(60)) * time.Minute
		j.spans = append(j.spans, span{work: lognormal(r, time.Hour, .7, 10*time.Minute, 6*time.Hour)})
	}
	if r.Float64() < .35 {
		j.spans[len(j.spans)-1].pause = lognormal(r, 14*time.Hour, .9, time.Hour, 96*time.Hour)
	}
	return j
}

// newSweep is batch work: one, or many of a kind at once. Every second member tells how long it takes at most.
func newSweep(r *rand.Rand, who masu.Username, at time.Time, gpus, sweep int) (jobs []*job) {
	sigma := math.Sqrt(2 * math.Log(batchMean.Seconds()/batchMedian.Seconds()))
	n, told := batchCount(r, gpus), r.Float64() < .5
	if sweep > 1 {
		n = 1
	}
	for range sweep {
		work := lognormal(r, batchMedian, sigma, time.Minute, batchMost)
		j := &job{member: who, kind: batch, at: at, gpus: n, spans: []span{{work: work}}}
		if told {
			j.limit = min(time.Duration(float64(work)*(1.2+2*r.Float64())).Truncate(time.Hour)+time.Hour, limitMost)
		}
		jobs = append(jobs, j)
	}
	return jobs
}

func batchCount(r *rand.Rand, gpus int) int {
	x := r.IntN(100)
	for _, c := range batchGPUs {
		if x -= c.of100; x < 0 {
			return min(c.n, gpus)
		}
	}
	return 1
}

// teach adds a course: a quarter of the GPUs, an hour and a half each Tuesday of two terms, reserved a term ahead.
func (p *plan) teach(r *rand.Rand, gpus int) {
	for _, from := range []time.Time{day(4, 14), day(10, 6)} {
		for week := range 15 {
			at := from.AddDate(0, 0, 7*week).Add(13 * time.Hour)
			x := masu.Reservation{ID: masu.ReservationID(at.Format(time.DateOnly)), Holder: "teacher01", Want: masu.Want{Count: gpus / 4}, From: at, Until: at.Add(90 * time.Minute)}
			p.reserved = append(p.reserved, x)
			if r.IntN(12) > 0 { // else the class is called off, and nobody thinks of the reservation
				p.jobs = append(p.jobs, &job{member: x.Holder, kind: course, at: at, gpus: gpus / 4, spans: []span{{work: 85 * time.Minute}}, gives: 90 * time.Minute})
			}
		}
	}
}

// lognormal draws a duration with a median and a long tail, to the minute.
func lognormal(r *rand.Rand, median time.Duration, sigma float64, least, most time.Duration) time.Duration {
	d := time.Duration(float64(median) * math.Exp(sigma*r.NormFloat64())).Round(time.Minute)
	return min(max(d, least), most)
}

func poisson(r *rand.Rand, mean float64) (n int) {
	for p := r.Float64(); p > math.Exp(-mean); p *= r.Float64() {
		n++
	}
	return n
}
