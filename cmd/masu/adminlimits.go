package main

import "github.com/masu-lab/masu"

// asRuled is what a change of a limit says for: as the house rules say again.
const asRuled = "-1"

// limits are those of one member.
func limits() []knob[masu.MemberLimits] {
	return []knob[masu.MemberLimits]{
		whole("workspaces", func(l *masu.MemberLimits) **int { return &l.Workspaces }),
		whole("gpus", func(l *masu.MemberLimits) **int { return &l.GPUs }),
		whole("runs", func(l *masu.MemberLimits) **int { return &l.Runs }),
		whole("builds", func(l *masu.MemberLimits) **int { return &l.Builds }),
		decimal("cpus", func(l *masu.MemberLimits) **float64 { return &l.CPUs }),
		valued("memory", func(l *masu.MemberLimits) **masu.Bytes { return &l.Memory }, func(s string) (masu.Bytes, bool) {
			if s == asRuled {
				return -1, true
			}
			return size(s)
		}),
	}
}
