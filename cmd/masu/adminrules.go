package main

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"github.com/masu-lab/masu"
)

// asConfigured takes a rule back.
const asConfigured = "default"

// flagOf is the flag of a house rule.
func flagOf(r masu.Rule) string { return strings.ReplaceAll(r.Name, "_", "-") }

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
			for _, r := range masu.HouseRules() {
				if !c.Flags().Changed(flagOf(r)) {
					continue
				}
				changed = true
				if *said[r.Name] == asConfigured {
					r.Drop(&now.Set)
				} else if err := r.Take(&now.Set, *said[r.Name]); err != nil {
					return err
				}
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
			for _, r := range masu.HouseRules() {
				t.row(flagOf(r), r.Text(now.Set.Over(now.Configured)), r.Text(now.Configured))
			}
			t.write()
			return nil
		})
	})
	for _, r := range masu.HouseRules() {
		said[r.Name] = c.Flags().String(flagOf(r), "", "")
	}
	a.jsonFlag(c)
	return c
}
