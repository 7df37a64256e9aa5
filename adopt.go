package masu

import (
	"context"
	"time"
)

// Adoption is a container that somebody made by hand and an admin put behind
// masu's sign-in. masu starts and stops it, and never changes or removes it.
type Adoption struct {
	Container string `json:"container"` // its name at the time
	Apps      []App  `json:"apps"`      // what it is known to serve; nothing else of it is dialled
}

// AdoptWish asks for that.
type AdoptWish struct {
	Container string         `json:"container"` // name or ID
	Owner     Username       `json:"owner"`
	Name      string         `json:"name,omitempty"` // of the workspace; "" means after the container
	Ports     map[string]int `json:"ports"`          // app → port in the container; jupyter is one of them
}

// Foreign is a container that is none of masu's boxes.
type Foreign struct {
	ID        WorkspaceID // by which the runtime finds it again, also in Runner's methods
	Name      string
	Image     string
	GPUs      []string // UUIDs, indices, or "all"
	Shared    bool     // its network is the host's, or another container's
	State     BoxState
	StartedAt time.Time
	ExitCode  int
	OOM       bool
}

// Adopter is what a runtime may offer besides. Stop, Logs, Dial and Measure take
// a Foreign's ID as they take a box's; Exec and Remove refuse it.
type Adopter interface {
	// Foreign finds a container by its name, its engine's ID, or the ID that Foreign gave;
	// NotFound "no_container", Conflict "adopt_own" for one of masu's boxes.
	Foreign(ctx context.Context, container string) (Foreign, error)
	// Wake starts one that has stopped.
	Wake(ctx context.Context, id WorkspaceID) error
}
