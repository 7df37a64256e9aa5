// Package sched decides who gets which GPU: functions of the lab's state, without clock or I/O.
package sched

import (
	"cmp"
	"slices"
	"strings"

	"github.com/masu-lab/masu"
)

// Pick chooses GPUs among the free ones that meet the want, the smallest that
// do, so that large cards stay for those who need them. False: not now.
func Pick(free []masu.GPU, want masu.Want) ([]masu.GPUID, bool) {
	need := want.Count
	if want.Share > 0 {
		need = max(need, 1) // until cards are shared, a part takes a whole one
	}
	var fit []masu.GPU
	for _, g := range free {
		if wholeGiB(g.Memory) >= max(want.Memory, want.Share) && strings.Contains(strings.ToLower(g.Model), strings.ToLower(want.Model)) {
			fit = append(fit, g)
		}
	}
	if want.All {
		need = len(free)
	}
	if need == 0 || len(fit) < need {
		return nil, false
	}
	slices.SortStableFunc(fit, func(a, b masu.GPU) int { return cmp.Or(cmp.Compare(a.Memory, b.Memory), cmp.Compare(a.Index, b.Index)) })
	ids := make([]masu.GPUID, need)
	for i := range ids {
		ids[i] = fit[i].ID
	}
	return ids, true
}

// wholeGiB rounds up as makers do: a card sold with 24 GB reports a little less than 24 GiB.
func wholeGiB(b masu.Bytes) masu.Bytes { return (b + masu.GiB - 1) / masu.GiB * masu.GiB }
