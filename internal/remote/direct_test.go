package remote

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"testing"

	"github.com/masu-lab/masu"
)

// daemon is a far end's: it answers each question with the question's path.
func (h *house) daemon() (stop func()) {
	h.t.Helper()
	_ = os.Remove(h.at("masu.sock"))
	l, err := net.Listen("unix", h.at("masu.sock"))
	if err != nil {
		h.t.Fatal(err)
	}
	s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.URL.Path) })}
	go func() { _ = s.Serve(l) }()
	h.t.Cleanup(func() { _ = s.Close() })
	return func() { _ = s.Close() }
}

// ask asks for a path on a connection.
func ask(c net.Conn, method string) error {
	if _, err := io.WriteString(c, method+" /word HTTP/1.0\r\n\r\n"); err != nil {
		return err
	}
	answer, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if b, err := io.ReadAll(answer.Body); err != nil || string(b) != "/word" {
		return fmt.Errorf("heard %q, %w", b, err)
	}
	return nil
}

// TestMain is the test, or where the variable is set a far masu that carries bytes to a socket.
func TestMain(m *testing.M) {
	socket := os.Getenv("MASU_TEST_RELAY")
	if socket == "" {
		os.Exit(m.Run())
	}
	c, err := net.Dial("unix", socket)
	if err != nil {
		os.Exit(1)
	}
	_ = Greet(os.Stdout, socket, nil)
	go func() { _, _ = io.Copy(c, os.Stdin) }() // ends with the process
	_, _ = io.Copy(os.Stdout, c)
}

// relay makes the far masu one that names its daemon and carries bytes to it.
func (h *house) relay() {
	h.t.Helper()
	self, err := os.Executable()
	if err != nil {
		h.t.Fatal(err)
	}
	h.masu(fmt.Sprintf("MASU_TEST_RELAY=%s exec %s", h.at("masu.sock"), self))
}

// TestDirect: after the first command a shared connection leads straight to the
// daemon's socket, without another ssh and without the far end's masu.
func TestDirect(t *testing.T) {
	h := newHouse(t)
	h.daemon()
	h.relay()
	l := h.link(true)
	dial := func() net.Conn {
		t.Helper()
		c, err := l.Dial(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		return c
	}
	first := dial()
	if _, straight := first.(*directConn); straight {
		t.Error("the first command greets nobody")
	}
	if err := ask(first, "GET"); err != nil {
		t.Error(err)
	}
	h.masu("exit 1") // the far masu is not needed any more
	second := dial()
	if _, straight := second.(*directConn); !straight {
		t.Fatalf("the second command comes by %T", second)
	}
	if err := ask(second, "POST"); err != nil {
		t.Error(err)
	}
}

// TestDirectLost: a connection that went away under a command is made again for a
// question that changes nothing; what might change something is not asked twice.
func TestDirectLost(t *testing.T) {
	h := newHouse(t)
	stop := h.daemon()
	h.relay()
	l := h.link(true)
	straight := func() *directConn {
		t.Helper()
		for range 2 {
			c, err := l.Dial(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = c.Close() })
			if d, ok := c.(*directConn); ok {
				return d
			}
		}
		t.Fatal("there is no direct way")
		return nil
	}
	lost, changing := straight(), straight()
	if err := l.Hangup(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := ask(lost, "GET"); err != nil {
		t.Errorf("a question that changes nothing: %v", err)
	}
	if err := ask(changing, "POST"); err == nil || masu.CodeOf(err) != "internal" {
		t.Errorf("a question that may change something: %v", err)
	}
	ended := straight()
	stop()
	h.masu(`printf 'masu-dial/1 {"kind":"unreachable","code":"no_daemon","args":["/run/masu/masu.sock"]}\n'; exit 1`)
	if err := ask(ended, "POST"); masu.CodeOf(err) != "no_daemon" {
		t.Errorf("a daemon that has ended: %v", err)
	}
	closed := straight()
	_ = closed.Close()
	if err := ask(closed, "GET"); !errors.Is(err, net.ErrClosed) {
		t.Errorf("a connection that was closed: %v", err)
	}
}

// TestDirectRefused: a server that passes no sockets on is reached by sessions,
// and is asked once a connection.
func TestDirectRefused(t *testing.T) {
	h := newHouse(t)
	h.stop()
	h.extra = "AllowStreamLocalForwarding no\n"
	h.start()
	h.daemon()
	h.relay()
	l := h.link(true)
	for range 2 {
		c, err := l.Dial(context.WithoutCancel(t.Context()))
		if err != nil {
			t.Fatal(err)
		}
		if _, straight := c.(*directConn); straight {
			t.Error("it goes where it may not")
		}
		if err := ask(c, "GET"); err != nil {
			t.Error(err)
		}
		_ = c.Close()
		if info, err := os.Lstat(l.direct()); err != nil || !info.Mode().IsRegular() {
			t.Errorf("what is remembered: %v, %v", info, err)
		}
	}
}
