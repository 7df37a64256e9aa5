package proxy

import (
	"errors"
	"io"
	"net/http"
)

// relay sends the app's answer to the browser as it comes.
func (p *Proxy) relay(w http.ResponseWriter, r *http.Request, t Target, u *upstream, resp *http.Response) error {
	p.copyHead(w.Header(), resp.Header, t)
	w.Header().Add("Content-Security-Policy", t.ancestors())
	if len(resp.Trailer) > 0 {
		w.Header().Set("Trailer", trailerNames(resp.Trailer))
	}
	w.WriteHeader(resp.StatusCode)
	switch {
	case r.Method == http.MethodHead || resp.Body == http.NoBody:
		return nil
	case resp.ContentLength > 0:
		return p.relayKnown(w, u, resp.ContentLength)
	}
	if err := p.relayStream(w, u, resp.Body); err != nil {
		return err
	}
	p.copyHead(w.Header(), resp.Trailer, t)
	return nil
}

// relayKnown sends a body whose length was announced: what has been read
// already, and then the rest straight from socket to socket.
func (p *Proxy) relayKnown(w http.ResponseWriter, u *upstream, length int64) error {
	ready := min(length, int64(u.br.Buffered()))
	b, err := u.br.Peek(int(ready))
	if err != nil {
		return err
	}
	if _, err := w.Write(b); err != nil {
		return err
	}
	if _, err := u.br.Discard(int(ready)); err != nil || length == ready {
		return err
	}
	if err := http.NewResponseController(w).Flush(); err != nil {
		return err
	}
	rest := &io.LimitedReader{R: u.conn, N: length - ready}
	if _, err := io.Copy(w, rest); err != nil {
		return err
	}
	if rest.N > 0 {
		return io.ErrUnexpectedEOF
	}
	return nil
}

// relayStream sends a body of unknown length, every piece at once.
func (p *Proxy) relayStream(w http.ResponseWriter, u *upstream, body io.Reader) error {
	block := p.blocks.Get().(*[blockSize]byte)
	defer p.blocks.Put(block)
	control := http.NewResponseController(w)
	if u.br.Buffered() == 0 {
		if err := control.Flush(); err != nil { // the head tells that something will come
			return err
		}
	}
	for {
		n, err := body.Read(block[:])
		if n > 0 {
			if _, err := w.Write(block[:n]); err != nil {
				return err
			}
			if u.br.Buffered() == 0 && err == nil { // nothing more is here to go with it
				if err := control.Flush(); err != nil {
					return err
				}
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}
