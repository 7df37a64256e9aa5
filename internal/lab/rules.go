package lab

import (
	"cmp"
	"context"
	"strings"
	"time"

	"github.com/masu-lab/masu"
)

// held is a rule of the house at its two places: in what an admin sets, and in the policy.
type held struct {
	tell func() // what the policy says
	hold func() // to what is set, where something is
}

// as holds a rule that is the same at both.
func as[T any](rule **T, in *T) held {
	return held{
		tell: func() { v := *in; *rule = &v },
		hold: func() {
			if *rule != nil {
				*in = **rule
			}
		},
	}
}

// span holds a time that people tell in a unit.
func span(rule **float64, in *time.Duration, unit time.Duration) held {
	return held{
		tell: func() { v := float64(*in) / float64(unit); *rule = &v },
		hold: func() {
			if *rule != nil {
				*in = time.Duration(**rule * float64(unit))
			}
		},
	}
}

// houseRules binds what is set to what it is about.
func houseRules(p *Policy, r *masu.Rules) []held {
	const day = 24 * time.Hour
	g := &p.GPUs
	return []held{
		as(&r.Sudo, &p.Sudo), as(&r.OwnDockerfile, &p.OwnDockerfile), as(&r.Guests, &p.Guests), as(&r.ShareApps, &p.ShareApps), as(&r.PublicBoard, &p.PublicBoard),
		as(&r.Workspaces, &p.WorkspacesPerMember), as(&r.Runs, &p.RunsPerMember), as(&r.CPUs, &p.Limits.CPUs), as(&r.Memory, &p.Limits.Memory),
		as(&r.Disk, &p.Limits.Disk), as(&r.Images, &p.ImagesPerMember),
		as(&r.GPUs, &g.PerMember), span(&r.GPUHours, &g.Hold, time.Hour), span(&r.GPUMostHours, &p.HoldMost, time.Hour), span(&r.GPUGraceMinutes, &g.Grace, time.Minute),
		span(&r.GPUIdleHours, &g.IdleFor, time.Hour), as(&r.GPUIdleAlways, &g.IdleAlways), as(&r.GPUKeeps, &p.KeepsMost),
		span(&r.GPUHalfLifeDays, &p.HalfLife, day), as(&r.GPUAging, &g.Aging),
		span(&r.ReserveDays, &p.Horizon, day), as(&r.ReserveMost, &p.ReserveMost), as(&r.ReserveGPUHours, &p.ReserveGPUHours),
		span(&r.ReserveNoticeMinutes, &g.Notice, time.Minute), span(&r.ReserveNoShowMinutes, &g.NoShow, time.Minute), span(&r.ReserveSlotMinutes, &g.Slot, time.Minute),
	}
}

// configured gives the rules of the configuration, every field said.
func (p Policy) configured() (r masu.Rules) {
	for _, h := range houseRules(&p, &r) {
		h.tell()
	}
	return r
}

// policy is the house rules as they hold now.
func (l *Lab) policy() Policy {
	p := l.cfg.Policy
	if set := l.rules.Load(); set != nil {
		r := *set
		for _, h := range houseRules(&p, &r) {
			h.hold()
		}
	}
	return p
}

// DiskLimit is what each workspace may take beside its project folder, by the rules as they hold now; 0: as much as there is.
func (l *Lab) DiskLimit() masu.Bytes { return l.policy().Limits.Disk }

// Rules tells the house rules and where they come from.
func (s *service) Rules(context.Context) (masu.RulesNow, error) {
	if err := s.admin(); err != nil {
		return masu.RulesNow{}, err
	}
	now := masu.RulesNow{Configured: s.l.cfg.Policy.configured()}
	if set := s.l.rules.Load(); set != nil {
		now.Set = *set
	}
	return now, nil
}

// SetRules sets them, for what begins from now on.
func (s *service) SetRules(ctx context.Context, r masu.Rules) (err error) {
	if err := s.admin(); err != nil {
		return err
	}
	what := changed(s.l.rules.Load(), r)
	defer func() { s.l.record(ctx, s.actor, "rules", what, err) }()
	if err := r.Check(); err != nil {
		return err
	}
	if err := s.l.cfg.Store.Update(ctx, func(tx masu.Tx) error { return tx.PutRules(r) }); err != nil {
		return err
	}
	s.l.rules.Store(&r)
	s.l.lookAgain()
	s.l.lendSoon()
	return s.l.shutShares(ctx)
}

// changed tells for the log which rules get another value: "gpu_hours=12 guests=default".
func changed(before *masu.Rules, r masu.Rules) string {
	if before == nil {
		before = &masu.Rules{}
	}
	var list []string
	for _, rule := range masu.HouseRules() {
		if was, is := rule.Text(*before), rule.Text(r); was != is {
			list = append(list, rule.Name+"="+cmp.Or(strings.ReplaceAll(is, " ", ""), "default"))
		}
	}
	return strings.Join(list, " ")
}

const findingsFor = 30 * time.Second // how long an examination is shown to others who ask

// Findings examines the host.
func (s *service) Findings(ctx context.Context) ([]masu.Finding, error) {
	if err := s.admin(); err != nil {
		return nil, err
	}
	c := &s.l.examined
	c.mu.Lock() // one examines, the others wait for it
	defer c.mu.Unlock()
	if s.l.cfg.Examine != nil && time.Since(c.at) >= findingsFor {
		c.findings, c.at = s.l.cfg.Examine(ctx), time.Now()
	}
	return c.findings, nil
}
