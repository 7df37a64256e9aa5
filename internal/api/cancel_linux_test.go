package api

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"iter"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/masu-lab/masu"
)

// TestCancel: when the caller's context ends, so does the daemon's, whatever is going on.
func TestCancel(t *testing.T) {
	began, over := make(chan struct{}), make(chan struct{})
	wait := func(ctx context.Context) error {
		began <- struct{}{}
		<-ctx.Done()
		over <- struct{}{}
		return ctx.Err()
	}
	c := connect(t, stub{
		whoami: func(ctx context.Context) (masu.Hello, error) { return masu.Hello{}, wait(ctx) },
		exec:   func(ctx context.Context, _ string, _ masu.Exec) (int, error) { return -1, wait(ctx) },
		run:    func(ctx context.Context, _ masu.RunRequest, _ func(masu.Progress)) (int, error) { return -1, wait(ctx) },
		dial:   func(ctx context.Context, _ string, _ int) (net.Conn, error) { return nil, wait(ctx) },
		logs:   func(ctx context.Context, _ string, _ io.Writer, _ bool) error { return wait(ctx) },
		build: func(ctx context.Context, _ masu.BuildWish, p func(masu.Progress)) (masu.Image, error) {
			p(masu.Progress{Line: "a line"})
			return masu.Image{}, wait(ctx)
		},
		watch: func(ctx context.Context, _ string) iter.Seq2[masu.Progress, error] {
			return func(yield func(masu.Progress, error) bool) { yield(masu.Progress{}, wait(ctx)) }
		},
		changes: func(ctx context.Context) iter.Seq2[masu.Workspace, error] {
			return func(yield func(masu.Workspace, error) bool) {
				if yield(masu.Workspace{}, nil) {
					yield(masu.Workspace{}, wait(ctx))
				}
			}
		},
	})
	for what, call := range map[string]func(context.Context) error{
		"whoami": func(ctx context.Context) error { _, err := c.Whoami(ctx); return err },
		"exec":   func(ctx context.Context) error { _, err := c.Exec(ctx, "w", masu.Exec{}); return err },
		"run":    func(ctx context.Context) error { _, err := c.Run(ctx, masu.RunRequest{}, nil); return err },
		"dial":   func(ctx context.Context) error { _, err := c.Dial(ctx, "w", 1); return err },
		"logs":   func(ctx context.Context) error { return c.Logs(ctx, "w", io.Discard, true) },
		"build":  func(ctx context.Context) error { _, err := c.Build(ctx, masu.BuildWish{}, nil); return err },
		"watch": func(ctx context.Context) (err error) {
			for _, err = range c.Watch(ctx, "w") {
			}
			return err
		},
		"changes": func(ctx context.Context) (err error) {
			for _, err = range c.Changes(ctx) {
			}
			return err
		},
	} {
		ctx, cancel := context.WithCancel(t.Context())
		got := make(chan error, 1)
		go func() { got <- call(ctx) }()
		await(t, what+" begins", began)
		cancel()
		await(t, what+" ends in the daemon", over)
		if err := await(t, what+" returns", got); masu.KindOf(err) != masu.Cancelled || !errors.Is(err, context.Canceled) {
			t.Errorf("%s returned %v", what, err)
		}
	}
}

func await[T any](t *testing.T, what string, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(patience):
		t.Fatalf("waited in vain: %s", what)
		panic("unreachable")
	}
}

// TestLeavingEarly: a reader who has enough ends what was going on.
func TestLeavingEarly(t *testing.T) {
	over := make(chan struct{})
	c := connect(t, stub{changes: func(ctx context.Context) iter.Seq2[masu.Workspace, error] {
		return func(yield func(masu.Workspace, error) bool) {
			yield(masu.Workspace{Name: "one"}, nil)
			<-ctx.Done()
			close(over)
		}
	}})
	for w, err := range c.Changes(t.Context()) {
		if w.Name != "one" || err != nil {
			t.Errorf("got %+v, %v", w, err)
		}
		break
	}
	await(t, "the daemon notices", over)
}

