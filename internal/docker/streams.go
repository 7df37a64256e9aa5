package docker

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"
	"golang.org/x/sys/unix"

	"github.com/masu-lab/masu"
	"github.com/masu-lab/masu/internal/host"
)

// What a command reads and writes would pass through two programs of the
// engine's, which costs more than all else on the way to a laptop. So masu gives
// it pipes of its own: the command, while it is still the agent, takes them at a
// socket in the box's network that only root can guess. The engine begins the
// command as ever, carries what it says of errors, and tells that it has ended.
// Where the pipes are not taken, the engine carries everything.

const (
	pipeRoom   = 256 << 10
	takeWithin = 10 * time.Second
	lingerFor  = time.Second // between looks whether a command has ended that left its output to others
)

// streams are the pipes of one command.
type streams struct {
	listener *net.UnixListener
	theirs   []int // for the command: its input, if it has one, and its output
	in, out  *os.File
	copied   chan error // of its output; nil too where nothing was taken
}

// offer makes the pipes of a command; nil where the engine has to carry what it reads and writes.
func (r *Runtime) offer(c *container.InspectResponse, e masu.Exec, key string) *streams {
	if e.TTY || c.Config.Labels[labelStreams] == "" || r.cfg.Host.Rootless() || r.isAstray(c.ID) {
		return nil
	}
	s := &streams{copied: make(chan error, 1)}
	var err error
	if s.listener, err = r.cfg.Host.Listen(c.State.Pid, c.ID, masu.StreamsSocket(key)); err == nil && e.Stdin != nil {
		err = s.pipe(func(p [2]int) (int, **os.File, int) { return p[0], &s.in, p[1] })
	}
	if err == nil {
		err = s.pipe(func(p [2]int) (int, **os.File, int) { return p[1], &s.out, p[0] })
	}
	if err != nil {
		r.cfg.Log.Debug("a command's streams go through the engine", "container", c.ID, "err", err)
		s.end()
		return nil
	}
	return s
}

// pipe makes one; which tells the command's end, and where masu's is kept. The
// command's end must block, as programs expect it.
func (s *streams) pipe(which func(p [2]int) (theirs int, at **os.File, own int)) error {
	var p [2]int
	if err := unix.Pipe2(p[:], unix.O_CLOEXEC); err != nil {
		return err
	}
	theirs, at, own := which(p)
	s.theirs = append(s.theirs, theirs)
	_, _ = unix.FcntlInt(uintptr(own), unix.F_SETPIPE_SZ, pipeRoom) // a smaller one serves too
	err := unix.SetNonblock(own, true)
	*at = os.NewFile(uintptr(own), "streams")
	return err
}

// carry has the command take the pipes, and copies its output until it ends.
func (s *streams) carry(e masu.Exec, at client.HijackedResponse) error {
	_ = s.listener.SetDeadline(time.Now().Add(takeWithin)) // fails only where it is closed
	err := host.HandOver(s.listener, s.theirs)
	s.release()
	if err != nil {
		if !errors.Is(err, net.ErrClosed) { // the command has not ended
			go feed(e.Stdin, at)
		}
		s.copied <- nil
		return err
	}
	if s.in != nil {
		go func() { // not waited for: nothing but its owner can end a read
			_, _ = io.Copy(s.in, e.Stdin)
			_ = s.in.Close()
		}()
	}
	to := e.Stdout
	if to == nil {
		to = io.Discard
	}
	_, err = io.Copy(to, s.out)
	s.copied <- err
	return nil
}

// release closes the command's ends, so that masu's tell when the command has closed them.
func (s *streams) release() {
	for _, fd := range s.theirs {
		_ = unix.Close(fd)
	}
	s.theirs = nil
}

// silent tells that nothing waits to be read.
func (s *streams) silent() bool {
	raw, err := s.out.SyscallConn()
	if err != nil {
		return true
	}
	n := 0
	ctl := raw.Control(func(fd uintptr) { n, err = unix.IoctlGetInt(int(fd), unix.TIOCINQ) })
	return ctl != nil || err != nil || n == 0
}

// end closes all, whether the command has come or not.
func (s *streams) end() {
	s.release()
	s.close()
}

// close ends what masu does with the streams.
func (s *streams) close() {
	for _, c := range []io.Closer{s.listener, s.in, s.out} {
		_ = c.Close() // what is nil, or closed already, says so
	}
}

// inTurn keeps the two ways on which a command's output comes from writing at
// once: its caller may want both in one place.
func inTurn(e masu.Exec) masu.Exec {
	var mu sync.Mutex
	for _, w := range []*io.Writer{&e.Stdout, &e.Stderr} {
		if *w != nil {
			*w = turn{&mu, *w}
		}
	}
	return e
}

type turn struct {
	mu *sync.Mutex
	io.Writer
}

// Write waits until the other way has written.
func (t turn) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.Writer.Write(p)
}

// follow waits for a command's output to end: for what the engine carries, and
// for what masu does. Who has been left with the output when the command has
// ended is not waited for, as the engine does not.
func (r *Runtime) follow(ctx context.Context, exec string, engine <-chan error, s *streams) error {
	var own <-chan error
	if s != nil {
		own = s.copied
	}
	var look <-chan time.Time
	for engine != nil || own != nil {
		select {
		case err := <-engine:
			if err != nil {
				return err // of the writer, when nobody listens any more
			}
			engine, look = nil, time.After(lingerFor)
			if s != nil {
				_ = s.listener.Close() // nobody comes any more
			}
		case err := <-own:
			if err != nil {
				return err
			}
			own = nil
		case <-look:
			if res, err := r.api.ExecInspect(ctx, exec, client.ExecInspectOptions{}); err == nil && !res.Running && s.silent() {
				return nil
			}
			look = time.After(lingerFor)
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

// handOver is s.carry, and remembers a box that does not come for its streams.
func (r *Runtime) handOver(box string, s *streams, e masu.Exec, at client.HijackedResponse) {
	if err := s.carry(e, at); errors.Is(err, os.ErrDeadlineExceeded) {
		r.cfg.Log.Warn("a box does not take its commands' streams: the engine carries them", "container", box, "err", err)
		r.mu.Lock()
		defer r.mu.Unlock()
		r.astray[box] = true
	}
}

func (r *Runtime) isAstray(box string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.astray[box]
}
