package lab

import (
	"context"
	"iter"
	"slices"

	"github.com/masu-lab/masu"
)

// endings is what one who listens has not heard yet. What ends is a right to
// be here: none is dropped for a slow listener, who has no more to catch up
// with than there were sessions and tokens to end.
type endings struct {
	news   chan struct{} // holds one as long as something is untold
	untold []masu.Ending // under the gate's mu
}

func (g *gate) tellEnded(all ...masu.Ending) {
	if len(all) == 0 {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	for to := range g.ended {
		to.untold = append(to.untold, all...)
		select {
		case to.news <- struct{}{}:
		default: // woken already
		}
	}
}

func (g *gate) tellSessions(ended []masu.Session) {
	all := make([]masu.Ending, 0, len(ended))
	for _, s := range ended {
		all = append(all, masu.Ending{Session: s.Hash})
	}
	g.tellEnded(all...)
}

// Ended yields sessions, tokens and members as they end.
func (l *Lab) Ended(ctx context.Context) iter.Seq[masu.Ending] {
	return func(yield func(masu.Ending) bool) {
		me := &endings{news: make(chan struct{}, 1)}
		l.gate.mu.Lock()
		l.gate.ended[me] = true
		l.gate.mu.Unlock()
		defer func() {
			l.gate.mu.Lock()
			delete(l.gate.ended, me)
			l.gate.mu.Unlock()
		}()
		for {
			select {
			case <-me.news:
			case <-ctx.Done():
				return
			}
			l.gate.mu.Lock()
			all := me.untold
			me.untold = nil
			l.gate.mu.Unlock()
			for _, e := range all {
				if ctx.Err() != nil || !yield(e) {
					return
				}
			}
		}
	}
}

// crowdedOut picks the sessions, of all that a member has from the oldest on,
// that make room for another: browsers take what hangs on them along. Entries
// into workspaces are counted apart, so that opening apps signs nobody out.
func crowdedOut(all []masu.Session, entry bool) (over []masu.Session) {
	most := sessionsMost
	if entry {
		most = entriesMost
	}
	same := slices.DeleteFunc(slices.Clone(all), func(s masu.Session) bool { return (s.For != "") != entry })
	same = same[:max(0, len(same)+1-most)]
	for _, s := range all {
		if slices.ContainsFunc(same, func(x masu.Session) bool { return s.Hash == x.Hash || s.Parent == x.Hash }) {
			over = append(over, s)
		}
	}
	return over
}
