package masu

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// RuleUnit is what the value of a house rule is.
type RuleUnit string

const (
	RuleYesNo   RuleUnit = "yesno"
	RuleWord    RuleUnit = "word"   // one of Rule.Words
	RuleCount   RuleUnit = "count"  // a whole number
	RuleNumber  RuleUnit = "number" // any number
	RuleSize    RuleUnit = "size"
	RuleMinutes RuleUnit = "minutes"
	RuleHours   RuleUnit = "hours"
	RuleDays    RuleUnit = "days"
)

// Span is the time that one of the unit is; 0 for what is no time.
func (u RuleUnit) Span() time.Duration {
	return map[RuleUnit]time.Duration{RuleMinutes: time.Minute, RuleHours: time.Hour, RuleDays: 24 * time.Hour}[u]
}

// Rule is what everybody who shows a house rule, or sets it, must know of it.
type Rule struct {
	Name  string // in JSON and in the page's form; the flag's, with dashes
	Key   string // in the configuration file
	Group string // what it is about
	Unit  RuleUnit
	Words []string // that it can be, where it is no number
	Most  float64  // as a number

	text func(Rules) string
	take func(*Rules, string) bool
	drop func(*Rules)
	fits func(Rules) bool
}

// Text is what rules say about it, as people write it; "" if nothing.
func (r Rule) Text(of Rules) string { return r.text(of) }

// Take sets it to what somebody has written; Invalid "rules_wrong".
func (r Rule) Take(to *Rules, said string) error {
	if !r.take(to, said) {
		return r.wrong(said)
	}
	return nil
}

// Drop leaves it to the configuration.
func (r Rule) Drop(from *Rules) { r.drop(from) }

func (r Rule) wrong(said string) error { return E(Invalid, "rules_wrong", r.Name, said, r.Takes()) }

// Takes is what it can be, in no language.
func (r Rule) Takes() string {
	switch r.Unit {
	case RuleYesNo, RuleWord:
		return strings.Join(r.Words, ", ")
	case RuleSize:
		return "0, " + LeastSize.String() + " – " + mostSize.String()
	}
	return "0 – " + strconv.FormatFloat(r.Most, 'f', -1, 64)
}

const (
	mostSize   = 1 << 16 * GiB
	many       = 10000
	yearDays   = 366
	yearHours  = 24 * yearDays
	dayMinutes = 24 * 60
)

// HouseRules lists the house rules in the order in which people read them.
func HouseRules() []Rule {
	return slices.Concat(memberRules(), lendingRules(), reserveRules())
}

func memberRules() []Rule {
	const about = "members"
	return []Rule{
		yesNo(about, "guests", "policy.guests", func(r *Rules) **bool { return &r.Guests }),
		reach(about, "share_apps", "policy.share_apps", func(r *Rules) **Reach { return &r.ShareApps }),
		yesNo(about, "own_dockerfile", "policy.own_dockerfile", func(r *Rules) **bool { return &r.OwnDockerfile }),
		yesNo(about, "sudo", "policy.sudo", func(r *Rules) **bool { return &r.Sudo }),
		yesNo(about, "public_board", "public_board", func(r *Rules) **bool { return &r.PublicBoard }),
		count(about, "workspaces", "policy.workspaces_per_member", func(r *Rules) **int { return &r.Workspaces }),
		count(about, "runs", "policy.runs_per_member", func(r *Rules) **int { return &r.Runs }),
		number(about, "cpus", "policy.cpus", RuleNumber, mostCPUs, func(r *Rules) **float64 { return &r.CPUs }),
		size(about, "memory", "policy.memory", func(r *Rules) **Bytes { return &r.Memory }),
		size(about, "disk", "policy.disk", func(r *Rules) **Bytes { return &r.Disk }),
		size(about, "images", "policy.images_per_member", func(r *Rules) **Bytes { return &r.Images }),
	}
}

func lendingRules() []Rule {
	const about = "lending"
	return []Rule{
		count(about, "gpus", "policy.gpus.per_member", func(r *Rules) **int { return &r.GPUs }),
		number(about, "gpu_hours", "policy.gpus.hold", RuleHours, yearHours, func(r *Rules) **float64 { return &r.GPUHours }),
		number(about, "gpu_most_hours", "policy.gpus.hold_most", RuleHours, yearHours, func(r *Rules) **float64 { return &r.GPUMostHours }),
		number(about, "gpu_grace_minutes", "policy.gpus.grace", RuleMinutes, dayMinutes, func(r *Rules) **float64 { return &r.GPUGraceMinutes }),
		number(about, "gpu_idle_hours", "policy.gpus.idle_for", RuleHours, yearHours, func(r *Rules) **float64 { return &r.GPUIdleHours }),
		yesNo(about, "gpu_idle_always", "policy.gpus.idle_always", func(r *Rules) **bool { return &r.GPUIdleAlways }),
		count(about, "gpu_keeps", "policy.gpus.keeps", func(r *Rules) **int { return &r.GPUKeeps }),
		number(about, "gpu_half_life_days", "policy.gpus.half_life", RuleDays, yearDays, func(r *Rules) **float64 { return &r.GPUHalfLifeDays }),
		number(about, "gpu_aging", "policy.gpus.aging", RuleNumber, many, func(r *Rules) **float64 { return &r.GPUAging }),
	}
}

