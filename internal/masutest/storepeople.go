package masutest

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/masu-lab/masu"
)

func testStorePeople(t *testing.T, s masu.Store) {
	most := 3
	alice := masu.Member{Name: "alice", Role: masu.RoleAdmin, Limits: masu.MemberLimits{Workspaces: &most}}
	now := time.Now().UTC().Truncate(time.Second)
	token := func(id string, user masu.Username, life time.Duration) masu.Token {
		return masu.Token{ID: id, Hash: "hash of " + id, User: user, Name: "cron", Scope: masu.ScopeRead, At: now, Expires: now.Add(life)}
	}
	a, b, old := token("a", "alice", time.Hour), token("b", "bob", time.Hour), token("old", "alice", -time.Minute)
	house := masu.House{Banner: "停電のお知らせ", ClosedAt: now}
	view(t, s, func(tx masu.Tx) error {
		h, err := tx.House()
		r, err2 := tx.Rules()
		if h != (masu.House{}) || r != (masu.Rules{}) {
			t.Errorf("before anything was said: %+v, %+v", h, r)
		}
		return errors.Join(err, err2)
	})
	update(t, s, func(tx masu.Tx) error {
		return errors.Join(tx.PutMember(masu.Member{Name: "bob"}), tx.PutMember(alice), tx.PutToken(old), tx.PutToken(b), tx.PutToken(a), tx.PutHouse(house), tx.PutRules(masu.Rules{Workspaces: &most}))
	})
	view(t, s, func(tx masu.Tx) error {
		members, err1 := tx.Members()
		if d := cmp.Diff([]masu.Member{alice, {Name: "bob"}}, members); d != "" {
			t.Errorf("members: %s", d)
		}
		mine, err2 := tx.Tokens("alice")
		if d := cmp.Diff([]masu.Token{a}, mine); d != "" {
			t.Errorf("tokens: %s", d)
		}
		got, err3 := tx.Token(a.Hash)
		if d := cmp.Diff(a, got); d != "" {
			t.Errorf("token: %s", d)
		}
		for _, hash := range []string{"", "a", old.Hash} {
			_, err := tx.Token(hash)
			wantError(t, err, masu.NotFound, "no_token")
		}
		h, err4 := tx.House()
		if d := cmp.Diff(house, h); d != "" {
			t.Errorf("house: %s", d)
		}
		rules, err5 := tx.Rules()
		if d := cmp.Diff(masu.Rules{Workspaces: &most}, rules); d != "" {
			t.Errorf("rules: %s", d)
		}
		return errors.Join(err1, err2, err3, err4, err5)
	})
	a.UsedAt = now
	update(t, s, func(tx masu.Tx) error {
		return errors.Join(tx.PutToken(a), tx.DeleteToken("b"), tx.DeleteToken("none"))
	})
	view(t, s, func(tx masu.Tx) error {
		got, err := tx.Token(a.Hash)
		if !got.UsedAt.Equal(now) {
			t.Errorf("%+v", got)
		}
		_, gone := tx.Token(b.Hash)
		wantError(t, gone, masu.NotFound, "no_token")
		return err
	})
}

func testStoreFindEvents(t *testing.T, s masu.Store) {
	update(t, s, func(tx masu.Tx) error {
		var err error
		for i, e := range []masu.Event{
			{Actor: "alice", Verb: "up", Object: "thesis--alice"}, {Actor: "bob", Verb: "up", Object: "bert--bob"},
			{Actor: "alice", Verb: "stop", Object: "thesis--alice"}, {Verb: "rebuild"}, {Actor: "alice", Verb: "up", Object: "bert--alice"},
		} {
			e.At = storeTime.Add(time.Duration(i) * time.Minute)
			err = errors.Join(err, tx.Append(e))
		}
		return err
	})
	for name, c := range map[string]struct {
		q    masu.EventQuery
		want string
	}{
		"all":       {masu.EventQuery{Limit: 10}, "5 4 3 2 1"},
		"some":      {masu.EventQuery{Limit: 2}, "5 4"},
		"none":      {masu.EventQuery{}, ""},
		"older":     {masu.EventQuery{Limit: 2, Before: 4}, "3 2"},
		"by actor":  {masu.EventQuery{Limit: 10, Actor: "alice"}, "5 3 1"},
		"by verb":   {masu.EventQuery{Limit: 10, Verb: "up"}, "5 2 1"},
		"by object": {masu.EventQuery{Limit: 10, Object: "bert"}, "5 2"},
		"since":     {masu.EventQuery{Limit: 10, Since: storeTime.Add(3 * time.Minute)}, "5 4"},
		"just then": {masu.EventQuery{Limit: 10, Since: storeTime.Add(3*time.Minute + time.Millisecond)}, "5"},
		"together":  {masu.EventQuery{Limit: 10, Actor: "alice", Verb: "up", Object: "thesis"}, "1"},
		"hostile":   {masu.EventQuery{Limit: 10, Actor: "' OR 1=1 --", Object: "%"}, ""},
	} {
		view(t, s, func(tx masu.Tx) error {
			list, err := tx.FindEvents(c.q)
			var got []string
			for _, e := range list {
				got = append(got, fmt.Sprint(e.Seq))
			}
			if strings.Join(got, " ") != c.want {
				t.Errorf("%s: %v, want %s", name, got, c.want)
			}
			return err
		})
	}
}
