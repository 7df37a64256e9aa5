package remote

import (
	"context"
	"io"
	"net"
	"os/exec"
	"sync"
	"time"

	"github.com/masu-lab/masu"
)

// Forward is a way to an address that the server reaches, such as its own
// loopback, which is kept open until its Run ends.
type Forward struct {
	link    *Link
	address string

	mu    sync.Mutex
	local string        // where ssh takes connections for it: a socket, or a port
	up    chan struct{} // closed while it is open
	lost  <-chan struct{}
}

// Event is a change of a forward.
type Event int

const (
	Lost  Event = iota // the connection has ended; it is made again
	Tried              // that has failed, and is tried again
	Back               // it is open again
)

const (
	retryFirst = time.Second
	retryMost  = 10 * time.Second
	lookEvery  = 5 * time.Second  // between looks at the clock
	sleptFor   = 15 * time.Second // more than a look is late on a machine that did not sleep
	probeTime  = 5 * time.Second  // for an answer after a sleep
)

// Forward opens one to address, a host and port as the server knows them.
func (l *Link) Forward(ctx context.Context, address string) (*Forward, error) {
	f := &Forward{link: l, address: address, up: make(chan struct{})}
	return f, f.start(ctx)
}

// start opens it, and closes up.
func (f *Forward) start(ctx context.Context) error {
	open := f.link.forwardPort
	if f.link.shared() {
		open = f.link.forwardSocket
	}
	local, lost, err := open(ctx, f.address)
	if err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.local, f.lost = local, lost
	close(f.up)
	return nil
}

// Run keeps it open until ctx ends, or until it is refused for good.
func (f *Forward) Run(ctx context.Context, tell func(Event, error)) error {
	for {
		if !f.watch(ctx) {
			return nil
		}
		f.mu.Lock()
		f.up = make(chan struct{})
		f.mu.Unlock()
		tell(Lost, nil)
		for pause := retryFirst; ; pause = min(2*pause, retryMost) {
			err := f.start(ctx)
			if err == nil {
				break
			}
			if ctx.Err() != nil {
				return nil
			}
			if masu.KindOf(err) == masu.Denied {
				return err
			}
			tell(Tried, err)
			select {
			case <-ctx.Done():
				return nil
			case <-time.After(pause):
			}
		}
		tell(Back, nil)
	}
}

// watch waits until the connection is lost; false means that ctx has ended. A
// connection that slept is asked for a sign of life at once, rather than believed
// until ssh has missed enough of them.
func (f *Forward) watch(ctx context.Context) bool {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	last := time.Now().Round(0) // the clock on the wall: the other one stands still in a sleep
	for {
		select {
		case <-ctx.Done():
			return false
		case <-f.lost:
			return true
		case <-tick.C:
		}
		now := time.Now().Round(0)
		if now.Sub(last) > sleptFor {
			f.link.probe(ctx)
		}
		last = now
	}
}

// probe ends a shared connection that does not answer.
func (l *Link) probe(ctx context.Context) {
	if !l.shared() {
		return
	}
	soon, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()
	if l.run(soon, append(append(l.client(), l.Server.args()...), "true")) != nil {
		_ = l.Hangup(ctx) // one that is gone already is what was wanted
	}
}

// Dial connects to the address. While the connection is away it waits for it.
func (f *Forward) Dial(ctx context.Context) (net.Conn, error) {
	for {
		f.mu.Lock()
		local, up := f.local, f.up
		f.mu.Unlock()
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-up:
		}
		network := "tcp"
		if f.link.shared() {
			network = "unix"
		}
		c, err := (&net.Dialer{}).DialContext(ctx, network, local)
		if err == nil {
			return c, nil
		}
		select { // it has gone, and Run does not know yet
		case <-ctx.Done():
			return nil, err
		case <-time.After(busyPause):
		}
	}
}

// forwardSocket makes the shared connection take connections at a socket.
func (l *Link) forwardSocket(ctx context.Context, address string) (local string, lost <-chan struct{}, err error) {
	if err := l.open(ctx); err != nil {
		return "", nil, err
	}
	lost, err = l.gone()
	if err != nil {
		return "", nil, masu.E(masu.Unreachable, "ssh_busy", l.Server).Because(err)
	}
	local = l.control() + "." + Server{Host: address}.key()
	args := append(l.client(), "-O", "forward", "-L", local+":"+address)
	return local, lost, l.run(ctx, append(args, l.Server.args()...))
}

// gone tells when the shared connection ends: it leaves whoever is connected to its socket.
func (l *Link) gone() (<-chan struct{}, error) {
	c, err := net.Dial("unix", l.control())
	if err != nil {
		return nil, err
	}
	ended := make(chan struct{})
	go func() { // ends with ssh, or with this process
		defer close(ended)
		defer c.Close()
		_, _ = io.Copy(io.Discard, c)
	}()
	return ended, nil
}

// forwardPort starts an ssh of its own that takes connections at a port.
func (l *Link) forwardPort(ctx context.Context, address string) (local string, lost <-chan struct{}, err error) {
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	local = free.Addr().String()
	_ = free.Close()
	args := append(l.connection(), "-n", "-N", "-o", "ExitOnForwardFailure=yes", "-o", "ControlPath=none", "-L", local+":"+address)
	cmd := exec.CommandContext(ctx, l.ssh, append(args, l.Server.args()...)...)
	words := &tail{}
	cmd.Stderr = io.MultiWriter(words, l.Words)
	if err := cmd.Start(); err != nil {
		return "", nil, masu.E(masu.Internal, "ssh_failed", l.Server, "").Because(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = cmd.Wait() // told by its state
	}()
	for {
		select {
		case <-ended:
			return "", nil, l.explain(cmd.ProcessState.ExitCode(), words.String())
		case <-time.After(busyPause):
		}
		if c, err := net.Dial("tcp", local); err == nil {
			_ = c.Close()
			return local, ended, nil
		}
	}
}
