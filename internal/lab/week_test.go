package lab

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/masu-lab/masu"
)

// week is a lab that lives in the test's own time: hours pass as soon as
// everybody has done what they had to do.
type week struct {
	*world
	held map[string]time.Duration // what the script knows of each member's GPU time
	open map[string]time.Time     // since when somebody holds a GPU
	told []string                 // what members were told, in order

	atTerminals chan string // what was said at the terminals of runs
}

func newWeek(t *testing.T, gpus int, policy func(*Policy)) *week {
	t.Helper()
	w := &week{world: newWorld(t), held: map[string]time.Duration{}, open: map[string]time.Time{}, atTerminals: make(chan string, 100)}
	w.gpus, w.state, w.policy = a100s(gpus), t.TempDir(), policy
	w.plug(func() { w.busy("GPU-0", "GPU-1") })
	w.runtime.Work(0.01)
	return w
}

// over ends the daemon and every box, whose goroutines belong to the test's time.
func (w *week) over(stop func()) {
	stop()
	boxes, err := w.runtime.Boxes(context.Background())
	if err != nil {
		w.t.Error(err)
	}
	for _, b := range boxes {
		if err := w.runtime.Remove(context.Background(), b.ID); err != nil {
			w.t.Error(err)
		}
	}
}

// busy says which cards compute; the others do nothing.
func (w *week) busy(which ...masu.GPUID) {
	w.quietGPUs()
	for _, g := range which {
		w.reads[g] = masu.Reading{GPU: g, Busy: 0.9, Memory: masu.GiB, Power: 300}
	}
}

// is waits, for no longer than a few decisions, until a member's workspace is as it should be.
func (w *week) is(name masu.Username, what string, ok func(masu.Workspace) bool) (x masu.Workspace) {
	w.t.Helper()
	for range 40 {
		synctest.Wait()
		all := w.workspaces()
		if i := slices.IndexFunc(all, func(x masu.Workspace) bool { return x.Owner == name }); i >= 0 {
			if x = all[i]; ok(x) {
				return x
			}
		}
		time.Sleep(time.Second)
	}
	w.t.Fatalf("%s's workspace is not %s at %s: %+v", name, what, time.Now().Format("Mon 15:04:05"), x)
	return x
}

// gets notes that somebody's GPU time begins.
func (w *week) gets(name string) { w.open[name] = time.Now() }

// heard takes what was sent to members meanwhile.
func (w *week) heard() []string {
	for {
		select {
		case n := <-w.post.got:
			w.told = append(w.told, fmt.Sprintf("%s %s: %s", n.At.Format("15:04"), n.Member, strings.TrimPrefix(n.Title, "en ")))
		default:
			told := w.told
			w.told = nil
			return told
		}
	}
}

// readAtTerminals are the sentences that were said at the terminals of runs since it was last asked.
func (w *week) readAtTerminals() (codes []string) {
	for {
		select {
		case code := <-w.atTerminals:
			codes = append(codes, code)
		default:
			return codes
		}
	}
}

func (w *week) listens(names ...masu.Username) {
	w.t.Helper()
	for _, name := range names {
		if err := w.as(name).SetNotices(w.t.Context(), masu.NotifyWish{Webhook: "https://chat.example/x", On: masu.Occasions()}); err != nil {
			w.t.Fatal(err)
		}
		if err := w.as(name).SetLang(w.t.Context(), masu.English); err != nil {
			w.t.Fatal(err)
		}
	}
}

// account is everybody's GPU time as masu tells it.
func (w *week) account() map[string]time.Duration {
	w.t.Helper()
	boss := w.lab.As(masu.Actor{User: masu.User{Name: "boss", Admin: true}})
	rows, err := boss.GPUUsage(w.t.Context(), time.Now().AddDate(0, 0, -7), time.Now().Add(time.Second), true)
	if err != nil {
		w.t.Fatal(err)
	}
	sum := map[string]time.Duration{}
	for _, r := range rows {
		sum[string(r.Member)] += r.Lent
	}
	return sum
}

