package sshd

import (
	"bytes"
	"context"
	"io"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/masu-lab/masu"
)

// idle opens session channels that begin no program, and gives how many there came to be.
func (d *desk) idle(c *ssh.Client, n int) (open []ssh.Channel) {
	d.Helper()
	for range n {
		ch, requests, err := c.OpenChannel("session", nil)
		if err != nil {
			continue
		}
		go ssh.DiscardRequests(requests)
		open = append(open, ch)
	}
	return open
}

// TestChannelBudget: what one member can have the gateway keep is bounded, over all of their connections; nobody else notices.
func TestChannelBudget(t *testing.T) {
	d := newDesk(t)
	d.up("bob", "work", true)
	first := d.dial("alice", "thesis")
	if n := len(d.idle(first, channelsMost+8)); n != channelsMost {
		t.Errorf("%d channels of a connection, want %d", n, channelsMost)
	}
	for range memberChannelsMost/channelsMost - 1 {
		d.idle(d.dial("alice", "thesis"), channelsMost)
	}
	another := d.dial("alice", "thesis")
	if n := len(d.idle(another, 4)); n != 0 {
		t.Errorf("%d more than a member may have", n)
	}
	if code, _, _ := d.run(d.dial("bob", "work"), "true", ""); code != 0 {
		t.Errorf("another member: %d", code)
	}
	_ = first.Close()
	for limit := time.Now().Add(20 * time.Second); len(d.idle(another, 1)) == 0; { // the gateway hears of it soon
		if time.Now().After(limit) {
			t.Fatal("what has ended still counts")
		}
	}
}

// quiet is a channel on which nothing is sent.
type quiet struct {
	ssh.Channel
	once   sync.Once
	closed chan struct{}
}

func (q *quiet) Close() error                                   { q.once.Do(func() { close(q.closed) }); return nil }
func (q *quiet) SendRequest(string, bool, []byte) (bool, error) { return true, nil }
func (q *quiet) Stderr() io.ReadWriter                          { return &bytes.Buffer{} }

func (q *quiet) isClosed() bool {
	select {
	case <-q.closed:
		return true
	default:
		return false
	}
}

// slow is a service that has not answered yet.
type slow struct{ masu.Service }

func (slow) Workspace(ctx context.Context, _ string) (masu.Workspace, error) {
	<-ctx.Done()
	return masu.Workspace{}, ctx.Err()
}

// TestIdleSessionEnds: a session has to begin something; once it has, it takes as long as it takes.
func TestIdleSessionEnds(t *testing.T) {
	for _, begins := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			ch, requests := &quiet{closed: make(chan struct{})}, make(chan *ssh.Request)
			s := newSession(&client{service: slow{}, ctx: t.Context()}, ch)
			var serving sync.WaitGroup
			serving.Go(func() { s.serve(requests) })
			requests <- &ssh.Request{Type: "env"} // begins nothing
			time.Sleep(beginTime - time.Second)
			if begins {
				requests <- &ssh.Request{Type: "shell"}
			}
			synctest.Wait()
			if ch.isClosed() {
				t.Errorf("begins: %t: closed too early", begins)
			}
			time.Sleep(time.Hour)
			if ch.isClosed() == begins {
				t.Errorf("begins: %t: closed after an hour: %t", begins, ch.isClosed())
			}
			if _, ok := s.request(&ssh.Request{Type: "shell"}); ok {
				t.Errorf("begins: %t: a program in what has ended, or a second one", begins)
			}
			close(requests)
			serving.Wait()
		})
	}
}

// TestKeysPressedAreBounded: signals fill no memory while no program reads them.
func TestKeysPressedAreBounded(t *testing.T) {
	k := newKeyboard(func() {})
	for range 2 * mostTyped {
		k.press(ctrlC)
	}
	if n := len(k.waiting); n > mostTyped+1 {
		t.Errorf("%d bytes wait", n)
	}
}

// stuck is a gate that waits for a home.
type stuck struct{ masu.Gate }

func (stuck) ByKey(ctx context.Context, _ masu.KeyOffer) (masu.User, masu.KeyLimits, error) {
	<-ctx.Done()
	return masu.User{}, masu.KeyLimits{}, ctx.Err()
}

// TestAskingEnds: nobody waits at the door longer than the handshake may take.
func TestAskingEnds(t *testing.T) {
	key, host := newSigner(t).PublicKey(), newSigner(t)
	synctest.Test(t, func(t *testing.T) {
		s := &Server{Config: Config{Gate: stuck{}, HostKey: host}}
		begun := time.Now()
		if _, err := s.byKey(t.Context(), netip.Addr{}).PublicKeyCallback(asked("thesis"), key); err == nil {
			t.Error("somebody came in")
		}
		if took := time.Since(begun); took != graceTime {
			t.Errorf("it took %v", took)
		}
	})
}
