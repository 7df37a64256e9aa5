package lab

import (
	"context"

	"github.com/masu-lab/masu"
)

// limits is what holds for a member, nil where nothing does, and what of it an
// admin has said for them alone. It is asked so often that it is not read from the store.
func (l *Lab) limits(who masu.Username) (now, own masu.MemberLimits) {
	if v, ok := l.own.Load(who); ok {
		own = v.(masu.MemberLimits) // nothing else is put there
	}
	return own.Over(l.policy().each()), own
}

// each is what the rules say for each member. There 0 means without a limit.
func (p Policy) each() masu.MemberLimits {
	return masu.MemberLimits{Workspaces: some(p.WorkspacesPerMember), GPUs: some(p.GPUs.PerMember), Runs: some(p.RunsPerMember), Builds: some(max(1, p.BuildsPerMember)),
		CPUs: some(p.Limits.CPUs), Memory: some(p.Limits.Memory), Disk: some(p.Limits.Disk), Images: some(p.ImagesPerMember)}
}

func some[T int | float64 | masu.Bytes](v T) *T {
	if v == 0 {
		return nil
	}
	return &v
}

// limit lets a member's limits hold, for what begins from now on.
func (l *Lab) limit(who masu.Username, own masu.MemberLimits) {
	l.own.Store(who, own)
	l.lookAgain()
	l.lendSoon()
}

// ceiling is the most that a box of a member may take.
func (l *Lab) ceiling(who masu.Username) masu.Limits {
	most := l.policy().Limits
	_, own := l.limits(who)
	if own.CPUs != nil {
		most.CPUs = *own.CPUs
	}
	if own.Memory != nil {
		most.Memory = *own.Memory
	}
	if own.Disk != nil {
		most.Disk = *own.Disk
	}
	return most
}

// ownGPUs is how many GPUs some members may hold, whatever the rules say.
func (l *Lab) ownGPUs() map[masu.Username]int {
	most := map[masu.Username]int{}
	l.own.Range(func(who, own any) bool {
		if n := own.(masu.MemberLimits).GPUs; n != nil {
			most[who.(masu.Username)] = *n
		}
		return true
	})
	return most
}

// mayRun refuses runs of a member who may have none: they would wait for ever.
func (l *Lab) mayRun(who masu.Username) error {
	if now, _ := l.limits(who); now.Runs != nil && *now.Runs == 0 {
		return masu.E(masu.Denied, "runs_denied")
	}
	return nil
}

// beginBuild waits until a member has no more builds going than they may; waits is told once, if it has to.
func (l *Lab) beginBuild(ctx context.Context, who masu.Username, waits func()) error {
	for told := false; ; told = true {
		l.mu.Lock()
		moved := l.moved
		now, _ := l.limits(who)
		mine := l.building[who] < *now.Builds
		if mine {
			l.building[who]++
		}
		l.mu.Unlock()
		if *now.Builds == 0 { // the rules say one at least
			return masu.E(masu.Denied, "builds_denied")
		}
		if mine {
			return nil
		}
		if !told {
			waits()
		}
		if err := await(ctx, moved); err != nil {
			return err
		}
	}
}

func await(ctx context.Context, what <-chan struct{}) error {
	select {
	case <-what:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (l *Lab) endBuild(who masu.Username) {
	l.mu.Lock()
	if l.building[who]--; l.building[who] == 0 {
		delete(l.building, who)
	}
	l.moveUp()
	l.mu.Unlock()
}

// moveUp has those look again who wait to build or to run; l.mu is held.
func (l *Lab) moveUp() {
	close(l.moved)
	l.moved = make(chan struct{})
}

// lookAgain is moveUp where other limits hold.
func (l *Lab) lookAgain() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.moveUp()
}
