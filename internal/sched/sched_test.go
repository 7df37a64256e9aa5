package sched

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/masu-lab/masu"
)

var noon = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

func hours(h float64) time.Duration { return time.Duration(h * float64(time.Hour)) }

func rules() Policy {
	return Policy{Hold: hours(24), Grace: 15 * time.Minute, Slot: 30 * time.Minute, Aging: 1, Notice: time.Hour, NoShow: 15 * time.Minute}
}

// cards makes GPUs of the given sizes, in GiB, named by their place: a, b, c, …
func cards(sizes ...int) []masu.GPU {
	var all []masu.GPU
	for i, gib := range sizes {
		all = append(all, masu.GPU{ID: masu.GPUID(rune('a' + i)), Index: i, Model: "NVIDIA A100", Memory: masu.Bytes(gib) * masu.GiB})
	}
	return all
}

func asks(who, id string, n int, waited float64) masu.Ticket {
	return masu.Ticket{Workspace: masu.WorkspaceID(id), Holder: masu.Username(who), Want: masu.Want{Count: n}, At: noon.Add(-hours(waited))}
}

// holds is a lease whose time ends so many hours from now; 0: never.
func holds(who, gpus string, until float64) masu.Lease {
	l := masu.Lease{ID: masu.LeaseID("lease-" + gpus), Workspace: masu.WorkspaceID("w-" + gpus), Holder: masu.Username(who), From: noon.Add(-hours(1))}
	for _, g := range gpus {
		l.GPUs = append(l.GPUs, masu.GPUID(g))
	}
	if until != 0 {
		l.Until = noon.Add(hours(until))
	}
	return l
}

func reserves(who, gpus string, from, until float64) masu.Reservation {
	r := masu.Reservation{ID: masu.ReservationID("r-" + who), Holder: masu.Username(who), From: noon.Add(hours(from)), Until: noon.Add(hours(until))}
	for _, g := range gpus {
		r.GPUs = append(r.GPUs, masu.GPUID(g))
	}
	return r
}

// told is a plan in short words: "x=a,b +24h" grants, "? lease-a idle 15m" announces, "! lease-a time" ends, "~ lease-a" withdraws, "- r" misses.
func told(p Plan) []string {
	var all []string
	for _, d := range p.Do {
		switch {
		case d.Grant != nil:
			var ids []string
			for _, g := range d.Grant.GPUs {
				ids = append(ids, string(g))
			}
			end := "ever"
			if !d.Grant.Until.IsZero() {
				end = fmt.Sprint(d.Grant.Until.Sub(noon).Hours(), "h")
			}
			all = append(all, fmt.Sprintf("%s=%s %s", d.Grant.Ticket.Workspace, strings.Join(ids, ","), end))
		case d.Announce != nil:
			all = append(all, fmt.Sprintf("? %s %s %v", d.Announce.Lease, d.Announce.Why, d.Announce.At.Sub(noon).Minutes()))
		case d.Withdraw != nil:
			all = append(all, fmt.Sprintf("~ %s", *d.Withdraw))
		case d.End != nil:
			all = append(all, fmt.Sprintf("! %s %s", d.End.Lease, d.End.Why))
		case d.Miss != nil:
			all = append(all, fmt.Sprintf("- %s", *d.Miss))
		}
	}
	return all
}

