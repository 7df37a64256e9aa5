package api

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/masu-lab/masu"
	"github.com/masu-lab/masu/internal/masutest"
)

const patience = time.Minute

// people is everybody whom the tests' doors know.
type people map[int]masu.User

func (p people) ByUID(_ context.Context, uid int) (masu.User, error) {
	if u, ok := p[uid]; ok {
		return u, nil
	}
	return masu.User{}, masu.E(masu.Denied, "not_a_member")
}

// gate is masu.Gate as far as the socket needs it.
type gate struct {
	masu.Gate
	people
}

func (g gate) ByUID(ctx context.Context, uid int) (masu.User, error) { return g.people.ByUID(ctx, uid) }

type accounts struct{ people }

func (a accounts) ByUID(uid int) (masu.User, error) { return a.people.ByUID(context.Background(), uid) }

func (a accounts) ByName(name masu.Username) (masu.User, error) {
	for _, u := range a.people {
		if u.Name == name {
			return u, nil
		}
	}
	return masu.User{}, masu.E(masu.NotFound, "no_account", name)
}

// peerUID is the kernel's word.
func peerUID(c *net.UnixConn) (uid int, err error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return 0, err
	}
	err = errors.Join(raw.Control(func(fd uintptr) {
		var u *unix.Ucred
		if u, err = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED); err == nil {
			uid = int(u.Uid)
		}
	}))
	return uid, err
}

// door is a server on a socket.
type door struct {
	*Server
	socket string
	stop   func() // and wait until it has stopped
}

// openDoor serves what as gives. change may alter the server before it starts.
func openDoor(t testing.TB, known people, as func(masu.Actor) masu.Service, change func(*Server)) *door {
	t.Helper()
	s, err := NewServer(ServerConfig{
		Identify: peerUID, Gate: gate{nil, known}, Accounts: accounts{known}, As: as, Version: "v1.2.3", Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	if change != nil {
		change(s)
	}
	dir, err := os.MkdirTemp("", "api") // t.TempDir is too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	d := &door{Server: s, socket: filepath.Join(dir, "masu.sock")}
	l, err := Listen(d.socket, 0o666)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context())) // clean-ups of others come before its own
	served := make(chan error, 1)
	go func() { served <- d.Serve(ctx, l) }()
	d.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-served; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	t.Cleanup(d.stop)
	return d
}

