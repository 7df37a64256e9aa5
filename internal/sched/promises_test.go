package sched

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/masu-lab/masu"
)

// warned checks that nobody loses GPUs unprepared: they were told so long
// before, or knew it when they got them.
func (w *world) warned(t *testing.T, l masu.Lease, why masu.EndReason) {
	t.Helper()
	known := !l.Until.IsZero() && !w.s.Now.Before(l.Until)
	if told, ok := w.told[l.ID]; !ok || w.s.Now.Sub(told) < w.s.Policy.Grace {
		if why != masu.EndReserved || !known {
			t.Fatalf("%s ends for %s at %v without a warning: %+v", l.ID, why, w.s.Now, l)
		}
	}
	if why == masu.EndIdle && w.s.Idle[l.ID] < w.s.Policy.IdleFor {
		t.Fatalf("%s ends as idle after %v", l.ID, w.s.Idle[l.ID])
	}
}

// served checks that a plan has an answer for each who waits, and one only.
func (w *world) served(t *testing.T, p Plan) {
	t.Helper()
	answers := map[masu.WorkspaceID]int{}
	for _, d := range p.Do {
		if d.Grant != nil {
			answers[d.Grant.Ticket.Workspace]++
		}
	}
	for i, x := range p.Waiting {
		if answers[x.Workspace]++; x.Place != i+1 || x.Blocked == "" {
			t.Fatalf("at place %d: %+v", i+1, x)
		}
	}
	for _, k := range w.s.Tickets {
		if answers[k.Workspace] != 1 {
			t.Fatalf("%s has %d answers", k.Workspace, answers[k.Workspace])
		}
	}
	if len(answers) != len(w.s.Tickets) {
		t.Fatalf("%d ask, %d are answered", len(w.s.Tickets), len(answers))
	}
}

// TestOrderOfStateDoesNotMatter: whatever order the store lists things in, the decision is the same.
func TestOrderOfStateDoesNotMatter(t *testing.T) {
	for seed := range uint64(6) {
		w := newWorld(seed)
		for range 600 {
			if w.IntN(4) == 0 {
				w.come()
			}
			if w.IntN(60) == 0 {
				w.reserve()
			}
			s := w.s
			s.GPUs, s.Leases, s.Tickets, s.Reservations = shuffled(w, s.GPUs), shuffled(w, s.Leases), shuffled(w, s.Tickets), shuffled(w, s.Reservations)
			got, want := Decide(s), w.step(t)
			if a, b := told(got), told(want); !slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b))) {
				t.Fatalf("seed %d: %q, in another order %q", seed, b, a)
			}
			for i := range want.Waiting {
				if want.Waiting[i] != got.Waiting[i] {
					t.Fatalf("seed %d: %+v waits, in another order %+v", seed, want.Waiting[i], got.Waiting[i])
				}
			}
			w.pass(10 * time.Minute)
		}
	}
}

func shuffled[T any](w *world, list []T) []T {
	list = slices.Clone(list)
	w.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	return list
}

// TestClockJumps: when the clock is set, by an hour or by a week, forward or
// back, nothing is lent twice, nobody is forgotten, and all get their turn.
func TestClockJumps(t *testing.T) {
	for seed := range uint64(6) {
		w := newWorld(seed)
		for range 800 {
			if w.IntN(6) == 0 && len(w.s.Tickets) < 20 {
				w.come()
			}
			if w.IntN(100) == 0 {
				w.reserve()
			}
			w.step(t)
			if w.IntN(40) == 0 {
				jump := []time.Duration{time.Hour, 24 * time.Hour, 7 * 24 * time.Hour}[w.IntN(3)]
				w.s.Now = w.s.Now.Add(jump * time.Duration(1-2*w.IntN(2)))
				w.step(t)
			}
			w.pass(10 * time.Minute)
		}
		for i := 0; len(w.s.Tickets) > 0; i++ {
			if i > 365*24 {
				t.Fatalf("seed %d: they wait for ever: %+v", seed, w.s.Tickets)
			}
			w.step(t)
			w.pass(time.Hour)
		}
	}
}

// TestReservedAtTheMinute: when a reservation that was made in time begins, nobody else has any of
// its GPUs, and who reserved them gets them at once.
func TestReservedAtTheMinute(t *testing.T) {
	kept := 0
	for seed := range uint64(20) {
		w := newWorld(seed)
		w.s.Policy.PerMember, w.s.Policy.PerGroup, w.s.Policy.NoShow = 0, nil, 0
		for range 800 {
			if w.IntN(4) == 0 && len(w.s.Tickets) < 10 {
				w.come()
			}
			if w.IntN(30) == 0 {
				w.reserve()
			}
			w.step(t)
			r, at := w.soonest(10 * time.Minute)
			w.pass(at.Sub(w.s.Now))
			if r == nil {
				continue
			}
			w.next++
			mine := masu.WorkspaceID(fmt.Sprintf("reserved-%d", w.next))
			w.s.Tickets = append(w.s.Tickets, masu.Ticket{Workspace: mine, Holder: r.Holder, Want: masu.Want{Count: len(r.GPUs)}, At: w.s.Now})
			w.step(t)
			w.step(t) // what was given back is there
			for _, l := range w.s.Leases {
				if l.Holder != r.Holder && slices.ContainsFunc(l.GPUs, func(g masu.GPUID) bool { return slices.Contains(r.GPUs, g) }) {
					t.Fatalf("seed %d: %s is reserved for %s, and %s has it: %+v", seed, r.GPUs, r.Holder, l.Holder, l)
				}
			}
			if !w.has(r) && !slices.ContainsFunc(w.s.Leases, func(l masu.Lease) bool { return l.Workspace == mine }) {
				t.Fatalf("seed %d: %s has not got %s: %+v", seed, r.Holder, r.GPUs, w.s)
			}
			kept++
		}
	}
	if kept < 100 {
		t.Errorf("only %d reservations began: the test proves little", kept)
	}
}

