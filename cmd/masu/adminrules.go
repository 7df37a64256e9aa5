package main

import (
	"context"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/masu-lab/masu"
)

// asConfigured takes a rule back.
const asConfigured = "default"

// rule is one house rule as flags and tables show it.
type rule struct {
	name  string
	value func(masu.Rules) string // "" where nothing is said
	set   func(r *masu.Rules, said string) bool
}

func rules() []rule {
	return []rule{
		yesNo("sudo", func(r *masu.Rules) **bool { return &r.Sudo }),
		yesNo("own-dockerfile", func(r *masu.Rules) **bool { return &r.OwnDockerfile }),
		yesNo("guests", func(r *masu.Rules) **bool { return &r.Guests }),
		valued("share-apps", func(r *masu.Rules) **masu.Reach { return &r.ShareApps }, func(s string) (masu.Reach, bool) {
			return masu.Reach(s), masu.Reach(s).Valid()
		}),
		whole("workspaces", func(r *masu.Rules) **int { return &r.Workspaces }),
		decimal("cpus", func(r *masu.Rules) **float64 { return &r.CPUs }),
		room("memory", func(r *masu.Rules) **masu.Bytes { return &r.Memory }),
		room("disk", func(r *masu.Rules) **masu.Bytes { return &r.Disk }),
		room("images", func(r *masu.Rules) **masu.Bytes { return &r.Images }),
		whole("gpus", func(r *masu.Rules) **int { return &r.GPUs }),
		decimal("gpu-hours", func(r *masu.Rules) **float64 { return &r.GPUHours }),
		decimal("gpu-idle-hours", func(r *masu.Rules) **float64 { return &r.GPUIdleHours }),
	}
}

func whole(name string, field func(*masu.Rules) **int) rule {
	return valued(name, field, func(s string) (int, bool) {
		n, err := strconv.Atoi(s)
		return n, err == nil
	})
}

func room(name string, field func(*masu.Rules) **masu.Bytes) rule {
	return valued(name, field, func(s string) (masu.Bytes, bool) {
		if s == "0" {
			return 0, true
		}
		return size(s)
	})
}

func decimal(name string, field func(*masu.Rules) **float64) rule {
	return valued(name, field, func(s string) (float64, bool) {
		f, err := strconv.ParseFloat(s, 64)
		return f, err == nil
	})
}

// valued makes a rule whose value parse reads.
func valued[T any](name string, field func(*masu.Rules) **T, parse func(string) (T, bool)) rule {
	return rule{
		name: name,
		value: func(r masu.Rules) string {
			if v := *field(&r); v != nil {
				return fmt.Sprint(*v)
			}
			return ""
		},
		set: func(r *masu.Rules, said string) bool {
			if said == asConfigured {
				*field(r) = nil
				return true
			}
			v, ok := parse(said)
			*field(r) = &v
			return ok
		},
	}
}

func yesNo(name string, field func(*masu.Rules) **bool) rule {
	r := valued(name, field, func(s string) (bool, bool) { return s == "yes", s == "yes" || s == "no" })
	plain := r.value
	r.value = func(x masu.Rules) string {
		return map[string]string{"true": "yes", "false": "no"}[plain(x)]
	}
	return r
}

func (a *app) adminRulesCommand() *cobra.Command {
	said := map[string]*string{}
	var c *cobra.Command
	c = a.command("admin.rules", "rules", "", a.args(0, 0), func(ctx context.Context, _ []string) error {
		return a.with(ctx, func(s service) error {
			now, err := s.Rules(ctx)
			if err != nil {
				return err
			}
			changed := false
			for _, r := range rules() {
				if !c.Flags().Changed(r.name) {
					continue
				}
				if !r.set(&now.Set, *said[r.name]) {
					return masu.E(masu.Invalid, "rule_value", *said[r.name], r.name)
				}
				changed = true
			}
			if changed {
				if err := s.SetRules(ctx, now.Set); err != nil {
					return err
				}
			}
			if a.json {
				return a.data(now)
			}
			t := a.table("col.rule", "col.now", "col.configured")
			for _, r := range rules() {
				t.row(r.name, r.value(now.Set.Over(now.Configured)), r.value(now.Configured))
			}
			t.write()
			return nil
		})
	})
	for _, r := range rules() {
		said[r.name] = c.Flags().String(r.name, "", "")
	}
	a.jsonFlag(c)
	return c
}
