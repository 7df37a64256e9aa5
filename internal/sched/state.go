// Package sched decides who gets which GPU, and who gives one back: functions
// of the lab's state, without clock or I/O.
package sched

import (
	"time"

	"github.com/masu-lab/masu"
)

// Policy is the rules by which GPUs are lent.
type Policy struct {
	PerMember  int            // GPUs that one member may hold; 0: as many as there are
	PerGroup   map[string]int // GPUs that the members of a group may hold together
	Hold       time.Duration  // what a holder may count on; 0: no end
	Grace      time.Duration  // between saying that GPUs will be taken back and doing it
	Slot       time.Duration  // the shortest gap that is lent to somebody without a limit
	Aging      float64        // GPU hours of others that an hour of waiting makes good
	Classes    []Class
	IdleFor    time.Duration // GPUs idle for so long are taken back; 0: never
	IdleAlways bool          // also while nobody waits for them
	Notice     time.Duration // before a reservation begins, its GPUs' holder is told
	NoShow     time.Duration // a reservation that nobody uses for so long is over
}

// Class is a kind of work that goes before other work.
type Class struct {
	Name      string
	HeadStart time.Duration // as if it had waited so long already
	Groups    []string      // whose members may ask for it; none: everybody
}

// State is all that a decision rests on.
type State struct {
	Now          time.Time
	GPUs         []masu.GPU // that work, and that nobody outside masu uses
	Gone         []masu.GPUID
	Leases       []masu.Lease // the running ones
	Tickets      []masu.Ticket
	Reservations []masu.Reservation
	Used         map[masu.Username]float64      // GPU hours, the older the less
	Groups       map[masu.Username][]string     // of holders
	Most         map[masu.Username]int          // GPUs that some members may hold, whatever Policy.PerMember says
	Idle         map[masu.LeaseID]time.Duration // how long nothing has happened there
	Over         map[masu.LeaseID]bool          // takes more of a shared card than its part
	Policy       Policy
}

// Decision is one thing to be done; exactly one of its pointers is set.
type Decision struct {
	Grant    *Grant
	Announce *Announce     // tell the holder when the lease will end
	Withdraw *masu.LeaseID // an announced end is off
	End      *End
	Miss     *masu.ReservationID // nobody came
}

// Grant lends GPUs to a ticket.
type Grant struct {
	Ticket masu.Ticket
	GPUs   []masu.GPUID
	Until  time.Time // zero: no end
}

// Announce says that a lease will end.
type Announce struct {
	Lease masu.LeaseID
	At    time.Time
	Why   masu.EndReason
}

// End takes a lease's GPUs back.
type End struct {
	Lease masu.LeaseID
	Why   masu.EndReason
}

// Plan is what to do now, and what those who still wait can expect, in the order of their turns.
type Plan struct {
	Do      []Decision
	Waiting []masu.Wait
}
