package lab

import (
	"testing"
	"testing/synctest"
	"time"
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
