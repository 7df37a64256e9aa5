package sched

import (
	"slices"
	"time"

	"github.com/masu-lab/masu"
)

// Reserve chooses GPUs of one machine that nobody has reserved for any of the
// time, the smallest that suit; false where there are not so many.
func Reserve(all []masu.GPU, taken []masu.Reservation, w masu.Want, from, until time.Time) ([]masu.GPUID, bool) {
	held := map[masu.GPUID]bool{}
	for _, r := range taken {
		if !r.Missed && r.From.Before(until) && from.Before(r.Until) {
			for _, g := range r.GPUs {
				held[g] = true
			}
		}
	}
	b := open(State{GPUs: all})
	for _, m := range b.suiting(w) {
		need := count(w, m.size)
		free := slices.DeleteFunc(slices.Clone(m.slots), func(x *slot) bool { return held[x.ID] })
		if need <= 0 || len(free) < need {
			continue
		}
		ids := make([]masu.GPUID, need)
		for i := range ids {
			ids[i] = free[i].ID
		}
		return ids, true
	}
	return nil, false
}