// soonest is the reservation that begins within d, made in time; else only when d will be over.
func (w *world) soonest(d time.Duration) (first *masu.Reservation, at time.Time) {
	at = w.s.Now.Add(d)
	for _, r := range w.s.Reservations {
		if r.From.After(w.s.Now) && !r.From.After(at) {
			first, at = &r, r.From
		}
	}
	return first, at
}

// has tells whether a reservation's holder holds one of its GPUs.
func (w *world) has(r *masu.Reservation) bool {
	return slices.ContainsFunc(w.s.Leases, func(l masu.Lease) bool {
		return l.Holder == r.Holder && slices.ContainsFunc(l.GPUs, func(g masu.GPUID) bool { return slices.Contains(r.GPUs, g) })
	})
}

// anyWant is a want that may make sense.
func anyWant(r *rand.Rand) masu.Want {
	size := func() masu.Bytes { return masu.Bytes(r.IntN(100)-10) * masu.GiB / 2 }
	w := masu.Want{Count: r.IntN(7) - 1, All: r.IntN(5) == 0}
	if r.IntN(3) == 0 {
		w.Memory = size()
	}
	if r.IntN(3) == 0 {
		w.Share = size()
	}
	if r.IntN(4) == 0 {
		w.Model = []string{"a100", "H100", "none"}[r.IntN(3)]
	}
	return w
}

// anyGPUs are cards and slices as they come: sold with 24 GB, and reporting a little less.
func anyGPUs(r *rand.Rand) (all []masu.GPU) {
	for i := range r.IntN(7) {
		g := masu.GPU{ID: masu.GPUID(fmt.Sprint("g", i)), Index: i, Node: fmt.Sprint("n", r.IntN(2)), Model: []string{"NVIDIA A100", "NVIDIA H100"}[r.IntN(2)], Memory: masu.Bytes(1+r.IntN(48)) * masu.GiB}
		if r.IntN(2) == 0 {
			g.Memory -= masu.Bytes(r.IntN(500)) * masu.MiB
		}
		if r.IntN(4) == 0 {
			g.Parent = "card"
		}
		all = append(all, g)
	}
	return all
}

// FuzzPossible: what is possible is lent when nothing else is, and can be
// reserved; what is not never is. So nobody who is let into the queue waits for ever.
func FuzzPossible(f *testing.F) {
	for seed := range uint64(300) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, seed uint64) {
		r := rand.New(rand.NewPCG(seed, 3))
		all, want := anyGPUs(r), anyWant(r)
		if len(all) > 0 && r.IntN(4) == 0 { // the whole of a card, as it is sold
			want = masu.Want{Share: wholeGiB(all[0].Memory)}
		}
		lent := false
		for _, d := range Decide(State{Now: noon, GPUs: all, Tickets: []masu.Ticket{{Workspace: "x", Holder: "alice", Want: want, At: noon}}, Policy: rules()}).Do {
			lent = lent || d.Grant != nil
		}
		_, reserved := Reserve(all, nil, want, noon, noon.Add(time.Hour))
		if possible := Possible(all, want); lent != possible || reserved != possible {
			t.Errorf("%+v of %+v: possible %v, lent %v, reserved %v", want, all, possible, lent, reserved)
		}
	})
}

// FuzzReserve: no GPU is reserved twice for any time, and none that could be had is refused.
func FuzzReserve(f *testing.F) {
	for seed := range uint64(50) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, seed uint64) {
		r := rand.New(rand.NewPCG(seed, 4))
		all := anyGPUs(r)
		var taken []masu.Reservation
		for range 40 {
			from := noon.Add(time.Duration(r.IntN(48)) * time.Hour)
			x := masu.Reservation{From: from, Until: from.Add(time.Duration(1+r.IntN(12)) * time.Hour), Missed: r.IntN(5) == 0}
			want := masu.Want{Count: 1 + r.IntN(3)}
			free := map[string]int{}
			for _, g := range all {
				if !slices.ContainsFunc(taken, func(o masu.Reservation) bool { return clash(o, x) && slices.Contains(o.GPUs, g.ID) }) {
					free[g.Node]++
				}
			}
			ids, ok := Reserve(all, taken, want, x.From, x.Until)
			if could := max(free["n0"], free["n1"]) >= want.Count; ok != could || ok && len(ids) != want.Count {
				t.Fatalf("%d of %v: %v, %v", want.Count, free, ids, ok)
			}
			for _, o := range taken {
				if clash(o, x) && slices.ContainsFunc(ids, func(g masu.GPUID) bool { return slices.Contains(o.GPUs, g) }) {
					t.Fatalf("%v is reserved for %+v already", ids, o)
				}
			}
			x.GPUs = ids
			taken = append(taken, x)
		}
	})
}

func clash(o, x masu.Reservation) bool {
	return !o.Missed && o.From.Before(x.Until) && x.From.Before(o.Until)
}

// TestTenThousandTickets: a queue of any length has an answer for each, and nothing is lent twice.
func TestTenThousandTickets(t *testing.T) {
	w := newWorld(1)
	w.s = many(1000)
	w.step(t)
	lent := 0
	for _, l := range w.s.Leases {
		lent += len(l.GPUs)
	}
	if lent != 1000 {
		t.Errorf("%d of 1000 GPUs are lent", lent)
	}
}
