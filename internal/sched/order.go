package sched

import (
	"cmp"
	"container/heap"
	"slices"

	"github.com/masu-lab/masu"
)

// line is the queue: whose turn is next depends on what each member got, also
// in this very decision.
type line struct {
	aging   float64
	members []*turns
}

// turns is one member's tickets; the first is the one whose turn is next.
type turns struct {
	who     masu.Username
	tickets []turn
	got     float64 // GPU hours, older ones counting less, and an hour for each GPU that is held now
	debt    float64 // what the turn of the first goes by: who got little, or waits long, has a low one
}

type turn struct {
	*masu.Ticket
	waited float64 // hours, with the head start of its class
}

func queue(b *book) *line {
	q := &line{aging: b.Policy.Aging}
	head := map[string]float64{}
	for _, c := range b.Policy.Classes {
		head[c.Name] = c.HeadStart.Hours()
	}
	of := map[masu.Username]*turns{}
	for i := range b.Tickets {
		t := &b.Tickets[i]
		m := of[t.Holder]
		if m == nil {
			m = &turns{who: t.Holder, got: b.Used[t.Holder] + float64(b.held[t.Holder])}
			of[t.Holder], q.members = m, append(q.members, m)
		}
		m.tickets = append(m.tickets, turn{t, b.Now.Sub(t.At).Hours() + head[t.Class]})
	}
	for _, m := range q.members {
		slices.SortFunc(m.tickets, func(x, y turn) int {
			return cmp.Or(cmp.Compare(y.waited, x.waited), cmp.Compare(x.Workspace, y.Workspace))
		})
		q.count(m)
	}
	heap.Init(q)
	return q
}

func (q *line) count(m *turns) { m.debt = m.got - q.aging*m.tickets[0].waited }

// next takes the ticket whose turn it is out of the line; nil when nobody waits.
func (q *line) next() (*masu.Ticket, *turns) {
	if len(q.members) == 0 {
		return nil, nil
	}
	m := q.members[0]
	t := m.tickets[0].Ticket
	m.tickets = m.tickets[1:]
	return t, m
}

// settle puts the member of the last next back where they belong.
func (q *line) settle(m *turns) {
	if len(m.tickets) == 0 {
		heap.Pop(q)
		return
	}
	q.count(m)
	heap.Fix(q, 0)
}

func (q *line) Len() int { return len(q.members) }

func (q *line) Less(i, j int) bool {
	x, y := q.members[i], q.members[j]
	if x.debt != y.debt {
		return x.debt < y.debt
	}
	return cmp.Or(x.tickets[0].At.Compare(y.tickets[0].At), cmp.Compare(x.who, y.who)) < 0
}

func (q *line) Swap(i, j int) { q.members[i], q.members[j] = q.members[j], q.members[i] }

func (q *line) Push(x any) { q.members = append(q.members, x.(*turns)) }

func (q *line) Pop() any {
	last := q.members[len(q.members)-1]
	q.members = q.members[:len(q.members)-1]
	return last
}
