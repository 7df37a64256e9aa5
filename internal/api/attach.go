package api

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/masu-lab/masu"
)

// logs copies what a box prints, as frames in an ordinary answer.
func (s *Server) logs(svc masu.Service, w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	return s.printed(w, r, func(ctx context.Context, to io.Writer) error {
		return svc.Logs(ctx, q.Get("name"), to, q.Get("follow") == "true")
	})
}

// sideLogs is logs of a side box.
func (s *Server) sideLogs(svc masu.Service, w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	return s.printed(w, r, func(ctx context.Context, to io.Writer) error {
		return svc.SideLogs(ctx, q.Get("name"), q.Get("service"), to, q.Get("follow") == "true")
	})
}

// runLog is logs of a run.
func (s *Server) runLog(svc masu.Service, w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	return s.printed(w, r, func(ctx context.Context, to io.Writer) error {
		return svc.RunLog(ctx, masu.WorkspaceID(q.Get("id")), to, q.Get("follow") == "true")
	})
}

// runNotebook copies the notebook that a run fills.
func (s *Server) runNotebook(svc masu.Service, w http.ResponseWriter, r *http.Request) error {
	return s.printed(w, r, func(ctx context.Context, to io.Writer) error {
		return svc.RunNotebook(ctx, masu.WorkspaceID(r.URL.Query().Get("id")), to)
	})
}

// printed carries what a function writes, as it is written, and how it ended.
func (s *Server) printed(w http.ResponseWriter, r *http.Request, copied func(context.Context, io.Writer) error) error {
	out := &answer{w: w}
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	frames := &frameWriter{w: out, failed: cancel}
	err := copied(ctx, stream{frames, frameStdout})
	switch {
	case err != nil && !out.started:
		return err
	case err != nil:
		_ = frames.writeJSON(frameError, toWire(s.said(r, err))) // an error means that nobody reads
	default:
		_ = frames.exit(0)
	}
	return nil
}

// answer writes frames into an answer; its head waits for the first.
type answer struct {
	w       http.ResponseWriter
	started bool // frameWriter lets one at a time write
}

func (a *answer) Write(p []byte) (int, error) {
	if !a.started {
		a.started = true
		a.w.Header().Set("Content-Type", typeFrames)
	}
	n, err := a.w.Write(p)
	if err != nil {
		return n, err
	}
	return n, http.NewResponseController(a.w).Flush()
}

func (s *Server) exec(svc masu.Service, w http.ResponseWriter, r *http.Request) error {
	q, err := readBody[execRequest](w, r)
	if err != nil {
		return err
	}
	return s.command(w, r, q.Exec, func(ctx context.Context, e masu.Exec, _ func(masu.Progress)) (int, error) {
		return svc.Exec(ctx, q.Name, e)
	})
}

func (s *Server) run(svc masu.Service, w http.ResponseWriter, r *http.Request) error {
	q, err := readBody[runRequest](w, r)
	if err != nil {
		return err
	}
	return s.command(w, r, q.Exec, func(ctx context.Context, e masu.Exec, progress func(masu.Progress)) (int, error) {
		q.RunRequest.Exec = e
		return svc.Run(ctx, q.RunRequest, progress)
	})
}

// command takes the connection over and runs a command on it, as frames.
func (s *Server) command(w http.ResponseWriter, r *http.Request, spec execSpec,
	run func(context.Context, masu.Exec, func(masu.Progress)) (int, error)) error {
	conn, in, done, err := s.takeOver(w, r, protocolFrames)
	if err != nil {
		return err
	}
	defer done()
	var helpers sync.WaitGroup
	defer helpers.Wait()
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	defer conn.Close() // ends receive
	out := &frameWriter{w: conn, failed: cancel}
	resize := make(chan masu.WinSize, 1)
	stdin, pipe := io.Pipe()
	defer stdin.Close() // what is written from now on is for nobody
	e := spec.exec()
	e.Stdout, e.Stderr, e.Resize = stream{out, frameStdout}, stream{out, frameStderr}, resize
	if spec.Stdin {
		e.Stdin = stdin
	} else {
		_ = stdin.Close()
	}

	helpers.Go(func() {
		defer cancel() // the caller has gone, or speaks nonsense
		_ = pipe.CloseWithError(receive(in, pipe, resize))
	})
	pinged, stopPing := context.WithCancel(ctx)
	defer stopPing()
	helpers.Go(func() { s.pings(pinged, out) })

	code, err := run(ctx, e, func(p masu.Progress) {
		if out.writeJSON(frameProgress, p) != nil {
			cancel()
		}
	})
	stopPing()
	_ = stdin.Close()
	if err != nil {
		err = out.writeJSON(frameError, toWire(s.said(r, err)))
	} else {
		err = out.exit(code)
	}
	if err == nil {
		// The caller hangs up when it has read the end. Closing first could
		// lose it, where unread input is on its way to us.
		_ = conn.SetReadDeadline(time.Now().Add(grace))
		helpers.Wait()
	}
	return nil
}

