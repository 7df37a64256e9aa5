package lab

import (
	"time"

	"github.com/masu-lab/masu"
)

// gpuLoad is what the GPUs of a workspace did since its last sample.
type gpuLoad struct {
	read   time.Duration // for which all of them told how busy they were
	busy   time.Duration // of it, in which a GPU computed, summed up over them
	gpus   int           // that were read last
	memory masu.Bytes    // of these, then
}

// loadGPUs adds what each lease's GPUs did since the last look. A card that is
// shared is counted in equal parts, as the account does. The lock lendMu is held.
func (l *Lab) loadGPUs(leases []masu.Lease, readings map[masu.GPUID]masu.Reading, sharers map[masu.GPUID]int, passed time.Duration) {
	for _, lease := range leases {
		now, told := gpuLoad{read: passed}, true
		for _, id := range lease.GPUs {
			r, ok := readings[id]
			if !ok {
				continue
			}
			now.gpus++
			now.memory += l.takenOf(r, lease, sharers[id])
			now.busy += time.Duration(r.Busy*float64(passed)) / time.Duration(sharers[id])
			told = told && r.Busy >= 0
		}
		if now.gpus == 0 {
			continue
		}
		if before := l.gpuLoads[lease.Workspace]; told {
			now.read, now.busy = before.read+now.read, before.busy+now.busy
		} else { // of a slice no driver tells; its memory is known all the same
			now.read, now.busy = before.read, before.busy
		}
		l.gpuLoads[lease.Workspace] = now
	}
}

// takenOf is how much of a card's memory is a lease's: all that is in use or, on
// a shared card, what the box's processes take.
func (l *Lab) takenOf(r masu.Reading, lease masu.Lease, sharers int) masu.Bytes {
	switch {
	case lease.Share == 0:
		return max(r.Memory, 0)
	case l.cfg.Process == nil:
		return max(r.Memory, 0) / masu.Bytes(sharers)
	}
	return l.takes(r, lease.Workspace)
}

// takeGPULoads gives what was summed up, and begins anew.
func (l *Lab) takeGPULoads() map[masu.WorkspaceID]gpuLoad {
	l.lendMu.Lock()
	defer l.lendMu.Unlock()
	loads := l.gpuLoads
	l.gpuLoads = map[masu.WorkspaceID]gpuLoad{}
	return loads
}

// into puts it into a sample.
func (g gpuLoad) into(s *masu.Sample) {
	if g.gpus == 0 {
		return
	}
	s.GPUs, s.GPU, s.GPUMemory = g.gpus, -1, g.memory
	if g.read > 0 {
		s.GPU = float64(g.busy) / float64(g.read)
	}
}
