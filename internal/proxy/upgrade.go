package proxy

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"time"
)

// linger is how long one direction of a WebSocket may outlast the other.
const linger = 5 * time.Second

// upgrade opens a WebSocket: the handshake is held to the same rules as every
// request, and what follows is carried both ways until either side has ended.
func (p *Proxy) upgrade(w http.ResponseWriter, r *http.Request, t Target) error {
	conn, err := t.Dial(r.Context())
	if err != nil {
		return err
	}
	defer conn.Close()
	u := newUpstream(conn, t.Key)
	release := watch(r.Context(), t, func() { _ = conn.Close() })
	_, err = conn.Write(p.writeHead(nil, r, true))
	var resp *http.Response
	if err == nil {
		resp, err = u.answer(r)
	}
	if err == nil && resp.StatusCode != http.StatusSwitchingProtocols {
		err = p.relay(w, r, t, u, resp)
		if !release() || err != nil {
			return errCut
		}
		return nil
	}
	if err == nil && !strings.EqualFold(resp.Header.Get("Upgrade"), "websocket") {
		err = errors.New("proxy: the app upgrades to " + resp.Header.Get("Upgrade"))
	}
	if !release() {
		return errCut
	}
	if err != nil {
		return err
	}
	client, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return err
	}
	defer client.Close()
	release = watch(r.Context(), t, func() { _ = conn.Close(); _ = client.Close() })
	defer release()
	if err := p.switching(client, resp, u.br, t); err != nil {
		return nil // the browser has gone
	}
	if err := drain(conn, buffered.Reader); err != nil {
		return nil // the app has gone
	}
	p.join(client, conn)
	return nil
}

// switching tells the browser that the app has agreed, and what it said with it.
func (p *Proxy) switching(client net.Conn, resp *http.Response, br *bufio.Reader, t Target) error {
	h := http.Header{}
	p.copyHead(h, resp.Header, t)
	if h["Content-Type"] == nil {
		delete(h, "Content-Type")
	}
	h["Connection"], h["Upgrade"] = []string{"Upgrade"}, []string{"websocket"}
	var head strings.Builder
	head.WriteString("HTTP/1.1 101 Switching Protocols\r\n")
	if err := h.Write(&head); err != nil {
		return err
	}
	head.WriteString("\r\n")
	if _, err := io.WriteString(client, head.String()); err != nil {
		return err
	}
	return drain(client, br)
}

// drain writes what a reader has ready.
func drain(to io.Writer, br *bufio.Reader) error {
	b, err := br.Peek(br.Buffered())
	if err == nil && len(b) > 0 {
		_, err = to.Write(b)
	}
	return err
}

// join carries bytes both ways. When one side has said all, the other gets a
// little time to do so too; when one side breaks, both end.
func (p *Proxy) join(a, b net.Conn) {
	var wg sync.WaitGroup
	carry := func(to, from net.Conn) {
		if err := p.pump(to, from); err != nil {
			_, _ = a.Close(), b.Close()
			return
		}
		half, ok := to.(interface{ CloseWrite() error })
		if !ok || half.CloseWrite() != nil || to.SetReadDeadline(time.Now().Add(linger)) != nil {
			_, _ = a.Close(), b.Close()
		}
	}
	wg.Go(func() { carry(b, a) })
	carry(a, b)
	wg.Wait()
}

// pump copies until from ends. A connection that is silent holds no buffer: a
// thousand open notebooks cost what they say.
func (p *Proxy) pump(to, from net.Conn) error {
	sc, ok := from.(syscall.Conn)
	if !ok {
		_, err := io.Copy(to, from)
		return err
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return err
	}
	var (
		block *[blockSize]byte
		n     int
		rerr  error
	)
	read := func(fd uintptr) bool {
		block = p.blocks.Get().(*[blockSize]byte)
		for {
			n, rerr = syscall.Read(int(fd), block[:])
			if !errors.Is(rerr, syscall.EINTR) {
				break
			}
		}
		if errors.Is(rerr, syscall.EAGAIN) {
			p.blocks.Put(block)
			return false // wait until there is something
		}
		return true
	}
	for {
		if err := raw.Read(read); err != nil {
			return err
		}
		if rerr == nil && n > 0 {
			_, rerr = to.Write(block[:n])
		} else if rerr == nil {
			rerr = io.EOF
		}
		p.blocks.Put(block)
		if errors.Is(rerr, io.EOF) {
			return nil
		}
		if rerr != nil {
			return rerr
		}
	}
}
