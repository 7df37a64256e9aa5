package masutest

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/masu-lab/masu"
)

func testStoreGuests(t *testing.T, s masu.Store) {
	a, b, own := storeWorkspace("alice", "thesis"), storeWorkspace("bob", "bert"), storeWorkspace("carol", "own")
	a.Guests, b.Guests = []masu.Username{"carol", "dave"}, []masu.Username{"carol"}
	open := func(guest masu.Username) (names []string) {
		view(t, s, func(tx masu.Tx) error {
			list, err := tx.WorkspacesOpenTo(guest)
			for _, w := range list {
				names = append(names, string(w.Owner)+"/"+w.Name)
			}
			return err
		})
		return names
	}
	update(t, s, func(tx masu.Tx) error {
		return errors.Join(tx.PutWorkspace(own), tx.PutWorkspace(b), tx.PutWorkspace(a))
	})
	if d := cmp.Diff([]string{"alice/thesis", "bob/bert"}, open("carol")); d != "" {
		t.Error(d)
	}
	a.Guests = []masu.Username{"dave"}
	a.Shares = []masu.AppShare{{App: "demo", With: "carol", Port: 8501, Command: "serve"}, {App: "demo", Lab: true, Port: 8501, Command: "serve"}}
	update(t, s, func(tx masu.Tx) error { return tx.PutWorkspace(a) })
	for _, member := range []masu.Username{"carol", "dave", "erin"} {
		if got := open(member); got[0] != "alice/thesis" {
			t.Errorf("an app is shared with %s: %v", member, got)
		}
	}
	if got := open("alice"); len(got) != 0 {
		t.Errorf("her own is open to her: %v", got)
	}
	a.Shares = nil
	update(t, s, func(tx masu.Tx) error { return errors.Join(tx.PutWorkspace(a), tx.DeleteWorkspace(b.ID)) })
	if got := open("carol"); len(got) != 0 {
		t.Errorf("still open to carol: %v", got)
	}
	if d := cmp.Diff([]string{"alice/thesis"}, open("dave")); d != "" {
		t.Error(d)
	}
}

func testStoreShared(t *testing.T, s masu.Store) {
	old := masu.Shared{ID: "old", Owner: "alice", Title: "画像", At: storeTime, Text: "preset: python\n", Env: masu.Environment{Preset: "python"}}
	young := masu.Shared{ID: "young", Owner: "bob", Title: "b", Lab: true, At: storeTime.Add(time.Hour)}
	update(t, s, func(tx masu.Tx) error { return errors.Join(tx.PutShared(old), tx.PutShared(young)) })
	old.Retired = "young を使ってください"
	update(t, s, func(tx masu.Tx) error { return errors.Join(tx.PutShared(old), tx.DeleteShared("never")) })
	view(t, s, func(tx masu.Tx) error {
		got, err := tx.SharedEnvironment("old")
		if d := cmp.Diff(old, got); d != "" {
			t.Error(d)
		}
		all, err2 := tx.SharedEnvironments()
		if d := cmp.Diff([]masu.Shared{young, old}, all); d != "" {
			t.Error(d)
		}
		_, none := tx.SharedEnvironment("never")
		wantError(t, none, masu.NotFound, "no_shared")
		return errors.Join(err, err2)
	})
	update(t, s, func(tx masu.Tx) error { return tx.DeleteShared("old") })
	view(t, s, func(tx masu.Tx) error {
		_, gone := tx.SharedEnvironment("old")
		wantError(t, gone, masu.NotFound, "no_shared")
		return nil
	})
}

func testStoreSamples(t *testing.T, s masu.Store) {
	sample := func(id masu.WorkspaceID, minute int) masu.Sample {
		return masu.Sample{Workspace: id, At: storeTime.Add(time.Duration(minute) * time.Minute), CPU: float64(minute) + 0.125, Memory: masu.GiB}
	}
	first := []masu.Sample{sample("a", 0), sample("b", 0)}
	second := []masu.Sample{sample("a", 2), sample("a", 1)}
	second[0].GPUs, second[0].GPU, second[0].GPUMemory = 2, 1.375, 90*masu.GiB
	second[1].GPUs, second[1].GPU, second[1].GPUMemory = 1, -1, masu.GiB // a slice, which does not tell how busy it is
	update(t, s, func(tx masu.Tx) error {
		return errors.Join(tx.PutSamples(first, time.Time{}), tx.PutSamples(second, storeTime))
	})
	view(t, s, func(tx masu.Tx) error {
		got, err := tx.Samples("a", storeTime)
		if d := cmp.Diff([]masu.Sample{first[0], second[1], second[0]}, got); d != "" {
			t.Error(d)
		}
		late, err2 := tx.Samples("a", second[0].At)
		if d := cmp.Diff([]masu.Sample{second[0]}, late); d != "" {
			t.Error(d)
		}
		return errors.Join(err, err2)
	})
	update(t, s, func(tx masu.Tx) error { return tx.PutSamples(nil, second[1].At) }) // forgets the first minute
	view(t, s, func(tx masu.Tx) error {
		got, err := tx.Samples("a", storeTime)
		none, err2 := tx.Samples("b", storeTime)
		if len(got) != 2 || len(none) != 0 {
			t.Errorf("after forgetting: %v, %v", got, none)
		}
		return errors.Join(err, err2)
	})
}
