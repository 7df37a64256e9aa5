package masutest

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/masu-lab/masu"
)

func testStoreLeases(t *testing.T, s masu.Store) {
	late := masu.Lease{ID: "a", Workspace: "w", Holder: "alice", GPUs: []masu.GPUID{"g1", "g2"}, From: storeTime.Add(time.Minute)}
	early := masu.Lease{ID: "b", Workspace: "v", Holder: "bob", GPUs: []masu.GPUID{"g3"}, From: storeTime}
	update(t, s, func(tx masu.Tx) error { return errors.Join(tx.PutLease(late), tx.PutLease(early), tx.PutLease(late)) })
	view(t, s, func(tx masu.Tx) error {
		all, err := tx.Leases()
		if len(all) != 2 || all[0].ID != "b" || all[1].Holder != "alice" || !slices.Equal(all[1].GPUs, late.GPUs) || !all[1].From.Equal(late.From) {
			t.Errorf("running leases, oldest first: %+v", all)
		}
		return err
	})
	late.EndedAt, late.Why = storeTime.Add(time.Hour), masu.EndIdle
	update(t, s, func(tx masu.Tx) error { return tx.PutLease(late) })
	view(t, s, func(tx masu.Tx) error {
		all, err := tx.Leases()
		if len(all) != 1 || all[0].ID != "b" {
			t.Errorf("after one has ended: %+v", all)
		}
		past, err2 := tx.PastLeases(storeTime.Add(time.Hour))
		if len(past) != 1 || past[0].ID != "a" || past[0].Why != masu.EndIdle || !past[0].EndedAt.Equal(late.EndedAt) {
			t.Errorf("past ones: %+v", past)
		}
		none, err3 := tx.PastLeases(storeTime.Add(time.Hour + time.Second))
		if len(none) != 0 {
			t.Errorf("older than what was asked for: %+v", none)
		}
		return errors.Join(err, err2, err3)
	})
}

func testStoreGPUTaken(t *testing.T, s masu.Store) {
	first := masu.Lease{ID: "a", GPUs: []masu.GPUID{"g1", "g2"}, From: storeTime}
	second := masu.Lease{ID: "b", GPUs: []masu.GPUID{"g3", "g2"}, From: storeTime}
	update(t, s, func(tx masu.Tx) error { return tx.PutLease(first) })
	update(t, s, func(tx masu.Tx) error {
		wantError(t, tx.PutLease(second), masu.Conflict, "gpu_taken")
		wantError(t, tx.PutLease(masu.Lease{ID: "c", GPUs: []masu.GPUID{"g9", "g9"}, From: storeTime}), masu.Conflict, "gpu_taken")
		// What was refused holds nothing.
		return tx.PutLease(masu.Lease{ID: "d", GPUs: []masu.GPUID{"g3"}, From: storeTime})
	})
	second.GPUs = []masu.GPUID{"g2"}
	first.EndedAt = storeTime.Add(time.Hour)
	update(t, s, func(tx masu.Tx) error { return errors.Join(tx.PutLease(first), tx.PutLease(second)) })
	first.EndedAt = time.Time{}
	wantError(t, s.Update(t.Context(), func(tx masu.Tx) error { return tx.PutLease(first) }), masu.Conflict, "gpu_taken")
}

// testStoreGPUShared: as many as share a GPU may hold it, and nobody alone.
func testStoreGPUShared(t *testing.T, s masu.Store) {
	part := func(id masu.LeaseID, share masu.Bytes) masu.Lease {
		return masu.Lease{ID: id, GPUs: []masu.GPUID{"g"}, Share: share, From: storeTime}
	}
	update(t, s, func(tx masu.Tx) error { return errors.Join(tx.PutLease(part("a", 1)), tx.PutLease(part("b", 2))) })
	wantError(t, s.Update(t.Context(), func(tx masu.Tx) error { return tx.PutLease(part("whole", 0)) }), masu.Conflict, "gpu_taken")
	update(t, s, func(tx masu.Tx) error {
		for _, id := range []masu.LeaseID{"a", "b"} {
			l := part(id, 1)
			l.EndedAt = storeTime.Add(time.Hour)
			if err := tx.PutLease(l); err != nil {
				return err
			}
		}
		return tx.PutLease(part("whole", 0))
	})
	wantError(t, s.Update(t.Context(), func(tx masu.Tx) error { return tx.PutLease(part("c", 1)) }), masu.Conflict, "gpu_taken")
}

