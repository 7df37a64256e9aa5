package lab

import (
	"slices"
	"testing"
	"time"

	"github.com/masu-lab/masu"
)

// TestUsageToTheSecond: what the account says is what the ledger knows, cut at
// the ends of months and of what was asked for.
func TestUsageToTheSecond(t *testing.T) {
	w := newWorld(t)
	l, stop := w.daemon()
	defer stop()
	november := time.Date(2025, 11, 1, 0, 0, 0, 0, time.Local)
	december := november.AddDate(0, 1, 0)
	lease := func(id masu.LeaseID, who masu.Username, name string, gpus int, from, until time.Time) masu.Lease {
		x := masu.Lease{ID: id, Holder: who, Name: name, From: from, EndedAt: until, AskedAt: from.Add(-90 * time.Second)}
		for i := range gpus {
			x.GPUs = append(x.GPUs, a100s(gpus)[i].ID)
		}
		return x
	}
	history := []masu.Lease{
		lease("a", "alice", "thesis", 2, november.Add(time.Hour), november.Add(time.Hour+37*time.Second)),
		lease("b", "alice", "thesis", 1, december.Add(-10*time.Second), december.Add(25*time.Second)), // over the end of the month
		lease("c", "bob", "bert", 1, november.Add(2*time.Hour), november.Add(3*time.Hour)),
		lease("d", "bob", "bert", 4, november.AddDate(0, -1, 0), november.AddDate(0, -1, 1)), // before
		{ID: "e", Holder: "bob", Name: "runs", GPUs: []masu.GPUID{"GPU-9"}, From: time.Now().Add(-time.Hour)},
	}
	for i := range history[:2] {
		history[i].Project = "vision" // the others are from before projects were written down
	}
	if err := w.store.Update(t.Context(), func(tx masu.Tx) error {
		for _, x := range history {
			if err := tx.PutLease(x); err != nil {
				return err
			}
		}
		return tx.PutGPUUse([]masu.GPUUse{
			{Lease: "a", At: november.Add(time.Hour), Busy: 50 * time.Second, Energy: 12000},
			{Lease: "c", At: november.Add(2 * time.Hour), Busy: time.Minute, Energy: 18000},
		}, november)
	}); err != nil {
		t.Fatal(err)
	}
	boss := l.As(masu.Actor{User: masu.User{Name: "boss", Admin: true}})
	got, err := boss.GPUUsage(t.Context(), november, december.AddDate(0, 1, 0), true)
	want := []masu.UsageRow{
		{Month: "2025-11", Member: "alice", Project: "vision", Name: "thesis", Leases: 2, Lent: 2*37*time.Second + 10*time.Second, Busy: 50 * time.Second, Energy: 12000, Waited: 180 * time.Second},
		{Month: "2025-11", Member: "bob", Project: "bert", Name: "bert", Leases: 1, Lent: time.Hour, Busy: time.Minute, Energy: 18000, Waited: 90 * time.Second},
		{Month: "2025-12", Member: "alice", Project: "vision", Name: "thesis", Lent: 25 * time.Second},
	}
	same := func(a, b masu.UsageRow) bool {
		a.Groups, b.Groups = nil, nil
		return a.Month == b.Month && a.Member == b.Member && a.Name == b.Name && a.Project == b.Project && a.Leases == b.Leases && a.Lent == b.Lent && a.Busy == b.Busy && a.Energy == b.Energy && a.Waited == b.Waited
	}
	if err != nil || !slices.EqualFunc(got, want, same) {
		t.Errorf("got  %+v, %v\nwant %+v", got, err, want)
	}
	for _, r := range got { // day by day it is the same
		var lent, busy time.Duration
		for _, d := range r.Days {
			lent, busy = lent+d.Lent, busy+d.Busy
		}
		if lent != r.Lent || busy != r.Busy {
			t.Errorf("the days of %s in %s: %+v", r.Name, r.Month, r.Days)
		}
	}
	if days := got[2].Days; len(days) != 1 || days[0].Day != 1 {
		t.Errorf("December began on %+v", days)
	}
	alice := l.As(masu.Actor{User: masu.User{Name: "alice"}})
	for range 2 { // from what was read for the boss, but hers alone
		own, err := alice.GPUUsage(t.Context(), november, december, false)
		if err != nil || len(own) != 1 || !same(own[0], want[0]) {
			t.Errorf("her own: %+v, %v", own, err)
		}
	}
	half, err := boss.GPUUsage(t.Context(), november.Add(time.Hour+20*time.Second), november.Add(2*time.Hour+time.Minute), true)
	if err != nil || len(half) != 2 || half[0].Lent != 2*17*time.Second || half[1].Lent != time.Minute || half[0].Leases != 0 {
		t.Errorf("a part of it: %+v, %v", half, err)
	}
	now, err := boss.GPUUsage(t.Context(), time.Now().Add(-30*time.Minute), time.Now().Add(time.Hour), true)
	if err != nil || len(now) == 0 || (now[0].Lent+func() (d time.Duration) {
		for _, r := range now[1:] {
			d += r.Lent
		}
		return d
	}()).Round(time.Minute) != 30*time.Minute {
		t.Errorf("what runs: %+v, %v", now, err)
	}
}

