package lab

import (
	"context"
	"time"

	"github.com/masu-lab/masu"
)

const (
	useKept = 30 * time.Second // how often what a run uses is written down while it runs
	gpuRead = time.Second      // how often its GPUs are read: as often as the driver tells something new
)

// useOf adds up what the box of a run uses.
type useOf struct {
	l    *Lab
	run  masu.Run // as it began
	used masu.Use
	gpu  masu.GPUWork
	read time.Time // when its GPUs were read
	kept time.Time
}

// useOfRun goes on where a daemon before this one has stopped.
func (l *Lab) useOfRun(r masu.Run) *useOf {
	return &useOf{l: l, run: r, used: r.Used, gpu: r.GPUUsed, read: time.Now()}
}

// look looks anew. What cannot be known now, because the box ends, stays as it was seen last.
func (u *useOf) look(ctx context.Context) {
	if m, ok := u.l.cfg.Runtime.(masu.Measurer); ok {
		if now, err := m.Used(ctx, u.run.ID); err == nil {
			u.used = masu.Use{CPU: max(u.used.CPU, now.CPU), Memory: max(u.used.Memory, now.Memory)}
		}
	}
	if m, ok := u.l.cfg.Inventory.(masu.Meter); ok && len(u.run.GPUs) > 0 {
		u.readGPUs(ctx, m)
	}
	if time.Since(u.kept) > useKept {
		u.keep(ctx)
	}
}

// readGPUs adds what its GPUs did since they were read last. The time that passed unseen is not counted.
func (u *useOf) readGPUs(ctx context.Context, m masu.Meter) {
	passed := min(time.Since(u.read), 3*gpuRead)
	if passed < gpuRead {
		return
	}
	u.read = time.Now()
	list, err := m.Readings(ctx)
	if err != nil {
		return // who lends says so
	}
	sharers := map[masu.GPUID]int{}
	if u.run.Project.Want.Share > 0 {
		if sharers, err = u.l.sharers(ctx); err != nil {
			return
		}
	}
	for _, r := range list {
		for _, id := range u.run.GPUs {
			if r.GPU == id {
				u.add(r, passed, max(1, sharers[id]))
			}
		}
	}
}

// add adds what a card did, or the run's equal part of it where others share the card.
func (u *useOf) add(r masu.Reading, passed time.Duration, parts int) {
	u.gpu.Energy += max(r.Power, 0) * passed.Seconds() / float64(parts)
	takes := r.Memory
	if parts > 1 {
		takes = u.l.takes(r, u.run.ID)
	}
	u.gpu.Memory = max(u.gpu.Memory, takes)
	if r.Busy >= 0 {
		u.gpu.Read += passed
		u.gpu.Busy += time.Duration(r.Busy*float64(passed)) / time.Duration(parts)
	}
}

// sharers tells to how many each GPU is lent.
func (l *Lab) sharers(ctx context.Context) (map[masu.GPUID]int, error) {
	var leases []masu.Lease
	err := l.cfg.Store.View(ctx, func(tx masu.Tx) (err error) { leases, err = tx.Leases(); return err })
	return countSharers(leases), err
}

func countSharers(leases []masu.Lease) map[masu.GPUID]int {
	n := map[masu.GPUID]int{}
	for _, lease := range leases {
		for _, id := range lease.GPUs {
			n[id]++
		}
	}
	return n
}

// keep writes it down.
func (u *useOf) keep(ctx context.Context) {
	u.kept = time.Now()
	if u.used == (masu.Use{}) && u.gpu == (masu.GPUWork{}) {
		return
	}
	if _, err := u.l.updateRun(ctx, u.run.ID, func(r *masu.Run) { r.Used, r.GPUUsed = u.used, u.gpu }); err != nil {
		u.l.log.Warn("write down what a run used", "run", u.run.ID, "error", err)
	}
}
