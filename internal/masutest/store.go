package masutest

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/masu-lab/masu"
)

// Store runs the suite that every masu.Store passes. open gives a new, empty
// store, and closes it when the test ends.
func Store(t *testing.T, open func(t *testing.T) masu.Store) {
	for name, test := range map[string]func(*testing.T, masu.Store){
		"Lab":                testStoreLab,
		"Workspaces":         testStoreWorkspaces,
		"NamesAreUnique":     testStoreNames,
		"Atomic":             testStoreAtomic,
		"Panic":              testStorePanic,
		"ViewSeesOneMoment":  testStoreMoment,
		"ViewCannotWrite":    testStoreViewWrites,
		"GivenValuesAreOwn":  testStoreCopies,
		"Leases":             testStoreLeases,
		"GPUShared":          testStoreGPUShared,
		"Tickets":            testStoreTickets,
		"Reservations":       testStoreReservations,
		"GPUUse":             testStoreGPUUse,
		"Runs":               testStoreRuns,
		"GPUTaken":           testStoreGPUTaken,
		"Members":            testStoreMembers,
		"Sessions":           testStoreSessions,
		"LinkTakenOnce":      testStoreLink,
		"Events":             testStoreEvents,
		"FindEvents":         testStoreFindEvents,
		"People":             testStorePeople,
		"Keys":               testStoreKeys,
		"Guests":             testStoreGuests,
		"Shared":             testStoreShared,
		"Samples":            testStoreSamples,
		"ManyReadThenWrite":  testStoreMany,
		"AnEndedContextEnds": testStoreContext,
	} {
		t.Run(name, func(t *testing.T) { test(t, open(t)) })
	}
}

// storeTime is when everything happens in the suite; stores keep microseconds at least.
var storeTime = time.Date(2026, 4, 1, 9, 30, 0, 123456000, time.UTC)

func update(t *testing.T, s masu.Store, f func(masu.Tx) error) {
	t.Helper()
	if err := s.Update(t.Context(), f); err != nil {
		t.Fatalf("update: %v", err)
	}
}

func view(t *testing.T, s masu.Store, f func(masu.Tx) error) {
	t.Helper()
	if err := s.View(t.Context(), f); err != nil {
		t.Fatalf("view: %v", err)
	}
}

// wantError holds err to a kind and a code.
func wantError(t *testing.T, err error, kind masu.Kind, code string) {
	t.Helper()
	if masu.KindOf(err) != kind || masu.CodeOf(err) != code {
		t.Errorf("got %v (%v %s), want %v %s", err, masu.KindOf(err), masu.CodeOf(err), kind, code)
	}
}

func storeWorkspace(owner masu.Username, name string) masu.Workspace {
	return masu.Workspace{
		ID: masu.WorkspaceID(name + "-of-" + string(owner)), Owner: owner, Name: name, Label: name + "--" + string(owner),
		Phase: masu.Stopped, CreatedAt: storeTime, ChangedAt: storeTime,
	}
}

func testStoreLab(t *testing.T, s masu.Store) {
	var first, second string
	view(t, s, func(tx masu.Tx) (err error) { first, err = tx.Lab(); return err })
	update(t, s, func(tx masu.Tx) (err error) { second, err = tx.Lab(); return err })
	if len(first) != 12 || first != second {
		t.Errorf("the lab is %q, then %q", first, second)
	}
	for _, c := range first {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') {
			t.Errorf("the lab is %q, which has more than lower-case letters and digits", first)
		}
	}
}

