package lab

import (
	"time"

	"github.com/masu-lab/masu"
	"github.com/masu-lab/masu/internal/sched"
)

// Policy is the lab's house rules.
type Policy struct {
	Sudo                bool       // in boxes, where folders can be staged
	OwnDockerfile       bool       // members may bring a Dockerfile of their own
	Guests              bool       // members may open their workspaces to others
	ShareApps           masu.Reach // how far members may share single apps, where Guests may be
	LoadImages          bool       // members may bring in images that masu made elsewhere
	Registries          []string   // to which members may push images, and from which they may pull them; nil: any
	Limits              masu.Limits
	WorkspacesPerMember int
	ImagesPerMember     masu.Bytes // who keeps so much of built environments builds no more; 0: as much as there is
	RunsPerMember       int        // of one member that go at once, the others wait in line; 0: all
	BuildsAtOnce        int
	BuildsPerMember     int
	StartsAtOnce        int
	BuildWithin         time.Duration // what takes longer is ended
	Datasets            []masu.Mount
	SessionFor          time.Duration
	GPUs                sched.Policy
	HalfLife            time.Duration // in which half of what a member got is forgotten; 0: at once
	KeepsMost           int           // how often a holder may say that GPUs are needed which nobody uses; 0: as often as they like
	HoldMost            time.Duration // to which a lease can be extended in all; 0: without end
	Horizon             time.Duration // how far ahead GPUs can be reserved; 0: not at all
	ReserveMost         int           // reservations of one member that are to come; 0: any
	ReserveGPUHours     float64       // of these in all; 0: any
	PublicBoard         bool          // for who has not signed in
	MinPassword         int
	SpareState          masu.Bytes // nothing new starts when less is left for masu's own records,
	SpareEngine         masu.Bytes // or for images and homes
}

// DefaultPolicy suits one member, or a group that trusts each other, on a host.
func DefaultPolicy(h masu.Host) Policy {
	return Policy{
		Sudo: true, OwnDockerfile: true, Guests: true, ShareApps: masu.ReachColleagues, LoadImages: true,
		WorkspacesPerMember: 20, RunsPerMember: 20, BuildsAtOnce: 2, BuildsPerMember: 1, StartsAtOnce: max(2, min(8, h.CPUs)),
		BuildWithin: 2 * time.Hour, SpareState: 256 * masu.MiB, SpareEngine: 2 * masu.GiB,
		SessionFor: 7 * 24 * time.Hour, MinPassword: 8,
		GPUs: sched.Policy{
			Hold: 24 * time.Hour, Grace: 15 * time.Minute, Slot: 30 * time.Minute, Aging: 1,
			IdleFor: 2 * time.Hour, Notice: time.Hour, NoShow: 15 * time.Minute,
		},
		HalfLife: 7 * 24 * time.Hour, KeepsMost: 3, HoldMost: 7 * 24 * time.Hour, Horizon: 28 * 24 * time.Hour, ReserveMost: 6,
	}
}