func TestDecide(t *testing.T) {
	announced := func(l masu.Lease, why masu.EndReason, minutes float64) masu.Lease {
		l.Why, l.EndsAt = why, noon.Add(hours(minutes/60))
		return l
	}
	kept := func(l masu.Lease) masu.Lease { l.KeptUntil = noon.Add(hours(1)); return l }
	limit := func(t masu.Ticket, h float64) masu.Ticket { t.Limit = hours(h); return t }
	want := func(t masu.Ticket, w masu.Want) masu.Ticket { t.Want = w; return t }
	idle := func(l string, m float64) map[masu.LeaseID]time.Duration {
		return map[masu.LeaseID]time.Duration{masu.LeaseID("lease-" + l): hours(m / 60)}
	}
	for _, c := range []struct {
		name  string
		state State
		rules func(*Policy)
		do    []string
		wait  []string // "workspace reason hours" in order; hours is when at the latest, "?" is unknown
	}{
		{name: "nothing", state: State{GPUs: cards(24)}},
		{name: "one asks, one is free", state: State{GPUs: cards(24), Tickets: []masu.Ticket{asks("alice", "x", 1, 0)}}, do: []string{"x=a 24h"}},
		{name: "the smallest that fits", state: State{GPUs: cards(80, 24, 40), Tickets: []masu.Ticket{want(asks("alice", "x", 0, 0), masu.Want{Count: 1, Memory: 32 * masu.GiB})}}, do: []string{"x=c 24h"}},
		{name: "two at once", state: State{GPUs: cards(24, 24), Tickets: []masu.Ticket{asks("alice", "x", 2, 0)}}, do: []string{"x=a,b 24h"}},
		{name: "every one", state: State{GPUs: cards(24, 24), Tickets: []masu.Ticket{want(asks("alice", "x", 0, 0), masu.Want{All: true})}}, do: []string{"x=a,b 24h"}},
		{name: "without an end", rules: func(p *Policy) { p.Hold = 0 }, state: State{GPUs: cards(24), Tickets: []masu.Ticket{asks("alice", "x", 1, 0)}}, do: []string{"x=a ever"}},
		{name: "first come", state: State{GPUs: cards(24), Tickets: []masu.Ticket{asks("bob", "y", 1, 1), asks("alice", "x", 1, 2)}}, do: []string{"x=a 24h"}, wait: []string{"y gpus 24"}},
		{name: "who got little goes first", state: State{GPUs: cards(24), Used: map[masu.Username]float64{"alice": 30}, Tickets: []masu.Ticket{asks("bob", "y", 1, 1), asks("alice", "x", 1, 2)}}, do: []string{"y=a 24h"}, wait: []string{"x gpus 24"}},
		{name: "who waits long goes first", state: State{GPUs: cards(24), Used: map[masu.Username]float64{"alice": 30}, Tickets: []masu.Ticket{asks("bob", "y", 1, 1), asks("alice", "x", 1, 32)}}, do: []string{"x=a 24h"}, wait: []string{"y gpus 24"}},
		{name: "one each", state: State{GPUs: cards(24, 24), Tickets: []masu.Ticket{asks("alice", "x", 1, 2), asks("alice", "z", 1, 2), asks("bob", "y", 1, 1.5)}}, do: []string{"x=a 24h", "y=b 24h"}, wait: []string{"z gpus 24"}},
		{name: "a class goes first", rules: func(p *Policy) { p.Classes = []Class{{Name: "paper", HeadStart: hours(10)}} },
			state: State{GPUs: cards(24), Tickets: []masu.Ticket{asks("bob", "y", 1, 5), {Workspace: "x", Holder: "alice", Class: "paper", Want: masu.Want{Count: 1}, At: noon}}}, do: []string{"x=a 24h"}, wait: []string{"y gpus 24"}},
		{name: "as many as one may", rules: func(p *Policy) { p.PerMember = 1 }, state: State{GPUs: cards(24, 24), Leases: []masu.Lease{holds("alice", "a", 5)}, Tickets: []masu.Ticket{asks("alice", "x", 1, 1)}}, wait: []string{"x member ?"}},
		{name: "as many as a group may", rules: func(p *Policy) { p.PerGroup = map[string]int{"b4": 1} },
			state: State{GPUs: cards(24, 24), Groups: map[masu.Username][]string{"alice": {"b4"}, "bob": {"b4"}}, Leases: []masu.Lease{holds("alice", "a", 5)}, Tickets: []masu.Ticket{asks("bob", "x", 1, 1), asks("carol", "y", 1, 0)}}, do: []string{"y=b 24h"}, wait: []string{"x group ?"}},
		{name: "gaps are filled, the first is not delayed",
			state: State{GPUs: cards(24, 24), Leases: []masu.Lease{holds("carol", "b", 3)}, Tickets: []masu.Ticket{asks("alice", "x", 2, 5), limit(asks("bob", "long", 1, 1), 4), limit(asks("dave", "short", 1, 0), 2)}},
			do:    []string{"short=a 2h"}, wait: []string{"x gpus 3", "long gpus 27"}},
		{name: "a gap, for who has no limit", state: State{GPUs: cards(24, 24), Leases: []masu.Lease{holds("carol", "b", 3)}, Tickets: []masu.Ticket{asks("alice", "x", 2, 5), asks("bob", "y", 1, 1)}},
			do: []string{"y=a 3h"}, wait: []string{"x gpus 3"}},
		{name: "nobody knows when", state: State{GPUs: cards(24), Leases: []masu.Lease{holds("carol", "a", 0)}, Tickets: []masu.Ticket{asks("alice", "x", 1, 1)}}, wait: []string{"x gpus ?"}},
		{name: "parts of a card", state: State{GPUs: cards(24, 24), Tickets: []masu.Ticket{
			want(asks("alice", "x", 0, 3), masu.Want{Share: 10 * masu.GiB}), want(asks("bob", "y", 0, 2), masu.Want{Share: 10 * masu.GiB}), want(asks("carol", "z", 0, 1), masu.Want{Share: 10 * masu.GiB})}},
			do: []string{"x=a 24h", "y=a 24h", "z=b 24h"}},
		{name: "a shared card is nobody's alone", state: State{GPUs: cards(24), Leases: []masu.Lease{{ID: "s", Holder: "bob", GPUs: []masu.GPUID{"a"}, Share: masu.GiB, Until: noon.Add(hours(2))}}, Tickets: []masu.Ticket{asks("alice", "x", 1, 1)}}, wait: []string{"x gpus 2"}},

		{name: "overtime while nobody waits", state: State{GPUs: cards(24), Leases: []masu.Lease{holds("carol", "a", -2)}}},
		{name: "overtime, and somebody waits", state: State{GPUs: cards(24), Leases: []masu.Lease{holds("carol", "a", -2)}, Tickets: []masu.Ticket{asks("alice", "x", 1, 1)}}, do: []string{"? lease-a time 15"}, wait: []string{"x gpus 0.25"}},
		{name: "told in time", state: State{GPUs: cards(24), Leases: []masu.Lease{holds("carol", "a", 0.2)}, Tickets: []masu.Ticket{asks("alice", "x", 1, 1)}}, do: []string{"? lease-a time 15"}, wait: []string{"x gpus 0.25"}},
		{name: "not too early", state: State{GPUs: cards(24), Leases: []masu.Lease{holds("carol", "a", 0.3)}, Tickets: []masu.Ticket{asks("alice", "x", 1, 1)}}, wait: []string{"x gpus 0.3"}},
		{name: "announced, not yet", state: State{GPUs: cards(24), Leases: []masu.Lease{announced(holds("carol", "a", -2), masu.EndTime, 5)}, Tickets: []masu.Ticket{asks("alice", "x", 1, 1)}}, wait: []string{"x gpus 0.08"}},
		{name: "announced, and now", state: State{GPUs: cards(24), Leases: []masu.Lease{announced(holds("carol", "a", -2), masu.EndTime, 0)}, Tickets: []masu.Ticket{asks("alice", "x", 1, 1)}}, do: []string{"! lease-a time"}, wait: []string{"x gpus 0"}},
		{name: "who waited has gone", state: State{GPUs: cards(24), Leases: []masu.Lease{announced(holds("carol", "a", -2), masu.EndTime, 5)}}, do: []string{"~ lease-a"}},
		{name: "one of two is enough", state: State{GPUs: cards(24, 24), Leases: []masu.Lease{holds("carol", "a", -2), holds("dave", "b", -3)}, Tickets: []masu.Ticket{asks("alice", "x", 1, 1)}}, do: []string{"? lease-b time 15"}, wait: []string{"x gpus 0.25"}},
		{name: "not for nothing", state: State{GPUs: cards(24, 24), Leases: []masu.Lease{holds("carol", "a", -2), holds("dave", "b", 5)}, Tickets: []masu.Ticket{asks("alice", "x", 2, 1)}}, wait: []string{"x gpus 5"}},

		{name: "idle, nobody waits", rules: func(p *Policy) { p.IdleFor = time.Hour }, state: State{GPUs: cards(24), Leases: []masu.Lease{holds("carol", "a", 9)}, Idle: idle("a", 90)}},
		{name: "idle, by the house", rules: func(p *Policy) { p.IdleFor, p.IdleAlways = time.Hour, true }, state: State{GPUs: cards(24), Leases: []masu.Lease{holds("carol", "a", 9)}, Idle: idle("a", 90)}, do: []string{"? lease-a idle 15"}},
		{name: "idle, somebody waits", rules: func(p *Policy) { p.IdleFor = time.Hour }, state: State{GPUs: cards(24), Leases: []masu.Lease{holds("carol", "a", 9)}, Idle: idle("a", 90), Tickets: []masu.Ticket{asks("alice", "x", 1, 1)}}, do: []string{"? lease-a idle 15"}, wait: []string{"x gpus 9"}},
		{name: "idle, kept", rules: func(p *Policy) { p.IdleFor = time.Hour }, state: State{GPUs: cards(24), Leases: []masu.Lease{kept(holds("carol", "a", 9))}, Idle: idle("a", 90), Tickets: []masu.Ticket{asks("alice", "x", 1, 1)}}, wait: []string{"x gpus 9"}},
		{name: "used again", rules: func(p *Policy) { p.IdleFor = time.Hour }, state: State{GPUs: cards(24), Leases: []masu.Lease{announced(holds("carol", "a", 9), masu.EndIdle, 5)}, Idle: idle("a", 0), Tickets: []masu.Ticket{asks("alice", "x", 1, 1)}}, do: []string{"~ lease-a"}, wait: []string{"x gpus 0.08"}},
		{name: "more than its part", state: State{GPUs: cards(24), Over: map[masu.LeaseID]bool{"lease-a": true}, Leases: []masu.Lease{holds("carol", "a", 9)}}, do: []string{"? lease-a memory 2"}},
		{name: "still more", state: State{GPUs: cards(24), Over: map[masu.LeaseID]bool{"lease-a": true}, Leases: []masu.Lease{announced(holds("carol", "a", 9), masu.EndMemory, 0)}}, do: []string{"! lease-a memory"}},
		{name: "no more", state: State{GPUs: cards(24), Leases: []masu.Lease{announced(holds("carol", "a", 9), masu.EndMemory, 1)}}, do: []string{"~ lease-a"}},
		{name: "an admin's word stays", state: State{GPUs: cards(24), Leases: []masu.Lease{announced(holds("carol", "a", 9), masu.EndAdmin, 5)}}},
		{name: "an admin's word, now", state: State{GPUs: cards(24), Leases: []masu.Lease{announced(holds("carol", "a", 9), masu.EndAdmin, -1)}}, do: []string{"! lease-a admin"}},
		{name: "a card is gone", state: State{GPUs: cards(24), Gone: []masu.GPUID{"z"}, Leases: []masu.Lease{holds("carol", "az", 9)}}, do: []string{"! lease-az lost"}},

		{name: "lent until it is reserved", state: State{GPUs: cards(24), Reservations: []masu.Reservation{reserves("bob", "a", 2, 6)}, Tickets: []masu.Ticket{asks("alice", "x", 1, 0)}}, do: []string{"x=a 2h"}},
		{name: "the gap is too short", state: State{GPUs: cards(24), Reservations: []masu.Reservation{reserves("bob", "a", 0.25, 6)}, Tickets: []masu.Ticket{asks("alice", "x", 1, 0)}}, wait: []string{"x gpus 6"}},
		{name: "work that ends in time", state: State{GPUs: cards(24), Reservations: []masu.Reservation{reserves("bob", "a", 2, 6)}, Tickets: []masu.Ticket{limit(asks("alice", "x", 1, 0), 2)}}, do: []string{"x=a 2h"}},
		{name: "work that does not", state: State{GPUs: cards(24), Reservations: []masu.Reservation{reserves("bob", "a", 2, 6)}, Tickets: []masu.Ticket{limit(asks("alice", "x", 1, 0), 3)}}, wait: []string{"x gpus 6"}},
		{name: "kept for its holder", state: State{GPUs: cards(24), Reservations: []masu.Reservation{reserves("bob", "a", -0.1, 6)}, Tickets: []masu.Ticket{asks("alice", "x", 1, 9), asks("bob", "y", 1, 0)}}, do: []string{"y=a 6h"}, wait: []string{"x gpus 6"}},
		{name: "the reserved one, not another", state: State{GPUs: cards(24, 24), Reservations: []masu.Reservation{reserves("bob", "b", -0.1, 6)}, Tickets: []masu.Ticket{asks("bob", "y", 1, 0)}}, do: []string{"y=b 6h"}},
		{name: "who holds it is told", state: State{GPUs: cards(24), Leases: []masu.Lease{holds("alice", "a", 1)}, Reservations: []masu.Reservation{reserves("bob", "a", 1, 6)}}, do: []string{"? lease-a reserved 60"}},
		{name: "not an hour and more before", state: State{GPUs: cards(24), Leases: []masu.Lease{holds("alice", "a", 2)}, Reservations: []masu.Reservation{reserves("bob", "a", 2, 6)}}},
		{name: "changes hands at the minute", state: State{GPUs: cards(24), Leases: []masu.Lease{announced(holds("alice", "a", 0), masu.EndReserved, 0)}, Reservations: []masu.Reservation{reserves("bob", "a", 0, 6)}}, do: []string{"! lease-a reserved"}},
		{name: "reserved at short notice: time to save", state: State{GPUs: cards(24), Leases: []masu.Lease{holds("alice", "a", 9)}, Reservations: []masu.Reservation{reserves("bob", "a", 0, 6)}}, do: []string{"? lease-a reserved 15"}},
		{name: "reserved at short notice: told already", state: State{GPUs: cards(24), Leases: []masu.Lease{announced(holds("alice", "a", 9), masu.EndReserved, 5)}, Reservations: []masu.Reservation{reserves("bob", "a", -0.1, 6)}}},
		{name: "reserved at short notice: over", state: State{GPUs: cards(24), Leases: []masu.Lease{announced(holds("alice", "a", 9), masu.EndReserved, 0)}, Reservations: []masu.Reservation{reserves("bob", "a", -0.25, 6)}, Tickets: []masu.Ticket{asks("bob", "y", 1, 0.25)}}, do: []string{"! lease-a reserved"}, wait: []string{"y gpus 0"}},
		{name: "a short gap ends at the minute, told or not", state: State{GPUs: cards(24), Leases: []masu.Lease{holds("alice", "a", -0.001)}, Reservations: []masu.Reservation{reserves("bob", "a", 0, 6)}}, do: []string{"! lease-a reserved"}},
		{name: "nobody came", state: State{GPUs: cards(24), Reservations: []masu.Reservation{reserves("bob", "a", -0.25, 6)}, Tickets: []masu.Ticket{asks("alice", "x", 1, 1)}}, do: []string{"- r-bob", "x=a 24h"}},
		{name: "they came", state: State{GPUs: cards(24), Leases: []masu.Lease{holds("bob", "a", 6)}, Reservations: []masu.Reservation{reserves("bob", "a", -0.25, 6)}, Tickets: []masu.Ticket{asks("alice", "x", 1, 1)}}, wait: []string{"x gpus 6"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := c.state
			s.Now, s.Policy = noon, rules()
			if c.rules != nil {
				c.rules(&s.Policy)
			}
			p := Decide(s)
			if got := told(p); !slices.Equal(got, c.do) {
				t.Errorf("does %q, want %q", got, c.do)
			}
			var wait []string
			for _, w := range p.Waiting {
				at := "?"
				if !w.Expect.IsZero() {
					at = strings.TrimSuffix(strings.TrimRight(fmt.Sprintf("%.2f", w.Expect.Sub(noon).Hours()), "0"), ".")
				}
				wait = append(wait, fmt.Sprintf("%s %s %s", w.Workspace, w.Blocked, at))
			}
			if !slices.Equal(wait, c.wait) {
				t.Errorf("waiting %q, want %q", wait, c.wait)
			}
		})
	}
}

