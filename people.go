package masu

import (
	"context"
	"slices"
	"time"
)

// Role is what somebody may do in the lab beside working there.
type Role string

const (
	RoleMember  Role = ""        // nothing more
	RoleTeacher Role = "teacher" // sees the whole lab's use: teachers, principal investigators
	RoleAdmin   Role = "admin"   // may do everything
)

// Below tells whether the role may do less than another.
func (r Role) Below(other Role) bool {
	ranks := []Role{RoleMember, RoleTeacher, RoleAdmin}
	return slices.Index(ranks, r) < slices.Index(ranks, other)
}

// Valid tells whether the role is one of those that there are.
func (r Role) Valid() bool { return r == RoleMember || r == RoleTeacher || r == RoleAdmin }

// MemberUse is a member as admins and teachers see them.
type MemberUse struct {
	Name       Username     `json:"name"`
	UID        int          `json:"uid"`
	Role       Role         `json:"role,omitempty"`
	ByHost     bool         `json:"by_host,omitempty"` // admin by a group of the host: masu cannot take that away
	Disabled   bool         `json:"disabled,omitempty"`
	Password   bool         `json:"password,omitempty"` // may sign in by password
	Limits     MemberLimits `json:"limits,omitzero"`    // where an admin has said something else than the rules
	Workspaces int          `json:"workspaces"`
	Running    int          `json:"running"`
	GPUs       int          `json:"gpus"` // lent to them, also for runs
	UsedAt     time.Time    `json:"used_at,omitzero"`
	Gone       bool         `json:"gone,omitempty"` // the host has no such login any more
}

// MemberChange changes what masu keeps about a member; nil stays as it is.
type MemberChange struct {
	Role     *Role        `json:"role,omitempty"`
	Disabled *bool        `json:"disabled,omitempty"` // ends everything they have going
	Limits   MemberLimits `json:"limits,omitzero"`    // less than 0 means the rules' again
}

// Scope is what a token may be used for.
type Scope string

const (
	ScopeRead Scope = "read" // look, and change nothing
	ScopeAll  Scope = "all"  // whatever its owner may
	// ScopeCalendar is the secret part of the address of the timetable's feed: calendars can
	// send nothing else. It opens that, and nothing else; a member has one at most.
	ScopeCalendar Scope = "calendar"
)

// FeedPath is where on the pages a calendar finds the timetable, by the secret of a token for that.
func FeedPath(secret string) string { return "/calendar/" + secret + ".ics" }

// MostDays is how long a token may live. Nobody renews an address that a calendar follows.
func (s Scope) MostDays() int {
	if s == ScopeCalendar {
		return 3650
	}
	return 365
}

// Valid tells whether the scope is one of those that there are.
func (s Scope) Valid() bool { return s == ScopeRead || s == ScopeAll || s == ScopeCalendar }

// Token lets a program act for a member. Only the SHA-256 of its secret is kept.
type Token struct {
	ID      string    `json:"id"` // 12 lower-case letters and digits
	Hash    string    `json:"hash,omitempty"`
	User    Username  `json:"user"`
	Name    string    `json:"name"` // what its owner calls it
	Scope   Scope     `json:"scope"`
	At      time.Time `json:"at"`
	Expires time.Time `json:"expires"`
	UsedAt  time.Time `json:"used_at,omitzero"` // to the hour
}

// TokenWish asks for a token.
type TokenWish struct {
	Name  string `json:"name"`
	Scope Scope  `json:"scope"`
	Days  int    `json:"days"` // 1 to Scope.MostDays
}

// NewToken is a token just made; its secret is told this once.
type NewToken struct {
	Token
	Secret string `json:"secret"`
}

// House is what everybody should know now, and whether the house is open.
type House struct {
	Banner   string    `json:"banner,omitempty"`   // shown on every page, as an admin wrote it
	ClosedAt time.Time `json:"closed_at,omitzero"` // from then on nothing new starts: maintenance; zero means open
}

// Closed tells whether nothing new may start at that time.
func (h House) Closed(at time.Time) bool { return !h.ClosedAt.IsZero() && !at.Before(h.ClosedAt) }

// Identity is the part of Service about the actor's own ways in and doings.
type Identity interface {
	// Sessions lists the actor's signed-in browsers, the newest first.
	Sessions(ctx context.Context) ([]Session, error)
	// EndSession signs one out, with all that hangs on it; NotFound "no_session".
	EndSession(ctx context.Context, hash string) error
	// Tokens lists the actor's, without their hashes.
	Tokens(ctx context.Context) ([]Token, error)
	// NewToken makes one; Invalid "token_wish" where the wish makes no sense. One
	// for a calendar ends the one before.
	NewToken(ctx context.Context, w TokenWish) (NewToken, error)
	// DeleteToken ends one; NotFound "no_token".
	DeleteToken(ctx context.Context, id string) error
	// Notices tells how the actor wants to be told of things.
	Notices(ctx context.Context) (NotifyWish, error)
	// SetNotices changes that; Invalid "webhook_wrong", "mail_wrong", "notify_no_mail", "notify_wish".
	SetNotices(ctx context.Context, n NotifyWish) error
	// TryNotices sends a message now, to see that it arrives; Unreachable "notify_failed".
	TryNotices(ctx context.Context) error
	// Events lists what the actor did, the newest first; for admins what anybody did.
	Events(ctx context.Context, q EventQuery) ([]Event, error)
}

// Administration is the part of Service for admins; others are Denied "not_admin".
type Administration interface {
	// Members lists everybody who may use the lab; teachers may ask too.
	Members(ctx context.Context) ([]MemberUse, error)
	// ChangeMember changes one; Conflict "last_admin", "not_yourself".
	ChangeMember(ctx context.Context, name Username, c MemberChange) error
	// Handover hands a leaver's workspaces to a member, and what else there is: Conflict "handover_running",
	// "handover_runs", "handover_name", "handover_same"; NotFound "handover_to" (no member, or a disabled one), "handover_nothing".
	Handover(ctx context.Context, w HandoverWish) (Handover, error)
	// Invite makes a link, good for a week and one use, for somebody who has never used a terminal.
	Invite(ctx context.Context, name Username) (OpenLink, error)
	// VerifyEvents examines the audit log; Conflict "events_broken" names the first line that is not as it was written.
	VerifyEvents(ctx context.Context) error
	SetHouse(ctx context.Context, h House) error
	// Rules tells the house rules and where they come from.
	Rules(ctx context.Context) (RulesNow, error)
	// SetRules sets them for what begins from now on; Invalid "rules_wrong".
	SetRules(ctx context.Context, r Rules) error
	// Findings examines the host; it may take some seconds.
	Findings(ctx context.Context) ([]Finding, error)
	// Adopt puts a container that somebody made by hand behind masu's sign-in, as a workspace of
	// its owner's: NotFound "no_container", "no_member"; Invalid "adopt_wish"; Conflict "adopt_own",
	// "adopt_twice", "adopt_network", "gpu_taken".
	Adopt(ctx context.Context, w AdoptWish) (Workspace, error)
	// Unadopt lets go of it; it goes on as it is. Conflict "not_adopted".
	Unadopt(ctx context.Context, name string) error
}
