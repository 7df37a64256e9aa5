package lab

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/masu-lab/masu"
)

// runIs waits until a run is as it should be.
func (w *world) runIs(id masu.WorkspaceID, what string, ok func(masu.Run) bool) masu.Run {
	w.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		var r masu.Run
		w.view(func(tx masu.Tx) (err error) { r, err = tx.Run(id); return err })
		if ok(r) {
			return r
		}
		if time.Now().After(deadline) {
			w.t.Fatalf("the run is never %s: %+v", what, r)
		}
		w.lab.lendSoon()
	}
}

func runIn(phase masu.RunPhase) func(masu.Run) bool {
	return func(r masu.Run) bool { return r.Phase == phase }
}

func (w *world) submits(name masu.Username, q masu.RunWish, script string) masu.Run {
	w.t.Helper()
	q.Argv = []string{"sh", "-c", script}
	list, err := w.as(name).Submit(w.t.Context(), q)
	if err != nil {
		w.t.Fatal(err)
	}
	return list[0]
}

// TestRunsInTheQueue: runs wait for their GPUs, and give them back when they end.
func TestRunsInTheQueue(t *testing.T) {
	w := newWorld(t)
	w.state = t.TempDir()
	w.gpus = a100s(1)
	l, stop := w.daemon()
	defer stop()
	one := &masu.Want{Count: 1}
	first := w.submits("alice", masu.RunWish{Want: one}, "sleep 60")
	w.runIs(first.ID, "running", runIn(masu.RunRunning))
	w.runIs(first.ID, "measured", func(r masu.Run) bool { return r.Used == masu.Use{CPU: time.Second, Memory: 64 * masu.MiB} })
	second := w.submits("bob", masu.RunWish{Want: one, Name: "short"}, "echo done")
	for waits := false; !waits; { // its image comes first
		w.view(func(tx masu.Tx) error {
			tickets, err := tx.Tickets()
			waits = len(tickets) == 1
			return err
		})
	}
	w.wants("carol", 1)
	w.becomes("carol", "waiting", in(masu.Waiting))
	if r := w.runIs(second.ID, "queued", runIn(masu.RunQueued)); len(r.GPUs) != 0 {
		t.Errorf("it waits with %v", r.GPUs)
	}
	if _, err := w.as("alice").CancelRun(t.Context(), first.ID); err != nil {
		t.Fatal(err)
	}
	if r := w.runIs(second.ID, "ended", runIn(masu.RunEnded)); !r.Well() || len(r.GPUs) != 1 {
		t.Errorf("it ended as %+v", r)
	}
	w.becomes("carol", "running", in(masu.Running))
	if b, err := os.ReadFile(l.runLog(second.ID)); err != nil || string(b) != "done\n" {
		t.Errorf("its log: %q, %v", b, err)
	}
	var past []masu.Lease
	w.view(func(tx masu.Tx) (err error) { past, err = tx.PastLeases(time.Time{}); return err })
	if len(past) != 2 || past[1].Name != "short" || past[1].Holder != "bob" {
		t.Errorf("the ledger says %+v", past)
	}
	if boxes, err := w.runtime.Boxes(t.Context()); err != nil || len(boxes) != 1 {
		t.Errorf("boxes are left: %+v, %v", boxes, err)
	}
}