// TestForetell: what is told to somebody who asks before they ask is what comes
// when they do, and asking changes nothing.
func TestForetell(t *testing.T) {
	one, two := masu.Want{Count: 1}, masu.Want{Count: 2}
	at := func(h float64) time.Time { return noon.Add(hours(h)) }
	for _, c := range []struct {
		name  string
		state State
		want  masu.Want
		is    masu.Forecast
	}{
		{"a free one, for as long as the house lends", State{GPUs: cards(24, 24)}, two, masu.Forecast{Until: at(24)}},
		{"a free one, until somebody has reserved it", State{GPUs: cards(24), Reservations: []masu.Reservation{reserves("bob", "a", 3, 4)}}, one, masu.Forecast{Until: at(3)}},
		{"none free: when the first is given back", State{GPUs: cards(24, 24), Leases: []masu.Lease{holds("bob", "a", 5), holds("carol", "b", 2)}}, one, masu.Forecast{Place: 1, Expect: at(2), Blocked: masu.WaitGPUs}},
		{"none free: behind somebody", State{GPUs: cards(24), Leases: []masu.Lease{holds("bob", "a", 5)}, Tickets: []masu.Ticket{asks("carol", "c", 1, 1)}}, one, masu.Forecast{Place: 2, Expect: at(29), Blocked: masu.WaitGPUs}},
		{"before somebody who got much", State{GPUs: cards(24), Leases: []masu.Lease{holds("bob", "a", 5)}, Tickets: []masu.Ticket{asks("carol", "c", 1, 1)}, Used: map[masu.Username]float64{"carol": 50}}, one, masu.Forecast{Place: 1, Expect: at(5), Blocked: masu.WaitGPUs}},
		{"held without end", State{GPUs: cards(24), Leases: []masu.Lease{holds("bob", "a", 0)}}, one, masu.Forecast{Place: 1, Blocked: masu.WaitGPUs}},
		{"as many as one may", State{GPUs: cards(24, 24, 24), Leases: []masu.Lease{holds("alice", "ab", 5)}, Policy: Policy{PerMember: 2}}, one, masu.Forecast{Place: 1, Blocked: masu.WaitMember}},
	} {
		p := rules()
		p.PerMember = c.state.Policy.PerMember
		c.state.Now, c.state.Policy = noon, p
		tickets := len(c.state.Tickets)
		if got := Foretell(c.state, masu.Ticket{Holder: "alice", Want: c.want}); got != c.is {
			t.Errorf("%s: %+v, want %+v", c.name, got, c.is)
		}
		if len(c.state.Tickets) != tickets {
			t.Errorf("%s: it asked", c.name)
		}
	}
}