func testStoreTickets(t *testing.T, s masu.Store) {
	late := masu.Ticket{Workspace: "a", Holder: "alice", Want: masu.Want{Count: 2}, Class: "paper", Limit: time.Hour, At: storeTime.Add(time.Minute)}
	early := masu.Ticket{Workspace: "b", Holder: "bob", Want: masu.Want{Share: masu.GiB}, At: storeTime}
	update(t, s, func(tx masu.Tx) error {
		return errors.Join(tx.PutTicket(late), tx.PutTicket(early), tx.PutTicket(late))
	})
	view(t, s, func(tx masu.Tx) error {
		all, err := tx.Tickets()
		if len(all) != 2 || all[0] != early || all[1] != late {
			t.Errorf("tickets, the oldest first: %+v", all)
		}
		return err
	})
	update(t, s, func(tx masu.Tx) error { return errors.Join(tx.DeleteTicket("a"), tx.DeleteTicket("a")) })
	view(t, s, func(tx masu.Tx) error {
		all, err := tx.Tickets()
		if len(all) != 1 || all[0].Workspace != "b" {
			t.Errorf("after one was taken: %+v", all)
		}
		return err
	})
}

func testStoreReservations(t *testing.T, s masu.Store) {
	r := masu.Reservation{ID: "a", Holder: "alice", Want: masu.Want{Count: 1}, GPUs: []masu.GPUID{"g"}, From: storeTime.Add(time.Hour), Until: storeTime.Add(2 * time.Hour), Note: "演習"}
	soon := masu.Reservation{ID: "b", Holder: "bob", From: storeTime, Until: storeTime.Add(time.Hour)}
	update(t, s, func(tx masu.Tx) error { return errors.Join(tx.PutReservation(r), tx.PutReservation(soon)) })
	r.Missed = true
	update(t, s, func(tx masu.Tx) error { return tx.PutReservation(r) })
	view(t, s, func(tx masu.Tx) error {
		all, err := tx.Reservations(storeTime)
		if len(all) != 2 || all[0].ID != "b" || all[1].Note != "演習" || !all[1].Missed || !slices.Equal(all[1].GPUs, r.GPUs) {
			t.Errorf("reservations, the first first: %+v", all)
		}
		later, err2 := tx.Reservations(storeTime.Add(time.Hour))
		if len(later) != 1 || later[0].ID != "a" {
			t.Errorf("those that are not over: %+v", later)
		}
		return errors.Join(err, err2)
	})
	update(t, s, func(tx masu.Tx) error { return tx.DeleteReservation("b") })
	view(t, s, func(tx masu.Tx) error {
		all, err := tx.Reservations(storeTime)
		if len(all) != 1 {
			t.Errorf("after one was given up: %+v", all)
		}
		return err
	})
}

