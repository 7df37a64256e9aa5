package proxy

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"testing"

	"github.com/coder/websocket"
)

// parrot is a WebSocket app that repeats what it hears; it begins by telling its cookies.
func parrot(w http.ResponseWriter, r *http.Request) {
	w.Header().Add("Set-Cookie", "masu_session=stolen; Path=/")
	w.Header().Add("Set-Cookie", "fine=1")
	c, err := websocket.Accept(w, r, &websocket.AcceptOptions{InsecureSkipVerify: true})
	if err != nil {
		return
	}
	defer c.CloseNow()
	c.SetReadLimit(-1)
	if c.Write(r.Context(), websocket.MessageText, fmt.Appendf(nil, "%q", r.Header["Cookie"])) != nil {
		return
	}
	for {
		kind, b, err := c.Read(r.Context())
		if err != nil || c.Write(r.Context(), kind, b) != nil {
			return
		}
	}
}

func (r *rig) socket(t testing.TB) (*websocket.Conn, *http.Response) {
	t.Helper()
	c, resp, err := websocket.Dial(t.Context(), "ws"+strings.TrimPrefix(r.URL, "http")+"/ws", &websocket.DialOptions{
		HTTPHeader: http.Header{"Origin": {r.origin}, "Cookie": {"masu_app=x; other=1"}}})
	if err != nil {
		t.Fatal(err)
	}
	c.SetReadLimit(-1)
	t.Cleanup(func() { c.CloseNow() })
	return c, resp
}

func TestWebSocket(t *testing.T) {
	r := newRig(t, http.HandlerFunc(parrot))
	c, resp := r.socket(t)
	if set := resp.Header["Set-Cookie"]; len(set) != 1 || set[0] != "fine=1" {
		t.Errorf("the handshake set %q", set)
	}
	_, b, err := c.Read(t.Context())
	if err != nil || string(b) != `["other=1"]` {
		t.Fatalf("cookies at the app: %s %v", b, err)
	}
	for _, size := range []int{0, 1, 125, 70_000, 5 << 20} {
		want := bytes.Repeat([]byte("x"), size)
		if err := c.Write(t.Context(), websocket.MessageBinary, want); err != nil {
			t.Fatal(err)
		}
		if _, got, err := c.Read(t.Context()); err != nil || !bytes.Equal(got, want) {
			t.Fatalf("of %d bytes came back %d: %v", size, len(got), err)
		}
	}
	if n := r.asked.Load(); n != 1 {
		t.Errorf("Authorize was asked %d times", n)
	}
	if err := c.Close(websocket.StatusNormalClosure, ""); err != nil {
		t.Errorf("closing: %v", err)
	}
}

const handshake = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"

// TestWordsWithTheHandshake: what either side says in one packet with the
// handshake reaches the other.
func TestWordsWithTheHandshake(t *testing.T) {
	heard := make(chan string, 1)
	r := rigTo(t, rawApp(t, func(c net.Conn, br *bufio.Reader) {
		if _, err := http.ReadRequest(br); err != nil {
			return
		}
		_, _ = io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: WebSocket\r\n\r\nhello browser")
		b := make([]byte, 9)
		_, _ = io.ReadFull(br, b)
		heard <- string(b)
	}))
	_, br := r.raw(t, "GET / HTTP/1.1\r\nHost: x\r\nOrigin: "+r.origin+"\r\n"+handshake+"\r\nhello app")
	resp, err := http.ReadResponse(br, nil)
	if err != nil || resp.StatusCode != 101 {
		t.Fatalf("%v %v", resp, err)
	}
	if b, _ := io.ReadAll(br); string(b) != "hello browser" {
		t.Errorf("the browser heard %q", b)
	}
	if h := <-heard; h != "hello app" {
		t.Errorf("the app heard %q", h)
	}
}

func TestHandshakeThatTheAppRefuses(t *testing.T) {
	for answer, status := range map[string]int{
		"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\nSet-Cookie: masu_app=x\r\n\r\nno":                        403,
		"HTTP/1.1 426 Upgrade Required\r\nContent-Length: 0\r\nSec-WebSocket-Version: 13\r\n\r\n":                426,
		"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\nHTTP/1.1 200 OK\r\n\r\n": 502,
		"": 502,
	} {
		r := rigTo(t, rawApp(t, func(c net.Conn, br *bufio.Reader) {
			if _, err := http.ReadRequest(br); err == nil {
				_, _ = io.WriteString(c, answer)
			}
		}))
		_, br := r.raw(t, "GET / HTTP/1.1\r\nHost: x\r\nOrigin: "+r.origin+"\r\n"+handshake+"\r\n")
		resp, err := http.ReadResponse(br, nil)
		if err != nil || resp.StatusCode != status || resp.Header["Set-Cookie"] != nil {
			t.Errorf("%q: %v %v", answer, resp, err)
		}
	}
}

// TestSocketsEnd: whoever ends it, nothing is left over.
func TestSocketsEnd(t *testing.T) {
	for name, end := range map[string]func(r *rig, c *websocket.Conn, app context.CancelFunc){
		"the browser": func(_ *rig, c *websocket.Conn, _ context.CancelFunc) { c.CloseNow() },
		"the app":     func(_ *rig, _ *websocket.Conn, app context.CancelFunc) { app() },
		"the session": func(r *rig, _ *websocket.Conn, _ context.CancelFunc) { r.end() },
	} {
		t.Run(name, func(t *testing.T) {
			before := runtime.NumGoroutine()
			ctx, app := context.WithCancel(t.Context())
			left := make(chan struct{})
			r := newRig(t, http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
				defer close(left)
				c, err := websocket.Accept(w, q, &websocket.AcceptOptions{InsecureSkipVerify: true})
				if err != nil {
					return
				}
				stop := context.AfterFunc(ctx, func() { c.CloseNow() })
				defer stop()
				_, _, _ = c.Read(q.Context())
			}))
			c, _ := r.socket(t)
			end(r, c, app)
			if _, _, err := c.Read(t.Context()); err == nil {
				t.Error("the socket still speaks")
			}
			app()
			<-left
			c.CloseNow()
			r.Close()
			eventually(t, "its goroutines are gone", func() bool { return runtime.NumGoroutine() <= before+2 })
		})
	}
}

// TestHalfClosed: one side may have said all while the other still speaks.
func TestHalfClosed(t *testing.T) {
	r := rigTo(t, rawApp(t, func(c net.Conn, br *bufio.Reader) {
		if _, err := http.ReadRequest(br); err != nil {
			return
		}
		_, _ = io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
		b, _ := io.ReadAll(br)
		_, _ = io.WriteString(c, "you said "+string(b))
	}))
	c, br := r.raw(t, "GET / HTTP/1.1\r\nHost: x\r\nOrigin: "+r.origin+"\r\n"+handshake+"\r\n")
	if resp, err := http.ReadResponse(br, nil); err != nil || resp.StatusCode != 101 {
		t.Fatal(resp, err)
	}
	_, _ = io.WriteString(c, "all")
	_ = c.(*net.TCPConn).CloseWrite()
	if b, _ := io.ReadAll(br); string(b) != "you said all" {
		t.Errorf("%q", b)
	}
}