func (d *door) client(t *testing.T, o ClientOptions) *Client {
	t.Helper()
	c, err := Dial(t.Context(), d.socket, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// me is a member who is whoever runs the tests.
func me() people {
	return people{os.Getuid(): {Name: "alice", UID: os.Getuid(), GID: os.Getgid(), Home: "/home/alice"}}
}

// connect serves one service and gives it back as it comes over the wire.
func connect(t *testing.T, svc masu.Service) *Client {
	t.Helper()
	return openDoor(t, me(), func(masu.Actor) masu.Service { return svc }, nil).client(t, ClientOptions{})
}

// TestService: over the wire, a service passes the suite that it passes without.
func TestService(t *testing.T) {
	lab := masutest.NewService()
	t.Cleanup(func() { _ = lab.Close() })
	masutest.Service(t, func(t *testing.T, a masu.Actor) masu.Service {
		d := openDoor(t, people{a.UID: a.User}, lab.As, func(s *Server) {
			s.Identify = func(*net.UnixConn) (int, error) { return a.UID, nil }
		})
		return d.client(t, ClientOptions{})
	})
}

// stub is a service whose methods the test gives; others panic.
type stub struct {
	masu.Service
	whoami  func(context.Context) (masu.Hello, error)
	exec    func(context.Context, string, masu.Exec) (int, error)
	run     func(context.Context, masu.RunRequest, func(masu.Progress)) (int, error)
	build   func(context.Context, masu.BuildWish, func(masu.Progress)) (masu.Image, error)
	watch   func(context.Context, string) iter.Seq2[masu.Progress, error]
	changes func(context.Context) iter.Seq2[masu.Workspace, error]
	logs    func(context.Context, string, io.Writer, bool) error
	dial    func(context.Context, string, int) (net.Conn, error)
}

func (s stub) Whoami(ctx context.Context) (masu.Hello, error) { return s.whoami(ctx) }
func (s stub) Exec(ctx context.Context, name string, e masu.Exec) (int, error) {
	return s.exec(ctx, name, e)
}
func (s stub) Run(ctx context.Context, r masu.RunRequest, p func(masu.Progress)) (int, error) {
	return s.run(ctx, r, p)
}
func (s stub) Build(ctx context.Context, r masu.BuildWish, p func(masu.Progress)) (masu.Image, error) {
	return s.build(ctx, r, p)
}
func (s stub) Watch(ctx context.Context, name string) iter.Seq2[masu.Progress, error] {
	return s.watch(ctx, name)
}
func (s stub) Changes(ctx context.Context) iter.Seq2[masu.Workspace, error] { return s.changes(ctx) }
func (s stub) Logs(ctx context.Context, name string, w io.Writer, follow bool) error {
	return s.logs(ctx, name, w, follow)
}
func (s stub) Dial(ctx context.Context, name string, port int) (net.Conn, error) {
	return s.dial(ctx, name, port)
}

// TestErrorsKeepTheirForm: kind, code and arguments arrive in every way of
// answering; the cause stays in the daemon.
func TestErrorsKeepTheirForm(t *testing.T) {
	for kind, status := range statuses {
		if status < 400 || kind.String() == "" {
			t.Errorf("%v has the status %d", kind, status)
		}
		want := masu.E(kind, "some_code", "/home/alice/卒論", "a b").Because(errors.New("a secret of the daemon"))
		fail := func(context.Context) error { return fmt.Errorf("wrapped: %w", want) }
		c := connect(t, stub{
			whoami: func(ctx context.Context) (masu.Hello, error) { return masu.Hello{}, fail(ctx) },
			exec:   func(ctx context.Context, _ string, _ masu.Exec) (int, error) { return -1, fail(ctx) },
			dial:   func(ctx context.Context, _ string, _ int) (net.Conn, error) { return nil, fail(ctx) },
			logs: func(ctx context.Context, _ string, w io.Writer, follow bool) error {
				if follow { // once after the answer has begun
					_, _ = io.WriteString(w, "a line\n")
				}
				return fail(ctx)
			},
			build: func(ctx context.Context, _ masu.BuildWish, p func(masu.Progress)) (masu.Image, error) {
				p(masu.Progress{Line: "a line"})
				return masu.Image{}, fail(ctx)
			},
			watch: func(ctx context.Context, _ string) iter.Seq2[masu.Progress, error] {
				return func(yield func(masu.Progress, error) bool) { yield(masu.Progress{}, fail(ctx)) }
			},
		})
		ctx := t.Context()
		_, whoami := c.Whoami(ctx)
		_, exec := c.Exec(ctx, "w", masu.Exec{})
		_, dial := c.Dial(ctx, "w", 1)
		_, build := c.Build(ctx, masu.BuildWish{}, nil)
		var watch error
		for _, watch = range c.Watch(ctx, "w") {
		}
		for what, err := range map[string]error{"whoami": whoami, "exec": exec, "dial": dial, "build": build, "watch": watch,
			"logs": c.Logs(ctx, "w", io.Discard, false), "logs that have begun": c.Logs(ctx, "w", io.Discard, true)} {
			e, ok := errors.AsType[*masu.Error](err)
			if !ok || e.Kind != want.Kind || e.Code != want.Code || !reflect.DeepEqual(e.Args, want.Args) || strings.Contains(err.Error(), "secret") {
				t.Errorf("%s, %v: got %v", what, kind, err)
			}
		}
	}
}

func TestAnErrorThatIsNotForPeople(t *testing.T) {
	c := connect(t, stub{whoami: func(context.Context) (masu.Hello, error) { return masu.Hello{}, errors.New("open /etc/shadow: no") }})
	_, err := c.Whoami(t.Context())
	if masu.KindOf(err) != masu.Internal || masu.CodeOf(err) != "internal" || strings.Contains(err.Error(), "shadow") {
		t.Errorf("got %v", err)
	}
}

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

func TestExecCarriesAll(t *testing.T) {
	var got masu.Exec
	sizes := make(chan masu.WinSize, 2)
	c := connect(t, stub{exec: func(_ context.Context, name string, e masu.Exec) (int, error) {
		got = e
		if name != "alice/thesis" || e.Stdin != nil {
			t.Errorf("name %q, stdin %v", name, e.Stdin)
		}
		fmt.Fprint(e.Stdout, "out")
		fmt.Fprint(e.Stderr, "err")
		for range 2 {
			sizes <- <-e.Resize
		}
		return 300, nil
	}})
	resize := make(chan masu.WinSize)
	var out, errOut strings.Builder
	go func() {
		for _, s := range []masu.WinSize{{Rows: 1, Cols: 65535}, {Rows: 24, Cols: 80}} {
			resize <- s
			if have := <-sizes; have != s {
				t.Errorf("resized to %+v, want %+v", have, s)
			}
		}
	}()
	e := masu.Exec{Argv: []string{"a", "", "日本"}, Dir: "/d", Env: []string{"K=v"}, Root: true, TTY: true,
		Size: masu.WinSize{Rows: 5, Cols: 6}, Resize: resize, Stdout: &out, Stderr: &errOut}
	code, err := c.Exec(t.Context(), "alice/thesis", e)
	if code != 300 || err != nil || out.String() != "out" || errOut.String() != "err" {
		t.Errorf("%d, %v, %q, %q", code, err, out.String(), errOut.String())
	}
	if !reflect.DeepEqual(specOf(got), specOf(e)) {
		t.Errorf("got %+v, want %+v", got, e)
	}
	for _, want := range []int{-1, 255, -1 << 31, 1<<31 - 1} {
		c := connect(t, stub{exec: func(context.Context, string, masu.Exec) (int, error) { return want, nil }})
		if code, err := c.Exec(t.Context(), "w", masu.Exec{}); code != want || err != nil {
			t.Errorf("exit code %d came as %d, %v", want, code, err)
		}
	}
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

func TestProgressArrives(t *testing.T) {
	told := []masu.Progress{
		{At: time.Unix(1, 2).UTC(), Step: "s", Name: "RUN make", State: masu.StepRunning, Line: strings.Repeat("long ", 50_000), Current: 1, Total: 2},
		{Code: "some_code", Args: []string{"a", "b"}},
	}
	tell := func(p func(masu.Progress)) {
		for _, t := range told {
			p(t)
		}
	}
	image := masu.Image{ID: "sha256:1", Refs: []masu.ImageRef{"a"}, Size: masu.GiB, Labels: map[string]string{"k": "v"}}
	request := masu.RunRequest{Dir: "/d", Image: "i", Preset: "p", Name: "n", Want: &masu.Want{Count: 2}}
	c := connect(t, stub{
		build: func(_ context.Context, w masu.BuildWish, p func(masu.Progress)) (masu.Image, error) {
			if w != (masu.BuildWish{Dir: "/d", NoCache: true}) {
				t.Errorf("the wish is %+v", w)
			}
			tell(p)
			return image, nil
		},
		run: func(_ context.Context, r masu.RunRequest, p func(masu.Progress)) (int, error) {
			if r.Dir != request.Dir || r.Image != request.Image || r.Preset != request.Preset || r.Name != request.Name || *r.Want != *request.Want || len(r.Exec.Argv) != 1 {
				t.Errorf("the request is %+v", r)
			}
			tell(p)
			_, err := io.WriteString(r.Exec.Stdout, "out")
			return 4, err
		},
	})
	var got []masu.Progress
	have, err := c.Build(t.Context(), masu.BuildWish{Dir: "/d", NoCache: true}, func(p masu.Progress) { got = append(got, p) })
	if err != nil || !reflect.DeepEqual(have, image) || !reflect.DeepEqual(got, told) {
		t.Errorf("build: %+v, %v, %+v", have, err, got)
	}
	got = nil
	var out strings.Builder
	request.Exec = masu.Exec{Argv: []string{"x"}, Stdout: &out}
	code, err := c.Run(t.Context(), request, func(p masu.Progress) { got = append(got, p) })
	if code != 4 || err != nil || !reflect.DeepEqual(got, told) || out.String() != "out" {
		t.Errorf("run: %d, %v, %+v, %q", code, err, got, out.String())
	}
}

// TestDialHalfClose: bytes go both ways, far more than any buffer holds, and
// the end of one direction arrives while the other still flows.
func TestDialHalfClose(t *testing.T) {
	lab := masutest.NewService()
	t.Cleanup(func() { _ = lab.Close() })
	alice := lab.As(masu.Actor{User: me()[os.Getuid()]})
	if _, err := alice.Up(t.Context(), masu.UpRequest{Dir: t.TempDir(), Name: "w"}); err != nil {
		t.Fatal(err)
	}
	for range alice.Watch(t.Context(), "w") {
	}
	conn, err := connect(t, alice).Dial(t.Context(), "w", masutest.EchoPort)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	in, out := sha256.New(), sha256.New()
	var sending sync.WaitGroup
	sending.Go(func() {
		_, err := io.Copy(conn, io.TeeReader(io.LimitReader(rand.Reader, 10<<20), in))
		if err := errors.Join(err, conn.(interface{ CloseWrite() error }).CloseWrite()); err != nil {
			t.Error(err)
		}
	})
	n, err := io.Copy(out, conn) // ends: the echo has seen our end, and we see its
	sending.Wait()
	if n != 10<<20 || err != nil || string(in.Sum(nil)) != string(out.Sum(nil)) {
		t.Errorf("%d bytes came back, %v; the same: %t", n, err, string(in.Sum(nil)) == string(out.Sum(nil)))
	}
}

// TestServerSpeaksFirst: bytes that come along with the answer's head are not lost.
func TestServerSpeaksFirst(t *testing.T) {
	c := connect(t, stub{dial: func(context.Context, string, int) (net.Conn, error) {
		near, far := net.Pipe()
		go func() {
			_, _ = io.WriteString(far, "SSH-2.0-box\r\n")
			_ = far.Close()
		}()
		return near, nil
	}})
	for range 20 {
		conn, err := c.Dial(t.Context(), "w", 22)
		if err != nil {
			t.Fatal(err)
		}
		if b, err := io.ReadAll(conn); string(b) != "SSH-2.0-box\r\n" || err != nil {
			t.Errorf("got %q, %v", b, err)
		}
		_ = conn.Close()
	}
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
