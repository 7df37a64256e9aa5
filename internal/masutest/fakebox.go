package masutest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/masu-lab/masu"
)

// files are those of an image, a box or a volume, by absolute path; of a volume, by the path within it.
type files map[string][]byte

// fakeBox is one container of the fake's.
type fakeBox struct {
	id      masu.WorkspaceID
	box     masu.Box
	spec    string
	image   string
	handle  string
	started time.Time
	ended   time.Time
	code    int
	oom     bool
	files   files
	log     *fakeLog
	life    *life // nil unless it runs
}

// life is a box from its start to its end: processes and connections.
type life struct {
	ctx    context.Context
	cancel context.CancelFunc

	mu      sync.Mutex
	procs   map[int]context.CancelFunc
	lastPID int
	servers map[int]*pipeServer
}

func newLife() *life {
	ctx, cancel := context.WithCancel(context.Background())
	return &life{ctx: ctx, cancel: cancel, procs: map[int]context.CancelFunc{}, lastPID: 1, servers: map[int]*pipeServer{}}
}

func (l *life) end() {
	l.cancel()
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range l.servers {
		s.close()
	}
}

func (l *life) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.procs)
}

// begin registers a process; its context ends when it is killed, with its parent's.
func (l *life) begin(parent context.Context) (ctx context.Context, pid int, end func()) {
	ctx, cancel := context.WithCancel(parent)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lastPID++
	pid = l.lastPID
	l.procs[pid] = cancel
	return ctx, pid, func() {
		cancel()
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.procs, pid)
	}
}

// signal tells whether there was such a process; signal 0 only asks.
func (l *life) signal(pid int, ask bool) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	cancel, ok := l.procs[pid]
	if ok && !ask {
		cancel()
	}
	return ok
}

func (l *life) dial(id masu.WorkspaceID, port int, h http.Handler) net.Conn {
	l.mu.Lock()
	defer l.mu.Unlock()
	s, ok := l.servers[port]
	if !ok {
		s = newPipeServer(context.WithValue(l.ctx, boxKey{}, id), h)
		l.servers[port] = s
	}
	return s.dial()
}

// pipeServer serves HTTP over in-memory pipes, so that fakes also work where
// time is a test's own (testing/synctest).
type pipeServer struct {
	srv   http.Server
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once

	mu   sync.Mutex
	open []net.Conn
}

func newPipeServer(ctx context.Context, h http.Handler) *pipeServer {
	s := &pipeServer{conns: make(chan net.Conn), done: make(chan struct{})}
	s.srv = http.Server{Handler: h, BaseContext: func(net.Listener) context.Context { return ctx }}
	go func() { _ = s.srv.Serve(s) }() // ends with close
	return s
}

func (s *pipeServer) dial() net.Conn {
	ours, theirs := net.Pipe()
	s.mu.Lock()
	s.open = append(s.open, theirs)
	s.mu.Unlock()
	go func() {
		select {
		case s.conns <- theirs:
		case <-s.done:
			_ = theirs.Close()
		}
	}()
	return ours
}

// close also ends connections that a handler has taken over, which http.Server forgets.
func (s *pipeServer) close() {
	s.once.Do(func() { close(s.done) })
	_ = s.srv.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.open {
		_ = c.Close()
	}
}

// Accept, Close and Addr make it the listener of its own server.
func (s *pipeServer) Accept() (net.Conn, error) {
	select {
	case c := <-s.conns:
		return c, nil
	case <-s.done:
		return nil, net.ErrClosed
	}
}

func (s *pipeServer) Close() error {
	s.once.Do(func() { close(s.done) })
	return nil
}

func (s *pipeServer) Addr() net.Addr { return pipeAddr{} }

type pipeAddr struct{}

func (pipeAddr) Network() string { return "pipe" }
func (pipeAddr) String() string  { return "box" }

// fakeLog is what a box has printed.
type fakeLog struct {
	mu   sync.Mutex
	buf  bytes.Buffer
	more chan struct{} // closed, and made anew, when there is more or the box ends
}

func newFakeLog() *fakeLog { return &fakeLog{more: make(chan struct{})} }

func (l *fakeLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	l.buf.Write(p)
	l.mu.Unlock()
	l.wake()
	return len(p), nil
}

func (l *fakeLog) wake() {
	l.mu.Lock()
	defer l.mu.Unlock()
	close(l.more)
	l.more = make(chan struct{})
}

// copy writes all there is and, while follow says so, all that comes.
func (l *fakeLog) copy(ctx context.Context, w io.Writer, follow func() bool) error {
	for done := 0; ; {
		l.mu.Lock()
		text, more := bytes.Clone(l.buf.Bytes()[done:]), l.more
		l.mu.Unlock()
		if len(text) > 0 {
			if _, err := w.Write(text); err != nil {
				return err
			}
			done += len(text)
			continue
		}
		if !follow() {
			return nil
		}
		select {
		case <-more:
		case <-ctx.Done():
			return nil
		}
	}
}

// place is where a path of a box's really is: in its own layer, a volume, or a folder of the host.
func (f *FakeRuntime) place(b *fakeBox, path string) (in files, key, host string) {
	var best masu.Mount
	for _, m := range b.box.Mounts {
		if (path == m.Target || strings.HasPrefix(path, m.Target+"/")) && len(m.Target) > len(best.Target) {
			best = m
		}
	}
	switch {
	case best.Volume != "":
		return f.volumes[best.Volume], strings.TrimPrefix(path, best.Target), ""
	case best.Folder != "":
		return nil, "", filepath.Join(best.Folder, strings.TrimPrefix(path, best.Target))
	}
	return b.files, path, ""
}

func (f *FakeRuntime) readFile(b *fakeBox, path string) ([]byte, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	in, path, host := f.place(b, path)
	if host != "" {
		return os.ReadFile(host)
	}
	if text, ok := in[path]; ok {
		return bytes.Clone(text), nil
	}
	return nil, errors.New("No such file or directory")
}

func (f *FakeRuntime) writeFile(b *fakeBox, path string, text []byte) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	in, path, host := f.place(b, path)
	if host != "" {
		return os.WriteFile(host, text, 0o644)
	}
	in[path] = bytes.Clone(text)
	return nil
}
