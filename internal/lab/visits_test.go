package lab

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/masu-lab/masu"
)

// TestAuditExecInAnothersBox: an admin's program in another's box, and a port of it, is in the log,
// once in a while; what one does in one's own is not, nor twice what the pages have written down.
func TestAuditExecInAnothersBox(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		l, stop := w.daemon()
		defer stop()
		alice := l.As(actor("alice"))
		if _, err := alice.Up(t.Context(), masu.UpRequest{Dir: w.dir, Name: "work"}); err != nil {
			t.Fatal(err)
		}
		x := settled(t, alice, "work")
		defer func() {
			if _, err := alice.Stop(t.Context(), "work"); err != nil {
				t.Error(err)
			}
		}()
		boss := actor("boss")
		boss.Admin, boss.Door = true, masu.DoorSSH
		exec := func(s masu.Service) { _, _ = s.Exec(t.Context(), string(x.ID), masu.Exec{Argv: []string{"true"}}) } // how it ends is not the matter
		dial := func(s masu.Service) {
			if c, err := s.Dial(t.Context(), string(x.ID), masu.AgentPort); err == nil {
				_ = c.Close()
			}
		}
		is := func(what string, want int) {
			t.Helper()
			events, err := l.As(boss).Events(t.Context(), masu.EventQuery{Verb: "open", Limit: 10})
			if err != nil || len(events) != want {
				t.Fatalf("%s: %d lines, want %d: %+v, %v", what, len(events), want, events, err)
			}
			for _, e := range events {
				if e.Actor != "boss" || e.Object != x.Label || e.Door != masu.DoorSSH {
					t.Errorf("%s: %+v", what, e)
				}
			}
		}
		exec(alice)
		dial(alice)
		is("her own", 0)
		web := boss
		web.Door = masu.DoorWeb
		dial(l.As(web))
		is("by the pages", 0)
		exec(l.As(boss))
		is("a program", 1)
		for range 20 {
			exec(l.As(boss))
			dial(l.As(boss))
		}
		is("again and again", 1)
		time.Sleep(visitEvery)
		dial(l.As(boss))
		is("a port, later", 2)
	})
}