func reserveRules() []Rule {
	const about = "reserving"
	return []Rule{
		number(about, "reserve_days", "policy.gpus.horizon", RuleDays, yearDays, func(r *Rules) **float64 { return &r.ReserveDays }),
		count(about, "reserve_most", "policy.gpus.reserve_most", func(r *Rules) **int { return &r.ReserveMost }),
		number(about, "reserve_gpu_hours", "policy.gpus.reserve_gpu_hours", RuleNumber, 1e6, func(r *Rules) **float64 { return &r.ReserveGPUHours }),
		number(about, "reserve_notice_minutes", "policy.gpus.notice", RuleMinutes, dayMinutes, func(r *Rules) **float64 { return &r.ReserveNoticeMinutes }),
		number(about, "reserve_no_show_minutes", "policy.gpus.no_show", RuleMinutes, dayMinutes, func(r *Rules) **float64 { return &r.ReserveNoShowMinutes }),
		number(about, "reserve_slot_minutes", "policy.gpus.slot", RuleMinutes, dayMinutes, func(r *Rules) **float64 { return &r.ReserveSlotMinutes }),
	}
}

// ruled makes a rule of what its field is, and of how that is written and read.
func ruled[T any](r Rule, at func(*Rules) **T, write func(T) string, read func(string) (T, bool), fits func(T) bool) Rule {
	r.text = func(of Rules) string {
		if v := *at(&of); v != nil {
			return write(*v)
		}
		return ""
	}
	r.take = func(to *Rules, said string) bool {
		v, ok := read(strings.TrimSpace(said))
		if ok = ok && fits(v); ok {
			*at(to) = &v
		}
		return ok
	}
	r.drop = func(from *Rules) { *at(from) = nil }
	r.fits = func(of Rules) bool { v := *at(&of); return v == nil || fits(*v) }
	return r
}

func yesNo(about, name, key string, at func(*Rules) **bool) Rule {
	return ruled(Rule{Name: name, Key: key, Group: about, Unit: RuleYesNo, Words: []string{"yes", "no"}}, at,
		func(yes bool) string { return map[bool]string{true: "yes", false: "no"}[yes] },
		func(s string) (bool, bool) { return s == "yes", s == "yes" || s == "no" },
		func(bool) bool { return true })
}

func reach(about, name, key string, at func(*Rules) **Reach) Rule {
	words := []string{string(ReachNobody), string(ReachColleagues), string(ReachLab)}
	return ruled(Rule{Name: name, Key: key, Group: about, Unit: RuleWord, Words: words}, at,
		func(r Reach) string { return string(r) },
		func(s string) (Reach, bool) { return Reach(s), true },
		Reach.Valid)
}

func count(about, name, key string, at func(*Rules) **int) Rule {
	return ruled(Rule{Name: name, Key: key, Group: about, Unit: RuleCount, Most: many}, at, strconv.Itoa,
		func(s string) (int, bool) { n, err := strconv.Atoi(s); return n, err == nil },
		func(n int) bool { return n >= 0 && n <= many })
}

func number(about, name, key string, unit RuleUnit, most float64, at func(*Rules) **float64) Rule {
	return ruled(Rule{Name: name, Key: key, Group: about, Unit: unit, Most: most}, at,
		func(f float64) string { return strconv.FormatFloat(f, 'f', -1, 64) },
		func(s string) (float64, bool) { f, err := strconv.ParseFloat(s, 64); return f, err == nil },
		func(f float64) bool { return f >= 0 && f <= most }) // which no NaN is
}

func size(about, name, key string, at func(*Rules) **Bytes) Rule {
	return ruled(Rule{Name: name, Key: key, Group: about, Unit: RuleSize, Most: float64(mostSize)}, at,
		func(b Bytes) string {
			if b == 0 {
				return "0"
			}
			return fmt.Sprint(strconv.FormatFloat(float64(b)/float64(GiB), 'f', -1, 64), " GiB") // exactly, unlike String
		},
		func(s string) (Bytes, bool) {
			if s == "0" {
				return 0, true
			}
			return ParseBytes(s)
		},
		func(b Bytes) bool { return b == 0 || b >= LeastSize && b <= mostSize })
}
