package masu

import (
	"context"
	"strconv"
	"time"
)

// LeaseID identifies a lease.
type LeaseID string

// Lease is a hold on GPUs until it ends. The store keeps at most one running
// lease on a GPU, or as many as share it.
type Lease struct {
	ID        LeaseID     `json:"id"`
	Workspace WorkspaceID `json:"workspace"`
	Holder    Username    `json:"holder"`
	Want      Want        `json:"want"`
	GPUs      []GPUID     `json:"gpus"`
	Share     Bytes       `json:"share,omitempty"`   // of the card's memory, by promise; 0 is the card for oneself
	Name      string      `json:"name,omitempty"`    // of the workspace or run, for the account
	Project   string      `json:"project,omitempty"` // what the folder calls itself, for the account; "" without a folder
	AskedAt   time.Time   `json:"asked_at,omitzero"` // since when its holder waited
	From      time.Time   `json:"from"`
	Until     time.Time   `json:"until,omitzero"`      // the holder may count on them until then, and longer while nobody waits; zero: no end
	EndsAt    time.Time   `json:"ends_at,omitzero"`    // announced: they will be taken back then
	Why       EndReason   `json:"why,omitempty"`       // with EndsAt or EndedAt
	Keeps     int         `json:"keeps,omitempty"`     // how often the holder has put off an end that was announced because nobody used them
	KeptUntil time.Time   `json:"kept_until,omitzero"` // not idle until then, by the holder's word
	EndedAt   time.Time   `json:"ended_at,omitzero"`
}

// EndReason says why a lease ended, or will.
type EndReason string

const (
	EndHolder    EndReason = "holder"    // the holder gave them back
	EndAdmin     EndReason = "admin"     // an admin took them
	EndTime      EndReason = "time"      // its time is over, and others wait
	EndIdle      EndReason = "idle"      // nobody used them
	EndReserved  EndReason = "reserved"  // somebody has reserved them from then on
	EndLost      EndReason = "lost"      // a card is gone
	EndMemory    EndReason = "memory"    // it takes more of a shared card than its part
	EndUnclaimed EndReason = "unclaimed" // their turn came while the workspace ran on the CPU, and its owner did not take them
)

// Ticket is a place in the queue for GPUs. A workspace, or a run, has at most one.
type Ticket struct {
	Workspace WorkspaceID   `json:"workspace"`
	Holder    Username      `json:"holder"`
	Want      Want          `json:"want"`
	Class     string        `json:"class,omitempty"` // a class of Policy; "" is the usual one
	Name      string        `json:"name,omitempty"`  // of the workspace or run
	Project   string        `json:"project,omitempty"`
	Limit     time.Duration `json:"limit,omitempty"` // it gives them back by then; 0: as late as it may
	At        time.Time     `json:"at"`
}

// Wait is what a ticket can expect.
type Wait struct {
	Ticket
	Place   int        `json:"place"`           // 1 is next
	Expect  time.Time  `json:"expect,omitzero"` // no later than this, if everybody keeps to what is known; zero: nobody can tell
	Blocked WaitReason `json:"blocked,omitempty"`
}

// Forecast is what somebody who asks now can expect.
type Forecast struct {
	Place   int        `json:"place"`           // in the queue; 0: it would be lent at once
	Expect  time.Time  `json:"expect,omitzero"` // with Place: no later than this, if everybody keeps to what is known; zero: nobody can tell
	Blocked WaitReason `json:"blocked,omitempty"`
	Until   time.Time  `json:"until,omitzero"` // without Place: one may count on them until then; zero: no end
}

// Sentence is the place in words: a code and its arguments, with the time as
// when writes it; "" without a place.
func (f Forecast) Sentence(when func(time.Time) string) (code string, args []any) {
	switch {
	case f.Place == 0:
		return "", nil
	case f.Blocked != WaitGPUs:
		return "gpus_limit_" + string(f.Blocked), nil
	case f.Expect.IsZero():
		return "gpus_place", []any{strconv.Itoa(f.Place)}
	}
	return "gpus_place_by", []any{strconv.Itoa(f.Place), when(f.Expect)}
}

// WaitReason says what a ticket waits for.
type WaitReason string

const (
	WaitGPUs   WaitReason = "gpus"   // others hold them
	WaitMember WaitReason = "member" // the member holds as many as one may
	WaitGroup  WaitReason = "group"  // so does a group of theirs
)

// ReservationID identifies a reservation.
type ReservationID string

// Reservation is a promise of GPUs for a time to come.
type Reservation struct {
	ID     ReservationID `json:"id"`
	Holder Username      `json:"holder"`
	Want   Want          `json:"want"`
	GPUs   []GPUID       `json:"gpus"` // those that are kept for it
	From   time.Time     `json:"from"`
	Until  time.Time     `json:"until"`
	Note   string        `json:"note,omitempty"`
	Series string        `json:"series,omitempty"` // the same for all of a repeated one
	Missed bool          `json:"missed,omitempty"` // nobody came
}

// Now tells whether its time is running.
func (r Reservation) Now(now time.Time) bool {
	return !now.Before(r.From) && now.Before(r.Until) && !r.Missed
}

// Lending is the part of Service about GPUs. Who has which, and who waits, is on the Board.
type Lending interface {
	// Forecast tells what a want could expect now, and changes nothing. One that can never be met is Invalid "gpus_impossible".
	Forecast(ctx context.Context, want Want) (Forecast, error)
	// Extend and Release take a run's name or ID as well; Conflict "run_which" (name, IDs) where several have the name.

	// Extend moves the end of what a workspace's GPUs are lent for to so long
	// from now, and puts off an end that was announced because nobody used them.
	// Conflict "no_lease", "extend_reserved" (somebody has reserved them; argument: until when it
	// could be), "extend_waited" (its time is over and others wait), Denied "extend_most" (argument: hours),
	// "keeps_spent" (argument: how often it may be put off that nobody uses them).
	Extend(ctx context.Context, name string, by time.Duration) (Lease, error)
	// Release gives a workspace's GPUs back, or ends its wait. It starts again without GPUs, with the same
	// files; one that waits while it runs on the CPU just runs on. A run ends by it.
	Release(ctx context.Context, name string) (Workspace, error)
	// AskFor asks a lease's holder to give it back; it shows on their pages. NotFound "no_lease".
	AskFor(ctx context.Context, lease LeaseID) error

	// Reserve promises GPUs for a time to come, once or weekly. Conflict "reserve_taken" where others have
	// reserved so many that it cannot be met, Invalid "reserve_past", "reserve_far" (argument: days), "gpus_impossible".
	Reserve(ctx context.Context, w ReserveWish) ([]Reservation, error)
	// Unreserve gives a reservation up, or all of its series that are to come; teachers and admins
	// also somebody else's. Others' are NotFound "no_reservation".
	Unreserve(ctx context.Context, id ReservationID, series bool) error
	// Reservations lists those of everybody that touch a span.
	Reservations(ctx context.Context, from, until time.Time) ([]Reservation, error)
}

// ReserveWish asks for a reservation.
type ReserveWish struct {
	Want  Want      `json:"want"`
	From  time.Time `json:"from"`
	Until time.Time `json:"until"`
	Weeks int       `json:"weeks,omitempty"` // so many weeks in a row; 0 and 1 are once
	Note  string    `json:"note,omitempty"`
	For   Username  `json:"for,omitempty"` // somebody else; for teachers and admins
}
