package lab

import (
	"bytes"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/masu-lab/masu"
)

// hanging makes one member's home a network drive that does not answer until it is freed, and counts who waits for it.
func (w *world) hanging(l *Lab, name masu.Username) (free func(), waiting func() int) {
	answer := make(chan struct{})
	var mu sync.Mutex
	n := 0
	count := func(by int) { mu.Lock(); defer mu.Unlock(); n += by }
	l.cfg.KeyFile = func(u masu.User, seen string) ([]byte, string, error) {
		if u.Name == name {
			count(1)
			defer count(-1)
			<-answer
		}
		return w.keyFile(u, seen)
	}
	return sync.OnceFunc(func() { close(answer) }), func() int { mu.Lock(); defer mu.Unlock(); return n }
}

// TestKeysWhereAHomeHangs: whoever's home does not answer keeps nobody else
// out, is let in by nothing that cannot be looked at, and comes back.
func TestKeysWhereAHomeHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		l, stop := w.daemon()
		defer stop()
		l.cfg.Accounts = everybody{names: []masu.Username{"alice", "bob"}}
		bobs := strings.Replace(keyA, "MN1GL", "MN1GM", 1)
		keys, _ := l.cfg.ReadKeys([]byte(bobs))
		if len(keys) != 1 {
			t.Fatal("bob has no key")
		}
		w.authorize("alice", keyA)
		w.authorize("bob", bobs)
		ask := func(fingerprint string, owner masu.Username) string {
			u, _, err := l.ByKey(t.Context(), masu.KeyOffer{Fingerprint: fingerprint, Owner: owner})
			if err != nil {
				return masu.CodeOf(err)
			}
			return string(u.Name)
		}
		if got := ask(fpA, "alice"); got != "alice" {
			t.Fatal(got)
		}
		free, waiting := w.hanging(l, "alice")
		defer free()
		time.Sleep(keysFresh)
		for range 20 {
			begun := time.Now()
			var asking sync.WaitGroup
			for range 5 {
				asking.Go(func() {
					if got := ask(keys[0].Fingerprint, ""); got != "bob" {
						t.Errorf("bob: %s", got)
					}
				})
			}
			asking.Wait()
			if took := time.Since(begun); took > homeTime {
				t.Errorf("bob waited %v", took)
			}
			// Not signin_wrong: what hangs on the key goes on until somebody knows better.
			for _, owner := range []masu.Username{"", "alice"} {
				if got := ask(fpA, owner); got != "internal" {
					t.Errorf("alice, whose home hangs: %s", got)
				}
			}
			if n := waiting(); n != 1 {
				t.Errorf("%d wait for her home", n)
			}
			time.Sleep(keysFresh)
		}
		if list, err := l.As(masu.Actor{User: masu.User{Name: "alice", UID: 30001}}).Keys(t.Context()); err != nil || len(list) != 0 {
			t.Errorf("the list meanwhile: %v, %v", list, err)
		}
		free()
		synctest.Wait()
		if got := ask(fpA, ""); got != "alice" {
			t.Errorf("her home answers again: %s", got)
		}
	})
}

// TestKeyComplaints: a file is complained of once, and as often as it is listed it is looked at no more than every two seconds.
func TestKeyComplaints(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		l, stop := w.daemon()
		defer stop()
		var told bytes.Buffer
		l.log = slog.New(slog.NewTextHandler(&told, nil))
		s := l.As(masu.Actor{User: masu.User{Name: "alice", UID: 30001}})
		bad := strings.Repeat(`command="id" `+keyA+"\n", 1000)
		touch := func(n int) string { return bad + strings.Repeat("#", n) }
		list := func() {
			if _, err := s.Keys(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		for i := range 100 {
			w.authorize("alice", touch(i))
			list()
		}
		if w.keys.reads != 1 {
			t.Errorf("read %d times within a moment", w.keys.reads)
		}
		for i := range 100 {
			time.Sleep(keysFresh)
			w.authorize("alice", touch(1000+i))
			list()
		}
		if n := strings.Count(told.String(), "\n"); n != 1 || !strings.Contains(told.String(), "1000 lines refused") {
			t.Errorf("%d lines: %.300s", n, told.String())
		}
		time.Sleep(keysFresh)
		w.authorize("alice", bad+"nonsense\n")
		list()
		if n := strings.Count(told.String(), "\n"); n != 2 {
			t.Errorf("%d lines after it has got worse", n)
		}
	})
}
