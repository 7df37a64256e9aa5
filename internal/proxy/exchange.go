package proxy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httputil"
	"sync/atomic"
	"time"
)

// exchange carries one request to the app and its answer back.
func (p *Proxy) exchange(w http.ResponseWriter, r *http.Request, t Target) error {
	how := onQuiet
	if !hasBody(r) && (r.Method == http.MethodGet || r.Method == http.MethodHead || r.Method == http.MethodOptions) {
		how = twice
	}
	for {
		u, err := p.pool.get(r.Context(), t, how)
		if err != nil {
			return err
		}
		err = p.through(w, r, t, u)
		if how != twice || !errors.Is(err, errAskAgain) {
			return err
		}
		how = onNew
	}
}

// hasBody tells whether a request brings something, or may. (Over HTTP/2 the
// server gives an empty request a body of its own, so Body does not tell.)
func hasBody(r *http.Request) bool { return r.ContentLength != 0 }

// errAskAgain says that a kept connection broke before there was an answer.
var errAskAgain = errors.New("proxy: a kept connection was closed")

// through uses one connection for one request. It is kept if both sides have
// said all that they announced.
func (p *Proxy) through(w http.ResponseWriter, r *http.Request, t Target, u *upstream) error {
	release := watch(r.Context(), t, func() {
		_ = u.conn.Close()
		_ = http.NewResponseController(w).SetWriteDeadline(past) // also one that does not read
	})
	u.head = p.writeHead(u.head[:0], r, false)
	_, err := u.conn.Write(u.head)
	body := &upload{from: r.Body}
	if err == nil && hasBody(r) {
		defer p.send(w, r, u, body)()
	} else {
		body.ended.Store(true)
	}
	var resp *http.Response
	if err == nil {
		resp, err = u.answer(r)
	}
	if err == nil && resp.StatusCode == http.StatusSwitchingProtocols {
		err = errors.New("proxy: the app switches protocols unasked")
	}
	if !body.ended.Load() && r.ProtoMajor == 1 {
		w.Header().Set("Connection", "close") // what is left of the request is not to be taken for the next one
	}
	if err != nil {
		_ = u.conn.Close()
		return unanswered(u, release(), err)
	}
	err = p.relay(w, r, t, u, resp)
	whole := release() && err == nil
	if whole && body.ended.Load() && !resp.Close && u.br.Buffered() == 0 {
		p.pool.put(u)
	} else {
		_ = u.conn.Close()
	}
	if !whole {
		return errCut
	}
	return nil
}

// unanswered sorts what went wrong before there was an answer.
func unanswered(u *upstream, watched bool, err error) error {
	switch {
	case !watched:
		return errCut
	case u.used && !errors.Is(err, errHeadTooLarge):
		return fmt.Errorf("%w: %w", errAskAgain, err)
	}
	return err
}

var past = time.Unix(1, 0)

// watch cuts when the request or the session ends, unless release is called
// before. Release tells whether nothing was cut.
func watch(ctx context.Context, t Target, cut func()) (release func() bool) {
	var over atomic.Bool
	once := func() {
		if over.CompareAndSwap(false, true) {
			cut()
		}
	}
	stop := context.AfterFunc(ctx, once)
	forget := func() bool { return true }
	if t.OnEnd != nil {
		forget = t.OnEnd(once)
	}
	return func() bool {
		stop()
		forget()
		return over.CompareAndSwap(false, true)
	}
}

// upload is the body of a request on its way.
type upload struct {
	from  io.Reader
	ended atomic.Bool // the browser has sent all of it
}

// Read notes the end as soon as it is seen, before the app can answer to it.
func (u *upload) Read(b []byte) (int, error) {
	n, err := u.from.Read(b)
	if errors.Is(err, io.EOF) {
		u.ended.Store(true)
	}
	return n, err
}

// send sends the body of a request while the answer may already come. The
// returned function ends it, also where the browser would go on.
func (p *Proxy) send(w http.ResponseWriter, r *http.Request, u *upstream, body *upload) (end func()) {
	control := http.NewResponseController(w)
	_ = control.EnableFullDuplex() // HTTP/2 always is
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		if err := p.copyBody(u, r, body); err != nil {
			_ = u.conn.Close() // half a body must not look like a whole one
		}
	}()
	return func() {
		if !body.ended.Load() {
			_ = control.SetReadDeadline(past)
		}
		<-sent
	}
}

func (p *Proxy) copyBody(u *upstream, r *http.Request, body *upload) error {
	block := p.blocks.Get().(*[blockSize]byte)
	defer p.blocks.Put(block)
	if r.ContentLength > 0 {
		_, err := io.CopyBuffer(onlyWriter{u.conn}, body, block[:])
		return err
	}
	chunks := httputil.NewChunkedWriter(u.conn)
	if _, err := io.CopyBuffer(onlyWriter{chunks}, body, block[:]); err != nil {
		return err
	}
	if err := chunks.Close(); err != nil {
		return err
	}
	trailer := make([]byte, 0, 64)
	for name, values := range r.Trailer {
		for _, v := range values {
			if !isForeign(name) && !hop[name] && name != "Cookie" {
				trailer = line(trailer, name, v)
			}
		}
	}
	_, err := u.conn.Write(append(trailer, "\r\n"...))
	return err
}

// onlyWriter hides what else a writer can, so that the pooled buffer is used.
type onlyWriter struct{ io.Writer }
