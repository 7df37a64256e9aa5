package sched

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/masu-lab/masu"
)

// world is a lab that does what Decide says, and whose members come, work and go at random.
type world struct {
	*rand.Rand
	s    State
	next int
	goes map[masu.LeaseID]time.Time // when its holder will have done
	told map[masu.LeaseID]time.Time // since when they know that it will end
	fifo bool
}

func newWorld(seed uint64) *world {
	w := &world{Rand: rand.New(rand.NewPCG(seed, 7)), goes: map[masu.LeaseID]time.Time{}, told: map[masu.LeaseID]time.Time{}}
	w.s.Now, w.s.Policy = noon, rules()
	w.s.Policy.IdleFor = 2 * time.Hour
	for i := range 1 + w.IntN(8) {
		w.s.GPUs = append(w.s.GPUs, masu.GPU{ID: masu.GPUID(fmt.Sprint("g", i)), Index: i, Model: "A100", Memory: masu.Bytes(24<<w.IntN(2)) * masu.GiB, Node: fmt.Sprint("n", i/4)})
	}
	w.s.Used, w.s.Groups = map[masu.Username]float64{}, map[masu.Username][]string{"m0": {"b4"}, "m1": {"b4"}}
	if w.IntN(2) == 0 {
		w.s.Policy.PerMember = 1 + w.IntN(4)
	}
	if w.IntN(2) == 0 {
		w.s.Policy.PerGroup = map[string]int{"b4": 1 + w.IntN(3)}
	}
	w.s.Policy.Classes = []Class{{Name: "paper", HeadStart: 10 * time.Hour}}
	return w
}

// come adds what somebody wants, if it can be met at all.
func (w *world) come() {
	w.next++
	t := masu.Ticket{Workspace: masu.WorkspaceID(fmt.Sprintf("w%05d", w.next)), Holder: masu.Username(fmt.Sprint("m", w.IntN(6))), At: w.s.Now, Want: masu.Want{Count: 1 + w.IntN(3)/2*w.IntN(4)}}
	switch w.IntN(8) {
	case 0:
		t.Want = masu.Want{Share: masu.Bytes(1+w.IntN(12)) * masu.GiB}
	case 1:
		t.Want.Memory = 40 * masu.GiB
	case 2:
		t.Class = "paper"
	case 3, 4:
		t.Limit = time.Duration(1+w.IntN(300)) * time.Minute
	}
	most := w.s.Policy.PerMember
	if group := w.s.Policy.PerGroup["b4"]; group > 0 && len(w.s.Groups[t.Holder]) > 0 && (most == 0 || group < most) {
		most = group
	}
	if Possible(w.s.GPUs, t.Want) && (most == 0 || count(t.Want, len(w.s.GPUs)) <= most) {
		w.s.Tickets = append(w.s.Tickets, t)
	}
}

// reserve keeps random GPUs for somebody, where nobody else has them then.
func (w *world) reserve() {
	w.next++
	r := masu.Reservation{ID: masu.ReservationID(fmt.Sprint("r", w.next)), Holder: masu.Username(fmt.Sprint("m", w.IntN(6))), From: w.s.Now.Add(time.Duration(w.IntN(48)) * time.Hour)}
	r.Until = r.From.Add(time.Duration(1+w.IntN(6)) * time.Hour)
	g := w.s.GPUs[w.IntN(len(w.s.GPUs))].ID
	for _, other := range w.s.Reservations {
		if slices.Contains(other.GPUs, g) && other.From.Before(r.Until) && r.From.Before(other.Until) {
			return
		}
	}
	r.GPUs = []masu.GPUID{g}
	w.s.Reservations = append(w.s.Reservations, r)
}

// lend is what happens when a turn has come.
func (w *world) lend(g *Grant) {
	t := g.Ticket
	l := masu.Lease{ID: masu.LeaseID("l-" + t.Workspace), Workspace: t.Workspace, Holder: t.Holder, GPUs: g.GPUs, Share: t.Want.Share, From: w.s.Now, Until: g.Until}
	w.s.Leases = append(w.s.Leases, l)
	work := time.Duration(10+w.IntN(3000)) * time.Minute
	if t.Limit > 0 {
		work = min(work, t.Limit)
	}
	w.goes[l.ID] = w.s.Now.Add(work)
	w.s.Tickets = slices.DeleteFunc(w.s.Tickets, func(x masu.Ticket) bool { return x.Workspace == t.Workspace })
}

