package lab

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/masu-lab/masu"
)

func a100s(n int) (all []masu.GPU) {
	for i := range n {
		all = append(all, masu.GPU{ID: masu.GPUID(fmt.Sprint("GPU-", i)), Index: i, Model: "A100", Memory: 80 * masu.GiB})
	}
	return all
}

func (w *world) as(name masu.Username) masu.Service {
	return w.lab.As(masu.Actor{User: masu.User{Name: name, UID: 30000, Home: "/home/" + string(name)}, Door: masu.DoorSocket})
}

// wants asks for a workspace with a GPU.
func (w *world) wants(name masu.Username, n int) {
	w.t.Helper()
	want := masu.Want{Count: n}
	if _, err := w.as(name).Up(w.t.Context(), masu.UpRequest{Dir: w.dir, Name: "work", Want: &want}); err != nil {
		w.t.Fatal(err)
	}
}

// becomes waits until a member's workspace is as it should be, with decisions made as often as something could change.
func (w *world) becomes(name masu.Username, what string, ok func(masu.Workspace) bool) masu.Workspace {
	w.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		all := w.workspaces()
		i := slices.IndexFunc(all, func(x masu.Workspace) bool { return x.Owner == name })
		if i >= 0 && ok(all[i]) {
			return all[i]
		}
		if time.Now().After(deadline) {
			w.t.Fatalf("%s's workspace is never %s: %+v", name, what, all[max(i, 0)])
		}
		w.lab.lendSoon()
	}
}

func in(p masu.Phase) func(masu.Workspace) bool {
	return func(w masu.Workspace) bool { return w.Phase == p }
}

func stoppedFor(code string) func(masu.Workspace) bool {
	return func(w masu.Workspace) bool {
		return w.Phase == masu.Stopped && w.Trouble != nil && w.Trouble.Code == code
	}
}

// TestFiftyAtOnce is row G5: whoever asks at the same time, a GPU has one
// holder, and everybody's turn comes.
func TestFiftyAtOnce(t *testing.T) {
	w := newWorld(t)
	w.gpus = a100s(4)
	_, stop := w.daemon()
	defer stop()
	var wg sync.WaitGroup
	for i := range 50 {
		wg.Go(func() { w.wants(masu.Username(fmt.Sprintf("m%02d", i)), 1) })
	}
	wg.Wait()
	ran := map[masu.Username]bool{}
	for deadline := time.Now().Add(60 * time.Second); len(ran) < 50; time.Sleep(5 * time.Millisecond) {
		all := w.workspaces() // first: what runs by then is in the ledger by now
		holders := map[masu.GPUID]masu.WorkspaceID{}
		for _, lease := range w.leases() {
			for _, g := range lease.GPUs {
				if other, taken := holders[g]; taken {
					t.Fatalf("%s is lent to %s and %s", g, other, lease.Workspace)
				}
				holders[g] = lease.Workspace
			}
		}
		running, waiting := 0, 0
		for _, x := range all {
			switch x.Phase {
			case masu.Running:
				if running++; len(x.GPUs) != 1 || holders[x.GPUs[0]] != x.ID {
					t.Fatalf("%s runs with %v, the ledger says %v", x.Owner, x.GPUs, holders)
				}
			case masu.Waiting:
				waiting++
			case masu.Failed:
				t.Fatalf("%s failed: %+v", x.Owner, x.Trouble)
			}
		}
		if running > 4 {
			t.Fatalf("%d run on 4 GPUs", running)
		}
		if running == min(4, 50-len(ran)) && running+waiting == 50-len(ran) {
			for _, x := range w.workspaces() {
				if x.Phase == masu.Running {
					ran[x.Owner] = true
					if _, err := w.as(x.Owner).Stop(t.Context(), x.Name); err != nil {
						t.Fatal(err)
					}
				}
			}
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d have had their turn, %d run, %d wait", len(ran), running, waiting)
		}
	}
	if left := w.leases(); len(left) != 0 {
		t.Errorf("leases are left: %+v", left)
	}
}

