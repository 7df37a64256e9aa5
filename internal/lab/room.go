package lab

import (
	"context"
	"maps"
	"slices"

	"github.com/masu-lab/masu"
)

// roomy refuses what would begin on a disk that is nearly full: what runs there
// needs the rest, and so does whoever clears up. Stop, remove and prune are
// never refused.
func (l *Lab) roomy(ctx context.Context) error {
	if l.cfg.Room == nil {
		return nil
	}
	p := l.policy()
	if err := l.spare(l.cfg.State, p.SpareState); err != nil {
		return err
	}
	return l.spare(l.engineRoot(ctx), p.SpareEngine)
}

// engineRoot is where the engine keeps its data. It is asked once: an engine
// takes its time to tell, and does not move. "" means that it does not answer,
// which what begins will say.
func (l *Lab) engineRoot(ctx context.Context) string {
	l.mu.Lock()
	root := l.root
	l.mu.Unlock()
	if root != "" {
		return root
	}
	info, err := l.cfg.Runtime.Info(ctx)
	if err != nil {
		return ""
	}
	l.mu.Lock()
	l.root = info.Root
	l.mu.Unlock()
	return info.Root
}

func (l *Lab) spare(path string, need masu.Bytes) error {
	if path == "" || need == 0 {
		return nil
	}
	free, _, err := l.cfg.Room(path)
	if err != nil { // an engine's folder on another machine, or one that only the engine may see
		l.log.Debug("room", "path", path, "error", err)
		return nil
	}
	if free < need {
		l.diskIsLow(path, free, need)
		return masu.E(masu.Full, "disk_low", path, free, need)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if free-need >= need/8 { // one that goes to and fro over the mark is told of once
		delete(l.low, path)
	}
	return nil
}

// diskIsLow tells the admins, once until there is room again.
func (l *Lab) diskIsLow(path string, free, need masu.Bytes) {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, told := l.low[path]
	l.low[path] = masu.E(masu.Full, "disk_low", path, free, need).Args
	if told {
		return
	}
	l.log.Warn("a disk is nearly full", "path", path, "free", free, "need", need)
	l.tellAdmins("disk_low", path, free, need)
}

// watchRoom looks at the disks when nobody starts anything: they fill up at night, too.
func (l *Lab) watchRoom(ctx context.Context) {
	if l.cfg.Room == nil {
		return
	}
	p := l.policy()
	_, _ = l.spare(l.cfg.State, p.SpareState), l.spare(l.engineRoot(ctx), p.SpareEngine) // it has told
}

// lowNotes are for an admin's first page; it is called with the lock held.
func (l *Lab) lowNotes() (notes []masu.Note) {
	for _, path := range slices.Sorted(maps.Keys(l.low)) {
		notes = append(notes, masu.Note{Code: "disk_low", Args: l.low[path]})
	}
	return notes
}
