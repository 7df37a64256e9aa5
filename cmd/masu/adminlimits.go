package main

import (
	"fmt"
	"strconv"

	"github.com/masu-lab/masu"
)

// asRuled is what a change of a limit says for: as the house rules say again.
const asRuled = "-1"

// knob is a limit as flags and tables show it.
type knob struct {
	name  string
	value func(masu.MemberLimits) string // "" where nothing is said
	set   func(l *masu.MemberLimits, said string) bool
}

// limits are those of one member.
func limits() []knob {
	return []knob{
		whole("workspaces", func(l *masu.MemberLimits) **int { return &l.Workspaces }),
		whole("gpus", func(l *masu.MemberLimits) **int { return &l.GPUs }),
		whole("runs", func(l *masu.MemberLimits) **int { return &l.Runs }),
		whole("builds", func(l *masu.MemberLimits) **int { return &l.Builds }),
		decimal("cpus", func(l *masu.MemberLimits) **float64 { return &l.CPUs }),
		size("memory", func(l *masu.MemberLimits) **masu.Bytes { return &l.Memory }),
		size("disk", func(l *masu.MemberLimits) **masu.Bytes { return &l.Disk }),
		size("images", func(l *masu.MemberLimits) **masu.Bytes { return &l.Images }),
	}
}

func size(name string, field func(*masu.MemberLimits) **masu.Bytes) knob {
	return valued(name, field, func(s string) (masu.Bytes, bool) {
		switch s {
		case asRuled:
			return -1, true
		case "0":
			return 0, true
		}
		return masu.ParseBytes(s)
	})
}

func whole(name string, field func(*masu.MemberLimits) **int) knob {
	return valued(name, field, func(s string) (int, bool) {
		n, err := strconv.Atoi(s)
		return n, err == nil
	})
}

func decimal(name string, field func(*masu.MemberLimits) **float64) knob {
	return valued(name, field, func(s string) (float64, bool) {
		f, err := strconv.ParseFloat(s, 64)
		return f, err == nil
	})
}

// valued makes a knob whose value parse reads.
func valued[T any](name string, field func(*masu.MemberLimits) **T, parse func(string) (T, bool)) knob {
	return knob{
		name: name,
		value: func(l masu.MemberLimits) string {
			if v := *field(&l); v != nil {
				return fmt.Sprint(*v)
			}
			return ""
		},
		set: func(l *masu.MemberLimits, said string) bool {
			v, ok := parse(said)
			*field(l) = &v
			return ok
		},
	}
}
