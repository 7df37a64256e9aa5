package sched

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/masu-lab/masu"
)

// forever is later than everything that is planned.
var forever = time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)

// slot is one GPU in the book of this decision.
type slot struct {
	masu.GPU
	whole  bool       // lent to one holder for themselves
	shared masu.Bytes // lent in parts: their sum
	freeAt time.Time  // when all that is lent now has been given back; forever: nobody knows
	claims []claim    // by the time when they begin
}

// claim is a time for which a GPU is promised to somebody.
type claim struct {
	holder      masu.Username // "" is the ticket whose turn is next
	from, until time.Time
}

// book is who has what while a decision is made.
type book struct {
	State
	slots []*slot // the smallest first: large cards stay for those who need them
	byID  map[masu.GPUID]*slot
	ends  map[masu.LeaseID]time.Time // when each lease gives its GPUs back, as far as is known
	held  map[masu.Username]int
	group map[string]int
	suit  map[masu.Want][]machine
}

func open(s State) *book {
	b := &book{State: s, byID: map[masu.GPUID]*slot{}, ends: map[masu.LeaseID]time.Time{}, held: map[masu.Username]int{}, group: map[string]int{}, suit: map[masu.Want][]machine{}}
	for _, g := range s.GPUs {
		x := &slot{GPU: g, freeAt: s.Now}
		b.slots, b.byID[g.ID] = append(b.slots, x), x
	}
	slices.SortStableFunc(b.slots, func(x, y *slot) int {
		return cmp.Or(cmp.Compare(x.Memory, y.Memory), cmp.Compare(x.Node, y.Node), cmp.Compare(x.Index, y.Index), cmp.Compare(x.ID, y.ID))
	})
	for _, r := range s.Reservations {
		if r.Missed || !s.Now.Before(r.Until) {
			continue
		}
		for _, id := range r.GPUs {
			if x := b.byID[id]; x != nil {
				x.claims = append(x.claims, claim{r.Holder, r.From, r.Until})
			}
		}
	}
	for _, x := range b.slots {
		slices.SortFunc(x.claims, func(a, c claim) int { return a.from.Compare(c.from) })
	}
	for _, l := range s.Leases {
		b.enter(l.Holder, l.GPUs, l.Share, b.endOf(l))
		b.ends[l.ID] = b.endOf(l)
	}
	return b
}

