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

func (s *stream) send(e event) error {
	b, err := json.Marshal(e.data)
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintf(s.to, "event: %s\ndata: %s\n\n", e.name, b); err != nil {
		return err
	}
	return s.flush()
}

// stream answers by what tell sends, until it returns or the member is signed
// out. It may go on when this has returned: a lab has hundreds of streams, on
// which hardly ever anything passes, and the request of each would keep some
// 40 KB in buffers and a stack. An HTTP/1 connection is therefore taken over.
func (s *Server) stream(w http.ResponseWriter, r *http.Request, v *visit, tell func(context.Context, *stream)) {
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("X-Accel-Buffering", "no")
	control := http.NewResponseController(w)
	if r.ProtoMajor == 1 && r.Method == http.MethodGet {
		if conn, _, err := control.Hijack(); err == nil {
			s.apart(conn, w.Header(), v, tell)
			return
		}
	}
	ctx, cancel := s.whileSignedIn(r.Context(), v)
	defer cancel()
	w.WriteHeader(http.StatusOK)
	if control.Flush() == nil {
		tell(ctx, &stream{w, control.Flush})
	}
}

// apart answers on a connection that belongs to nobody else any more.
func (s *Server) apart(conn net.Conn, h http.Header, v *visit, tell func(context.Context, *stream)) {
	var head bytes.Buffer
	head.WriteString("HTTP/1.1 200 OK\r\nConnection: close\r\n")
	_ = h.Write(&head) // a buffer takes everything
	head.WriteString("\r\n")
	_ = conn.SetDeadline(time.Time{}) // the server's, for the request
	ctx, cancel := s.whileSignedIn(s.until, v)
	context.AfterFunc(ctx, func() { _ = conn.Close() })
	go func() { // ends when the browser has gone, which says nothing more, or with the stream
		defer cancel()
		for b := make([]byte, 1); ; {
			if _, err := conn.Read(b); err != nil {
				return
			}
		}
	}()
	to := patient{conn, takesWithin}
	go func() { // ends with the stream
		defer cancel()
		if _, err := to.Write(head.Bytes()); err == nil {
			tell(ctx, &stream{to, func() error { return nil }})
		}
	}()
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