// TestCallerGoneWhileInputWaits: nothing reads the command's input, so that the
// connection is full; that the caller has gone is noticed all the same.
func TestCallerGoneWhileInputWaits(t *testing.T) {
	began, over := make(chan struct{}), make(chan struct{})
	d := openDoor(t, me(), func(masu.Actor) masu.Service {
		return stub{exec: func(ctx context.Context, _ string, e masu.Exec) (int, error) {
			if _, err := io.ReadFull(e.Stdin, make([]byte, 10)); err != nil {
				t.Error(err)
			}
			close(began)
			<-ctx.Done()
			close(over)
			return -1, ctx.Err()
		}}
	}, func(s *Server) { s.ping = time.Millisecond })
	c := d.client(t, ClientOptions{})
	ctx, cancel := context.WithCancel(t.Context())
	got := make(chan error, 1)
	go func() {
		_, err := c.Exec(ctx, "w", masu.Exec{Stdin: io.LimitReader(rand.Reader, 100<<20)})
		got <- err
	}()
	await(t, "the command begins", began)
	cancel()
	await(t, "the command ends", over)
	await(t, "exec returns", got)
}

// TestWriterFails: who cannot take the output any more (`masu exec … | head`) ends the command.
func TestWriterFails(t *testing.T) {
	over := make(chan struct{})
	c := connect(t, stub{exec: func(ctx context.Context, _ string, e masu.Exec) (int, error) {
		defer close(over)
		for ctx.Err() == nil {
			if _, err := io.WriteString(e.Stdout, strings.Repeat("y\n", 1000)); err != nil {
				break
			}
		}
		return 0, nil
	}})
	r, w := io.Pipe()
	_ = r.Close()
	if _, err := c.Exec(t.Context(), "w", masu.Exec{Stdout: w}); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("got %v", err)
	}
	await(t, "the command ends", over)
}

// TestDaemonStops: Serve returns although calls are under way, and they learn why.
func TestDaemonStops(t *testing.T) {
	began := make(chan struct{}, 3)
	wait := func(ctx context.Context) error {
		began <- struct{}{}
		<-ctx.Done()
		return ctx.Err()
	}
	d := openDoor(t, me(), func(masu.Actor) masu.Service {
		return stub{
			exec: func(ctx context.Context, _ string, _ masu.Exec) (int, error) { return -1, wait(ctx) },
			changes: func(ctx context.Context) iter.Seq2[masu.Workspace, error] {
				return func(yield func(masu.Workspace, error) bool) { yield(masu.Workspace{}, wait(ctx)) }
			},
			dial: func(context.Context, string, int) (net.Conn, error) { a, _ := net.Pipe(); return a, nil },
		}
	}, nil)
	c := d.client(t, ClientOptions{})
	conn, err := c.Dial(t.Context(), "w", 1)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	got := make(chan error, 2)
	go func() { _, err := c.Exec(t.Context(), "w", masu.Exec{}); got <- err }()
	go func() {
		var err error
		for _, err = range c.Changes(t.Context()) {
		}
		got <- err
	}()
	for range 2 {
		await(t, "calls begin", began)
	}
	d.stop()
	stacks := make([]byte, 1<<20)
	if stacks = stacks[:runtime.Stack(stacks, true)]; bytes.Contains(stacks, []byte("api.(*Server)")) {
		t.Errorf("Serve has returned, and something of it goes on:\n%s", stacks)
	}
	for range 2 {
		if err := await(t, "calls end", got); masu.KindOf(err) != masu.Unreachable || masu.CodeOf(err) != "daemon_stopping" {
			t.Errorf("got %v", err)
		}
	}
	if _, err := io.ReadAll(conn); err != nil {
		t.Errorf("a connection into a box: %v", err)
	}
	if _, err := c.Whoami(t.Context()); masu.KindOf(err) != masu.Unreachable || masu.CodeOf(err) != "no_daemon" {
		t.Errorf("afterwards: %v", err)
	}
}
