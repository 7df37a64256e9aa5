package masu

import (
	"math"
	"reflect"
	"strings"
	"testing"
)

// TestHouseRules: each rule is one field of Rules, is called as JSON calls it, and takes back what it writes.
func TestHouseRules(t *testing.T) {
	fields := map[string]bool{}
	for _, f := range reflect.VisibleFields(reflect.TypeFor[Rules]()) {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		fields[name] = false
	}
	keys := map[string]bool{}
	for _, r := range HouseRules() {
		if seen, known := fields[r.Name]; !known || seen {
			t.Errorf("%s is no field, or is there twice", r.Name)
		}
		if fields[r.Name] = true; keys[r.Key] {
			t.Errorf("%s has the key of another", r.Name)
		}
		keys[r.Key] = true
		for _, good := range append([]string{"0", "1"}, r.Words...) {
			var set Rules
			if r.Words != nil && (good == "0" || good == "1") || r.Unit == RuleSize && good == "1" {
				continue
			}
			if err := r.Take(&set, " "+good+" "); err != nil || r.Text(set) != good || set.Check() != nil {
				t.Errorf("%s: %q becomes %q: %v", r.Name, good, r.Text(set), err)
			}
			if r.Drop(&set); set != (Rules{}) {
				t.Errorf("%s is not dropped: %+v", r.Name, set)
			}
		}
		for _, bad := range []string{"", "x", "-1", "NaN", "Inf", "1e400", "1e9", "yes no", "100 KiB", "9000000GiB"} {
			var set Rules
			if err := r.Take(&set, bad); CodeOf(err) != "rules_wrong" || set != (Rules{}) {
				t.Errorf("%s takes %q: %v", r.Name, bad, err)
			}
		}
	}
	for name, seen := range fields {
		if !seen {
			t.Errorf("nobody can set %s", name)
		}
	}
}

func TestRulesCheck(t *testing.T) {
	nan, minus, long, far, tiny, word := math.NaN(), -1, 1e9, 367.0, 100*MiB, Reach("everybody")
	for want, r := range map[string]Rules{
		"":                   {GPUs: new(int), Memory: new(Bytes), ReserveGPUHours: new(float64)},
		"gpu_hours":          {GPUHours: &nan},
		"gpus":               {GPUs: &minus},
		"gpu_grace_minutes":  {GPUGraceMinutes: &long},
		"reserve_days":       {ReserveDays: &far},
		"gpu_half_life_days": {GPUHalfLifeDays: &far},
		"memory":             {Memory: &tiny},
		"share_apps":         {ShareApps: &word},
	} {
		err := r.Check()
		if got := ""; err != nil {
			got = err.(*Error).Args[0]
			if got != want || CodeOf(err) != "rules_wrong" {
				t.Errorf("%v, want one about %q", err, want)
			}
		} else if want != "" {
			t.Errorf("%s passes", want)
		}
	}
}

// FuzzRuleTake: whatever is taken is within bounds, and reads back as itself.
func FuzzRuleTake(f *testing.F) {
	for _, said := range []string{"5", "0.25", "yes", "lab", "32GiB", "1.5 g", "0x1p4", "-0", "1_000"} {
		f.Add(said)
	}
	f.Fuzz(func(t *testing.T, said string) {
		for _, r := range HouseRules() {
			var set, again Rules
			if r.Take(&set, said) != nil {
				continue
			}
			if err := set.Check(); err != nil {
				t.Errorf("%s takes %q: %v", r.Name, said, err)
			}
			if err := r.Take(&again, r.Text(set)); err != nil || r.Text(again) != r.Text(set) {
				t.Errorf("%s: %q is written %q, and read as %q: %v", r.Name, said, r.Text(set), r.Text(again), err)
			}
		}
	})
}