// TestMetered: busy time and energy of lent GPUs, in equal parts where they are shared.
func TestMetered(t *testing.T) {
	w := newWorld(t)
	l, stop := w.daemon()
	stop()
	readings := map[masu.GPUID]masu.Reading{"g": {Busy: 0.5, Power: 200}, "h": {Busy: -1, Power: -1}}
	leases := []masu.Lease{{ID: "a", GPUs: []masu.GPUID{"g"}, Share: 1}, {ID: "b", GPUs: []masu.GPUID{"g"}, Share: 1}, {ID: "c", GPUs: []masu.GPUID{"h"}}, {ID: "d", GPUs: []masu.GPUID{"unknown"}}}
	l.meterLeases(leases, readings, 10*time.Second)
	l.meterLeases(leases, readings, 10*time.Second)
	for id, want := range map[masu.LeaseID]masu.GPUUse{"a": {Lease: "a", Busy: 5 * time.Second, Energy: 2000}, "b": {Lease: "b", Busy: 5 * time.Second, Energy: 2000}, "c": {Lease: "c"}, "d": {}} {
		if got := l.metered[id]; got != want {
			t.Errorf("%s: %+v", id, got)
		}
	}
	at := time.Now().Truncate(time.Minute)
	l.writeMeter(t.Context(), at)
	var list []masu.GPUUse
	w.view(func(tx masu.Tx) (err error) { list, err = tx.GPUUse(at, at.Add(time.Minute)); return err })
	if len(list) != 3 || len(l.metered) != 0 {
		t.Errorf("written down: %+v; left %v", list, l.metered)
	}
}

// TestOverrun: who takes more of a shared card than their part is told, then stopped; the neighbour is not.
func TestOverrun(t *testing.T) {
	w := newWorld(t)
	w.gpus = a100s(1)
	w.policy = func(p *Policy) { p.GPUs.Grace = 200 * time.Millisecond }
	l, stop := w.daemon()
	defer stop()
	want := masu.Want{Share: 20 * masu.GiB}
	for _, who := range []masu.Username{"greedy", "modest"} {
		if _, err := w.as(who).Up(t.Context(), masu.UpRequest{Dir: w.dir, Name: "work", Want: &want}); err != nil {
			t.Fatal(err)
		}
		if x := w.becomes(who, "running", in(masu.Running)); !slices.Equal(x.GPUs, []masu.GPUID{"GPU-0"}) {
			t.Fatalf("%s has %v", who, x.GPUs)
		}
	}
	boxes, err := w.runtime.Boxes(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	handle := map[int]string{}
	for _, b := range boxes {
		handle[map[masu.Username]int{"greedy": 1, "modest": 2}[b.Owner]] = b.Handle
	}
	l.cfg.Process = func(pid int) (masu.Process, error) { return masu.Process{Container: handle[pid]}, nil }
	l.nudge()
	w.plug(func() {
		w.reads = map[masu.GPUID]masu.Reading{"GPU-0": {GPU: "GPU-0", Busy: 1, Memory: 60 * masu.GiB, Processes: []masu.GPUProcess{{PID: 1, Memory: 40 * masu.GiB}, {PID: 2, Memory: 20 * masu.GiB}}}}
	})
	if x := w.becomes("greedy", "told", func(x masu.Workspace) bool { return !x.EndsAt.IsZero() }); x.EndWhy != masu.EndMemory {
		t.Errorf("told for %q", x.EndWhy)
	}
	w.becomes("greedy", "stopped", stoppedFor("lease_memory"))
	if x := w.becomes("modest", "running", in(masu.Running)); !x.EndsAt.IsZero() {
		t.Errorf("the neighbour is told of %q", x.EndWhy)
	}
}
