package api

import (
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
	endings chan masu.Ending
}

// Ended passes on what a test says has ended.
func (g gate) Ended(ctx context.Context) iter.Seq[masu.Ending] {
	return func(yield func(masu.Ending) bool) {
		for {
			select {
			case e := <-g.endings:
				if !yield(e) {
					return
				}
			case <-ctx.Done():
				return
			}
		}
	}
}

func (g gate) ByUID(ctx context.Context, uid int) (masu.User, error) { return g.people.ByUID(ctx, uid) }

type accounts struct{ people }

func (a accounts) ByUID(uid int) (masu.User, error) { return a.people.ByUID(context.Background(), uid) }

func (accounts) All() ([]masu.User, error) { return nil, nil }

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
		Identify: peerUID, Gate: gate{people: known, endings: make(chan masu.Ending)}, Accounts: accounts{known}, As: as, Version: "v1.2.3", Log: slog.New(slog.DiscardHandler),
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