// receive takes what the caller sends: input, its end, and sizes of the terminal.
func receive(in io.Reader, stdin *io.PipeWriter, resize chan masu.WinSize) error {
	var buf []byte
	for {
		t, payload, grown, err := readFrame(in, buf)
		if err != nil {
			return err
		}
		buf = grown
		switch t {
		case frameStdin:
			_, _ = stdin.Write(payload) // waits for the command; an error means that it reads no more
		case frameStdinEnd:
			_ = stdin.Close()
		case frameResize:
			size, err := winSize(payload)
			if err != nil {
				return err
			}
			select { // only the newest counts
			case <-resize:
			default:
			}
			resize <- size
		default:
			return fmt.Errorf("%w: type %d from the caller", errFrame, t)
		}
	}
}

// pings writes now and then, so that a caller who has gone is noticed although
// its input waits for a command that does not read.
func (s *Server) pings(ctx context.Context, out *frameWriter) {
	tick := time.NewTicker(s.ping)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			_ = out.write(framePing, nil) // a failure cancels the command
		}
	}
}

// dial connects to a port in a box and passes bytes on in both directions.
func (s *Server) dial(svc masu.Service, w http.ResponseWriter, r *http.Request) error {
	q, err := readBody[dialRequest](w, r)
	if err != nil {
		return err
	}
	inside, err := svc.Dial(r.Context(), q.Name, q.Port)
	if err != nil {
		return err
	}
	defer inside.Close()
	conn, in, done, err := s.takeOver(w, r, protocolBytes)
	if err != nil {
		return err
	}
	defer done()
	stop := context.AfterFunc(r.Context(), func() { _, _ = conn.Close(), inside.Close() })
	defer stop()
	outside := conn // as it is, it can be copied from without this program's memory
	if in.Buffered() > 0 {
		outside = tunnel{conn, in}
	}
	join(outside, inside)
	return nil
}

// join copies between two connections until both directions have ended. The end
// of one direction is passed on and leaves the other open.
func join(a, b net.Conn) {
	var both sync.WaitGroup
	pass := func(to, from net.Conn) {
		_, err := io.Copy(to, from)
		if err == nil {
			err = closeWrite(to)
		}
		if err != nil {
			_, _ = a.Close(), b.Close()
		}
	}
	both.Go(func() { pass(a, b) })
	both.Go(func() { pass(b, a) })
	both.Wait()
}

// closeWrite ends one direction of a connection, where it can.
func closeWrite(c net.Conn) error {
	if h, ok := c.(interface{ CloseWrite() error }); ok {
		return h.CloseWrite()
	}
	return errors.ErrUnsupported
}

// tunnel is a connection some of whose first bytes have been read already.
type tunnel struct {
	net.Conn
	in *bufio.Reader
}

// Read gives what was read ahead first.
func (t tunnel) Read(p []byte) (int, error) {
	if t.in.Buffered() > 0 {
		return t.in.Read(p)
	}
	return t.Conn.Read(p)
}

// CloseWrite ends what this end sends.
func (t tunnel) CloseWrite() error { return closeWrite(t.Conn) }

// takeOver makes the HTTP connection ours. done closes it and must be called.
func (s *Server) takeOver(w http.ResponseWriter, r *http.Request, protocol string) (net.Conn, *bufio.Reader, func(), error) {
	if r.Header.Get("Upgrade") != protocol {
		return nil, nil, nil, masu.E(masu.Invalid, "request_odd", "Upgrade: "+protocol)
	}
	conns, ok := r.Context().Value(connsKey{}).(*sync.WaitGroup)
	if !ok {
		return nil, nil, nil, errors.New("api: a request that Serve did not bring")
	}
	conns.Add(1) // before Hijack takes it off the count
	conn, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		conns.Done()
		return nil, nil, nil, err
	}
	// When the daemon ends, a caller that does not read must not hold it up.
	stop := context.AfterFunc(r.Context(), func() { _ = conn.SetDeadline(time.Now().Add(grace)) })
	done := func() {
		stop()
		_ = conn.Close()
		conns.Done()
	}
	_ = conn.SetDeadline(time.Time{})
	_, err = fmt.Fprintf(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: %s\r\n%s: %s\r\n\r\n",
		protocol, headerVersion, w.Header().Get(headerVersion))
	if err != nil {
		s.Log.DebugContext(r.Context(), "take over", "route", r.Pattern, "error", err)
	}
	return conn, buffered.Reader, done, nil
}