func TestPossible(t *testing.T) {
	two := append(cards(24, 24), masu.GPU{ID: "z", Node: "other", Model: "NVIDIA H100", Memory: 79 * masu.GiB})
	for name, c := range map[string]struct {
		want masu.Want
		ok   bool
	}{
		"one":                    {masu.Want{Count: 1}, true},
		"two of one machine":     {masu.Want{Count: 2}, true},
		"three of two machines":  {masu.Want{Count: 3}, false},
		"all of one":             {masu.Want{All: true}, true},
		"as it is sold":          {masu.Want{Count: 1, Memory: 79 * masu.GiB}, true},
		"larger than any":        {masu.Want{Count: 1, Memory: 96 * masu.GiB}, false},
		"by model":               {masu.Want{Count: 1, Model: "h100"}, true},
		"none such":              {masu.Want{Count: 1, Model: "b200"}, false},
		"a part":                 {masu.Want{Share: 8 * masu.GiB}, true},
		"a part larger than any": {masu.Want{Share: 90 * masu.GiB}, false},
		"a negative number":      {masu.Want{Count: -1}, false},
		"a negative part":        {masu.Want{Count: 1, Share: -masu.GiB}, false},
		"negative memory":        {masu.Want{All: true, Memory: -masu.GiB}, false},
	} {
		if Possible(two, c.want) != c.ok {
			t.Errorf("%s: %v", name, !c.ok)
		}
	}
	untold := []masu.GPU{{ID: "amd.com/gpu=0", Model: "amd.com/gpu"}} // nobody knows its memory
	if Possible(untold, masu.Want{Count: 1, Memory: masu.GiB}) || Possible(untold, masu.Want{Share: masu.GiB}) || !Possible(untold, masu.Want{Count: 1, Model: "amd"}) {
		t.Error("a card that does not tell its memory")
	}
	if Possible(nil, masu.Want{All: true}) {
		t.Error("all of nothing")
	}
}

