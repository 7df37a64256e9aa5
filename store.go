package masu

import (
	"context"
	"strconv"
	"strings"
	"time"
)

// Store keeps what must be remembered. Everything happens in a transaction:
// Update's function either happens wholly or not at all, and View's sees one
// moment. masutest.Store is the suite that every store passes.
type Store interface {
	View(ctx context.Context, f func(Tx) error) error
	Update(ctx context.Context, f func(Tx) error) error
	Close() error
}

// Tx is one transaction. Reading something that is not there is NotFound
// "no_workspace", "no_member", "no_session" or "no_link"; writing in a View fails.
type Tx interface {
	Lab() (string, error) // the lab's own identity, made with the store: 12 lower-case letters and digits

	Workspace(id WorkspaceID) (Workspace, error)
	WorkspaceNamed(owner Username, name string) (Workspace, error)
	WorkspaceLabelled(label string) (Workspace, error)
	Workspaces() ([]Workspace, error) // by owner, then name
	WorkspacesOf(owner Username) ([]Workspace, error)
	// WorkspacesOpenTo lists others' workspaces that have the member as a guest, or share an app with
	// them or with the lab, by owner, then name.
	WorkspacesOpenTo(member Username) ([]Workspace, error)
	PutWorkspace(w Workspace) error // Conflict "name_taken" for a second one with that owner and name, or that label
	DeleteWorkspace(id WorkspaceID) error

	// Leases lists the running ones.
	Leases() ([]Lease, error)
	// PastLeases lists those that have ended since then, by their ends.
	PastLeases(since time.Time) ([]Lease, error)
	// PutLease grants, or ends when EndedAt is set; Conflict "gpu_taken" if another running lease
	// holds one of the GPUs, unless both share it.
	PutLease(l Lease) error

	// PutGPUUse adds what leases used, and sums up to hours what is older than minutes.
	PutGPUUse(list []GPUUse, minutes time.Time) error
	// GPUUse lists what was used in a span, in no order; hours that touch its beginning are left out.
	GPUUse(from, until time.Time) ([]GPUUse, error)

	// Run finds one by its ID; NotFound "no_run".
	Run(id WorkspaceID) (Run, error)
	Runs(owner Username) ([]Run, error) // the newest first; "" is everybody's
	OpenRuns() ([]Run, error)           // those that are not over, the oldest first
	PutRun(r Run) error
	DeleteRun(id WorkspaceID) error

	Tickets() ([]Ticket, error) // the oldest first
	PutTicket(t Ticket) error   // in the place of the workspace's own
	DeleteTicket(id WorkspaceID) error

	// Reservations lists those that are not over by then, by their beginnings.
	Reservations(after time.Time) ([]Reservation, error)
	PutReservation(r Reservation) error
	DeleteReservation(id ReservationID) error

	Member(name Username) (Member, error)
	Members() ([]Member, error) // by name
	PutMember(m Member) error

	// Token finds a token by the hash of its secret; expired ones are NotFound "no_token".
	Token(hash string) (Token, error)
	Tokens(user Username) ([]Token, error) // the oldest first
	PutToken(t Token) error
	DeleteToken(id string) error

	// SSHKeyOf lists who has added a key: anybody may have another's public half.
	SSHKeyOf(fingerprint string) ([]SSHKey, error)
	SSHKeys(user Username) ([]SSHKey, error) // the oldest first; "" is everybody's
	PutSSHKey(k SSHKey) error                // by its user and its fingerprint
	DeleteSSHKey(user Username, fingerprint string) error

	// SharedEnvironment finds one by its ID; NotFound "no_shared".
	SharedEnvironment(id string) (Shared, error)
	SharedEnvironments() ([]Shared, error) // the newest first
	PutShared(s Shared) error
	DeleteShared(id string) error

	// PutSamples adds what boxes used, and forgets all that is older than forget.
	PutSamples(list []Sample, forget time.Time) error
	// Samples lists a workspace's since then, the oldest first; cores to the thousandth.
	Samples(id WorkspaceID, since time.Time) ([]Sample, error)

	House() (House, error) // zero if nothing was said
	PutHouse(h House) error

	Rules() (Rules, error) // zero if none was set
	PutRules(r Rules) error

	// Session finds a session by the hash of its secret; ended and expired ones are not found.
	Session(hash string) (Session, error)
	Sessions(user Username) ([]Session, error) // "" is everybody's
	PutSession(s Session) error
	DeleteSession(hash string) error

	PutLink(l Link) error
	// TakeLink returns a one-time link and deletes it; a used or expired one is NotFound "no_link".
	TakeLink(hash string, now time.Time) (Link, error)

	// Append writes one line of the audit log; it sets Seq, and At when it is zero.
	Append(e Event) error
	// Events lists those after seq, oldest first, at most limit.
	Events(after int64, limit int) ([]Event, error)
	// FindEvents lists those that fit, newest first.
	FindEvents(q EventQuery) ([]Event, error)
}