func testStoreWorkspaces(t *testing.T, s masu.Store) {
	w := storeWorkspace("alice", "thesis")
	w.Project = masu.Project{Dir: "/home/alice/卒論", Variables: map[string]string{"A": "b"}, Limits: masu.Limits{Memory: masu.GiB}}
	w.Trouble = &masu.Trouble{Kind: masu.Full, Code: "disk_full", Args: []string{"/var"}}
	w.GPUs, w.Apps = []masu.GPUID{"GPU-1"}, []masu.App{{Name: "jupyter", Port: 8888, Ready: true}}
	update(t, s, func(tx masu.Tx) error {
		return errors.Join(tx.PutWorkspace(storeWorkspace("bob", "a")), tx.PutWorkspace(w), tx.PutWorkspace(storeWorkspace("alice", "bert")))
	})
	view(t, s, func(tx masu.Tx) error {
		byID, err1 := tx.Workspace(w.ID)
		byName, err2 := tx.WorkspaceNamed("alice", "thesis")
		byLabel, err3 := tx.WorkspaceLabelled("thesis--alice")
		for _, got := range []masu.Workspace{byID, byName, byLabel} {
			if !sameWorkspace(got, w) {
				t.Errorf("got %+v, want %+v", got, w)
			}
		}
		all, err4 := tx.Workspaces()
		var order []string
		for _, w := range all {
			order = append(order, string(w.Owner)+"/"+w.Name)
		}
		if !slices.Equal(order, []string{"alice/bert", "alice/thesis", "bob/a"}) {
			t.Errorf("the order is %v", order)
		}
		hers, err5 := tx.WorkspacesOf("alice")
		none, err6 := tx.WorkspacesOf("carol")
		if len(hers) != 2 || hers[0].Name != "bert" || hers[1].Name != "thesis" || len(none) != 0 {
			t.Errorf("alice's: %v, carol's: %v", hers, none)
		}
		return errors.Join(err1, err2, err3, err4, err5, err6)
	})
	w.Phase = masu.Running
	update(t, s, func(tx masu.Tx) error {
		return errors.Join(tx.PutWorkspace(w), tx.DeleteWorkspace("bert-of-alice"), tx.DeleteWorkspace("never-was"))
	})
	view(t, s, func(tx masu.Tx) error {
		if got, err := tx.Workspace(w.ID); err != nil || got.Phase != masu.Running {
			t.Errorf("after a change it is %s, %v", got.Phase, err)
		}
		_, err := tx.Workspace("bert-of-alice")
		wantError(t, err, masu.NotFound, "no_workspace")
		_, err = tx.WorkspaceNamed("bob", "thesis")
		wantError(t, err, masu.NotFound, "no_workspace")
		_, err = tx.WorkspaceLabelled("bert--alice")
		wantError(t, err, masu.NotFound, "no_workspace")
		return nil
	})
}

func sameWorkspace(a, b masu.Workspace) bool {
	return a.ID == b.ID && a.Owner == b.Owner && a.Name == b.Name && a.Label == b.Label && a.Phase == b.Phase &&
		a.Project.Dir == b.Project.Dir && a.Project.Variables["A"] == b.Project.Variables["A"] && a.Project.Limits == b.Project.Limits &&
		a.Trouble != nil && b.Trouble != nil && a.Trouble.Code == b.Trouble.Code && a.Trouble.Kind == b.Trouble.Kind &&
		slices.Equal(a.GPUs, b.GPUs) && slices.Equal(a.Apps, b.Apps) && a.CreatedAt.Equal(b.CreatedAt) && a.UsedAt.IsZero() == b.UsedAt.IsZero()
}

func testStoreNames(t *testing.T, s masu.Store) {
	update(t, s, func(tx masu.Tx) error { return tx.PutWorkspace(storeWorkspace("alice", "thesis")) })
	sameName := storeWorkspace("alice", "thesis")
	sameName.ID, sameName.Label = "other", "other"
	sameLabel := storeWorkspace("bob", "thesis")
	sameLabel.Label = "thesis--alice"
	for _, w := range []masu.Workspace{sameName, sameLabel} {
		wantError(t, s.Update(t.Context(), func(tx masu.Tx) error { return tx.PutWorkspace(w) }), masu.Conflict, "name_taken")
	}
	// The refusal ends the call and not the transaction.
	update(t, s, func(tx masu.Tx) error {
		wantError(t, tx.PutWorkspace(sameName), masu.Conflict, "name_taken")
		return tx.PutWorkspace(storeWorkspace("carol", "thesis"))
	})
	// A name is free again when its workspace is gone, even in the same transaction.
	update(t, s, func(tx masu.Tx) error {
		return errors.Join(tx.DeleteWorkspace("thesis-of-alice"), tx.PutWorkspace(sameName))
	})
}

