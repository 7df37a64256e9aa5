package lab

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/masu-lab/masu"
)

// TestTries: W9. So many tries at once by account and by address, then one in a
// while; nobody is locked out for good, and nobody else is in the way.
func TestTries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(nil)
		for i := range triesAtOnce {
			if wait := g.tooOften("account alice", "address 10.0.0.1"); wait != 0 {
				t.Fatalf("try %d waits %v", i, wait)
			}
		}
		for who, keys := range map[string][]string{"her": {"account alice", "address 10.0.0.2"}, "the address": {"account bob", "address 10.0.0.1"}} {
			if wait := g.tooOften(keys...); wait <= 0 || wait > tryEvery {
				t.Errorf("%s waits %v", who, wait)
			}
		}
		if wait := g.tooOften("account carol", "address 10.0.0.3"); wait != 0 {
			t.Errorf("somebody else waits %v", wait)
		}
		time.Sleep(tryEvery)
		if wait := g.tooOften("account alice", "address 10.0.0.1"); wait != 0 {
			t.Errorf("after a while she waits %v", wait)
		}
		if wait := g.tooOften("account alice", "address 10.0.0.1"); wait <= 0 {
			t.Error("and then there are many again")
		}
		time.Sleep(time.Hour) // of somebody else's tries no more is held against her than one bucket
		for i := range triesAtOnce {
			if wait := g.tooOften("account alice", "address 10.0.0.1"); wait != 0 {
				t.Errorf("an hour later, try %d waits %v", i, wait)
			}
		}
	})
}

// TestTriesAreRemembered: whoever has used up their tries does not get them back
// by asking for names, or from addresses, without end; nor does that fill memory.
func TestTriesAreRemembered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(nil)
		for range triesAtOnce {
			g.tooOften("account alice", "address 10.0.0.1")
		}
		for i := range 2 * bucketsMost {
			g.tooOften(fmt.Sprint("account of nobody ", i), "address 10.0.0.1")
		}
		if wait := g.tooOften("account alice", "address 10.0.0.2"); wait <= 0 {
			t.Error("names that nobody has made room for more tries")
		}
		if n := len(g.buckets); n > 10 {
			t.Errorf("%d names of refused tries are remembered", n)
		}
		for i := range 2 * bucketsMost {
			g.tooOften(fmt.Sprint("account of nobody ", i), fmt.Sprint("address of many ", i))
		}
		if wait := g.tooOften("account alice", "address 10.0.0.2"); wait <= 0 {
			t.Error("addresses made room for more tries")
		}
		if n := len(g.buckets); n > 2*bucketsMost {
			t.Errorf("%d are remembered", n)
		}
	})
	for from, want := range map[string]string{
		"192.0.2.7": "192.0.2.7/32", "::ffff:192.0.2.7": "192.0.2.7/32",
		"2001:db8:1:2:3:4:5:6": "2001:db8:1:2::/64", "2001:db8:1:2::1": "2001:db8:1:2::/64", "fe80::1%eth0": "fe80::/64",
	} {
		if got := neighbourhood(netip.MustParseAddr(from)); got != want {
			t.Errorf("%s is of %s, want %s", from, got, want)
		}
	}
}

// TestTriesOfLongNames: what somebody types as a name costs no more than a name, here and in the log.
func TestTriesOfLongNames(t *testing.T) {
	w := newWorld(t)
	l, stop := w.daemon()
	defer stop()
	long := masu.Username(strings.Repeat("x", 60000) + "\x1b[2J\n")
	if _, err := l.ByPassword(t.Context(), long, "secret", netip.MustParseAddr("192.0.2.7")); masu.CodeOf(err) != "signin_wrong" {
		t.Fatal(err)
	}
	for key := range l.gate.buckets {
		if len(key) > 200 {
			t.Errorf("%d bytes of a name are remembered", len(key))
		}
	}
	alice := l.As(actor("alice"))
	_ = alice.RemoveImage(t.Context(), masu.ImageRef(strings.Repeat("画", 300000)))
	w.view(func(tx masu.Tx) error {
		events, err := tx.Events(0, 10)
		if len(events) != 2 {
			t.Errorf("%d events, %v", len(events), err)
		}
		for _, e := range events {
			if n := len(e.Actor) + len(e.Object); n > 2000 || !utf8.ValidString(string(e.Actor)+e.Object) || strings.ContainsAny(string(e.Actor), "\x1b\n") {
				t.Errorf("%s: %d bytes are in the log: %.80q %.80q", e.Verb, n, e.Actor, e.Object)
			}
		}
		return err
	})
}
