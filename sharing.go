package masu

import (
	"context"
	"slices"
	"time"
)

// Shared is an environment that a member lets others use. It is the text of a
// masu.yaml and nothing else: no files, no variables, nobody's data.
type Shared struct {
	ID      string      `json:"id"` // 12 lower-case letters and digits; who knows it may see it
	Owner   Username    `json:"owner"`
	Title   string      `json:"title"`
	About   string      `json:"about,omitempty"`
	Lab     bool        `json:"lab,omitempty"`     // listed for everybody; else only for who has the link
	Retired string      `json:"retired,omitempty"` // why it should not be used any more, or what instead; "" while it may
	At      time.Time   `json:"at"`
	Text    string      `json:"text"` // masu.yaml
	Env     Environment `json:"environment"`
	Lock    string      `json:"lock,omitempty"` // masu.lock, where the folder had one that fitted
}

// ShareWish asks to share the environment of a workspace as it is now.
type ShareWish struct {
	Workspace string `json:"workspace"`
	Title     string `json:"title,omitempty"` // "" means the workspace's name
	About     string `json:"about,omitempty"`
	Lab       bool   `json:"lab,omitempty"`
}

// SharedChange changes what is shared; nil stays as it is.
type SharedChange struct {
	Title   *string `json:"title,omitempty"`
	About   *string `json:"about,omitempty"`
	Lab     *bool   `json:"lab,omitempty"`
	Retired *string `json:"retired,omitempty"` // "" takes it back
}

// EnvironmentUse is an environment and who uses it.
type EnvironmentUse struct {
	Shared     Shared      `json:"shared,omitzero"` // without an ID where nobody has shared it
	Env        Environment `json:"environment"`
	Key        string      `json:"key"`
	Size       Bytes       `json:"size,omitempty"`       // of its image; 0 where it is not built
	Workspaces []string    `json:"workspaces,omitempty"` // the actor's own, by name
	Members    []Username  `json:"members,omitempty"`    // who uses it
}

// Guest tells whether the workspace was opened to somebody.
func (w Workspace) Guest(name Username) bool { return slices.Contains(w.Guests, name) }

// Sharing is the part of Service by which members let each other in.
type Sharing interface {
	// Admit opens a workspace to a colleague: its apps, in which they work as its
	// owner would, with the owner's files. NotFound "no_member", Conflict "guest_is_owner".
	Admit(ctx context.Context, name string, guest Username) (Workspace, error)
	// Dismiss shuts it again, and ends what the guest has open there. Guests may dismiss themselves.
	Dismiss(ctx context.Context, name string, guest Username) (Workspace, error)

	// Environments lists the actor's, those that the actor shares, and those of the lab.
	Environments(ctx context.Context) ([]EnvironmentUse, error)
	// Shared finds what somebody shares, by its ID; NotFound "no_shared".
	Shared(ctx context.Context, id string) (EnvironmentUse, error)
	// Share shares the environment of a workspace; Invalid "share_dockerfile" for one
	// that files of the folder make, which masu.yaml alone would not bring back.
	Share(ctx context.Context, w ShareWish) (Shared, error)
	// ChangeShared is for who shares it, and for admins; others find nothing.
	ChangeShared(ctx context.Context, id string, c SharedChange) (Shared, error)
	// Unshare forgets it. Copies that others took stay theirs.
	Unshare(ctx context.Context, id string) error
}
