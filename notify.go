package masu

import (
	"context"
	"slices"
	"time"
)

// Occasion is something that members may want to be told while they look elsewhere.
type Occasion string

const (
	OccasionEnded  Occasion = "ended"  // a workspace failed, lost its GPUs, or was stopped by something else than its owner
	OccasionEnding Occasion = "ending" // GPUs that a member holds will be taken back
	OccasionAsked  Occasion = "asked"  // a colleague would like to have GPUs that a member holds
	OccasionReady  Occasion = "ready"  // a workspace runs after a start that took long
	OccasionHouse  Occasion = "house"  // what an admin wants everybody to know; maintenance
	OccasionServer Occasion = "server" // for admins: a disk is nearly full, the engine is away
)

// Occasions lists them.
func Occasions() []Occasion {
	return []Occasion{OccasionEnded, OccasionEnding, OccasionAsked, OccasionReady, OccasionHouse, OccasionServer}
}

// NotifyWish says how and when a member wants to be told; without an address, not at all.
type NotifyWish struct {
	Webhook string     `json:"webhook,omitempty"` // URL that takes JSON, as chat programs offer it
	Mail    string     `json:"mail,omitempty"`    // address
	On      []Occasion `json:"on,omitempty"`
}

// Wants tells whether somebody is to be told.
func (n NotifyWish) Wants(o Occasion) bool {
	return (n.Webhook != "" || n.Mail != "") && slices.Contains(n.On, o)
}

// Notice is one message to a member, in their language.
type Notice struct {
	At        time.Time `json:"at"`
	Occasion  Occasion  `json:"occasion"`
	Member    Username  `json:"member"`
	Workspace string    `json:"workspace,omitempty"`
	Title     string    `json:"title"`
	Body      string    `json:"body,omitempty"`
	URL       string    `json:"url,omitempty"` // of the page to look at
	Host      string    `json:"host,omitempty"`
}

// Notifier carries notices. It fails with Unreachable "notify_failed", whose
// argument says at which address and why, and Invalid "notify_no_mail" where no mail is sent.
type Notifier interface {
	Notify(ctx context.Context, to NotifyWish, n Notice) error
	// Check refuses an address to which nothing can be sent: Invalid "webhook_wrong", "mail_wrong", "notify_no_mail".
	Check(to NotifyWish) error
}