// EventHeading names the cells of Event.Record.
func EventHeading() []string { return []string{"seq", "at", "actor", "door", "verb", "object", "code"} }

// Record is the line for a spreadsheet. No cell can be taken for a formula.
func (e Event) Record() []string {
	return []string{strconv.FormatInt(e.Seq, 10), e.At.Format(time.RFC3339), inert(string(e.Actor)), string(e.Door), inert(e.Verb), inert(e.Object), e.Code}
}

// EventQuery asks for lines of the audit log; what is zero does not matter.
type EventQuery struct {
	Actor  Username  `json:"actor,omitempty"`
	Verb   string    `json:"verb,omitempty"`
	Object string    `json:"object,omitempty"` // a part of it
	Since  time.Time `json:"since,omitzero"`
	Before int64     `json:"before,omitempty"` // lines with a smaller number
	Limit  int       `json:"limit,omitempty"`  // at most; 0 gives none
}

// Fits tells whether a line is asked for, but for the limit.
func (q EventQuery) Fits(e Event) bool {
	return (q.Actor == "" || e.Actor == q.Actor) && (q.Verb == "" || e.Verb == q.Verb) && strings.Contains(e.Object, q.Object) &&
		!e.At.Before(q.Since) && (q.Before <= 0 || e.Seq < q.Before)
}

// Member is what masu keeps about a login of the host.
type Member struct {
	Name     Username     `json:"name"`
	Password string       `json:"password,omitempty"` // PHC string, argon2id; "" means no sign-in by password
	Lang     Lang         `json:"lang,omitempty"`
	Role     Role         `json:"role,omitempty"`
	Disabled bool         `json:"disabled,omitempty"`
	Notify   NotifyWish   `json:"notify,omitzero"`
	Limits   MemberLimits `json:"limits,omitzero"`
	SetAt    time.Time    `json:"set_at,omitzero"` // when the password was last set
}

// Session is a signed-in browser. Only the SHA-256 of its secret is kept.
type Session struct {
	Hash    string      `json:"hash"`
	User    Username    `json:"user"`
	For     WorkspaceID `json:"for,omitempty"`    // a session of a workspace's own origin; "" for one of the pages
	Parent  string      `json:"parent,omitempty"` // hash of the pages' session that it ends with
	Agent   string      `json:"agent,omitempty"`
	At      time.Time   `json:"at"`
	Expires time.Time   `json:"expires"`
}

// Link is a one-time link: who opens it within its time is signed in. Only the SHA-256 of its secret is kept.
type Link struct {
	Hash    string      `json:"hash"`
	User    Username    `json:"user"`
	For     WorkspaceID `json:"for,omitempty"` // a link into a workspace's own origin
	Parent  string      `json:"parent,omitempty"`
	Next    string      `json:"next,omitempty"` // path to go to
	Expires time.Time   `json:"expires"`
}

// Event is one line of the audit log: who did what to which thing, and how it ended.
type Event struct {
	Seq    int64     `json:"seq"`
	At     time.Time `json:"at"`
	Actor  Username  `json:"actor,omitempty"` // "" for the lab itself
	Door   Door      `json:"door,omitempty"`
	Verb   string    `json:"verb"` // up, stop, rm, signin, passwd, …
	Object string    `json:"object,omitempty"`
	Code   string    `json:"code,omitempty"` // "" for done; else the error's code
	Args   []string  `json:"args,omitempty"`
}
