package lab

import (
	"context"
	"time"

	"github.com/masu-lab/masu"
)

// useKept is how often what a run uses is written down while it runs.
const useKept = 30 * time.Second

// useOf adds up what the box of a run uses.
type useOf struct {
	l    *Lab
	id   masu.WorkspaceID
	used masu.Use
	kept time.Time
}

// look looks anew. What cannot be known now, because the box ends, stays as it was seen last.
func (u *useOf) look(ctx context.Context) {
	m, ok := u.l.cfg.Runtime.(masu.Measurer)
	if !ok {
		return
	}
	now, err := m.Used(ctx, u.id)
	if err != nil {
		return
	}
	u.used = masu.Use{CPU: max(u.used.CPU, now.CPU), Memory: max(u.used.Memory, now.Memory)}
	if time.Since(u.kept) > useKept {
		u.keep(ctx)
	}
}

// keep writes it down.
func (u *useOf) keep(ctx context.Context) {
	u.kept = time.Now()
	if u.used == (masu.Use{}) {
		return
	}
	if _, err := u.l.updateRun(ctx, u.id, func(r *masu.Run) { r.Used = u.used }); err != nil {
		u.l.log.Warn("write down what a run used", "run", u.id, "error", err)
	}
}