// TestPlacesAreKept: who waits waits on, in the same order, when the daemon has died and come back.
func TestPlacesAreKept(t *testing.T) {
	w := newWorld(t)
	w.gpus = a100s(1)
	_, stop := w.daemon()
	w.wants("alice", 1)
	w.becomes("alice", "running", in(masu.Running))
	for _, who := range []masu.Username{"bob", "carol"} {
		w.wants(who, 1)
		w.becomes(who, "waiting", in(masu.Waiting))
	}
	stop()
	_, stop = w.daemon()
	defer stop()
	w.becomes("carol", "waiting again", func(x masu.Workspace) bool {
		_, busy := w.lab.operation(x.ID)
		return x.Phase == masu.Waiting && busy
	})
	if a := w.becomes("alice", "running", in(masu.Running)); len(a.GPUs) != 1 {
		t.Errorf("alice has %v", a.GPUs)
	}
	for _, step := range []struct{ gives, gets masu.Username }{{"alice", "bob"}, {"bob", "carol"}} {
		if _, err := w.as(step.gives).Stop(t.Context(), "work"); err != nil {
			t.Fatal(err)
		}
		w.becomes(step.gets, "running", in(masu.Running))
	}
}

func (w *world) quietGPUs() {
	w.reads = map[masu.GPUID]masu.Reading{}
	for _, g := range w.gpus {
		w.reads[g.ID] = masu.Reading{GPU: g.ID, Memory: masu.GiB}
	}
}

// TestIdleGPUsGoBack: told first, kept on a word, taken for whoever waits, with
// the reason; and never from somebody who works.
func TestIdleGPUsGoBack(t *testing.T) {
	w := newWorld(t)
	w.gpus = a100s(2)
	w.quietGPUs()
	w.reads["GPU-1"] = masu.Reading{GPU: "GPU-1", Busy: 0.9, Memory: masu.GiB} // a cell that says nothing for hours
	w.policy = func(p *Policy) { p.GPUs.IdleFor, p.GPUs.Grace = 100*time.Millisecond, 300*time.Millisecond }
	_, stop := w.daemon()
	defer stop()
	w.wants("idle", 1)
	w.becomes("idle", "running", in(masu.Running))
	w.wants("works", 1)
	w.becomes("works", "running", in(masu.Running))
	time.Sleep(300 * time.Millisecond)
	if x := w.becomes("idle", "running", in(masu.Running)); !x.EndsAt.IsZero() {
		t.Errorf("nobody waits, and it ends at %v", x.EndsAt)
	}
	w.wants("waits", 1)
	told := w.becomes("idle", "told", func(x masu.Workspace) bool { return !x.EndsAt.IsZero() })
	if told.EndWhy != masu.EndIdle {
		t.Errorf("told that it ends for %q", told.EndWhy)
	}
	lease, err := w.as("idle").Extend(t.Context(), "work", time.Second)
	if err != nil || !lease.EndsAt.IsZero() || lease.Keeps != 1 {
		t.Fatalf("kept: %+v, %v", lease, err)
	}
	until := time.Now().Add(700 * time.Millisecond)
	for time.Now().Before(until) {
		w.becomes("idle", "running, and not told", func(x masu.Workspace) bool { return x.Phase == masu.Running && x.EndsAt.IsZero() })
	}
	w.becomes("idle", "stopped, and says why", stoppedFor("lease_idle"))
	w.becomes("waits", "running", in(masu.Running))
	if x := w.becomes("works", "running", in(masu.Running)); !x.EndsAt.IsZero() {
		t.Errorf("who works is told of an end: %+v", x)
	}
	var past []masu.Lease
	w.view(func(tx masu.Tx) (err error) { past, err = tx.PastLeases(time.Time{}); return err })
	if len(past) != 1 || past[0].Why != masu.EndIdle || past[0].Holder != "idle" {
		t.Errorf("the ledger says %+v", past)
	}
}