// TestUnclaimed: what is kept for somebody who runs on the CPU goes on when its
// time is over, or when it was promised to somebody else, whatever comes between.
func TestUnclaimed(t *testing.T) {
	kept := holds("alice", "a", 24)
	kept.EndsAt, kept.Why = noon.Add(15*time.Minute), masu.EndUnclaimed
	for _, c := range []struct {
		name     string
		after    time.Duration
		reserved []masu.Reservation
		ends     bool
	}{
		{"its time runs", 10 * time.Minute, nil, false},
		{"its time is over", 15 * time.Minute, nil, true},
		{"somebody has reserved it for later: no reason to keep it for longer", time.Minute, []masu.Reservation{reserves("bob", "a", 0.5, 2)}, false},
		{"… and its time is over before", 15 * time.Minute, []masu.Reservation{reserves("bob", "a", 0.5, 2)}, true},
		{"… and the reservation comes before", 7 * time.Minute, []masu.Reservation{reserves("bob", "a", 0.1, 2)}, true},
	} {
		s := State{Now: noon.Add(c.after), GPUs: cards(24), Leases: []masu.Lease{kept}, Tickets: []masu.Ticket{asks("carol", "c", 1, 1)}, Reservations: c.reserved, Policy: rules()}
		var ends bool
		for _, d := range Decide(s).Do {
			switch {
			case d.End != nil:
				ends = d.End.Why == masu.EndUnclaimed
			case d.Announce != nil, d.Withdraw != nil:
				t.Errorf("%s: %+v", c.name, d)
			}
		}
		if ends != c.ends {
			t.Errorf("%s: ends %v", c.name, ends)
		}
	}
}