// balances holds the account against what the script knows, to the second.
func (w *week) balances() {
	w.t.Helper()
	got := w.account()
	for name, want := range w.held {
		if d := got[name] - want; d < -time.Second || d > time.Second {
			w.t.Errorf("the account says that %s had a GPU for %v, and it was %v", name, got[name], want)
		}
	}
	if len(got) != len(w.held) {
		w.t.Errorf("the account knows %v, the script %v", got, w.held)
	}
}

func gone(code string) func(masu.Workspace) bool {
	return func(x masu.Workspace) bool {
		return x.Phase == masu.Stopped && x.Trouble != nil && x.Trouble.Code == code
	}
}

// TestWeekQueue: Monday. Two share two cards, one waits for both, short work
// fills the gap without delaying them, and their turn comes when it was said.
func TestWeekQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWeek(t, 2, func(p *Policy) { p.GPUs.Hold, p.HalfLife = 4*time.Hour, 0 })
		_, stop := w.daemon()
		defer func() { w.over(stop) }()
		begun := time.Now()
		w.wants("alice", 1)
		w.is("alice", "running", in(masu.Running))
		w.gets("alice")
		w.wants("pair", 2)
		place := make(chan masu.Forecast, 1)
		go func() { // what a page that is open is told
			for x, err := range w.as("pair").Changes(t.Context()) {
				if err == nil && x.Queue.Place > 0 {
					place <- x.Queue
					return
				}
			}
		}()
		w.is("pair", "waiting", in(masu.Waiting))
		time.Sleep(time.Minute)
		if q := <-place; q.Place != 1 || q.Expect.Sub(begun).Round(5*time.Minute) != 4*time.Hour {
			t.Errorf("pair is told its place as %+v", q)
		}
		if x, err := w.as("pair").Workspace(t.Context(), "work"); err != nil || x.Queue.Place != 1 {
			t.Errorf("pair sees its place as %+v, %v", x.Queue, err)
		}
		f, err := w.as("pair").Forecast(t.Context(), masu.Want{Count: 1})
		if err != nil || f.Place != 0 || f.Until.Sub(begun).Round(time.Minute) != 4*time.Hour {
			t.Errorf("somebody who wants what is left is told %+v, %v", f, err)
		}
		if f, err = w.as("more").Forecast(t.Context(), masu.Want{Count: 2}); err != nil || f.Place != 2 || f.Expect.Sub(begun).Round(time.Minute) != 8*time.Hour {
			t.Errorf("somebody more who wants both is told %+v, %v", f, err)
		}
		b, err := w.lab.measure(t.Context())
		if err != nil || len(b.Waiting) != 1 || b.Waiting[0].Expect.Sub(begun).Round(time.Minute) != 4*time.Hour {
			t.Fatalf("who waits for two is told %+v, %v", b.Waiting, err)
		}
		gap := w.submits("carol", masu.RunWish{Want: &masu.Want{Count: 1}, Limit: time.Hour}, "sleep 1800")
		w.runIs(gap.ID, "running in the gap", runIn(masu.RunRunning))
		w.gets("carol")
		long := w.submits("dave", masu.RunWish{Want: &masu.Want{Count: 1}, Limit: 5 * time.Hour}, "sleep 1")
		time.Sleep(time.Hour)
		if r := w.runIs(gap.ID, "ended", runIn(masu.RunEnded)); !r.Well() {
			t.Errorf("the run in the gap: %+v", r)
		}
		w.held["carol"], w.open = 30*time.Minute, map[string]time.Time{"alice": w.open["alice"]}
		w.runIs(long.ID, "waiting: it would delay who waits for two", runIn(masu.RunQueued))
		time.Sleep(begun.Add(4*time.Hour - 14*time.Minute).Sub(time.Now()))
		if x := w.is("alice", "running", in(masu.Running)); x.EndWhy != masu.EndTime {
			t.Errorf("alice is told %q", x.EndWhy)
		}
		w.is("pair", "waiting", in(masu.Waiting))
		time.Sleep(14*time.Minute + 10*time.Second)
		x := w.is("alice", "stopped", gone("lease_time"))
		w.held["alice"] = x.ChangedAt.Sub(w.open["alice"])
		if late := x.ChangedAt.Sub(begun.Add(4 * time.Hour)); late < 0 || late > 10*time.Second {
			t.Errorf("alice's time ended %v after it was said", late)
		}
		w.is("pair", "running", runsWithGPUs(2))
		had := time.Now()
		time.Sleep(time.Hour)
		if _, err := w.as("pair").Stop(t.Context(), "work"); err != nil {
			t.Fatal(err)
		}
		w.held["pair"] = 2 * (time.Since(had) + had.Sub(x.ChangedAt))
		w.runIs(long.ID, "ended", runIn(masu.RunEnded))
		w.held["dave"] = time.Second
		w.balances()
	})
}