// endOf is when a lease will have ended: as announced, else when its time is
// over and the holder has been told; forever where it has none.
func (b *book) endOf(l masu.Lease) time.Time {
	switch {
	case !l.EndsAt.IsZero():
		return l.EndsAt
	case l.Until.IsZero():
		return forever
	}
	return later(l.Until, b.Now.Add(b.Policy.Grace))
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// enter writes down who holds what.
func (b *book) enter(holder masu.Username, gpus []masu.GPUID, share masu.Bytes, until time.Time) {
	for _, id := range gpus {
		if x := b.byID[id]; x != nil {
			x.whole = x.whole || share == 0
			x.shared += share
			x.freeAt = later(x.freeAt, until)
		}
	}
	b.held[holder] += len(gpus)
	for _, g := range b.Groups[holder] {
		b.group[g] += len(gpus)
	}
}

// free tells whether nobody has any of a GPU.
func (x *slot) free() bool { return !x.whole && x.shared == 0 }

// suits tells whether a card could ever serve a want. A part must really be
// there: parts add up, and what is rounded up nobody can use.
func suits(g masu.GPU, w masu.Want) bool {
	return wholeGiB(g.Memory) >= w.Memory && g.Memory >= w.Share && strings.Contains(strings.ToLower(g.Model), strings.ToLower(w.Model))
}

// wholeGiB rounds up as makers do: a card sold with 24 GB reports a little less than 24 GiB.
func wholeGiB(b masu.Bytes) masu.Bytes { return (b + masu.GiB - 1) / masu.GiB * masu.GiB }

// count is how many cards a want takes; less than one where it makes no sense.
func count(w masu.Want, all int) int {
	switch {
	case w.Share < 0 || w.Memory < 0:
		return 0
	case w.All:
		return all
	case w.Share > 0:
		return max(w.Count, 1)
	}
	return w.Count
}

// opening is until when a GPU is somebody's to take now; false: it is not.
func (b *book) opening(x *slot, t *masu.Ticket) (until time.Time, ok bool) {
	if x.whole || t.Want.Share == 0 && x.shared > 0 || x.shared+t.Want.Share > x.Memory {
		return until, false
	}
	until = forever
	for _, c := range x.claims {
		switch {
		case c.holder == t.Holder && t.Holder != "":
			if !b.Now.Before(c.from) {
				return c.until, true // what was promised to them
			}
		case !c.from.After(b.Now) && b.Now.Before(c.until):
			return until, false
		case c.from.After(b.Now):
			until = earlier(until, c.from)
		}
	}
	need := cmp.Or(t.Limit, b.Policy.Slot)
	return until, !until.Before(b.Now.Add(need))
}

// machine is the cards of one node that suit a want, and how many the node has in all.
type machine struct {
	slots []*slot
	size  int
}

// suiting lists the machines that have what a want asks for, the one with the smallest cards first.
func (b *book) suiting(w masu.Want) []machine {
	if list, ok := b.suit[w]; ok {
		return list
	}
	var list []machine
	at, size := map[string]int{}, map[string]int{}
	for _, x := range b.slots {
		size[x.Node]++
	}
	for _, x := range b.slots {
		if !suits(x.GPU, w) {
			continue
		}
		i, ok := at[x.Node]
		if !ok {
			i = len(list)
			at[x.Node], list = i, append(list, machine{size: size[x.Node]})
		}
		list[i].slots = append(list[i].slots, x)
	}
	b.suit[w] = list
	return list
}

// fit chooses GPUs that are free now for a ticket, of one machine: those that
// are kept for its holder first, then the smallest.
func (b *book) fit(t *masu.Ticket) (gpus []*slot, until time.Time, ok bool) {
	kept := b.reserved(t.Holder)
	for _, m := range b.suiting(t.Want) {
		need := count(t.Want, m.size)
		if need <= 0 || len(m.slots) < need {
			continue
		}
		order := m.slots
		if kept || t.Want.Share > 0 {
			order = slices.Clone(order)
			slices.SortStableFunc(order, func(x, y *slot) int {
				return cmp.Or(before(b.promised(x, t.Holder), b.promised(y, t.Holder)), cmp.Compare(y.shared, x.shared)) // whole cards stay free
			})
		}
		gpus, until = gpus[:0], forever
		for _, x := range order {
			if end, open := b.opening(x, t); open {
				gpus, until = append(gpus, x), earlier(until, end)
				if len(gpus) == need {
					return gpus, until, true
				}
			}
		}
	}
	return nil, until, false
}

// before puts what is so in front of what is not.
func before(x, y bool) int {
	switch {
	case x == y:
		return 0
	case x:
		return -1
	}
	return 1
}

// reserved tells whether GPUs are kept for a member now.
func (b *book) reserved(who masu.Username) bool {
	return slices.ContainsFunc(b.Reservations, func(r masu.Reservation) bool { return r.Holder == who && r.Now(b.Now) })
}

// promised tells whether a GPU is reserved for a member now.
func (b *book) promised(x *slot, who masu.Username) bool {
	return slices.ContainsFunc(x.claims, func(c claim) bool {
		return c.holder == who && who != "" && !b.Now.Before(c.from) && b.Now.Before(c.until)
	})
}

// Possible tells whether a want could be met if nothing were lent.
func Possible(all []masu.GPU, w masu.Want) bool {
	nodes, size := map[string]int{}, map[string]int{}
	for _, g := range all {
		size[g.Node]++
		if suits(g, w) {
			nodes[g.Node]++
		}
	}
	for node, n := range nodes {
		if need := count(w, size[node]); need > 0 && n >= need {
			return true
		}
	}
	return false
}
