package main

import (
	"fmt"
	"time"

	"github.com/masu-lab/masu/internal/gpu"
	"github.com/masu-lab/masu/internal/lab"
	"github.com/masu-lab/masu/internal/sched"
)

// gpuConfig is the rules by which GPUs are lent, in the configuration file; what is left out stays as it is.
type gpuConfig struct {
	PerMember   *int                   `yaml:"per_member"`
	PerGroup    map[string]int         `yaml:"per_group"`
	Hold        duration               `yaml:"hold"`
	HoldMost    duration               `yaml:"hold_most"`
	Keeps       *int                   `yaml:"keeps"`
	Grace       duration               `yaml:"grace"`
	Slot        duration               `yaml:"slot"`
	IdleFor     duration               `yaml:"idle_for"`
	IdleAlways  *bool                  `yaml:"idle_always"`
	HalfLife    duration               `yaml:"half_life"`
	Aging       *float64               `yaml:"aging"`
	Classes     map[string]classConfig `yaml:"classes"`
	Notice      duration               `yaml:"notice"`
	NoShow      duration               `yaml:"no_show"`
	Horizon     duration               `yaml:"horizon"`
	ReserveMost *int                   `yaml:"reserve_most"`
	ReserveFor  *float64               `yaml:"reserve_gpu_hours"`
	CDI         []string               `yaml:"cdi"` // kinds of CDI devices that are lent besides GPUs
}

// classConfig is a kind of work that goes before other work.
type classConfig struct {
	HeadStart duration `yaml:"head_start"`
	Groups    []string `yaml:"groups"`
}

// policy puts the rules over those of p.
func (c gpuConfig) policy(p *lab.Policy, wrong func(key string, value any, want string)) {
	number := func(to *int, key string, n *int) {
		if n != nil {
			if *to = *n; *n < 0 {
				wrong("gpus."+key, *n, "≥ 0")
			}
		}
	}
	span := func(to *time.Duration, key string, d duration) {
		if d == "" {
			return
		}
		v, err := d.value()
		if d != "0" && (err != nil || v < 0) {
			wrong("gpus."+key, d, "30m, 2h, 7d, 0")
		}
		*to = v
	}
	amount := func(to *float64, key string, f *float64) {
		if f != nil {
			if *to = *f; !(*f >= 0) { // nor NaN
				wrong("gpus."+key, *f, "≥ 0")
			}
		}
	}
	g := &p.GPUs
	number(&g.PerMember, "per_member", c.PerMember)
	number(&p.KeepsMost, "keeps", c.Keeps)
	number(&p.ReserveMost, "reserve_most", c.ReserveMost)
	span(&g.Hold, "hold", c.Hold)
	span(&p.HoldMost, "hold_most", c.HoldMost)
	span(&g.Grace, "grace", c.Grace)
	span(&g.Slot, "slot", c.Slot)
	span(&g.IdleFor, "idle_for", c.IdleFor)
	span(&p.HalfLife, "half_life", c.HalfLife)
	span(&g.Notice, "notice", c.Notice)
	span(&g.NoShow, "no_show", c.NoShow)
	span(&p.Horizon, "horizon", c.Horizon)
	take(&g.IdleAlways, c.IdleAlways)
	amount(&g.Aging, "aging", c.Aging)
	amount(&p.ReserveGPUHours, "reserve_gpu_hours", c.ReserveFor)
	for _, kind := range c.CDI {
		if !gpu.ValidKind(kind) {
			wrong("gpus.cdi", kind, "vendor.example/class")
		}
	}
	for group, n := range c.PerGroup {
		if n < 1 {
			wrong("gpus.per_group."+group, n, "≥ 1")
		}
	}
	if c.PerGroup != nil {
		g.PerGroup = c.PerGroup
	}
	for name, class := range c.Classes {
		x := sched.Class{Name: name, Groups: class.Groups}
		span(&x.HeadStart, fmt.Sprintf("classes.%s.head_start", name), class.HeadStart)
		g.Classes = append(g.Classes, x)
	}
}