func testStoreAtomic(t *testing.T, s masu.Store) {
	no := errors.New("no")
	err := s.Update(t.Context(), func(tx masu.Tx) error {
		err := errors.Join(
			tx.PutWorkspace(storeWorkspace("alice", "thesis")),
			tx.PutLease(masu.Lease{ID: "l", GPUs: []masu.GPUID{"g"}, From: storeTime}),
			tx.PutMember(masu.Member{Name: "alice"}),
			tx.PutSession(masu.Session{Hash: "h", User: "alice", Expires: time.Now().Add(time.Hour)}),
			tx.PutLink(masu.Link{Hash: "h", Expires: time.Now().Add(time.Hour)}),
			tx.Append(masu.Event{Verb: "up"}))
		if w, err := tx.Workspace("thesis-of-alice"); err != nil || w.Name != "thesis" {
			t.Errorf("a transaction does not see its own writes: %v", err)
		}
		return errors.Join(err, no)
	})
	if !errors.Is(err, no) {
		t.Errorf("Update returned %v, want the function's own error", err)
	}
	view(t, s, func(tx masu.Tx) error {
		all, err1 := tx.Workspaces()
		leases, err2 := tx.Leases()
		events, err3 := tx.Events(0, 10)
		sessions, err4 := tx.Sessions("alice")
		if len(all)+len(leases)+len(events)+len(sessions) > 0 {
			t.Errorf("something was kept: %v %v %v %v", all, leases, events, sessions)
		}
		_, err := tx.Member("alice")
		wantError(t, err, masu.NotFound, "no_member")
		return errors.Join(err1, err2, err3, err4)
	})
	err = s.Update(t.Context(), func(tx masu.Tx) error { _, err := tx.TakeLink("h", time.Now()); return err })
	wantError(t, err, masu.NotFound, "no_link")
}

func testStorePanic(t *testing.T, s masu.Store) {
	func() {
		defer func() {
			if recover() == nil {
				t.Error("the panic was swallowed")
			}
		}()
		_ = s.Update(t.Context(), func(tx masu.Tx) error {
			_ = tx.PutMember(masu.Member{Name: "alice"})
			panic("in a transaction")
		})
	}()
	update(t, s, func(tx masu.Tx) error {
		_, err := tx.Member("alice")
		wantError(t, err, masu.NotFound, "no_member")
		return nil
	})
}

func testStoreMoment(t *testing.T, s masu.Store) {
	update(t, s, func(tx masu.Tx) error { return tx.PutMember(masu.Member{Name: "a", Lang: masu.Japanese}) })
	view(t, s, func(tx masu.Tx) error {
		before, err := tx.Member("a")
		if err != nil {
			return err
		}
		update(t, s, func(tx masu.Tx) error { return tx.PutMember(masu.Member{Name: "a", Lang: masu.English}) })
		after, err := tx.Member("a")
		if before.Lang != after.Lang {
			t.Errorf("the View saw %s, then %s", before.Lang, after.Lang)
		}
		return err
	})
	view(t, s, func(tx masu.Tx) error {
		m, err := tx.Member("a")
		if m.Lang != masu.English {
			t.Errorf("a later View sees %s", m.Lang)
		}
		return err
	})
}

func testStoreViewWrites(t *testing.T, s masu.Store) {
	update(t, s, func(tx masu.Tx) error {
		return errors.Join(tx.PutMember(masu.Member{Name: "a"}), tx.PutLink(masu.Link{Hash: "h", Expires: time.Now().Add(time.Hour)}))
	})
	for name, write := range map[string]func(masu.Tx) error{
		"PutWorkspace":    func(tx masu.Tx) error { return tx.PutWorkspace(storeWorkspace("a", "b")) },
		"DeleteWorkspace": func(tx masu.Tx) error { return tx.DeleteWorkspace("a") },
		"PutLease":        func(tx masu.Tx) error { return tx.PutLease(masu.Lease{ID: "l"}) },
		"PutTicket":       func(tx masu.Tx) error { return tx.PutTicket(masu.Ticket{Workspace: "w"}) },
		"PutReservation":  func(tx masu.Tx) error { return tx.PutReservation(masu.Reservation{ID: "r"}) },
		"PutMember":       func(tx masu.Tx) error { return tx.PutMember(masu.Member{Name: "a"}) },
		"PutSession":      func(tx masu.Tx) error { return tx.PutSession(masu.Session{Hash: "h"}) },
		"DeleteSession":   func(tx masu.Tx) error { return tx.DeleteSession("h") },
		"PutLink":         func(tx masu.Tx) error { return tx.PutLink(masu.Link{Hash: "h"}) },
		"TakeLink":        func(tx masu.Tx) error { _, err := tx.TakeLink("h", time.Now()); return err },
		"Append":          func(tx masu.Tx) error { return tx.Append(masu.Event{}) },
	} {
		if err := s.View(t.Context(), write); err == nil {
			t.Errorf("%s wrote in a View", name)
		}
	}
}

