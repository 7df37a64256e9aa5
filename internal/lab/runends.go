package lab

import (
	"context"
	"time"

	"github.com/masu-lab/masu"
)

// tellRun tells the holder of a run's GPUs that they will be taken back, or no longer.
func (l *Lab) tellRun(ctx context.Context, lease masu.Lease) {
	_, err := l.updateRun(ctx, lease.Workspace, func(r *masu.Run) { r.EndsAt, r.EndWhy = lease.EndsAt, lease.Why })
	if err != nil && masu.KindOf(err) != masu.NotFound { // one at a terminal is not written down
		l.log.Warn("write down a run's end", "run", lease.Workspace, "error", err)
	}
	if !lease.EndsAt.IsZero() {
		l.warnRun(ctx, lease)
	}
}

// warnRun says to its holder that a run will be ended.
func (l *Lab) warnRun(ctx context.Context, lease masu.Lease) {
	l.tell(ctx, lease.Holder, notice{occasion: masu.OccasionEnding, lease: &lease})
}

// wordedEnd puts the notice of a run's end, or that somebody asked for its GPUs, in its reader's language.
func (l *Lab) wordedEnd(x *masu.Notice, lease masu.Lease, asked []string, lang masu.Lang) {
	x.Workspace, x.URL = lease.Name, l.cfg.Origins.Pages()+"/runs"
	if len(asked) > 0 {
		x.Title = l.cfg.Say(lang, "notice_asked", []string{asked[0], lease.Name})
		x.Body = l.cfg.Say(lang, "notice_asked_run", []string{lease.Name})
		return
	}
	x.Title = l.cfg.Say(lang, "notice_ending_run", []string{lease.Name, lease.EndsAt.Local().Format("15:04")})
	x.Body = l.cfg.Say(lang, "ending_run_"+string(lease.Why), []string{lease.Name})
}

// takenBack tells why a run's box was ended, where masu itself did it: the
// ledger knows, also after the daemon that did it.
func (l *Lab) takenBack(ctx context.Context, id masu.WorkspaceID, began time.Time) error {
	var last *masu.Lease
	err := l.cfg.Store.View(ctx, func(tx masu.Tx) error {
		past, err := tx.PastLeases(began)
		if err != nil {
			return err
		}
		running, err := tx.Leases()
		for _, lease := range append(past, running...) {
			if lease.Workspace == id {
				last = &lease
			}
		}
		return err
	})
	switch {
	case err != nil || last == nil || last.Why == "" || last.Why == masu.EndHolder:
		return err
	case last.EndedAt.IsZero() && time.Now().Before(last.EndsAt): // announced, and not done
		return nil
	}
	return masu.E(masu.Conflict, "run_"+string(last.Why))
}
