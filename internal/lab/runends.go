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
	n := notice{occasion: masu.OccasionEnding, lease: &lease}
	l.tell(ctx, lease.Holder, n)
	l.sayToRun(lease, n)
}

// wordsMost of what its holder does not read are kept for a terminal.
const wordsMost = 8

// sayToRun says at the terminal of a run what its holder is told.
func (l *Lab) sayToRun(lease masu.Lease, n notice) {
	l.mu.Lock()
	g := l.runs[lease.Workspace]
	l.mu.Unlock()
	if g == nil || g.words == nil {
		return
	}
	n.at = time.Now()
	select {
	case g.words <- n:
	default: // nobody reads there
	}
}

// atTerminal passes on what a run's terminal is told, until ctx ends: a terminal of the box has it
// written on it, as a workspace's do; elsewhere it comes as progress does, in the reader's language.
func (s *service) atTerminal(ctx context.Context, id masu.WorkspaceID, tty bool, words <-chan notice, progress func(masu.Progress)) {
	for {
		select {
		case <-ctx.Done():
			return
		case n := <-words:
			switch {
			case tty && s.l.cfg.Say != nil:
				x := s.l.worded(n, s.l.langOf(ctx, s.actor.Name))
				s.l.sayIn(ctx, id, x.Title+"\n"+x.Body)
			case !tty:
				title, body := endSentences(*n.lease, n.args)
				title.At, body.At = n.at, n.at
				progress(title)
				progress(body)
			}
		}
	}
}

// endSentences are those of a run's end, or that somebody asked for its GPUs: what, and why.
func endSentences(lease masu.Lease, asked []string) (title, body masu.Progress) {
	if len(asked) > 0 {
		return masu.Progress{Code: "notice_asked", Args: []string{asked[0], lease.Name}}, masu.Progress{Code: "notice_asked_run", Args: []string{lease.Name}}
	}
	return masu.Progress{Code: "notice_ending_run", Args: []string{lease.Name, lease.EndsAt.Local().Format("15:04")}}, masu.Progress{Code: "ending_run_" + string(lease.Why), Args: []string{lease.Name}}
}

// wordedEnd puts the notice of a run's end, or that somebody asked for its GPUs, in its reader's language.
func (l *Lab) wordedEnd(x *masu.Notice, lease masu.Lease, asked []string, lang masu.Lang) {
	x.Workspace, x.URL = lease.Name, l.cfg.Origins.Pages()+"/runs"
	title, body := endSentences(lease, asked)
	x.Title, x.Body = l.cfg.Say(lang, title.Code, title.Args), l.cfg.Say(lang, body.Code, body.Args)
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
