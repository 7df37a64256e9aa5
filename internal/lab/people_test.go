package lab

import (
	"context"
	"errors"
	"net/netip"
	"testing"

	"github.com/masu-lab/masu"
)

// hosts knows alice and root.
type hosts struct{ accounts }

func (hosts) ByName(n masu.Username) (masu.User, error) {
	switch n {
	case "root":
		return masu.User{Name: n, UID: 0, Home: "/root", Admin: true}, nil
	case "alice":
		return masu.User{Name: n, UID: 30001, GID: 30001, Home: "/home/alice"}, nil
	}
	return masu.User{}, masu.E(masu.NotFound, "no_account", n)
}

// What others vouch for: members, never root, and only what they say yes to.
func TestVouched(t *testing.T) {
	w := newWorld(t)
	l, stop := w.daemon()
	defer stop()
	l.cfg.Accounts = hosts{}
	asked := 0
	l.cfg.Vouch = func(_ context.Context, _ masu.Username, password string) (bool, error) {
		asked++
		if password == "trouble" {
			return true, errors.New("PAM fell over")
		}
		return password == "of the host", nil
	}
	from := netip.MustParseAddr("192.0.2.1")
	for _, c := range []struct {
		name     masu.Username
		password string
		ok       bool
	}{{"alice", "of the host", true}, {"alice", "wrong", false}, {"alice", "", false}, {"alice", "trouble", false}, {"root", "of the host", false}, {"nobody", "of the host", false}} {
		_, err := l.ByPassword(t.Context(), c.name, c.password, from)
		if (err == nil) != c.ok || err != nil && masu.CodeOf(err) != "signin_wrong" {
			t.Errorf("%s, %q: %v", c.name, c.password, err)
		}
	}
	if asked != 3 {
		t.Errorf("asked %d times, and not only about alice's passwords", asked)
	}
	for name, ok := range map[masu.Username]bool{"alice": true, "root": false, "nobody": false} {
		if _, err := l.ByName(t.Context(), name); (err == nil) != ok {
			t.Errorf("%s by a sign-in service: %v", name, err)
		}
	}
}

// A token is as good as its owner: none of a disabled member's works.
// TestFeedOpensNothingElse: W16. What a calendar's address has in it is the way to the
// timetable alone; a new one ends the old; and nobody tries many.
func TestFeedOpensNothingElse(t *testing.T) {
	w := newWorld(t)
	l, stop := w.daemon()
	defer stop()
	alice, home := l.As(actor("alice")), netip.MustParseAddr("192.0.2.1")
	make := func(scope masu.Scope) masu.NewToken {
		k, err := alice.NewToken(t.Context(), masu.TokenWish{Name: "phone", Scope: scope, Days: scope.MostDays()})
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	old, cron := make(masu.ScopeCalendar), make(masu.ScopeAll)
	if u, err := l.ByFeed(t.Context(), old.Secret, home); err != nil || u.Name != "alice" {
		t.Errorf("her calendar: %+v %v", u, err)
	}
	if _, _, err := l.ByToken(t.Context(), old.Secret); masu.CodeOf(err) != "signin_wrong" {
		t.Errorf("it is a token too: %v", err)
	}
	if _, err := l.ByFeed(t.Context(), cron.Secret, home); masu.CodeOf(err) != "signin_wrong" {
		t.Errorf("a token is an address too: %v", err)
	}
	k := make(masu.ScopeCalendar)
	if _, err := l.ByFeed(t.Context(), old.Secret, home); masu.CodeOf(err) != "signin_wrong" {
		t.Errorf("the old one: %v", err)
	}
	if list, err := alice.Tokens(t.Context()); err != nil || len(list) != 2 {
		t.Errorf("tokens: %+v %v", list, err)
	}
	if _, err := l.ByFeed(t.Context(), k.Secret, home); err != nil {
		t.Errorf("the new one: %v", err)
	}
	if err := alice.DeleteToken(t.Context(), k.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := l.ByFeed(t.Context(), k.Secret, home); masu.CodeOf(err) != "signin_wrong" {
		t.Errorf("one that was taken back: %v", err)
	}
	// Somebody guesses: they wait, others do not. A program that asks without end waits as well.
	var err error
	for range triesAtOnce + 1 {
		_, err = l.ByFeed(t.Context(), "masu_guess", netip.MustParseAddr("198.51.100.9"))
	}
	if masu.CodeOf(err) != "signin_too_often" {
		t.Errorf("who guesses: %v", err)
	}
	last := make(masu.ScopeCalendar)
	for i := range triesAtOnce + 1 {
		if _, err = l.ByFeed(t.Context(), last.Secret, home); err != nil && i < triesAtOnce {
			t.Errorf("her calendar, for the %dth time: %v", i, err)
		}
	}
	if masu.CodeOf(err) != "signin_too_often" {
		t.Errorf("her calendar, over and over: %v", err)
	}
}

func TestTokenOfTheDisabled(t *testing.T) {
	w := newWorld(t)
	l, stop := w.daemon()
	defer stop()
	k, err := l.As(actor("alice")).NewToken(t.Context(), masu.TokenWish{Name: "cron", Scope: masu.ScopeAll, Days: 1})
	if err != nil {
		t.Fatal(err)
	}
	if u, got, err := l.ByToken(t.Context(), k.Secret); err != nil || u.Name != "alice" || got.Scope != masu.ScopeAll {
		t.Fatalf("%+v %+v %v", u, got, err)
	}
	if _, err := l.As(masu.Actor{User: actor("alice").User, Door: masu.DoorToken}).NewToken(t.Context(), masu.TokenWish{Name: "x", Scope: masu.ScopeAll, Days: 1}); masu.CodeOf(err) != "not_by_token" {
		t.Errorf("a token made a token: %v", err)
	}
	yes := true
	boss := actor("boss")
	boss.Admin = true
	if err := l.As(boss).ChangeMember(t.Context(), "alice", masu.MemberChange{Disabled: &yes}); err != nil {
		t.Fatal(err)
	}
	if _, _, err := l.ByToken(t.Context(), k.Secret); masu.CodeOf(err) != "signin_wrong" {
		t.Errorf("a disabled member's token: %v", err)
	}
}
