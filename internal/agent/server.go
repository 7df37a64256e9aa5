package agent

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/masu-lab/masu"
)

// handler is what the daemon, and the password command, talk to.
func handler(s *state, p *passwords, o *outputs, a *apps, g *gauges) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/status", func(w http.ResponseWriter, _ *http.Request) {
		status, _ := s.now()
		writeJSON(w, status)
	})
	mux.HandleFunc("GET /v1/watch", func(w http.ResponseWriter, r *http.Request) { watch(w, r, s) })
	mux.HandleFunc("POST /v1/say", say("/dev/pts"))
	mux.HandleFunc("POST /v1/outputs", o.post)
	mux.Handle("/v1/apps/", a.routes())
	mux.Handle("/v1/gauge/", g.routes())
	mux.HandleFunc("POST /v1/password", p.post)
	mux.HandleFunc("GET /v1/password/{id}", p.get)
	mux.HandleFunc("POST /v1/password/{id}", p.reply)
	return loopbackOnly(mux)
}

// loopbackOnly refuses requests that a browser in the box was tricked into: by
// a name that was made to mean this address. "box" is what the daemon says.
func loopbackOnly(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host := r.Host
		if h, _, err := net.SplitHostPort(host); err == nil {
			host = h
		}
		addr, err := netip.ParseAddr(strings.Trim(host, "[]"))
		if host != "localhost" && host != "box" && (err != nil || !addr.IsLoopback()) || r.Header.Get("Origin") != "" {
			http.Error(w, "this is for the box only", http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func writeJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // the other side has gone: it needs no answer
}

// watch tells the status, and again each time it changes, until the other side goes.
func watch(w http.ResponseWriter, r *http.Request, s *state) {
	w.Header().Set("Content-Type", "application/x-ndjson")
	flush := http.NewResponseController(w)
	enc := json.NewEncoder(w)
	for {
		status, changed := s.now()
		if enc.Encode(status) != nil || flush.Flush() != nil {
			return
		}
		select {
		case <-r.Context().Done():
			return
		case <-changed:
		}
	}
}

// connecting also connects to ports of the box, for a daemon that cannot enter
// its network: CONNECT 127.0.0.1:PORT.
func connecting(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodConnect {
			next.ServeHTTP(w, r)
			return
		}
		to, err := netip.ParseAddrPort(r.Host)
		if err != nil || to.Addr() != netip.AddrFrom4([4]byte{127, 0, 0, 1}) {
			http.Error(w, "only to 127.0.0.1:PORT", http.StatusForbidden)
			return
		}
		box, err := dialLoopback(to.Port())
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		defer box.Close()
		conn, buf, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer conn.Close()
		_ = conn.SetDeadline(time.Time{})
		if _, err := io.WriteString(conn, "HTTP/1.1 200 OK\r\n\r\n"); err != nil {
			return
		}
		early, _ := buf.Reader.Peek(buf.Reader.Buffered())
		if _, err := box.Write(early); err != nil {
			return
		}
		join(conn, box)
	})
}

func dialLoopback(port uint16) (net.Conn, error) {
	conn, err := net.DialTimeout("tcp", fmt.Sprintf("127.0.0.1:%d", port), 5*time.Second)
	if err != nil {
		if conn6, err6 := net.DialTimeout("tcp", fmt.Sprintf("[::1]:%d", port), 5*time.Second); err6 == nil {
			return conn6, nil
		}
	}
	return conn, err
}

// join carries bytes both ways until both sides have said all.
func join(a, b net.Conn) {
	var wg sync.WaitGroup
	carry := func(to, from net.Conn) {
		_, _ = io.Copy(to, from)
		if c, ok := to.(interface{ CloseWrite() error }); ok {
			_ = c.CloseWrite()
		}
	}
	wg.Go(func() { carry(a, b) })
	wg.Go(func() { carry(b, a) })
	wg.Wait()
}

// listenSocket listens as the member: the daemon checks who does.
func listenSocket(u masu.User, path string) (net.Listener, error) {
	var l net.Listener
	err := asMember(u, func() error {
		_ = removeSocket(path)
		var err error
		l, err = net.Listen("unix", path)
		return err
	})
	return l, err
}
