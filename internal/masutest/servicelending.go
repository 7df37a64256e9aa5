package masutest

import (
	"context"
	"slices"
	"time"

	"github.com/masu-lab/masu"
)

// ask brings a workspace up with GPUs, and does not wait for them.
func (g *guest) ask(svc masu.Service, want masu.Want) masu.Workspace {
	g.Helper()
	name := suiteName()
	w, err := svc.Up(g.ctx, masu.UpRequest{Dir: g.folder(), Name: name, Want: &want})
	if err != nil {
		g.Fatalf("up with %+v: %v", want, err)
	}
	g.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(g.ctx), patience)
		defer cancel()
		if err := svc.Remove(ctx, name); err != nil && masu.KindOf(err) != masu.NotFound {
			g.Errorf("remove %s: %v", name, err)
		}
	})
	return w
}

// becomes waits until a workspace is as it should be.
func (g *guest) becomes(svc masu.Service, name, what string, ok func(masu.Workspace) bool) masu.Workspace {
	g.Helper()
	for {
		w, err := svc.Workspace(g.ctx, name)
		if err != nil {
			g.Fatalf("%s: %v", name, err)
		}
		if ok(w) {
			return w
		}
		select {
		case <-time.After(5 * time.Millisecond):
		case <-g.ctx.Done():
			g.Fatalf("%s never %s: %+v", name, what, w)
		}
	}
}

func runsWith(n int) func(masu.Workspace) bool {
	return func(w masu.Workspace) bool { return w.Phase == masu.Running && len(w.GPUs) == n }
}

