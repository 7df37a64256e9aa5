package lab

import (
	"testing"
	"time"

	"github.com/masu-lab/masu"
)

// TestRulesHold: each rule that can be set reaches the policy, is told as configured where it is not set, and stands in the log.
func TestRulesHold(t *testing.T) {
	w := newWorld(t)
	l, stop := w.daemon()
	defer stop()
	boss := l.As(masu.Actor{User: masu.User{Name: "boss", Admin: true}})
	now, err := boss.Rules(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, rule := range masu.HouseRules() {
		before := rule.Text(now.Configured)
		if before == "" {
			t.Errorf("the configuration says nothing about %s", rule.Name)
		}
		other := "7"
		switch {
		case rule.Words != nil && before == rule.Words[0]:
			other = rule.Words[1]
		case rule.Words != nil:
			other = rule.Words[0]
		case rule.Unit == masu.RuleSize:
			other = "7 GiB"
		}
		var set masu.Rules
		if err := rule.Take(&set, other); err != nil {
			t.Fatal(err)
		}
		if err := boss.SetRules(t.Context(), set); err != nil {
			t.Fatalf("%s: %v", rule.Name, err)
		}
		if got := rule.Text(l.policy().configured()); got != other {
			t.Errorf("%s is set to %s, and holds as %s", rule.Name, other, got)
		}
		if got := rule.Text(l.cfg.Policy.configured()); got != before {
			t.Errorf("%s was configured as %s, and is now %s", rule.Name, before, got)
		}
	}
	if p := l.policy(); p.GPUs.Slot != 7*time.Minute || p.HoldMost != 7*24*time.Hour || p.Horizon != 28*24*time.Hour {
		t.Errorf("the last one holds, and no other: %+v", p)
	}
	list, err := boss.Events(t.Context(), masu.EventQuery{Verb: "rules"})
	if err != nil || len(list) == 0 || list[0].Object != "reserve_no_show_minutes=default reserve_slot_minutes=7" {
		t.Errorf("the log says %+v, %v", list, err)
	}
}

// TestPublicBoard: who has not signed in sees the board as soon as the house wishes it.
func TestPublicBoard(t *testing.T) {
	w := newWorld(t)
	l, stop := w.daemon()
	defer stop()
	if _, err := l.PublicBoard(t.Context()); code(err) != "no_page" {
		t.Errorf("before: %v", err)
	}
	yes := true
	if err := l.As(masu.Actor{User: masu.User{Name: "boss", Admin: true}}).SetRules(t.Context(), masu.Rules{PublicBoard: &yes}); err != nil {
		t.Fatal(err)
	}
	if _, err := l.PublicBoard(t.Context()); err != nil {
		t.Errorf("after: %v", err)
	}
}
