package lab

import (
	"context"
	"slices"
	"time"

	"github.com/masu-lab/masu"
)

const sampleEvery = time.Minute

// sample notes which boxes work, and writes down what each workspace and each run uses.
func (l *Lab) sample(ctx context.Context) {
	all, err := l.everything(ctx)
	if err != nil {
		l.log.Error("sample", "error", err)
		return
	}
	at := time.Now().Truncate(sampleEvery).UTC()
	l.writeMeter(ctx, at)
	boxes := l.running(all)
	loads, gpus := l.loads(ctx, boxes), l.takeGPULoads()
	list, ofRuns := make([]masu.Sample, 0, len(loads)), map[masu.WorkspaceID]bool{}
	for _, b := range boxes {
		load, known := loads[b.id]
		if load.CPU >= atWork || b.cells {
			l.stir(b.id)
		}
		if known {
			s := masu.Sample{Workspace: b.id, At: at, CPU: load.CPU, Memory: load.Memory}
			gpus[b.id].into(&s)
			list, ofRuns[b.id] = append(list, s), b.run
		}
	}
	if len(list) == 0 || ctx.Err() != nil {
		return // a lab that sleeps writes nothing; what is old goes with the next one
	}
	err = l.cfg.Store.Update(ctx, func(tx masu.Tx) error {
		list = slices.DeleteFunc(list, func(s masu.Sample) bool { // a run at a terminal is not written down
			if !ofRuns[s.Workspace] {
				return false
			}
			_, err := tx.Run(s.Workspace)
			return err != nil
		})
		return tx.PutSamples(list, at.Add(-masu.SamplesFor))
	})
	if err != nil {
		l.log.Error("sample", "error", err)
	}
}

// Samples tells what a workspace used.
func (s *service) Samples(ctx context.Context, name string, since time.Time) (list []masu.Sample, err error) {
	w, err := s.visible(ctx, name)
	if err != nil {
		return nil, err
	}
	err = s.l.cfg.Store.View(ctx, func(tx masu.Tx) error { list, err = tx.Samples(w.ID, since); return err })
	return list, err
}

// RunSamples tells what a run used.
func (s *service) RunSamples(ctx context.Context, id masu.WorkspaceID) (list []masu.Sample, err error) {
	r, err := s.RunByID(ctx, id)
	if err != nil {
		return nil, err
	}
	err = s.l.cfg.Store.View(ctx, func(tx masu.Tx) error {
		list, err = tx.Samples(r.ID, r.At.Truncate(sampleEvery))
		return err
	})
	return list, err
}

const (
	diskEvery  = 30 * time.Minute // a home of a hundred thousand files takes seconds to add up
	diskSoon   = 5 * time.Minute  // where a limit is held, the kernel has added up already
	diskWithin = 30 * time.Second
)

// lookAtDisk notes what workspaces take: those whose limit is held, and of the
// others the one at which nobody has looked for longest: one a minute, beside everything else.
func (l *Lab) lookAtDisk(ctx context.Context) {
	m, ok := l.cfg.Runtime.(masu.Measurer)
	if !ok {
		return
	}
	all, err := l.everything(ctx)
	if err != nil {
		return // the sampler says it
	}
	ctx, cancel := context.WithTimeout(ctx, diskWithin)
	defer cancel()
	for _, w := range l.diskDue(all) {
		used, most, err := m.Disk(ctx, w.ID)
		if err != nil {
			l.log.Debug("disk", "workspace", w.Label, "error", err)
			continue
		}
		if used.String() == w.Disk.String() && most == w.DiskMax { // people would not see the difference
			continue
		}
		if _, err := l.update(ctx, w.ID, func(w *masu.Workspace) { w.Disk, w.DiskMax = used, most }); err != nil && ctx.Err() == nil {
			l.log.Warn("disk", "workspace", w.Label, "error", err)
		}
	}
}

// diskDue are the workspaces to look at now.
func (l *Lab) diskDue(all []masu.Workspace) (due []masu.Workspace) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var next *masu.Workspace
	for i, w := range all {
		at := l.diskAt[w.ID]
		switch {
		case w.Phase != masu.Running || w.Adopted != nil:
		case w.DiskMax > 0 && time.Since(at) >= diskSoon:
			due = append(due, w)
		case w.DiskMax == 0 && time.Since(at) >= diskEvery && (next == nil || at.Before(l.diskAt[next.ID])):
			next = &all[i]
		}
	}
	if next != nil {
		due = append(due, *next)
	}
	for _, w := range due {
		l.diskAt[w.ID] = time.Now()
	}
	return due
}