// TestReservedGPUsChangeHands: to whom they were promised, at that minute, and to nobody else.
func TestReservedGPUsChangeHands(t *testing.T) {
	w := newWorld(t)
	w.gpus = a100s(1)
	w.policy = func(p *Policy) { p.GPUs.NoShow, p.GPUs.Grace = time.Hour, 100*time.Millisecond }
	_, stop := w.daemon()
	defer stop()
	w.wants("alice", 1)
	w.becomes("alice", "running", in(masu.Running))
	at := time.Now().Add(400 * time.Millisecond)
	r := masu.Reservation{ID: "r", Holder: "carol", Want: masu.Want{Count: 1}, GPUs: []masu.GPUID{"GPU-0"}, From: at, Until: at.Add(time.Hour)}
	if err := w.store.Update(t.Context(), func(tx masu.Tx) error { return tx.PutReservation(r) }); err != nil {
		t.Fatal(err)
	}
	if told := w.becomes("alice", "told", func(x masu.Workspace) bool { return !x.EndsAt.IsZero() }); told.EndWhy != masu.EndReserved || !told.EndsAt.Equal(at) {
		t.Errorf("told %q at %v, reserved from %v", told.EndWhy, told.EndsAt, at)
	}
	if _, err := w.as("alice").Extend(t.Context(), "work", time.Hour); masu.CodeOf(err) != "extend_reserved" {
		t.Errorf("extended into a reservation: %v", err)
	}
	w.wants("bob", 1)
	gone := w.becomes("alice", "stopped", stoppedFor("lease_reserved"))
	if gone.ChangedAt.Before(at) {
		t.Errorf("it was taken at %v, reserved from %v", gone.ChangedAt, at)
	}
	w.wants("carol", 1)
	w.becomes("carol", "running", in(masu.Running))
	w.becomes("bob", "waiting", in(masu.Waiting))
	if _, err := w.as("carol").Stop(t.Context(), "work"); err != nil {
		t.Fatal(err)
	}
	w.becomes("bob", "still waiting", in(masu.Waiting))
	if err := w.as("carol").Unreserve(t.Context(), "r", false); err != nil {
		t.Fatal(err)
	}
	w.becomes("bob", "running", in(masu.Running))
}

// TestUnknownGPUs: while the driver hangs, answers nonsense, or was upgraded
// under what runs, nothing is lent, what runs goes on, and who waits keeps the place.
func TestUnknownGPUs(t *testing.T) {
	for code, arg := range map[string]string{"gpu_hangs": "20s", "gpu_driver_mismatch": "Driver/library version mismatch", "gpu_query_failed": "exit status 9"} {
		t.Run(code, func(t *testing.T) {
			w := newWorld(t)
			w.gpus = a100s(2)
			w.quietGPUs()
			w.policy = func(p *Policy) { p.GPUs.IdleFor, p.GPUs.Grace = 50*time.Millisecond, 50*time.Millisecond }
			w.reads["GPU-0"] = masu.Reading{GPU: "GPU-0", Busy: 1, Memory: masu.GiB}
			w.reads["GPU-1"] = masu.Reading{GPU: "GPU-1", Busy: 1, Memory: masu.GiB}
			l, stop := w.daemon()
			defer stop()
			for _, who := range []masu.Username{"alice", "bob"} {
				w.wants(who, 1)
				w.becomes(who, "running", in(masu.Running))
			}
			w.wants("carol", 1)
			w.becomes("carol", "waiting", in(masu.Waiting))
			w.plug(func() { w.gpuErr = masu.E(masu.Unreachable, code, arg); w.reads = nil })
			_ = l.lend(t.Context())                                          // a decision that has read what there was is over then
			if _, err := w.as("bob").Stop(t.Context(), "work"); err != nil { // what is given back is lent to nobody
				t.Fatal(err)
			}
			for range 3 {
				if err := l.lend(t.Context()); masu.CodeOf(err) != code {
					t.Errorf("a decision without knowing: %v", err)
				}
			}
			w.becomes("carol", "waiting still", in(masu.Waiting))
			if x := w.becomes("alice", "running", in(masu.Running)); !x.EndsAt.IsZero() || len(w.leases()) != 1 {
				t.Errorf("what runs: %+v, lent: %+v", x, w.leases())
			}
			w.wants("dave", 1)
			if x := w.becomes("dave", "refused", in(masu.Failed)); x.Trouble.Code != code {
				t.Errorf("refused for %+v", x.Trouble)
			}
			if b, err := l.measure(t.Context()); err != nil || b.Unknown == nil || b.Unknown.Code != code || len(b.GPUs) != 0 {
				t.Errorf("the board says %+v, %v", b.Unknown, err)
			}
			w.plug(func() { w.gpuErr = nil; w.quietGPUs() })
			w.becomes("carol", "running", in(masu.Running))
		})
	}
}

