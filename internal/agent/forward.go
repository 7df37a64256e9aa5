package agent

import (
	"bufio"
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/signal"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/masu-lab/masu"
)

const (
	listenersMost = 64
	callersMost   = 256 // that wait to be called for
	callTime      = 10 * time.Second
	callLineMost  = 8 << 10
)

// forwarder lets programs of the box reach the other end of an ssh connection.
// It runs as the member, and ends with that connection.
type forwarder struct {
	secret string

	mu        sync.Mutex // guards what follows, and the order of events
	events    *json.Encoder
	listeners map[int]net.Listener
	callers   map[int]net.Conn
	calls     int
}

// forward takes orders from in until it ends, and tells events to out.
func forward(ctx context.Context, in io.Reader, out io.Writer) error {
	door, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer door.Close()
	f := &forwarder{secret: rand.Text(), events: json.NewEncoder(out), listeners: map[int]net.Listener{}, callers: map[int]net.Conn{}}
	defer f.end()
	if err := f.tell(masu.ForwardEvent{Door: door.Addr().(*net.TCPAddr).Port, Secret: f.secret}); err != nil {
		return err
	}
	go f.attend(door)
	orders := json.NewDecoder(in)
	for ctx.Err() == nil {
		var o masu.ForwardOrder
		if err := orders.Decode(&o); err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		if o.Network == "" {
			f.close(o.ID)
			continue
		}
		e := masu.ForwardEvent{ID: o.ID}
		if e.Address, err = f.listen(o); err != nil {
			e.Error = err.Error()
		}
		if err := f.tell(e); err != nil {
			return err
		}
	}
	return ctx.Err()
}

func (f *forwarder) tell(e masu.ForwardEvent) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.events.Encode(e)
}

// end closes everything; sockets go with their listeners.
func (f *forwarder) end() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, l := range f.listeners {
		_ = l.Close()
	}
	for _, c := range f.callers {
		_ = c.Close()
	}
}

func (f *forwarder) close(id int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if l := f.listeners[id]; l != nil {
		_ = l.Close()
		delete(f.listeners, id)
	}
}

// listen begins to listen, and gives where.
func (f *forwarder) listen(o masu.ForwardOrder) (string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.listeners[o.ID] != nil || len(f.listeners) >= listenersMost {
		return "", errors.New("too many are listened on")
	}
	l, err := listenOn(o)
	if err != nil {
		return "", err
	}
	f.listeners[o.ID] = l
	go f.accept(o.ID, l)
	return l.Addr().String(), nil
}

func listenOn(o masu.ForwardOrder) (net.Listener, error) {
	switch o.Network {
	case masu.ForwardTCP:
		if at, err := netip.ParseAddrPort(o.Address); err != nil || !at.Addr().IsLoopback() {
			return nil, errors.New("only the box's own loopback")
		}
		return net.Listen("tcp", o.Address)
	case masu.ForwardUnix:
		return listenPrivately(o.Address)
	case masu.ForwardAgent:
		dir, err := os.MkdirTemp("", "ssh-") // 0700
		if err != nil {
			return nil, err
		}
		l, err := listenPrivately(filepath.Join(dir, "agent"))
		if err != nil {
			_ = os.Remove(dir)
			return nil, err
		}
		return withFolder{l, dir}, nil
	}
	return nil, fmt.Errorf("%q cannot be listened on", o.Network)
}

// listenPrivately makes a socket that only the member may open.
func listenPrivately(path string) (net.Listener, error) {
	old := syscall.Umask(0o177) // of a process that makes nothing else meanwhile
	defer syscall.Umask(old)
	return net.Listen("unix", path)
}

// withFolder takes its folder away with it.
type withFolder struct {
	net.Listener
	dir string
}

func (l withFolder) Close() error { return errors.Join(l.Listener.Close(), os.Remove(l.dir)) }

// accept announces those who connect. Whoever is not called for in time is sent away.
func (f *forwarder) accept(id int, l net.Listener) {
	for {
		c, err := l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil { // no more files: those who go away make room
			time.Sleep(100 * time.Millisecond)
			continue
		}
		f.mu.Lock()
		if len(f.callers) >= callersMost {
			f.mu.Unlock()
			_ = c.Close()
			continue
		}
		f.calls++
		call := f.calls
		f.callers[call] = c
		err = f.events.Encode(masu.ForwardEvent{ID: id, Call: call, Address: l.Addr().String(), From: c.RemoteAddr().String()})
		f.mu.Unlock()
		if err != nil {
			return
		}
		time.AfterFunc(callTime, func() {
			if c := f.take(call); c != nil {
				_ = c.Close()
			}
		})
	}
}

// take gives somebody who has connected, once.
func (f *forwarder) take(call int) net.Conn {
	f.mu.Lock()
	defer f.mu.Unlock()
	c := f.callers[call]
	delete(f.callers, call)
	return c
}

// attend answers the gateway at the door.
func (f *forwarder) attend(door net.Listener) {
	for {
		c, err := door.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			time.Sleep(100 * time.Millisecond)
			continue
		}
		go f.answer(c)
	}
}

func (f *forwarder) answer(c net.Conn) {
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(callTime))
	in := bufio.NewReaderSize(c, callLineMost)
	line, err := in.ReadSlice('\n')
	var q masu.ForwardCall
	if err != nil || json.Unmarshal(line, &q) != nil || subtle.ConstantTimeCompare([]byte(q.Secret), []byte(f.secret)) != 1 {
		return
	}
	other, err := f.reach(q)
	if err != nil {
		_, _ = io.WriteString(c, err.Error()+"\n") // the other side has gone: it needs no answer
		return
	}
	defer other.Close()
	if _, err := io.WriteString(c, "ok\n"); err != nil {
		return
	}
	_ = c.SetDeadline(time.Time{})
	if early, _ := in.Peek(in.Buffered()); len(early) > 0 {
		_, _ = other.Write(early) // whoever has closed has perhaps still said something
	}
	join(c, other)
}

func (f *forwarder) reach(q masu.ForwardCall) (net.Conn, error) {
	if q.Socket != "" {
		return net.DialTimeout("unix", q.Socket, callTime)
	}
	if c := f.take(q.Call); c != nil {
		return c, nil
	}
	return nil, errors.New("nobody is there any more")
}

// forwardAll is `masu agent forward`.
func forwardAll(ctx context.Context) int {
	if home := os.Getenv("HOME"); home != "" {
		_ = os.Chdir(home) // paths without a beginning are the home's, as with sshd
	}
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	in, orders := io.Pipe()
	go func() { // ends with the process: nothing else ends a read of the standard input
		_, err := io.Copy(orders, os.Stdin)
		_ = orders.CloseWithError(err)
	}()
	defer context.AfterFunc(ctx, func() { _ = orders.Close() })() // sockets go, however it ends
	if err := forward(ctx, in, os.Stdout); err != nil && ctx.Err() == nil {
		complain(err)
		return exitAgent
	}
	return 0
}