// TestRunsSurvive: a run goes on when the daemon dies, and the next one sees to
// its end; one whose box is lost begins anew, as often as was wished.
func TestRunsSurvive(t *testing.T) {
	w := newWorld(t)
	w.state = t.TempDir()
	w.gpus = a100s(2)
	_, stop := w.daemon()
	one := &masu.Want{Count: 1}
	long := w.submits("alice", masu.RunWish{Want: one}, "sleep 0.6; echo late; exit 3")
	lost := w.submits("bob", masu.RunWish{Want: one, Retries: 1}, "sleep 60")
	never := w.submits("alice", masu.RunWish{After: []masu.WorkspaceID{long.ID}}, "true")
	for _, r := range []masu.Run{long, lost} {
		w.runIs(r.ID, "running", runIn(masu.RunRunning))
	}
	before, err := w.runtime.Box(t.Context(), long.ID)
	if err != nil {
		t.Fatal(err)
	}
	stop()
	l, stop := w.daemon()
	defer stop()
	if now, err := w.runtime.Box(t.Context(), long.ID); err != nil || now.Handle != before.Handle {
		t.Errorf("the box was %+v, and is %+v, %v", before, now, err)
	}
	if r := w.runIs(long.ID, "ended", runIn(masu.RunEnded)); r.Code != 3 || r.Tries != 1 {
		t.Errorf("it ended as %+v", r)
	}
	if b, err := os.ReadFile(l.runLog(long.ID)); err != nil || string(b) != "late\n" {
		t.Errorf("its log: %q, %v", b, err)
	}
	w.runIs(never.ID, "failed, for what it came after did not end well", func(r masu.Run) bool { return r.Trouble != nil && r.Trouble.Code == "run_after" })
	w.runtime.Vanish(lost.ID)
	w.runIs(lost.ID, "begun anew", func(r masu.Run) bool { return r.Tries == 2 && r.Phase == masu.RunRunning })
	for { // begun, not yet there
		if _, err := w.runtime.Box(t.Context(), lost.ID); err == nil {
			break
		}
		time.Sleep(time.Millisecond)
	}
	w.runtime.Vanish(lost.ID)
	if r := w.runIs(lost.ID, "failed", runIn(masu.RunFailed)); r.Trouble.Code != "box_gone" {
		t.Errorf("it failed for %+v", r.Trouble)
	}
	if left := w.leases(); len(left) != 0 {
		t.Errorf("leases are left: %+v", left)
	}
}

// TestLimitIsNoWayToHold: whoever runs something for a month holds GPUs no longer than others may.
func TestLimitIsNoWayToHold(t *testing.T) {
	w := newWorld(t)
	w.state, w.gpus = t.TempDir(), a100s(1)
	_, stop := w.daemon()
	defer stop()
	q := masu.RunWish{Argv: []string{"sh", "-c", "true"}, Want: &masu.Want{Count: 1}, Limit: 30 * 24 * time.Hour}
	if _, err := w.as("alice").Submit(t.Context(), q); masu.CodeOf(err) != "limit_most" {
		t.Errorf("with a GPU: %v", err)
	}
	q.Want = nil
	if _, err := w.as("alice").Submit(t.Context(), q); err != nil {
		t.Errorf("without: %v", err)
	}
}

// TestRunsOfTheDisabled: who is shut out has nothing that goes on, and nothing that waits.
func TestRunsOfTheDisabled(t *testing.T) {
	w := newWorld(t)
	w.state = t.TempDir()
	w.gpus = a100s(1)
	l, stop := w.daemon()
	defer stop()
	one := &masu.Want{Count: 1}
	goes := w.submits("alice", masu.RunWish{Want: one}, "sleep 60")
	w.runIs(goes.ID, "running", runIn(masu.RunRunning))
	waits := w.submits("alice", masu.RunWish{Want: one}, "sleep 60")
	next := w.submits("bob", masu.RunWish{Want: one}, "sleep 60")
	listening, cancel := context.WithCancel(t.Context())
	defer cancel()
	heard := make(chan masu.Ending, 16)
	go func() {
		for e := range l.Ended(listening) {
			heard <- e
		}
	}()
	for listens := false; !listens; time.Sleep(time.Millisecond) {
		l.gate.mu.Lock()
		listens = len(l.gate.ended) == 1
		l.gate.mu.Unlock()
	}
	yes := true
	boss := actor("boss")
	boss.Admin = true
	if err := l.As(boss).ChangeMember(t.Context(), "alice", masu.MemberChange{Disabled: &yes}); err != nil {
		t.Fatal(err)
	}
	for _, r := range []masu.Run{goes, waits} {
		w.runIs(r.ID, "cancelled", runIn(masu.RunCancelled))
	}
	w.runIs(next.ID, "running", runIn(masu.RunRunning))
	if e := <-heard; e != (masu.Ending{Member: "alice"}) {
		t.Errorf("the doors are told %+v", e)
	}
}
