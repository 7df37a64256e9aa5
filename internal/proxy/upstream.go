package proxy

import (
	"bufio"
	"context"
	"errors"
	"math"
	"net"
	"net/http"
	"sync"
	"syscall"
	"time"
)

const (
	headMost  = 1 << 20          // bytes of an answer's head
	readSize  = 8 << 10          // bytes that a kept connection keeps ready
	idleMost  = 64               // kept connections of one app
	idleFor   = 15 * time.Second // how long one is kept; netns dials are cheap
	interim   = 8                // 1xx answers before the real one
	blockSize = 32 << 10         // bytes moved at once where the kernel does not do it
)

var (
	errHeadTooLarge = errors.New("proxy: the head of the app's answer is too large")
	errInterim      = errors.New("proxy: the app answers 1xx for ever")
)

// upstream is one connection to an app.
type upstream struct {
	conn  net.Conn // as Dial gave it, so that the kernel can move bytes from it
	br    *bufio.Reader
	left  int64  // bytes that may be read before the head must have ended
	head  []byte // room for the head of a request
	key   string
	since time.Time // when it became idle
	used  bool      // it has carried a request before
}

func newUpstream(conn net.Conn, key string) *upstream {
	u := &upstream{conn: conn, key: key}
	u.br = bufio.NewReaderSize(u, readSize)
	return u
}

// Read counts: an app must not fill masu's memory with the head of an answer.
func (u *upstream) Read(b []byte) (int, error) {
	if u.left <= 0 {
		return 0, errHeadTooLarge
	}
	if int64(len(b)) > u.left {
		b = b[:u.left]
	}
	n, err := u.conn.Read(b)
	u.left -= int64(n)
	return n, err
}

// answer reads the head of the answer to r.
func (u *upstream) answer(r *http.Request) (*http.Response, error) {
	for range interim {
		u.left = headMost
		resp, err := http.ReadResponse(u.br, r)
		if err != nil {
			return nil, err
		}
		if resp.StatusCode >= 200 || resp.StatusCode == http.StatusSwitchingProtocols {
			u.left = math.MaxInt64
			return resp, nil
		}
	}
	return nil, errInterim
}

// quiet tells whether an idle connection still stands: an app that has closed
// it, or has said something that nobody asked for, cannot be asked again.
func (u *upstream) quiet() bool {
	sc, ok := u.conn.(syscall.Conn)
	if !ok {
		return true
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return false
	}
	quiet := false
	err = raw.Read(func(fd uintptr) bool {
		var b [1]byte
		_, _, err := syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		quiet = errors.Is(err, syscall.EAGAIN)
		return true
	})
	return err == nil && quiet
}

// once tells which connection a request may have.
type once int

const (
	onQuiet once = iota // a kept one that still stands
	twice               // any kept one: the request can be asked twice
	onNew
)

// pool keeps idle connections, the last used first.
type pool struct {
	mu       sync.Mutex
	idle     map[string][]*upstream
	sweeping bool
}

// get gives a kept connection, or a new one. A request that cannot be asked
// twice gets no kept connection that the app has closed meanwhile.
func (p *pool) get(ctx context.Context, t Target, how once) (*upstream, error) {
	for how != onNew {
		u := p.take(t.Key)
		if u == nil {
			break
		}
		if how == twice || u.quiet() {
			return u, nil
		}
		_ = u.conn.Close() // the app has hung up
	}
	conn, err := t.Dial(ctx)
	if err != nil {
		return nil, err
	}
	return newUpstream(conn, t.Key), nil
}

func (p *pool) take(key string) *upstream {
	p.mu.Lock()
	defer p.mu.Unlock()
	list := p.idle[key]
	if len(list) == 0 {
		return nil
	}
	u := list[len(list)-1]
	list[len(list)-1] = nil
	p.idle[key] = list[:len(list)-1]
	return u
}

func (p *pool) put(u *upstream) {
	u.since, u.used = time.Now(), true
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.idle[u.key]) >= idleMost {
		_ = u.conn.Close() // enough are kept
		return
	}
	p.idle[u.key] = append(p.idle[u.key], u)
	if !p.sweeping {
		p.sweeping = true
		time.AfterFunc(idleFor, p.sweep)
	}
}

// sweep closes what has been idle for long; it comes again while anything is left.
func (p *pool) sweep() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for key, list := range p.idle {
		n := 0
		for n < len(list) && time.Since(list[n].since) >= idleFor {
			_ = list[n].conn.Close() // nobody has needed it
			n++
		}
		if n == len(list) {
			delete(p.idle, key)
		} else {
			p.idle[key] = append([]*upstream(nil), list[n:]...)
		}
	}
	if p.sweeping = len(p.idle) > 0; p.sweeping {
		time.AfterFunc(idleFor, p.sweep)
	}
}