func runsWithGPUs(n int) func(masu.Workspace) bool {
	return func(x masu.Workspace) bool { return x.Phase == masu.Running && len(x.GPUs) == n }
}

// TestWeekReserved: Tuesday. The holder is told an hour, a quarter and five
// minutes before; the card changes hands at the minute. Who reserves and does
// not come loses it after a quarter of an hour.
func TestWeekReserved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWeek(t, 1, nil)
		_, stop := w.daemon()
		defer func() { w.over(stop) }()
		w.listens("alice", "bob")
		w.wants("alice", 1)
		w.is("alice", "running", in(masu.Running))
		w.gets("alice")
		at := time.Now().Add(3 * time.Hour).Truncate(time.Hour)
		r, err := w.as("bob").Reserve(t.Context(), masu.ReserveWish{Want: masu.Want{Count: 1}, From: at, Until: at.Add(2 * time.Hour)})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.as("carol").Reserve(t.Context(), masu.ReserveWish{Want: masu.Want{Count: 1}, From: at.Add(time.Hour), Until: at.Add(3 * time.Hour)}); masu.CodeOf(err) != "reserve_taken" {
			t.Errorf("reserved twice: %v", err)
		}
		time.Sleep(time.Until(at) - time.Second)
		w.is("alice", "running to the last second", in(masu.Running))
		clock := func(before time.Duration) string { return at.Add(-before).Format("15:04") }
		want := fmt.Sprintf("alice: notice_ending[work %s]", at.Local().Format("15:04"))
		got := w.heard()
		if len(got) != 3 {
			t.Errorf("alice was told %q", got)
		}
		for i, before := range []time.Duration{time.Hour, 15 * time.Minute, 5 * time.Minute} {
			if i < len(got) && got[i] != clockless(got[i], want, clock(before)) {
				t.Errorf("told %q, want %q", got[i], clock(before)+" "+want)
			}
		}
		time.Sleep(6 * time.Second)
		x := w.is("alice", "stopped", gone("lease_reserved"))
		if late := x.ChangedAt.Sub(at); late < 0 || late > 10*time.Second {
			t.Errorf("it changed hands %v after the minute", late)
		}
		w.held["alice"] = x.ChangedAt.Sub(w.open["alice"])
		w.wants("carol", 1)
		w.is("carol", "waiting: it is kept", in(masu.Waiting))
		time.Sleep(14 * time.Minute)
		w.is("carol", "waiting: it is still kept", in(masu.Waiting))
		time.Sleep(time.Minute + 5*time.Second)
		w.is("carol", "running: nobody came", in(masu.Running))
		began := w.leases()[0].From
		if missed := w.reservation(r[0].ID); !missed.Missed {
			t.Errorf("the reservation is %+v", missed)
		}
		time.Sleep(time.Hour)
		if _, err := w.as("carol").Stop(t.Context(), "work"); err != nil {
			t.Fatal(err)
		}
		w.held["carol"] = time.Since(began)
		w.balances()
	})
}

// clockless is what was told, with the minute that it was wanted at: notices are sent a moment after they are due.
func clockless(got, want, clock string) string {
	if strings.HasSuffix(got, want) && got[:5] == clock {
		return got
	}
	return clock + " " + want
}

func (w *week) reservation(id masu.ReservationID) (found masu.Reservation) {
	w.t.Helper()
	w.view(func(tx masu.Tx) error {
		all, err := tx.Reservations(time.Time{})
		for _, r := range all {
			if r.ID == id {
				found = r
			}
		}
		return err
	})
	return found
}