// do does what a plan says.
func (w *world) do(t *testing.T, p Plan) {
	t.Helper()
	at := func(id masu.LeaseID) int {
		return slices.IndexFunc(w.s.Leases, func(l masu.Lease) bool { return l.ID == id })
	}
	for _, d := range p.Do {
		switch {
		case d.Grant != nil:
			w.lend(d.Grant)
		case d.Announce != nil:
			l := &w.s.Leases[at(d.Announce.Lease)]
			if l.EndsAt.IsZero() {
				w.told[l.ID] = w.s.Now
			}
			l.EndsAt, l.Why = d.Announce.At, d.Announce.Why
		case d.Withdraw != nil:
			l := &w.s.Leases[at(*d.Withdraw)]
			l.EndsAt, l.Why = time.Time{}, ""
			delete(w.told, l.ID)
		case d.End != nil:
			w.warned(t, w.s.Leases[at(d.End.Lease)], d.End.Why)
			w.end(at(d.End.Lease))
		case d.Miss != nil:
			i := slices.IndexFunc(w.s.Reservations, func(r masu.Reservation) bool { return r.ID == *d.Miss })
			w.s.Reservations[i].Missed = true
		}
	}
}

func (w *world) end(i int) {
	l := w.s.Leases[i]
	if !w.fifo {
		w.s.Used[l.Holder] += float64(len(l.GPUs)) * w.s.Now.Sub(l.From).Hours()
	}
	w.s.Leases = slices.Delete(w.s.Leases, i, i+1)
}

// pass lets time go by; who has done gives back, and some only seem to work.
func (w *world) pass(d time.Duration) {
	w.s.Now = w.s.Now.Add(d)
	for i := len(w.s.Leases) - 1; i >= 0; i-- {
		if !w.s.Now.Before(w.goes[w.s.Leases[i].ID]) {
			w.end(i)
		}
	}
	w.s.Idle = map[masu.LeaseID]time.Duration{}
	for _, l := range w.s.Leases {
		if l.Workspace[len(l.Workspace)-1] == '3' { // the forgetful
			w.s.Idle[l.ID] = w.s.Now.Sub(l.From)
		}
	}
	for who := range w.s.Used {
		w.s.Used[who] *= 1 - 0.0041*d.Hours() // half of it in a week
	}
	w.s.Reservations = slices.DeleteFunc(w.s.Reservations, func(r masu.Reservation) bool { return !w.s.Now.Before(r.Until) })
}

// sound checks what must always be true of what is lent.
func (w *world) sound(t *testing.T) {
	t.Helper()
	whole, parts, held, group := map[masu.GPUID]int{}, map[masu.GPUID]masu.Bytes{}, map[masu.Username]int{}, 0
	for _, l := range w.s.Leases {
		for _, g := range l.GPUs {
			if l.Share == 0 {
				whole[g]++
			}
			parts[g] += l.Share
		}
		held[l.Holder] += len(l.GPUs)
		if len(w.s.Groups[l.Holder]) > 0 {
			group += len(l.GPUs)
		}
	}
	for _, g := range w.s.GPUs {
		if whole[g.ID] > 1 || whole[g.ID] == 1 && parts[g.ID] > 0 || parts[g.ID] > g.Memory {
			t.Fatalf("%s is lent %d times, and %s of it in parts", g.ID, whole[g.ID], parts[g.ID])
		}
	}
	for who, n := range held {
		if most := w.s.Policy.PerMember; most > 0 && n > most {
			t.Fatalf("%s holds %d GPUs, of %d", who, n, most)
		}
	}
	if most := w.s.Policy.PerGroup["b4"]; most > 0 && group > most {
		t.Fatalf("the group holds %d GPUs, of %d", group, most)
	}
}

// step is one decision, which must leave nothing to decide.
func (w *world) step(t *testing.T) Plan {
	t.Helper()
	p := Decide(w.s)
	if again := Decide(w.s); !slices.Equal(told(p), told(again)) {
		t.Fatalf("the same state, another decision: %q, %q", told(p), told(again))
	}
	w.served(t, p)
	w.do(t, p)
	w.sound(t)
	rest := Decide(w.s)
	for _, d := range rest.Do {
		if d.Grant != nil && !slices.ContainsFunc(p.Do, func(d Decision) bool { return d.End != nil || d.Announce != nil || d.Withdraw != nil }) {
			t.Fatalf("a GPU was left idle while a ticket that fits waited: %q after %q", told(rest), told(p))
		}
	}
	return p
}

