package api

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/masu-lab/masu"
)

// dialAs connects as another user. Credentials belong to threads: this one
// changes its own and, locked to a goroutine that ends, dies with it.
func dialAs(socket string, uid int) (net.Conn, error) {
	type result struct {
		conn net.Conn
		err  error
	}
	done := make(chan result)
	go func() {
		runtime.LockOSThread()
		conn, err := func() (net.Conn, error) {
			if _, _, e := unix.RawSyscall(unix.SYS_SETRESUID, uintptr(uid), uintptr(uid), uintptr(uid)); e != 0 {
				return nil, e
			}
			fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
			if err != nil {
				return nil, err
			}
			f := os.NewFile(uintptr(fd), "socket")
			defer f.Close()
			if err := unix.Connect(fd, &unix.SockaddrUnix{Name: socket}); err != nil {
				return nil, err
			}
			return net.FileConn(f)
		}()
		done <- result{conn, err}
	}()
	r := <-done
	return r.conn, r.err
}

var villagers = people{
	0:     {Name: "root", Admin: true},
	30998: {Name: "bob", UID: 30998},
	30999: {Name: "alice", UID: 30999},
}

// whoIs answers with the actor.
func whoIs(a masu.Actor) masu.Service {
	return stub{whoami: func(context.Context) (masu.Hello, error) { return masu.Hello{Actor: a}, nil }}
}

func TestTheKernelSaysWhoAsks(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can be somebody else")
	}
	d := openDoor(t, villagers, whoIs, nil)
	for _, c := range []struct {
		uid  int
		as   masu.Username
		want masu.Username
		kind masu.Kind
		code string
	}{
		{uid: 30998, want: "bob"},
		{uid: 30999, want: "alice"},
		{uid: 0, want: "root"},
		{uid: 0, as: "alice", want: "alice"},
		{uid: 30998, as: "bob", want: "bob"},
		{uid: 30998, as: "alice", kind: masu.Denied, code: "as_denied"},
		{uid: 30998, as: "root", kind: masu.Denied, code: "as_denied"},
		{uid: 30997, kind: masu.Denied, code: "not_a_member"},
		{uid: 30997, as: "alice", kind: masu.Denied, code: "not_a_member"},
		{uid: 0, as: "nobody-here", kind: masu.NotFound, code: "no_account"},
	} {
		cl := NewClient(func(context.Context) (net.Conn, error) { return dialAs(d.socket, c.uid) }, ClientOptions{As: c.as})
		h, err := cl.Whoami(t.Context())
		if err == nil && c.code != "" || err != nil && (masu.KindOf(err) != c.kind || masu.CodeOf(err) != c.code) || h.Actor.Name != c.want {
			t.Errorf("uid %d as %q is %q, %v; want %q %s", c.uid, c.as, h.Actor.Name, err, c.want, c.code)
		}
		if err == nil && h.Actor.Door != masu.DoorSocket {
			t.Errorf("the door is %q", h.Actor.Door)
		}
		_ = cl.Close()
	}
}

// TestForgedHeaders: no header makes bob somebody else (U1).
func TestForgedHeaders(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can be somebody else")
	}
	d := openDoor(t, villagers, whoIs, nil)
	c := &http.Client{Transport: &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
		return dialAs(d.socket, 30998)
	}}}
	defer c.CloseIdleConnections()
	for _, h := range []string{"X-Remote-User", "Remote-User", "X-Forwarded-User", "X-Forwarded-For", "Forwarded", "Authorization", "Cookie", "X-Uid", "Masu-User", "Masu-Uid"} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://root@masu/v1/whoami?as=root&user=root", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set(h, "root")
		answer, err := c.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		var hello masu.Hello
		err = errors.Join(json.NewDecoder(answer.Body).Decode(&hello), answer.Body.Close())
		if err != nil || hello.Actor.Name != "bob" || hello.Actor.Admin {
			t.Errorf("with %s: root bob is %+v, %v", h, hello.Actor, err)
		}
	}
}

func TestIdentityThatCannotBeHad(t *testing.T) {
	inBox := masu.E(masu.Denied, "peer_in_container")
	for _, c := range []struct {
		err  error
		code string
	}{{inBox, "peer_in_container"}, {errors.New("no such process"), "peer_unknown"}} {
		d := openDoor(t, villagers, whoIs, func(s *Server) { s.Identify = func(*net.UnixConn) (int, error) { return 0, c.err } })
		_, err := d.client(t, ClientOptions{}).Whoami(t.Context())
		if masu.KindOf(err) != masu.Denied || masu.CodeOf(err) != c.code {
			t.Errorf("got %v, want %s", err, c.code)
		}
	}
}

// TestTCPHasNoIdentity: served over TCP by mistake, no route lets anybody in (U3).
func TestTCPHasNoIdentity(t *testing.T) {
	d := openDoor(t, villagers, whoIs, nil)
	srv := httptest.NewUnstartedServer(d.handler)
	srv.Config.ConnContext = d.identify
	srv.Start()
	defer srv.Close()
	for _, route := range []string{"GET whoami", "POST read", "POST up", "POST stop", "POST remove", "GET workspace", "GET workspaces", "GET watch",
		"GET changes", "POST build", "GET images", "POST images/remove", "POST images/prune", "POST password", "POST lang", "POST link",
		"GET logs", "POST exec", "POST run", "POST dial"} {
		method, path, _ := strings.Cut(route, " ")
		r, err := http.NewRequestWithContext(t.Context(), method, srv.URL+"/v1/"+path, strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", typeJSON)
		r.Header.Set(headerAs, "alice")
		answer, err := srv.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		b, _ := io.ReadAll(answer.Body)
		_ = answer.Body.Close()
		if answer.StatusCode != http.StatusForbidden || !strings.Contains(string(b), "peer_unknown") {
			t.Errorf("%s over TCP: %s %s", route, answer.Status, b)
		}
	}
}

// TestIdentityIsAskedOnce: one connection, one question, however many calls.
func TestIdentityIsAskedOnce(t *testing.T) {
	asked := make(chan struct{}, 10)
	d := openDoor(t, villagers, whoIs, func(s *Server) {
		s.Identify = func(*net.UnixConn) (int, error) { asked <- struct{}{}; return 0, nil }
	})
	c := d.client(t, ClientOptions{})
	for range 5 {
		if _, err := c.Whoami(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if len(asked) != 1 {
		t.Errorf("asked %d times", len(asked))
	}
}