// testStoreCopies: what was given or taken may be changed without changing the store.
func testStoreCopies(t *testing.T, s masu.Store) {
	w := storeWorkspace("alice", "thesis")
	w.GPUs = []masu.GPUID{"GPU-1"}
	update(t, s, func(tx masu.Tx) error { return tx.PutWorkspace(w) })
	w.GPUs[0] = "changed"
	view(t, s, func(tx masu.Tx) error {
		got, err := tx.Workspace(w.ID)
		got.GPUs[0] = "changed"
		again, err2 := tx.Workspace(w.ID)
		if again.GPUs[0] != "GPU-1" {
			t.Errorf("the store was changed from outside")
		}
		return errors.Join(err, err2)
	})
}

func testStoreMembers(t *testing.T, s masu.Store) {
	m := masu.Member{Name: "alice", Password: "$argon2id$…", Lang: masu.Japanese, SetAt: storeTime}
	update(t, s, func(tx masu.Tx) error { return tx.PutMember(m) })
	m.Disabled = true
	update(t, s, func(tx masu.Tx) error { return tx.PutMember(m) })
	view(t, s, func(tx masu.Tx) error {
		got, err := tx.Member("alice")
		if got.Password != m.Password || !got.Disabled || got.Lang != m.Lang || !got.SetAt.Equal(m.SetAt) {
			t.Errorf("got %+v, want %+v", got, m)
		}
		_, missing := tx.Member("bob")
		wantError(t, missing, masu.NotFound, "no_member")
		return err
	})
}

func testStoreSessions(t *testing.T, s masu.Store) {
	now := time.Now()
	session := func(hash string, user masu.Username, at, left time.Duration) masu.Session {
		return masu.Session{Hash: hash, User: user, Agent: "Firefox", At: now.Add(at), Expires: now.Add(left)}
	}
	update(t, s, func(tx masu.Tx) error {
		return errors.Join(
			tx.PutSession(session("later", "alice", -time.Minute, time.Hour)),
			tx.PutSession(session("first", "alice", -time.Hour, time.Hour)),
			tx.PutSession(session("over", "alice", -time.Hour, -time.Microsecond)),
			tx.PutSession(session("bobs", "bob", -time.Hour, time.Hour)),
			tx.PutSession(session("gone", "alice", -time.Hour, time.Hour)),
			tx.DeleteSession("gone"), tx.DeleteSession("never was"))
	})
	view(t, s, func(tx masu.Tx) error {
		for _, hash := range []string{"over", "gone", "never was"} {
			_, err := tx.Session(hash)
			wantError(t, err, masu.NotFound, "no_session")
		}
		got, err := tx.Session("first")
		if got.User != "alice" || got.Agent != "Firefox" || !got.Expires.Equal(now.Add(time.Hour)) {
			t.Errorf("got %+v", got)
		}
		all, err2 := tx.Sessions("alice")
		if len(all) != 2 || all[0].Hash != "first" || all[1].Hash != "later" {
			t.Errorf("alice's sessions, oldest first: %+v", all)
		}
		if everybodys, err := tx.Sessions(""); err != nil || len(everybodys) != 3 {
			t.Errorf("everybody's sessions: %+v, %v", everybodys, err)
		}
		return errors.Join(err, err2)
	})
}

func testStoreLink(t *testing.T, s masu.Store) {
	now := time.Now()
	update(t, s, func(tx masu.Tx) error {
		return errors.Join(
			tx.PutLink(masu.Link{Hash: "one", User: "alice", For: "w", Next: "/lab", Expires: now.Add(time.Minute)}),
			tx.PutLink(masu.Link{Hash: "soon over", User: "alice", Expires: now.Add(time.Minute)}))
	})
	err := s.Update(t.Context(), func(tx masu.Tx) error { _, err := tx.TakeLink("soon over", now.Add(time.Minute)); return err })
	wantError(t, err, masu.NotFound, "no_link")

	var got, refused atomic.Int32
	var takers sync.WaitGroup
	for range 50 {
		takers.Go(func() {
			err := s.Update(t.Context(), func(tx masu.Tx) error {
				l, err := tx.TakeLink("one", now)
				if err == nil && (l.User != "alice" || l.For != "w" || l.Next != "/lab") {
					t.Errorf("got %+v", l)
				}
				return err
			})
			switch {
			case err == nil:
				got.Add(1)
			case masu.CodeOf(err) == "no_link":
				refused.Add(1)
			default:
				t.Errorf("taking: %v", err)
			}
		})
	}
	takers.Wait()
	if got.Load() != 1 || refused.Load() != 49 {
		t.Errorf("%d took the link, %d were refused", got.Load(), refused.Load())
	}
}