// TestLostCard: a card that is gone ends what used it, with the reason; nothing else.
func TestLostCard(t *testing.T) {
	w := newWorld(t)
	w.gpus = a100s(2)
	l, stop := w.daemon()
	defer stop()
	for _, who := range []masu.Username{"alice", "bob"} {
		w.wants(who, 1)
		w.becomes(who, "running", in(masu.Running))
	}
	lost := w.becomes("alice", "running", in(masu.Running)).GPUs[0]
	w.plug(func() {
		w.gpus = slices.DeleteFunc(slices.Clone(w.gpus), func(g masu.GPU) bool { return g.ID == lost })
	})
	if err := l.lend(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.becomes("alice", "running: it may come back", in(masu.Running))
	l.lendMu.Lock()
	l.missing[lost] = time.Now().Add(-goneAfter)
	l.lendMu.Unlock()
	w.becomes("alice", "stopped", stoppedFor("lease_lost"))
	w.becomes("bob", "running", in(masu.Running))
}

// TestFaultyCard: a card that is not well is lent to nobody anew; what runs on it goes on.
func TestFaultyCard(t *testing.T) {
	w := newWorld(t)
	w.gpus = a100s(1)
	w.quietGPUs()
	l, stop := w.daemon()
	defer stop()
	w.wants("alice", 1)
	w.becomes("alice", "running", in(masu.Running))
	ail := func(f masu.Fault) {
		w.plug(func() { w.gpus = slices.Clone(w.gpus); w.gpus[0].Fault = f })
	}
	ail("xid 79")
	for range 3 {
		if err := l.lend(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	w.becomes("alice", "running still", in(masu.Running))
	if b, err := l.measure(t.Context()); err != nil || b.GPUs[0].Fault != "xid 79" || b.GPUs[0].Free() || len(b.GPUs[0].Holds) != 1 {
		t.Errorf("the board says %+v, %v", b.GPUs, err)
	}
	if _, err := w.as("alice").Stop(t.Context(), "work"); err != nil {
		t.Fatal(err)
	}
	w.wants("bob", 1)
	w.becomes("bob", "waiting", in(masu.Waiting))
	ail("")
	w.becomes("bob", "running", in(masu.Running))
}

// TestOutsiders: a GPU that somebody uses without masu is shown with their name, and lent to nobody.
func TestOutsiders(t *testing.T) {
	w := newWorld(t)
	w.gpus = a100s(1)
	w.quietGPUs()
	w.reads["GPU-0"] = masu.Reading{GPU: "GPU-0", Memory: 12 * masu.GiB, Processes: []masu.GPUProcess{{PID: 4121, Name: "/usr/bin/python3", Memory: 12 * masu.GiB}}}
	l, stop := w.daemon()
	defer stop()
	l.cfg.Process = func(pid int) (masu.Process, error) {
		return masu.Process{Login: "mallory", Command: "python3 train.py"}, nil
	}
	w.wants("alice", 1)
	w.becomes("alice", "waiting", in(masu.Waiting))
	b, err := l.measure(t.Context())
	if want := []masu.OutsideUser{{Login: "mallory", Command: "python3 train.py", PID: 4121, Memory: 12 * masu.GiB}}; err != nil || !slices.Equal(b.GPUs[0].Outside, want) || b.GPUs[0].Free() {
		t.Errorf("the board says %+v, %v", b.GPUs, err)
	}
	w.plug(func() { w.quietGPUs() })
	w.becomes("alice", "running", in(masu.Running))
}

// TestOutsidersOnASlicedCard: the driver tells the card of a process, not the
// slice. With none of its slices lent it is a stranger's, and no slice is lent.
func TestOutsidersOnASlicedCard(t *testing.T) {
	w := newWorld(t)
	w.gpus = []masu.GPU{
		{ID: "MIG-0", Parent: "GPU-0", Model: "MIG 1g.10gb", Memory: 10 * masu.GiB},
		{ID: "MIG-1", Parent: "GPU-0", Index: 1, Model: "MIG 1g.10gb", Memory: 10 * masu.GiB},
	}
	busy := map[masu.GPUID]masu.Reading{"GPU-0": {GPU: "GPU-0", Processes: []masu.GPUProcess{{PID: 4121, Name: "python3"}}}}
	w.reads = busy
	l, stop := w.daemon()
	defer stop()
	w.wants("alice", 1)
	w.becomes("alice", "waiting", in(masu.Waiting))
	b, err := l.measure(t.Context())
	if err != nil || len(b.GPUs[0].Outside) != 1 || len(b.GPUs[1].Outside) != 1 {
		t.Errorf("the board says %+v, %v", b.GPUs, err)
	}
	w.plug(func() { w.reads = nil })
	w.becomes("alice", "running", in(masu.Running))
	w.plug(func() { w.reads = busy }) // hers, by now
	w.wants("bob", 1)
	w.becomes("bob", "running", in(masu.Running))
}

// TestSlicesTellThemselves: where a slice has a reading of its own, a stranger
// on one keeps that one from being lent, and neither its neighbour nor a lease there hides them.
func TestSlicesTellThemselves(t *testing.T) {
	w := newWorld(t)
	stranger := []masu.GPUProcess{{PID: 4121, Name: "python3", Memory: masu.GiB}}
	for i, id := range []masu.GPUID{"MIG-0", "MIG-1"} {
		w.gpus = append(w.gpus, masu.GPU{ID: id, Parent: "GPU-0", Index: i, Model: "MIG 1g.10gb", Memory: 10 * masu.GiB})
	}
	w.reads = map[masu.GPUID]masu.Reading{"GPU-0": {GPU: "GPU-0", Busy: -1, Memory: masu.GiB, Processes: stranger},
		"MIG-0": {GPU: "MIG-0", Busy: -1, Memory: masu.GiB, Power: -1, Processes: stranger}, "MIG-1": {GPU: "MIG-1", Busy: -1, Memory: masu.MiB, Power: -1}}
	l, stop := w.daemon()
	defer stop()
	w.wants("alice", 1)
	if x := w.becomes("alice", "running", in(masu.Running)); x.GPUs[0] != "MIG-1" {
		t.Errorf("alice has %v", x.GPUs)
	}
	w.wants("bob", 1)
	w.becomes("bob", "waiting", in(masu.Waiting))
	b, err := l.measure(t.Context())
	if err != nil || len(b.GPUs[0].Outside) != 1 || len(b.GPUs[1].Outside) != 0 || b.GPUs[0].Reading.Memory != masu.GiB || b.GPUs[1].Reading.Memory != masu.MiB {
		t.Errorf("the board says %+v, %v", b.GPUs, err)
	}
	w.plug(func() { delete(w.reads, "MIG-0") }) // what nobody tells of it, the card may mean
	w.becomes("bob", "waiting", in(masu.Waiting))
	w.plug(func() { w.reads["MIG-0"] = masu.Reading{GPU: "MIG-0", Busy: -1, Memory: masu.MiB, Power: -1} })
	w.becomes("bob", "running", in(masu.Running))
}

// TestNotebooksOnTheBoard: who holds a GPU sees which notebook uses it, and so
// does an admin; others see the holder's name.
func TestNotebooksOnTheBoard(t *testing.T) {
	w := newWorld(t)
	w.gpus = a100s(1)
	w.quietGPUs()
	l, stop := w.daemon()
	stop = sync.OnceFunc(stop)
	defer stop()
	w.wants("alice", 1)
	id := w.becomes("alice", "running", in(masu.Running)).ID
	stop() // the agents tell nothing new
	l.cfg.Process = func(pid int) (masu.Process, error) {
		kernels := map[int]string{1: "k1", 2: "k1", 3: "k2", 4: "someone else's"}
		return masu.Process{Login: "alice", Container: "box", Kernel: kernels[pid]}, nil
	}
	l.mu.Lock()
	l.handles = map[string]masu.WorkspaceID{"box": id}
	l.open[id] = []masu.OpenNotebook{{Kernel: "k1", Path: "train.ipynb"}, {Kernel: "k2", Path: "plots.ipynb"}, {Kernel: "k3", Path: "idle.ipynb"}}
	l.mu.Unlock()
	r := masu.Reading{GPU: "GPU-0"}
	for pid := range 5 {
		r.Processes = append(r.Processes, masu.GPUProcess{PID: pid})
	}
	w.plug(func() { w.reads["GPU-0"] = r })
	b, err := l.measure(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for who, want := range map[masu.Username]string{"alice": "work train.ipynb plots.ipynb", "bob": "", "root": "work train.ipynb plots.ipynb"} {
		s := &service{l: l, actor: masu.Actor{User: masu.User{Name: who, Admin: who == "root"}}}
		seen, err := s.seen(t.Context(), b)
		if err != nil || len(seen.GPUs[0].Holds) != 1 || len(seen.GPUs[0].Outside) != 0 {
			t.Fatalf("%s: %+v, %v", who, seen.GPUs, err)
		}
		h := seen.GPUs[0].Holds[0]
		if got := strings.TrimSpace(h.Workspace + " " + strings.Join(h.Notebooks, " ")); got != want || h.Member != "alice" {
			t.Errorf("%s sees %q, want %q", who, got, want)
		}
	}
}
