package lab

import (
	"context"
	"time"

	"github.com/masu-lab/masu"
)

// configured gives the rules of the configuration, every field said.
func (p Policy) configured() masu.Rules {
	hold, idle := p.GPUs.Hold.Hours(), p.GPUs.IdleFor.Hours()
	return masu.Rules{Sudo: &p.Sudo, OwnDockerfile: &p.OwnDockerfile, Guests: &p.Guests, ShareApps: &p.ShareApps, Workspaces: &p.WorkspacesPerMember, CPUs: &p.Limits.CPUs, Memory: &p.Limits.Memory, Disk: &p.Limits.Disk, Images: &p.ImagesPerMember,
		GPUs: &p.GPUs.PerMember, GPUHours: &hold, GPUIdleHours: &idle}
}

// policy is the house rules as they hold now.
func (l *Lab) policy() Policy {
	p := l.cfg.Policy
	set := l.rules.Load()
	if set == nil {
		return p
	}
	r := set.Over(p.configured())
	p.Sudo, p.OwnDockerfile, p.Guests, p.ShareApps, p.WorkspacesPerMember = *r.Sudo, *r.OwnDockerfile, *r.Guests, *r.ShareApps, *r.Workspaces
	p.Limits.CPUs, p.Limits.Memory, p.Limits.Disk = *r.CPUs, *r.Memory, *r.Disk
	p.GPUs.PerMember, p.ImagesPerMember = *r.GPUs, *r.Images
	if set.GPUHours != nil {
		p.GPUs.Hold = hours(*set.GPUHours)
	}
	if set.GPUIdleHours != nil {
		p.GPUs.IdleFor = hours(*set.GPUIdleHours)
	}
	return p
}

// DiskLimit is what each workspace may take beside its project folder, by the rules as they hold now; 0: as much as there is.
func (l *Lab) DiskLimit() masu.Bytes { return l.policy().Limits.Disk }

func hours(h float64) time.Duration { return time.Duration(h * float64(time.Hour)) }

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
	defer func() { s.l.record(ctx, s.actor, "rules", "", err) }()
	const least = 256 * masu.MiB // a notebook with less only dies
	if r.Workspaces != nil && (*r.Workspaces < 0 || *r.Workspaces > 10000) || r.CPUs != nil && (*r.CPUs < 0 || *r.CPUs > 4096) ||
		r.Memory != nil && *r.Memory != 0 && *r.Memory < least || r.Disk != nil && *r.Disk != 0 && *r.Disk < least || r.Images != nil && *r.Images != 0 && *r.Images < least || r.GPUs != nil && (*r.GPUs < 0 || *r.GPUs > 10000) || !span(r.GPUHours) || !span(r.GPUIdleHours) {
		return masu.E(masu.Invalid, "rules_wrong", least)
	}
	if r.ShareApps != nil && !r.ShareApps.Valid() {
		return masu.E(masu.Invalid, "rules_reach", *r.ShareApps)
	}
	if err := s.l.cfg.Store.Update(ctx, func(tx masu.Tx) error { return tx.PutRules(r) }); err != nil {
		return err
	}
	s.l.rules.Store(&r)
	s.l.lendSoon()
	return s.l.shutShares(ctx)
}

// span tells whether so many hours can be meant.
func span(hours *float64) bool { return hours == nil || *hours >= 0 && *hours <= yearMost.Hours() }

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