// TestWeekIdle: Wednesday. GPUs that nobody uses go back after an hour when
// somebody waits, are kept as often as the house allows, and never while
// something works. Who prefers it goes on on the CPU.
func TestWeekIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWeek(t, 1, func(p *Policy) { p.GPUs.IdleFor, p.KeepsMost = time.Hour, 1 })
		_, stop := w.daemon()
		defer func() { w.over(stop) }()
		yes, one := true, masu.Want{Count: 1}
		if _, err := w.as("alice").Up(t.Context(), masu.UpRequest{Dir: w.dir, Name: "work", Want: &one, OrCPU: &yes}); err != nil {
			t.Fatal(err)
		}
		w.is("alice", "running with a GPU", runsWithGPUs(1))
		began := w.leases()[0].From
		for _, prefers := range []bool{false, true} { // what runs as wished runs on
			if x, err := w.as("alice").Up(t.Context(), masu.UpRequest{Dir: w.dir, Name: "work", Want: &one, OrCPU: &prefers}); err != nil || x.OrCPU != prefers || x.Phase != masu.Running {
				t.Errorf("another preference: %+v, %v", x, err)
			}
		}
		w.wants("bob", 1)
		w.is("bob", "waiting", in(masu.Waiting))
		time.Sleep(3 * time.Hour) // a cell that says nothing
		if x := w.is("alice", "running", runsWithGPUs(1)); !x.EndsAt.IsZero() {
			t.Errorf("who works is told %q", x.EndWhy)
		}
		w.plug(func() { w.busy() })
		time.Sleep(59 * time.Minute)
		if x := w.is("alice", "running", runsWithGPUs(1)); !x.EndsAt.IsZero() {
			t.Errorf("after 59 minutes: told %q", x.EndWhy)
		}
		time.Sleep(2 * time.Minute)
		w.is("alice", "told", func(x masu.Workspace) bool { return x.EndWhy == masu.EndIdle })
		if lease, err := w.as("alice").Extend(t.Context(), "work", 2*time.Hour); err != nil || lease.Keeps != 1 {
			t.Errorf("kept: %+v, %v", lease, err)
		}
		time.Sleep(119 * time.Minute)
		if x := w.is("alice", "running", runsWithGPUs(1)); !x.EndsAt.IsZero() {
			t.Errorf("kept, and told %q", x.EndWhy)
		}
		time.Sleep(2 * time.Minute)
		ends := w.is("alice", "told again", func(x masu.Workspace) bool { return x.EndWhy == masu.EndIdle }).EndsAt
		if _, err := w.as("alice").Extend(t.Context(), "work", 2*time.Hour); masu.CodeOf(err) != "keeps_spent" {
			t.Errorf("kept more often than the house allows: %v", err)
		}
		time.Sleep(15*time.Minute + 5*time.Second)
		x := w.is("alice", "going on on the CPU", func(x masu.Workspace) bool { return x.Without() })
		if x.Trouble == nil || x.Trouble.Code != "lease_idle" || len(x.Trouble.Args) != 2 || x.Trouble.Args[1] != "1" || x.Waits {
			t.Errorf("alice goes on with %+v", x)
		}
		w.is("bob", "running", runsWithGPUs(1))
		bobs := w.leases()[0]
		if late := bobs.From.Sub(ends); late < 0 || late > lendEvery+time.Second {
			t.Errorf("the next has it %v after the announced end", late)
		}
		w.held["alice"] = bobs.From.Sub(began)

		// In line again, on the CPU meanwhile; the turn comes, and is not taken.
		if _, err := w.as("alice").Up(t.Context(), masu.UpRequest{Name: "work", Restart: true}); err != nil {
			t.Fatal(err)
		}
		w.is("alice", "waiting on the CPU", func(x masu.Workspace) bool { return x.Without() && x.Waits && x.Trouble == nil })
		if _, err := w.as("bob").Stop(t.Context(), "work"); err != nil {
			t.Fatal(err)
		}
		w.held["bob"] = time.Since(bobs.From)
		w.is("alice", "having her turn", func(x masu.Workspace) bool { return x.Without() && x.EndWhy == masu.EndUnclaimed })
		kept := w.leases()[0].From
		w.wants("carol", 1)
		time.Sleep(14 * time.Minute)
		w.is("carol", "waiting: it is kept for alice", in(masu.Waiting))
		time.Sleep(time.Minute + 5*time.Second)
		w.is("carol", "running", runsWithGPUs(1))
		w.held["alice"] += w.leases()[0].From.Sub(kept)
		w.is("alice", "running on, and waiting no more", func(x masu.Workspace) bool { return x.Without() && !x.Waits && x.EndWhy == "" })
		carols := w.leases()[0].From
		if _, err := w.as("carol").Stop(t.Context(), "work"); err != nil {
			t.Fatal(err)
		}
		w.held["carol"] = time.Since(carols)
		w.balances()
	})
}

