package lab

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/masu-lab/masu"
)

// TestNoEndingIsLost: however slow who listens is, and in the order in which they ended.
func TestNoEndingIsLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const all = 3001
		l := &Lab{gate: newGate(nil)}
		ctx, cancel := context.WithCancel(t.Context())
		goOn := make(chan struct{})
		var heard []string
		go func() {
			for e := range l.Ended(ctx) {
				heard = append(heard, e.Session)
				<-goOn
			}
		}()
		synctest.Wait() // it listens
		for i := range all {
			l.gate.tellSessions([]masu.Session{{Hash: fmt.Sprint(i)}})
		}
		synctest.Wait()
		if len(heard) != 1 {
			t.Fatalf("a listener that stands still heard %d", len(heard))
		}
		close(goOn)
		synctest.Wait()
		if len(heard) != all {
			t.Fatalf("heard %d of %d", len(heard), all)
		}
		for i, h := range heard {
			if h != fmt.Sprint(i) {
				t.Fatalf("ending %d is of %s", i, h)
			}
		}
		cancel()
		synctest.Wait()
		if n := len(l.gate.ended); n != 0 {
			t.Errorf("%d still listen", n)
		}
	})
}

// TestSessionsMost: the oldest browser goes for one too many, with what hangs on it, and nobody else's.
func TestSessionsMost(t *testing.T) {
	w := newWorld(t)
	l, stop := w.daemon()
	defer stop()
	signIn := func(s masu.Session) string {
		t.Helper()
		code, err := l.SignIn(t.Context(), s)
		if err != nil {
			t.Fatal(err)
		}
		return code
	}
	in := func(code string) bool { _, _, err := l.BySession(t.Context(), code); return err == nil }
	alice := signIn(masu.Session{User: "alice"})
	first := signIn(masu.Session{User: "bob"})
	second := signIn(masu.Session{User: "bob"})
	entry := signIn(masu.Session{User: "bob", For: "abcdefghijkl", Parent: hashOf(first)})
	for range sessionsMost - 2 {
		signIn(masu.Session{User: "bob"})
	}
	for range entriesMost - 1 {
		signIn(masu.Session{User: "bob", For: "abcdefghijkl", Parent: hashOf(second)})
	}
	if !in(first) || !in(entry) {
		t.Fatal("one went before there were too many")
	}
	told := &endings{news: make(chan struct{}, 1)}
	l.gate.mu.Lock()
	l.gate.ended[told] = true
	l.gate.mu.Unlock()
	heard := func(want ...string) {
		t.Helper()
		l.gate.mu.Lock()
		defer l.gate.mu.Unlock()
		got := map[masu.Ending]bool{}
		for _, e := range told.untold {
			got[e] = true
		}
		for _, code := range want {
			if !got[masu.Ending{Session: hashOf(code)}] {
				t.Errorf("told %v, not %s", told.untold, hashOf(code))
			}
		}
		if len(told.untold) != len(want) {
			t.Errorf("told %v, want %d", told.untold, len(want))
		}
		told.untold = nil
	}
	newest := signIn(masu.Session{User: "bob"})
	heard(first, entry)
	if in(first) || in(entry) || !in(second) || !in(newest) || !in(alice) {
		t.Error("not the oldest went, or not it alone")
	}
	last := signIn(masu.Session{User: "bob", For: "abcdefghijkl", Parent: hashOf(newest)})
	heard() // there is room again: an entry went with its browser
	signIn(masu.Session{User: "bob", For: "abcdefghijkl", Parent: hashOf(newest)})
	l.gate.mu.Lock()
	n := len(told.untold)
	l.gate.mu.Unlock()
	if n != 1 || !in(last) || !in(second) || !in(newest) {
		t.Errorf("an entry too many ended %d, or signed a browser out", n)
	}
}

// TestLessIsTold: who loses any role is told of, and who gains one is not.
func TestLessIsTold(t *testing.T) {
	w := newWorld(t)
	l, stop := w.daemon()
	defer stop()
	boss := actor("boss")
	boss.Admin = true
	told := &endings{news: make(chan struct{}, 1)}
	l.gate.mu.Lock()
	l.gate.ended[told] = true
	l.gate.mu.Unlock()
	for _, c := range []struct {
		to   masu.Role
		less bool
	}{{masu.RoleTeacher, false}, {masu.RoleAdmin, false}, {masu.RoleAdmin, false}, {masu.RoleTeacher, true}, {masu.RoleMember, true}, {masu.RoleMember, false}} {
		if err := l.As(boss).ChangeMember(t.Context(), "bob", masu.MemberChange{Role: &c.to}); err != nil {
			t.Fatal(err)
		}
		l.gate.mu.Lock()
		if less := len(told.untold) == 1 && told.untold[0] == (masu.Ending{Member: "bob"}); less != c.less {
			t.Errorf("to %q: told %v", c.to, told.untold)
		}
		told.untold = nil
		l.gate.mu.Unlock()
	}
}
