package lab

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/masu-lab/masu"
)

// sets changes a member's own limits, as an admin does.
func (w *world) sets(name masu.Username, l masu.MemberLimits) {
	w.t.Helper()
	boss := actor("boss")
	boss.Admin = true
	if err := w.lab.As(boss).ChangeMember(w.t.Context(), name, masu.MemberChange{Limits: l}); err != nil {
		w.t.Fatal(err)
	}
}

// TestOwnLimitsInsteadOfTheRules: they may be more or less than the rules say,
// none at all, and outlive the daemon; nobody else's change.
func TestOwnLimitsInsteadOfTheRules(t *testing.T) {
	w := newWorld(t)
	w.gpus = a100s(4)
	w.policy = func(p *Policy) {
		p.GPUs.PerMember, p.GPUs.PerGroup = 2, map[string]int{"b4": 1}
		p.Limits.CPUs, p.Limits.Memory, p.Limits.Disk = 2, 4*masu.GiB, 10*masu.GiB
	}
	_, stop := w.daemon()
	four, none, back, cores, more := 4, 0, -1, 8.0, 16*masu.GiB
	w.sets("alice", masu.MemberLimits{GPUs: &four, CPUs: &cores})
	w.sets("bob", masu.MemberLimits{GPUs: &none, Memory: &more, Disk: &more})
	w.sets("fresher", masu.MemberLimits{GPUs: &four})
	w.sets("carol", masu.MemberLimits{GPUs: &none})
	w.sets("carol", masu.MemberLimits{GPUs: &back})
	stop()
	l, stop := w.daemon()
	defer stop()
	wish := masu.Limits{CPUs: 64, Memory: 64 * masu.GiB, Disk: 64 * masu.GiB}
	for who, c := range map[masu.Username]struct {
		gpus, most int // asked for; what the error names
		code       string
		box        masu.Limits
	}{
		"alice":   {4, 4, "", masu.Limits{CPUs: 8, Memory: 4 * masu.GiB, Disk: 10 * masu.GiB}},
		"bob":     {1, 0, "gpus_too_many_own", masu.Limits{CPUs: 2, Memory: 16 * masu.GiB, Disk: 16 * masu.GiB}},
		"carol":   {3, 2, "gpus_too_many", masu.Limits{CPUs: 2, Memory: 4 * masu.GiB, Disk: 10 * masu.GiB}},
		"dora":    {3, 2, "gpus_too_many", masu.Limits{CPUs: 2, Memory: 4 * masu.GiB, Disk: 10 * masu.GiB}},
		"fresher": {2, 1, "gpus_too_many", masu.Limits{CPUs: 2, Memory: 4 * masu.GiB, Disk: 10 * masu.GiB}}, // the group's is the group's
	} {
		err := l.possible(t.Context(), who, masu.Want{Count: c.gpus})
		if code(err) != c.code {
			t.Errorf("%s: %v, want %q", who, err, c.code)
		}
		b := l.emptyBox("x", "x", masu.User{Name: who}, "image", masu.Project{Limits: wish})
		if b.Limits != c.box {
			t.Errorf("a box of %s's: %+v, want %+v", who, b.Limits, c.box)
		}
		if side := l.sides("x", who, masu.Project{Sides: []masu.SideBox{{Name: "db", Limits: wish}}}, nil); side[0].Limits != c.box {
			t.Errorf("a side box of %s's: %+v, want %+v", who, side[0].Limits, c.box)
		}
	}
}

// TestOwnGPUsInTheQueue: who may hold more gets more, who may hold fewer waits
// for oneself, and a limit that is raised lets them go on.
func TestOwnGPUsInTheQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWeek(t, 4, func(p *Policy) { p.GPUs.PerMember = 2 })
		_, stop := w.daemon()
		defer func() { w.over(stop) }()
		one, three := 1, 3
		w.sets("alice", masu.MemberLimits{GPUs: &one})
		w.sets("bob", masu.MemberLimits{GPUs: &three})
		want := &masu.Want{Count: 1}
		var mine []masu.WorkspaceID
		for range 2 {
			mine = append(mine, w.submits("alice", masu.RunWish{Want: want}, "sleep 36000").ID)
		}
		for range 3 {
			w.submits("bob", masu.RunWish{Want: want}, "sleep 36000")
		}
		held := func() (alice, bob int) {
			time.Sleep(time.Minute)
			synctest.Wait()
			for _, l := range w.leases() {
				switch l.Holder {
				case "alice":
					alice += len(l.GPUs)
				case "bob":
					bob += len(l.GPUs)
				}
			}
			return alice, bob
		}
		if a, b := held(); a != 1 || b != 3 {
			t.Errorf("alice holds %d, bob %d", a, b)
		}
		if _, err := w.as("bob").Board(t.Context()); err != nil {
			t.Error(err)
		}
		two := 2
		w.sets("alice", masu.MemberLimits{GPUs: &two})
		if _, err := w.as("alice").CancelRun(t.Context(), mine[0]); err != nil {
			t.Fatal(err)
		}
		if a, _ := held(); a != 1 {
			t.Errorf("after one has ended alice holds %d", a)
		}
	})
}

// TestOwnRunsAndBuilds: how many go at once follows the limit as it changes, and none are refused.
func TestOwnRunsAndBuilds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWeek(t, 0, func(p *Policy) { p.RunsPerMember = 3 })
		l, stop := w.daemon()
		defer func() { w.over(stop) }()
		one, none := 1, 0
		w.sets("alice", masu.MemberLimits{Runs: &one})
		for range 3 {
			w.submits("alice", masu.RunWish{}, "sleep 36000")
		}
		going := func() (n int) {
			time.Sleep(time.Minute)
			synctest.Wait()
			list, err := w.as("alice").Runs(t.Context(), false)
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range list {
				if r.Phase == masu.RunRunning {
					n++
				}
			}
			return n
		}
		if n := going(); n != 1 {
			t.Errorf("%d runs go", n)
		}
		two := 2
		w.sets("alice", masu.MemberLimits{Runs: &two})
		if n := going(); n != 2 {
			t.Errorf("after the limit was raised %d runs go", n)
		}
		w.sets("alice", masu.MemberLimits{Runs: &none, Builds: &two})
		if _, err := w.as("alice").Submit(t.Context(), masu.RunWish{Argv: []string{"true"}}); code(err) != "runs_denied" {
			t.Errorf("one who may have none: %v", err)
		}

		begun := make(chan error, 3)
		begin := func() {
			go func() {
				begun <- l.beginBuild(t.Context(), "alice", func() {})
			}()
			synctest.Wait()
		}
		for range 3 {
			begin()
		}
		if len(begun) != 2 {
			t.Errorf("%d builds go on", len(begun))
		}
		l.endBuild("alice")
		synctest.Wait()
		if len(begun) != 3 {
			t.Errorf("after one has ended %d were begun", len(begun))
		}
		w.sets("alice", masu.MemberLimits{Builds: &none})
		if err := l.beginBuild(t.Context(), "alice", func() {}); code(err) != "builds_denied" {
			t.Errorf("one who may build none: %v", err)
		}
		w.sets("alice", masu.MemberLimits{Builds: &one})
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := l.beginBuild(ctx, "alice", func() {}); err == nil {
			t.Error("one who has gone began to build")
		}
	})
}
