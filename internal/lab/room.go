package lab

import (
	"context"

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
		l.alert("disk_low", path, free, need)
		return masu.E(masu.Full, "disk_low", path, free, need)
	}
	return nil
}
