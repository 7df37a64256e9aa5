package lab

import (
	"time"

	"github.com/masu-lab/masu"
)

// Policy is the lab's house rules.
type Policy struct {
	Sudo                bool // in boxes, where folders can be staged
	OwnDockerfile       bool // members may bring a Dockerfile of their own
	Limits              masu.Limits
	WorkspacesPerMember int
	BuildsAtOnce        int
	StartsAtOnce        int
	Datasets            []masu.Mount
	SessionFor          time.Duration
	MinPassword         int
}

// DefaultPolicy suits one member, or a group that trusts each other, on a host.
func DefaultPolicy(h masu.Host) Policy {
	return Policy{
		Sudo: true, OwnDockerfile: true,
		WorkspacesPerMember: 20, BuildsAtOnce: 2, StartsAtOnce: max(2, min(8, h.CPUs)),
		SessionFor: 7 * 24 * time.Hour, MinPassword: 8,
	}
}