// TestProperties: whatever happens, no GPU is lent twice, limits hold, no GPU
// that fits stays idle, and everybody's turn comes.
func TestProperties(t *testing.T) {
	for seed := range uint64(20) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			w := newWorld(seed)
			for i := range 1500 {
				if w.IntN(12) == 0 {
					w.come()
				}
				if w.IntN(200) == 0 {
					w.reserve()
				}
				if w.IntN(150) == 0 && len(w.s.Tickets) > 0 { // somebody gives up
					w.s.Tickets = slices.Delete(w.s.Tickets, 0, 1)
				}
				w.step(t)
				w.pass(time.Duration(1+i%15) * time.Minute)
			}
			for i := 0; len(w.s.Tickets) > 0; i++ { // nobody comes any more
				if i > 5000 {
					t.Fatalf("they wait for ever: %+v", w.s.Tickets)
				}
				w.step(t)
				w.pass(15 * time.Minute)
			}
		})
	}
}

// TestNobodyStarves: in a lab that is always full, nobody waits without end,
// also not for many cards at once.
func TestNobodyStarves(t *testing.T) {
	for seed := range uint64(6) {
		w := newWorld(seed)
		w.s.Policy.PerMember, w.s.Policy.PerGroup = 0, nil
		for range 4000 {
			if len(w.s.Tickets) < 6 {
				w.come()
			}
			w.step(t)
			w.pass(15 * time.Minute)
			for _, k := range w.s.Tickets {
				if wait := w.s.Now.Sub(k.At); wait > 21*24*time.Hour {
					t.Fatalf("seed %d: %s waits for %+v since %v", seed, k.Holder, k.Want, wait)
				}
			}
		}
	}
}

// TestTheFirstIsNeverDelayed: where turns go by arrival alone, what the first
// was told of the time when it can start never becomes later.
func TestTheFirstIsNeverDelayed(t *testing.T) {
	told := 0
	for seed := range uint64(12) {
		w := newWorld(seed)
		w.fifo = true
		w.s.Policy.Aging, w.s.Policy.PerMember, w.s.Policy.PerGroup, w.s.Policy.Classes = 1e6, 0, nil, nil
		promised := map[masu.WorkspaceID]time.Time{}
		for range 1500 {
			if w.IntN(3) == 0 && len(w.s.Tickets) < 10 {
				w.come()
			}
			p := w.step(t)
			if len(p.Waiting) > 0 && !p.Waiting[0].Expect.IsZero() {
				first := p.Waiting[0]
				if before, ok := promised[first.Workspace]; ok && first.Expect.After(before) && first.Expect.After(w.s.Now.Add(w.s.Policy.Grace)) {
					t.Fatalf("seed %d: %+v was told %v, and now %v", seed, first.Want, before, first.Expect)
				}
				promised[first.Workspace] = first.Expect
				told++
			}
			w.pass(10 * time.Minute)
		}
	}
	if told < 500 {
		t.Errorf("only %d times anybody was told anything: the test proves little", told)
	}
}

func FuzzDecide(f *testing.F) {
	for seed := range uint64(5) {
		f.Add(seed, 20)
	}
	f.Fuzz(func(t *testing.T, seed uint64, n int) {
		w := newWorld(seed)
		for range min(max(n, 0), 300) {
			w.come()
			w.step(t)
			w.pass(time.Duration(w.IntN(600)) * time.Minute)
		}
	})
}

// many is a state with n GPUs and ten times as many tickets.
func many(n int) State {
	s := State{Now: noon, Policy: rules(), Used: map[masu.Username]float64{}}
	for i := range n {
		g := masu.GPU{ID: masu.GPUID(fmt.Sprint("g", i)), Index: i % 8, Model: "NVIDIA A100-SXM4-80GB", Memory: 80 * masu.GiB, Node: fmt.Sprintf("node%03d", i/8)}
		s.GPUs = append(s.GPUs, g)
		if i%2 == 0 {
			s.Leases = append(s.Leases, masu.Lease{ID: masu.LeaseID(g.ID), Holder: masu.Username(fmt.Sprint("m", i%200)), GPUs: []masu.GPUID{g.ID}, From: noon.Add(-time.Hour), Until: noon.Add(time.Duration(i) * time.Minute)})
		}
	}
	for i := range 10 * n {
		s.Tickets = append(s.Tickets, masu.Ticket{Workspace: masu.WorkspaceID(fmt.Sprintf("w%06d", i)), Holder: masu.Username(fmt.Sprint("m", i%200)), At: noon.Add(-time.Duration(i%5000) * time.Second),
			Want: masu.Want{Count: []int{1, 1, 1, 2, 4}[i%5]}, Limit: []time.Duration{0, time.Hour}[i%2]})
	}
	return s
}

func BenchmarkDecide(b *testing.B) {
	for _, n := range []int{125, 250, 500, 1000, 2000} {
		s := many(n)
		b.Run(fmt.Sprintf("%d GPUs, %d tickets", n, 10*n), func(b *testing.B) {
			for b.Loop() {
				Decide(s)
			}
		})
	}
}