func testStoreEvents(t *testing.T, s masu.Store) {
	before := time.Now()
	update(t, s, func(tx masu.Tx) error {
		return errors.Join(
			tx.Append(masu.Event{At: storeTime, Actor: "alice", Door: masu.DoorSocket, Verb: "up", Object: "thesis", Code: "disk_full", Args: []string{"/var"}, Seq: 99}),
			tx.Append(masu.Event{Verb: "stop"}))
	})
	update(t, s, func(tx masu.Tx) error { return tx.Append(masu.Event{Verb: "rm"}) })
	view(t, s, func(tx masu.Tx) error {
		all, err := tx.Events(0, 10)
		if len(all) != 3 || all[0].Verb != "up" || all[1].Verb != "stop" || all[2].Verb != "rm" {
			t.Fatalf("the events are %+v", all)
		}
		if all[0].Seq <= 0 || all[0].Seq >= all[1].Seq || all[1].Seq >= all[2].Seq {
			t.Errorf("they are numbered %d, %d, %d", all[0].Seq, all[1].Seq, all[2].Seq)
		}
		e := all[0]
		if e.Actor != "alice" || e.Door != masu.DoorSocket || e.Object != "thesis" || e.Code != "disk_full" || !slices.Equal(e.Args, []string{"/var"}) || !e.At.Equal(storeTime) {
			t.Errorf("got %+v", e)
		}
		if all[1].At.Before(before.Add(-time.Second)) || all[1].At.After(time.Now().Add(time.Second)) {
			t.Errorf("an event without a time has %v", all[1].At)
		}
		some, err2 := tx.Events(all[0].Seq, 1)
		none, err3 := tx.Events(all[2].Seq, 10)
		if len(some) != 1 || some[0].Verb != "stop" || len(none) != 0 {
			t.Errorf("after the first, one: %+v; after the last: %+v", some, none)
		}
		return errors.Join(err, err2, err3)
	})
}

// testStoreMany: transactions that read and then write wait for each other, and none fails.
func testStoreMany(t *testing.T, s masu.Store) {
	const writers = 200
	w := storeWorkspace("alice", "counter")
	update(t, s, func(tx masu.Tx) error { return tx.PutWorkspace(w) })
	var all sync.WaitGroup
	for range writers {
		all.Go(func() {
			err := s.Update(t.Context(), func(tx masu.Tx) error {
				w, err := tx.Workspace(w.ID)
				if err != nil {
					return err
				}
				w.Project.Limits.PIDs++
				return errors.Join(tx.PutWorkspace(w), tx.Append(masu.Event{Verb: "count"}))
			})
			if err != nil {
				t.Errorf("one failed: %v", err)
			}
		})
	}
	all.Wait()
	view(t, s, func(tx masu.Tx) error {
		got, err := tx.Workspace(w.ID)
		events, err2 := tx.Events(0, 2*writers)
		if got.Project.Limits.PIDs != writers || len(events) != writers {
			t.Errorf("%d counted, %d events, want %d", got.Project.Limits.PIDs, len(events), writers)
		}
		return errors.Join(err, err2)
	})
}

func testStoreContext(t *testing.T, s masu.Store) {
	ctx, cancel := context.WithCancel(t.Context())
	err := s.Update(ctx, func(tx masu.Tx) error {
		err := tx.PutMember(masu.Member{Name: "alice"})
		cancel()
		return err
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("Update whose context has ended returned %v", err)
	}
	if err := s.View(ctx, func(masu.Tx) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("View whose context has ended returned %v", err)
	}
	view(t, s, func(tx masu.Tx) error {
		_, err := tx.Member("alice")
		wantError(t, err, masu.NotFound, "no_member")
		return nil
	})
}
