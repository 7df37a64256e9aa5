package web

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

func wantsEvents(r *http.Request) bool { return r.Header.Get("Accept") == "text/event-stream" }

// stream is a response of server-sent events.
type stream struct {
	to    io.Writer
	flush func() error
}

// bytes are the event as it is sent.
func (e event) bytes() ([]byte, error) {
	b, err := json.Marshal(e.data)
	return fmt.Appendf(nil, "event: %s\ndata: %s\n\n", e.name, b), err
}

func (s *stream) send(e event) error {
	b, err := e.bytes()
	if err != nil {
		return err
	}
	return s.write(b)
}

func (s *stream) write(all ...[]byte) error {
	for _, b := range all {
		if _, err := s.to.Write(b); err != nil {
			return err
		}
	}
	return s.flush()
}

// stream answers by what tell sends, until it returns or the member is signed out.
func (s *Server) stream(w http.ResponseWriter, r *http.Request, v *visit, tell func(context.Context, *stream)) {
	ctx, end, out, apart := s.begin(w, r, v)
	if !apart {
		defer end()
		tell(ctx, out)
		return
	}
	go func() { // ends with the stream
		defer end()
		tell(ctx, out)
	}()
}

// begin begins a stream, which lasts until end is called or the member is
// signed out. One that stands apart goes on when its request has returned: a
// lab has hundreds of streams, on which hardly ever anything passes, and the
// request of each would keep some 40 KB in buffers and a stack. An HTTP/1
// connection is therefore taken over.
func (s *Server) begin(w http.ResponseWriter, r *http.Request, v *visit) (ctx context.Context, end context.CancelFunc, out *stream, apart bool) {
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("X-Accel-Buffering", "no")
	control := http.NewResponseController(w)
	if r.ProtoMajor == 1 && r.Method == http.MethodGet {
		if conn, _, err := control.Hijack(); err == nil {
			ctx, end, out = s.apart(conn, w.Header(), v)
			return ctx, end, out, true
		}
	}
	ctx, end = s.whileSignedIn(r.Context(), v)
	w.WriteHeader(http.StatusOK)
	if control.Flush() != nil {
		end()
	}
	return ctx, end, &stream{w, control.Flush}, false
}

// apart begins a stream on a connection that belongs to nobody else any more.
func (s *Server) apart(conn net.Conn, h http.Header, v *visit) (context.Context, context.CancelFunc, *stream) {
	var head bytes.Buffer
	head.WriteString("HTTP/1.1 200 OK\r\nConnection: close\r\n")
	_ = h.Write(&head) // a buffer takes everything
	head.WriteString("\r\n")
	_ = conn.SetDeadline(time.Time{}) // the server's, for the request
	ctx, end := s.whileSignedIn(s.until, v)
	context.AfterFunc(ctx, func() { _ = conn.Close() })
	go func() { // ends when the browser has gone, which says nothing more, or with the stream
		defer end()
		var b [1]byte
		for {
			if _, err := conn.Read(b[:]); err != nil {
				return
			}
		}
	}()
	to := patient{conn, takesWithin}
	if _, err := to.Write(head.Bytes()); err != nil {
		end()
	}
	return ctx, end, &stream{to, func() error { return nil }}
}

// takesWithin is how long a browser may take to take what it is told: one that
// reads nothing would keep the stream, and what is told, for as long as it likes.
const takesWithin = time.Minute

// patient is a connection that waits so long for its other side, and no longer.
type patient struct {
	net.Conn
	within time.Duration
}

// Write ends with an error where nobody reads.
func (p patient) Write(b []byte) (int, error) {
	if err := p.SetWriteDeadline(time.Now().Add(p.within)); err != nil {
		return 0, err
	}
	return p.Conn.Write(b)
}
