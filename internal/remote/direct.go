package remote

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"time"
)

// The direct way: the shared connection takes connections at a socket here and
// passes each on to the daemon's own at the far end, where sshd's process for
// this login connects to it: the kernel says whose it is, as it does of `masu
// dial-stdio`. A command then starts no ssh and no far masu; it costs one round trip.

// maxSocket is what the kernel takes for the path of a socket.
const maxSocket = 107

// mostAgain is how much of a question is kept to ask it again.
const mostAgain = 16 << 10

// direct is where the shared connection takes connections for the daemon.
func (l *Link) direct() string { return l.control() + ".sock" }

// plainPath tells whether a path can stand in a forward: ssh takes : and % for its own.
func plainPath(path string) bool {
	return strings.HasPrefix(path, "/") && len(path) <= maxSocket && goodName(strings.TrimPrefix(path, "/"), "/.-", maxSocket)
}

// openDirect makes the direct way of a connection, once, if the server lets it.
// One that does not (AllowStreamLocalForwarding) costs each command a session,
// and nothing else; a plain file in the socket's place remembers that.
func (l *Link) openDirect(ctx context.Context, far string) {
	if far == "" || !plainPath(l.direct()) || l.known() {
		return
	}
	unlock, err := lock(ctx, l.control()+".lock")
	if err != nil {
		return
	}
	defer unlock()
	if l.known() {
		return
	}
	forward := func(do string) error {
		args := append(l.client(), "-O", do, "-L", l.direct()+":"+far)
		return l.quiet().run(ctx, append(args, l.Server.args()...))
	}
	if forward("forward") == nil && l.answers(ctx) {
		return
	}
	_ = forward("cancel")
	_ = os.Remove(l.direct())
	if ctx.Err() == nil {
		_ = os.WriteFile(l.direct(), nil, 0o600)
	}
}

// known tells whether the direct way was tried on this connection.
func (l *Link) known() bool {
	_, err := os.Lstat(l.direct())
	return err == nil
}

// quiet is the same way without ssh's words: what fails is not needed.
func (l *Link) quiet() *Link {
	q := *l
	q.Words = io.Discard
	return &q
}

// answers tells whether somebody answers at the far end of the direct way: the
// socket here takes connections even where the server refuses to pass them on.
func (l *Link) answers(ctx context.Context) bool {
	c, err := (&net.Dialer{}).DialContext(ctx, "unix", l.direct())
	if err != nil {
		return false
	}
	defer c.Close()
	stop := context.AfterFunc(ctx, func() { _ = c.Close() })
	defer stop()
	_ = c.SetDeadline(time.Now().Add(connectTime * time.Second))
	if _, err := io.WriteString(c, "GET / HTTP/1.0\r\n\r\n"); err != nil {
		return false
	}
	_, err = c.Read(make([]byte, 1))
	return err == nil
}

// dialDirect connects by the direct way; false means that there is none now.
func (l *Link) dialDirect(ctx context.Context) (net.Conn, bool) {
	if !l.shared() {
		return nil, false
	}
	c, err := (&net.Dialer{}).DialContext(ctx, "unix", l.direct())
	if err != nil {
		return nil, false
	}
	d := &directConn{Conn: c, link: l, silent: true}
	d.ctx, d.cancel = context.WithCancel(context.WithoutCancel(ctx)) // its end is the connection's, not the dialling's
	return d, true
}

// directConn is a connection by the direct way. Nothing greets on it, so until
// the far end has said its first byte it may turn out to lead nowhere: after a
// sleep, or where the daemon has ended. A question that changes nothing is then
// asked again by the way that greets, and for another that way says what is wrong.
type directConn struct {
	net.Conn
	link   *Link
	ctx    context.Context
	cancel context.CancelFunc

	mu     sync.Mutex // guards Conn too, which is replaced once
	asked  []byte     // written so far, while it is silent
	silent bool
}

func (c *directConn) now() (net.Conn, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.Conn, c.silent
}

func (c *directConn) Read(p []byte) (int, error) {
	conn, silent := c.now()
	n, err := conn.Read(p)
	if !silent {
		return n, err
	}
	if n > 0 {
		c.mu.Lock()
		c.silent, c.asked = false, nil
		c.mu.Unlock()
		return n, err
	}
	if err = c.recover(conn, err); err != nil {
		return 0, err
	}
	conn, _ = c.now()
	return conn.Read(p)
}

func (c *directConn) Write(p []byte) (int, error) {
	c.mu.Lock()
	conn, silent := c.Conn, c.silent
	if silent && len(c.asked) <= mostAgain {
		c.asked = append(c.asked, p...)
	}
	c.mu.Unlock()
	n, err := conn.Write(p)
	if err == nil || !silent {
		return n, err
	}
	if err = c.recover(conn, err); err != nil {
		return n, err
	}
	return len(p), nil // asked again, with all that was kept
}

// recover puts a connection that greets in the place of one that led nowhere;
// of a reader and a writer the first does it.
func (c *directConn) recover(lost net.Conn, err error) error {
	if errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, net.ErrClosed) {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.Conn != lost {
		return nil
	}
	ctx, cancel := context.WithTimeout(c.ctx, 2*connectTime*time.Second)
	defer cancel()
	conn, why := c.link.dialSession(ctx)
	if why != nil {
		return why
	}
	if !bytes.HasPrefix(c.asked, []byte("GET ")) || len(c.asked) > mostAgain {
		_ = conn.Close()
		return err
	}
	if _, err := conn.Write(c.asked); err != nil {
		_ = conn.Close()
		return err
	}
	_ = lost.Close()
	c.Conn, c.silent, c.asked = conn, false, nil
	return nil
}

// CloseWrite ends what this end sends.
func (c *directConn) CloseWrite() error {
	conn, _ := c.now()
	if half, ok := conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return errors.ErrUnsupported
}

func (c *directConn) Close() error {
	c.cancel()
	conn, _ := c.now()
	return conn.Close()
}

func (c *directConn) SetDeadline(t time.Time) error {
	conn, _ := c.now()
	return conn.SetDeadline(t)
}

func (c *directConn) SetReadDeadline(t time.Time) error {
	conn, _ := c.now()
	return conn.SetReadDeadline(t)
}

func (c *directConn) SetWriteDeadline(t time.Time) error {
	conn, _ := c.now()
	return conn.SetWriteDeadline(t)
}
