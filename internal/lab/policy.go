package lab

import (
	"time"

	"github.com/masu-lab/masu"
)

// Policy is the lab's house rules.
type Policy struct {
	Sudo                bool // in boxes, where folders can be staged
	OwnDockerfile       bool // members may bring a Dockerfile of their own
	Guests              bool // members may open their workspaces to others
	Limits              masu.Limits
	WorkspacesPerMember int
	BuildsAtOnce        int
	BuildsPerMember     int
	StartsAtOnce        int
	BuildWithin         time.Duration // what takes longer is ended
	Datasets            []masu.Mount
	SessionFor          time.Duration
	MinPassword         int
	SpareState          masu.Bytes // nothing new starts when less is left for masu's own records,
	SpareEngine         masu.Bytes // or for images and homes
}

// DefaultPolicy suits one member, or a group that trusts each other, on a host.
func DefaultPolicy(h masu.Host) Policy {
	return Policy{
		Sudo: true, OwnDockerfile: true, Guests: true,
		WorkspacesPerMember: 20, BuildsAtOnce: 2, BuildsPerMember: 1, StartsAtOnce: max(2, min(8, h.CPUs)),
		BuildWithin: 2 * time.Hour, SpareState: 256 * masu.MiB, SpareEngine: 2 * masu.GiB,
		SessionFor: 7 * 24 * time.Hour, MinPassword: 8,
	}
}
