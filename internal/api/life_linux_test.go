package api

import (
	"context"
	"io"
	"iter"
	"log/slog"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/masu-lab/masu"
)

// endless is a service whose streams and commands end only with their contexts.
func endless(began chan<- string) func(masu.Actor) masu.Service {
	return func(a masu.Actor) masu.Service {
		wait := func(ctx context.Context, what string) {
			began <- what
			<-ctx.Done()
		}
		return stub{
			exec: func(ctx context.Context, _ string, _ masu.Exec) (int, error) { wait(ctx, "exec"); return 0, ctx.Err() },
			run: func(ctx context.Context, _ masu.RunRequest, _ func(masu.Progress)) (int, error) {
				wait(ctx, "run")
				return 0, ctx.Err()
			},
			logs: func(ctx context.Context, _ string, _ io.Writer, _ bool) error { wait(ctx, "logs"); return ctx.Err() },
			changes: func(ctx context.Context) iter.Seq2[masu.Workspace, error] {
				return func(yield func(masu.Workspace, error) bool) {
					wait(ctx, "changes")
					yield(masu.Workspace{}, ctx.Err())
				}
			},
			whoami: func(context.Context) (masu.Hello, error) { return masu.Hello{Actor: a}, nil },
		}
	}
}

// goings starts everything that lasts, and gives what tells that each has ended.
func goings(ctx context.Context, c *Client) map[string]<-chan struct{} {
	all := map[string]<-chan struct{}{}
	for what, f := range map[string]func(){
		"exec": func() { _, _ = c.Exec(ctx, "w", masu.Exec{Argv: []string{"sh"}}) },
		"run": func() {
			_, _ = c.Run(ctx, masu.RunRequest{Exec: masu.Exec{Argv: []string{"sh"}}}, func(masu.Progress) {})
		},
		"logs":    func() { _ = c.Logs(ctx, "w", io.Discard, true) },
		"changes": func() { c.Changes(ctx)(func(_ masu.Workspace, err error) bool { return err == nil }) },
	} {
		ended := make(chan struct{})
		go func() { defer close(ended); f() }()
		all[what] = ended
	}
	return all
}

// TestShutOut: when a member is shut out, what they have open at the socket ends, and nobody else's does.
func TestShutOut(t *testing.T) {
	began := make(chan string, 16)
	d := openDoor(t, me(), endless(began), nil)
	going := goings(t.Context(), d.client(t, ClientOptions{}))
	for range going {
		<-began
	}
	endings := d.Gate.(gate).endings
	endings <- masu.Ending{Session: "a browser's"}
	endings <- masu.Ending{Member: "somebody-else"}
	endings <- masu.Ending{Token: "someone's"} // when it is taken, those before it have been seen to
	for what, ended := range going {
		select {
		case <-ended:
			t.Errorf("%s has ended with somebody else", what)
		default:
		}
	}
	h, err := d.client(t, ClientOptions{}).Whoami(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	endings <- masu.Ending{Member: h.Actor.Name}
	for _, ended := range going {
		<-ended
	}
}

// fickle is a gate that shuts a member out just after it has let them in.
type fickle struct {
	tokens
	asked *atomic.Int32
	shut  func()
}

func (g fickle) ByToken(ctx context.Context, secret string) (masu.User, masu.Token, error) {
	if g.asked.Add(1) > 1 {
		return masu.User{}, masu.Token{}, masu.E(masu.Denied, "signin_wrong")
	}
	defer g.shut()
	return g.tokens.ByToken(ctx, secret)
}

// TestTokenEnds: what came by a token ends when it is deleted or has expired, also when that happens while the gate is asked.
func TestTokenEnds(t *testing.T) {
	began := make(chan string, 16)
	open := func(gate func(*Server) masu.Gate, secret string) (*Server, *Client) {
		s, err := NewServer(ServerConfig{Identify: peerUID, Gate: tokens{}, Accounts: accounts{}, As: endless(began), Version: "test", Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		s.Gate = gate(s)
		web := httptest.NewServer(s.TokenHandler())
		t.Cleanup(web.Close)
		c, err := Open(web.URL, secret)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		return s, c
	}
	known := tokens{known: map[string]masu.Token{
		"masu_a": {ID: "a", User: "alice", Scope: masu.ScopeRead}, "masu_b": {ID: "b", User: "alice", Scope: masu.ScopeRead},
		"masu_late": {ID: "late", User: "alice", Scope: masu.ScopeRead, Expires: time.Now().Add(time.Second)},
	}}
	changes := func(c *Client) <-chan error {
		ended := make(chan error, 1)
		go func() {
			var last error
			for _, err := range c.Changes(t.Context()) {
				last = err
			}
			ended <- last
		}()
		return ended
	}
	s, c := open(func(*Server) masu.Gate { return known }, "masu_a")
	ended := changes(c)
	<-began
	s.lives.ended(masu.Ending{Token: "b"})
	select {
	case err := <-ended:
		t.Errorf("it has ended with another token: %v", err)
	default:
	}
	s.lives.ended(masu.Ending{Token: "a"})
	<-ended

	_, c = open(func(*Server) masu.Gate { return known }, "masu_late")
	ended = changes(c)
	<-began
	<-ended // by the clock

	_, c = open(func(s *Server) masu.Gate {
		return fickle{known, new(atomic.Int32), func() { s.lives.ended(masu.Ending{Member: "alice"}) }}
	}, "masu_b")
	if err := <-changes(c); masu.CodeOf(err) != "token_needed" {
		t.Errorf("shut out while the gate was asked: %v", err)
	}
}