// testStoreGPUUse: minutes are added up, and old ones become hours.
func testStoreGPUUse(t *testing.T, s masu.Store) {
	at := storeTime.Truncate(time.Hour)
	use := func(lease masu.LeaseID, minute int) masu.GPUUse {
		return masu.GPUUse{Lease: lease, At: at.Add(time.Duration(minute) * time.Minute), Busy: 30 * time.Second, Energy: 6000}
	}
	put := func(minutes time.Time, list ...masu.GPUUse) {
		update(t, s, func(tx masu.Tx) error { return tx.PutGPUUse(list, minutes) })
	}
	sum := func(from, until time.Time) (n int, busy time.Duration, energy float64) {
		view(t, s, func(tx masu.Tx) error {
			list, err := tx.GPUUse(from, until)
			for _, u := range list {
				n, busy, energy = n+1, busy+u.Busy, energy+u.Energy
			}
			return err
		})
		return n, busy, energy
	}
	put(at, use("a", 0), use("a", 1), use("b", 1), use("a", 61))
	put(at, use("a", 1))
	if n, busy, energy := sum(at, at.Add(2*time.Hour)); n != 4 || busy != 150*time.Second || energy != 30000 {
		t.Errorf("written down: %d, %v, %v", n, busy, energy)
	}
	if n, _, _ := sum(at.Add(time.Minute), at.Add(2*time.Minute)); n != 2 {
		t.Errorf("of one minute: %d", n)
	}
	put(at.Add(90*time.Minute), use("a", 62)) // the first hour is old now, and whole
	if n, busy, energy := sum(at, at.Add(2*time.Hour)); n != 4 || busy != 180*time.Second || energy != 36000 {
		t.Errorf("summed up: %d, %v, %v", n, busy, energy)
	}
	put(at.Add(3*time.Hour), use("a", 2)) // late for its hour
	if n, busy, _ := sum(at, at.Add(time.Minute)); n != 2 || busy != 150*time.Second {
		t.Errorf("the first hour: %d, %v", n, busy)
	}
}

func testStoreRuns(t *testing.T, s masu.Store) {
	old := masu.Run{ID: "a", Owner: "alice", Name: "train", Argv: []string{"python3", "train.py"}, Phase: masu.RunQueued, At: storeTime}
	young := masu.Run{ID: "b", Owner: "bob", Phase: masu.RunQueued, At: storeTime.Add(time.Minute)}
	update(t, s, func(tx masu.Tx) error { return errors.Join(tx.PutRun(old), tx.PutRun(young)) })
	ids := func(list []masu.Run) (ids []masu.WorkspaceID) {
		for _, r := range list {
			ids = append(ids, r.ID)
		}
		return ids
	}
	view(t, s, func(tx masu.Tx) error {
		all, err := tx.Runs("")
		mine, err2 := tx.Runs("alice")
		open, err3 := tx.OpenRuns()
		if !slices.Equal(ids(all), []masu.WorkspaceID{"b", "a"}) || !slices.Equal(ids(mine), []masu.WorkspaceID{"a"}) || !slices.Equal(ids(open), []masu.WorkspaceID{"a", "b"}) {
			t.Errorf("all %v, alice's %v, open %v", ids(all), ids(mine), ids(open))
		}
		return errors.Join(err, err2, err3)
	})
	old.Phase, old.Code, old.Owner = masu.RunEnded, 3, "carol" // who took over from alice
	used := []masu.Sample{{Workspace: "a", At: storeTime}, {Workspace: "b", At: storeTime}}
	update(t, s, func(tx masu.Tx) error {
		return errors.Join(tx.PutSamples(used, storeTime), tx.PutRun(old), tx.DeleteRun("b"), tx.DeleteRun("b"))
	})
	view(t, s, func(tx masu.Tx) error {
		got, err := tx.Run("a")
		theirs, terr := tx.Runs("carol")
		hers, herr := tx.Runs("alice")
		if len(theirs) != 1 || len(hers) != 0 || terr != nil || herr != nil {
			t.Errorf("a run that was handed over: carol has %v, alice %v", ids(theirs), ids(hers))
		}
		if got.Code != 3 || !slices.Equal(got.Argv, old.Argv) {
			t.Errorf("ended: %+v", got)
		}
		kept, err4 := tx.Samples("a", storeTime)
		forgotten, err5 := tx.Samples("b", storeTime)
		if len(kept) != 1 || len(forgotten) != 0 || err4 != nil || err5 != nil {
			t.Errorf("what they used: %v, of the one that is gone %v", kept, forgotten)
		}
		_, gone := tx.Run("b")
		wantError(t, gone, masu.NotFound, "no_run")
		open, err2 := tx.OpenRuns()
		if len(open) != 0 {
			t.Errorf("open: %v", ids(open))
		}
		return errors.Join(err, err2)
	})
}