func (g *guest) board(svc masu.Service) masu.Board {
	g.Helper()
	deadline := time.Now().Add(patience)
	last := time.Time{}
	for { // a board may be some seconds old
		b, err := svc.Board(g.ctx)
		if err != nil {
			g.Fatal(err)
		}
		if !last.IsZero() && b.At.After(last) || time.Now().After(deadline) {
			return b
		}
		if last.IsZero() {
			last = b.At
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// testServiceLending: GPUs are lent once, those who come later wait, and get
// what others give back.
func testServiceLending(g *guest) {
	alice, bob := g.svc, g.other()
	for _, want := range []masu.Want{{Count: 3}, {Count: -1}, {Count: 1, Memory: 80 * masu.GiB}} {
		name := suiteName()
		if w, err := alice.Up(g.ctx, masu.UpRequest{Dir: g.folder(), Name: name, Want: &want}); err == nil {
			w = g.becomes(alice, w.Name, "settles", func(w masu.Workspace) bool { return w.Phase.Settled() })
			if w.Phase != masu.Failed || w.Trouble == nil || w.Trouble.Code != "gpus_impossible" {
				g.Errorf("%+v: %s %+v", want, w.Phase, w.Trouble)
			}
			if err := alice.Remove(g.ctx, name); err != nil {
				g.Error(err)
			}
		} else {
			wantError(g.T, err, masu.Invalid, "gpus_impossible")
		}
	}
	both := g.becomes(alice, g.ask(alice, masu.Want{Count: 2}).Name, "runs with two GPUs", runsWith(2))
	if both.Until.Before(time.Now()) {
		g.Errorf("lent until %v", both.Until)
	}
	waits := g.ask(bob, masu.Want{Count: 1})
	g.becomes(bob, waits.Name, "waits, and knows its place", func(w masu.Workspace) bool {
		return w.Phase == masu.Waiting && w.Queue.Place == 1 && w.Queue.Blocked == masu.WaitGPUs
	})
	b := g.board(bob)
	if len(b.GPUs) != 2 || len(b.GPUs[0].Holds) != 1 || b.GPUs[0].Holds[0].Member != "suite-a" || b.GPUs[0].Holds[0].Workspace != "" {
		g.Fatalf("bob sees %+v", b.GPUs)
	}
	if len(b.Waiting) != 1 || b.Waiting[0].Place != 1 || b.Waiting[0].Holder != "suite-b" || b.Waiting[0].Workspace != waits.ID || b.Waiting[0].Blocked != masu.WaitGPUs {
		g.Errorf("who waits: %+v", b.Waiting)
	}
	if own := g.board(alice); own.GPUs[0].Holds[0].Workspace != both.Name || own.Waiting[0].Workspace != "" {
		g.Errorf("alice sees %+v, %+v", own.GPUs, own.Waiting)
	}
	wantError(g.T, bob.AskFor(g.ctx, "no-such"), masu.NotFound, "no_lease")
	if err := bob.AskFor(g.ctx, b.GPUs[0].Holds[0].Lease); err != nil {
		g.Error(err)
	}
	g.becomes(alice, both.Name, "is asked for", func(w masu.Workspace) bool { return slices.Equal(w.Asked, []masu.Username{"suite-b"}) })

	testExtend(g, both.Name)
	testUsage(g, both.Name)
	if _, err := alice.Release(g.ctx, both.Name); err != nil {
		g.Fatal(err)
	}
	g.becomes(bob, waits.Name, "gets what was given back", runsWith(1))
	g.becomes(alice, both.Name, "runs on without GPUs", runsWith(0))
	_, err := alice.Release(g.ctx, both.Name)
	wantError(g.T, err, masu.Conflict, "no_lease")
	if _, err := bob.Stop(g.ctx, waits.Name); err != nil {
		g.Fatal(err)
	}
	if b := g.board(bob); !b.GPUs[0].Free() || !b.GPUs[1].Free() || len(b.Waiting) != 0 {
		g.Errorf("when all is given back: %+v, %+v", b.GPUs, b.Waiting)
	}
}

// testServiceOrCPU: who would rather begin on the CPU than wait keeps the place
// in the queue, and takes the GPUs when the turn has come, by their own word.
func testServiceOrCPU(g *guest) {
	alice, bob := g.svc, g.other()
	foresees := func(svc masu.Service, place int) {
		g.Helper()
		if f, err := svc.Forecast(g.ctx, masu.Want{Count: 1}); err != nil || f.Place != place || (f.Blocked == masu.WaitGPUs) != (place > 0) || place == 0 && f.Until.Before(time.Now()) {
			g.Errorf("forecast: %+v, %v, want place %d", f, err, place)
		}
	}
	_, err := bob.Forecast(g.ctx, masu.Want{Count: 3})
	wantError(g.T, err, masu.Invalid, "gpus_impossible")
	if f, err := bob.Forecast(g.ctx, masu.Want{}); err != nil || f != (masu.Forecast{}) {
		g.Errorf("forecast of nothing: %+v, %v", f, err)
	}
	foresees(bob, 0)
	both := g.becomes(alice, g.ask(alice, masu.Want{Count: 2}).Name, "runs with two GPUs", runsWith(2))
	foresees(bob, 1)
	name, yes, want := suiteName(), true, masu.Want{Count: 1}
	if _, err := bob.Up(g.ctx, masu.UpRequest{Dir: g.folder(), Name: name, Want: &want, OrCPU: &yes}); err != nil {
		g.Fatal(err)
	}
	g.Cleanup(func() {
		if err := bob.Remove(context.WithoutCancel(g.ctx), name); err != nil {
			g.Error(err)
		}
	})
	without := func(waits bool, why masu.EndReason) func(masu.Workspace) bool {
		return func(w masu.Workspace) bool { return w.Without() && w.Waits == waits && w.EndWhy == why }
	}
	g.becomes(bob, name, "begins on the CPU", without(true, ""))
	if b := g.board(bob); len(b.Waiting) != 1 || b.Waiting[0].Holder != "suite-b" {
		g.Errorf("who waits: %+v", b.Waiting)
	}
	foresees(alice, 2)
	if _, err := bob.Release(g.ctx, name); err != nil {
		g.Fatal(err)
	}
	g.becomes(bob, name, "waits no more", without(false, ""))
	if _, err := bob.Up(g.ctx, masu.UpRequest{Name: name, Restart: true}); err != nil { // in line once more
		g.Fatal(err)
	}
	g.becomes(bob, name, "waits again", without(true, ""))
	if _, err := alice.Stop(g.ctx, both.Name); err != nil {
		g.Fatal(err)
	}
	if w := g.becomes(bob, name, "has its turn", without(false, masu.EndUnclaimed)); w.EndsAt.Before(time.Now()) {
		g.Errorf("GPUs are kept until %v", w.EndsAt)
	}
	if _, err := bob.Up(g.ctx, masu.UpRequest{Name: name, Restart: true}); err != nil {
		g.Fatal(err)
	}
	if w := g.becomes(bob, name, "takes its GPU", runsWith(1)); w.EndWhy != "" || !w.EndsAt.IsZero() || !w.OrCPU {
		g.Errorf("with its GPU: %+v", w)
	}
}

func testExtend(g *guest, name string) {
	g.Helper()
	_, err := g.other().Extend(g.ctx, "suite-a/"+name, time.Hour)
	wantError(g.T, err, masu.NotFound, "no_workspace")
	_, err = g.svc.Extend(g.ctx, name, 0)
	wantError(g.T, err, masu.Invalid, "extend_odd")
	_, err = g.svc.Extend(g.ctx, name, 8*24*time.Hour)
	wantError(g.T, err, masu.Denied, "extend_most")
	lease, err := g.svc.Extend(g.ctx, name, 48*time.Hour)
	if left := time.Until(lease.Until); err != nil || left < 47*time.Hour || left > 49*time.Hour {
		g.Errorf("extended: %+v, %v", lease, err)
	}
}

// testServiceReserve: GPUs are promised for a time once.
func testServiceReserve(g *guest) {
	alice, bob := g.svc, g.other()
	from := time.Now().Add(24 * time.Hour).Truncate(time.Hour)
	two := masu.ReserveWish{Want: masu.Want{Count: 2}, From: from, Until: from.Add(2 * time.Hour), Note: "演習"}
	got, err := alice.Reserve(g.ctx, two)
	if err != nil || len(got) != 1 || len(got[0].GPUs) != 2 || got[0].Holder != "suite-a" || !got[0].From.Equal(from) || got[0].Note != "演習" {
		g.Fatalf("reserved: %+v, %v", got, err)
	}
	with := func(change func(*masu.ReserveWish)) masu.ReserveWish { w := two; change(&w); return w }
	for _, c := range []struct {
		wish masu.ReserveWish
		kind masu.Kind
		code string
	}{
		{with(func(w *masu.ReserveWish) { w.Want.Count, w.From = 1, from.Add(time.Hour) }), masu.Conflict, "reserve_taken"},
		{with(func(w *masu.ReserveWish) { w.Until = w.From }), masu.Invalid, "reserve_short"},
		{with(func(w *masu.ReserveWish) { w.From, w.Until = w.From.Add(-72*time.Hour), w.Until.Add(-72*time.Hour) }), masu.Invalid, "reserve_past"},
		{with(func(w *masu.ReserveWish) { w.From, w.Until = w.From.AddDate(1, 0, 0), w.Until.AddDate(1, 0, 0) }), masu.Invalid, "reserve_far"},
		{with(func(w *masu.ReserveWish) { w.Want.Count = 9 }), masu.Invalid, "gpus_impossible"},
		{with(func(w *masu.ReserveWish) { w.Want.Count = 0 }), masu.Invalid, "gpus_impossible"},
		{with(func(w *masu.ReserveWish) { w.For = "suite-a" }), masu.Denied, "not_teacher"},
	} {
		_, err := bob.Reserve(g.ctx, c.wish)
		wantError(g.T, err, c.kind, c.code)
	}
	weekly, err := bob.Reserve(g.ctx, with(func(w *masu.ReserveWish) {
		w.Want.Count, w.From, w.Until, w.Weeks = 1, from.Add(2*time.Hour), from.Add(3*time.Hour), 3
	}))
	if err != nil || len(weekly) != 3 || weekly[0].Series == "" || weekly[2].Series != weekly[0].Series {
		g.Fatalf("weekly: %+v, %v", weekly, err)
	}
	seen, err := bob.Reservations(g.ctx, from, from.Add(3*time.Hour))
	if err != nil || len(seen) != 2 || seen[0].ID != got[0].ID || seen[1].ID != weekly[0].ID {
		g.Errorf("seen: %+v, %v", seen, err)
	}
	wantError(g.T, bob.Unreserve(g.ctx, got[0].ID, false), masu.NotFound, "no_reservation")
	for _, err := range []error{g.teacher().Unreserve(g.ctx, got[0].ID, false), bob.Unreserve(g.ctx, weekly[1].ID, false), bob.Unreserve(g.ctx, weekly[0].ID, true)} {
		if err != nil {
			g.Error(err)
		}
	}
	if rest, err := bob.Reservations(g.ctx, from, from.Add(30*24*time.Hour)); err != nil || len(rest) != 0 {
		g.Errorf("given up: %+v, %v", rest, err)
	}
}

// testUsage: what a member has is in their account, and in nobody else's.
func testUsage(g *guest, name string) {
	g.Helper()
	from, until := time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	_, err := g.other().GPUUsage(g.ctx, from, until, true)
	wantError(g.T, err, masu.Denied, "not_teacher")
	_, err = g.svc.GPUUsage(g.ctx, until, from, false)
	wantError(g.T, err, masu.Invalid, "usage_span")
	for who, svc := range map[string]masu.Service{"own": g.svc, "admin's": g.admin()} {
		rows, err := svc.GPUUsage(g.ctx, from, until, who != "own")
		i := slices.IndexFunc(rows, func(r masu.UsageRow) bool { return r.Name == name && r.Member == "suite-a" })
		if err != nil || i < 0 || rows[i].Lent <= 0 || rows[i].Leases != 1 || rows[i].Project == "" {
			g.Errorf("the %s account: %+v, %v", who, rows, err)
			continue
		}
		var days time.Duration
		for _, d := range rows[i].Days {
			days += d.Lent
		}
		if days != rows[i].Lent {
			g.Errorf("the %s account by days: %+v", who, rows[i])
		}
	}
	if rows, err := g.other().GPUUsage(g.ctx, from, until, false); err != nil || slices.ContainsFunc(rows, func(r masu.UsageRow) bool { return r.Member != "suite-b" }) {
		g.Errorf("another's account: %+v, %v", rows, err)
	}
}