// TestWeekRules: an admin changes the rules of lending while the lab runs.
func TestWeekRules(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWeek(t, 2, nil)
		w.plug(func() { w.busy() })
		l, stop := w.daemon()
		defer func() { w.over(stop) }()
		boss := l.As(masu.Actor{User: masu.User{Name: "boss", Admin: true}})
		one, three, half, never, far := 1, 3.0, 0.5, -1.0, 1e9
		for _, wrong := range []masu.Rules{{GPUHours: &never}, {GPUIdleHours: &far}, {GPUs: new(-1)}} {
			if err := boss.SetRules(t.Context(), wrong); masu.CodeOf(err) != "rules_wrong" {
				t.Errorf("%+v: %v", wrong, err)
			}
		}
		if err := boss.SetRules(t.Context(), masu.Rules{GPUs: &one, GPUHours: &three, GPUIdleHours: &half}); err != nil {
			t.Fatal(err)
		}
		w.wants("greedy", 2)
		if x := w.is("greedy", "refused", in(masu.Failed)); x.Trouble.Code != "gpus_too_many" {
			t.Errorf("refused for %+v", x.Trouble)
		}
		w.wants("alice", 1)
		w.wants("bob", 1)
		x := w.is("alice", "running", runsWithGPUs(1))
		if got := x.Until.Sub(w.leases()[0].From); got != 3*time.Hour {
			t.Errorf("lent for %v", got)
		}
		w.is("bob", "running", runsWithGPUs(1))
		w.wants("carol", 1)
		time.Sleep(32 * time.Minute)
		if err := boss.SetRules(t.Context(), masu.Rules{}); err != nil { // as configured: two hours
			t.Fatal(err)
		}
		w.is("carol", "waiting", in(masu.Waiting))
		for _, name := range []masu.Username{"alice", "bob"} {
			w.is(name, "running, and told no longer", func(x masu.Workspace) bool { return x.Phase == masu.Running && x.EndsAt.IsZero() })
		}
	})
}

// TestWeekJumps: Thursday. The machine sleeps for half a day: nobody is idle for that, and nothing is lost.
func TestWeekJumps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWeek(t, 1, func(p *Policy) { p.GPUs.IdleFor = time.Hour })
		w.plug(func() { w.busy() })
		l, stop := w.daemon()
		w.wants("alice", 1)
		w.is("alice", "running", runsWithGPUs(1))
		w.wants("bob", 1)
		w.is("bob", "waiting", in(masu.Waiting))
		time.Sleep(30 * time.Minute)
		l.lendMu.Lock()
		l.tickedAt = l.tickedAt.Add(-12 * time.Hour) // as if nothing had looked for half a day
		l.lendMu.Unlock()
		time.Sleep(20 * time.Second)
		if x := w.is("alice", "running", runsWithGPUs(1)); !x.EndsAt.IsZero() {
			t.Errorf("after the sleep: told %q", x.EndWhy)
		}
		stop() // and the daemon is away for a night
		time.Sleep(8 * time.Hour)
		_, stop = w.daemon()
		defer func() { w.over(stop) }()
		time.Sleep(20 * time.Second)
		if x := w.is("alice", "running", runsWithGPUs(1)); x.EndWhy == masu.EndIdle {
			t.Errorf("after the night: told %q", x.EndWhy)
		}
		w.is("bob", "waiting", in(masu.Waiting))
	})
}
