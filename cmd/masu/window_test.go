package main

import (
	"context"
	"io"
	"net"
	"testing"
)

// TestWindow: a port that is taken is left alone, bytes and their ends pass
// through, and an address is told as it is reached from here.
func TestWindow(t *testing.T) {
	far, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer far.Close()
	go func() {
		for {
			c, err := far.Accept()
			if err != nil {
				return
			}
			go func() { defer c.Close(); _, _ = io.Copy(c, c) }()
		}
	}()
	_, taken, _ := net.SplitHostPort(far.Addr().String())
	ctx, cancel := context.WithCancel(t.Context())
	w, err := openWindow(ctx, taken, func(ctx context.Context) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "tcp", far.Addr().String())
	})
	if err != nil || w.port == taken {
		t.Fatalf("port %s, which is taken: %+v, %v", taken, w, err)
	}
	ended := make(chan error, 1)
	go func() { ended <- w.serve(ctx) }()
	for _, l := range w.listeners {
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(c, "hello"); err != nil {
			t.Error(err)
		}
		if err := c.(*net.TCPConn).CloseWrite(); err != nil {
			t.Error(err)
		}
		if b, err := io.ReadAll(c); string(b) != "hello" || err != nil {
			t.Errorf("at %s: %q, %v", l.Addr(), b, err)
		}
		_ = c.Close()
	}
	if got := w.here("http://localhost:8888/enter?code=x"); got != "http://localhost:"+w.port+"/enter?code=x" {
		t.Errorf("the link is %s", got)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	again, err := openWindow(t.Context(), w.port, nil)
	if err != nil || again.port != w.port {
		t.Fatalf("a port that is free: %+v, %v", again, err)
	}
	for _, l := range again.listeners {
		_ = l.Close()
	}
}

func TestParsePorts(t *testing.T) {
	for said, want := range map[string][2]int{"6006": {6006, 6006}, "8501:9000": {8501, 9000}, "65535:1": {65535, 1}} {
		port, local, err := parsePorts(said)
		if err != nil || [2]int{port, local} != want {
			t.Errorf("%s: %d, %d, %v", said, port, local, err)
		}
	}
	for _, said := range []string{"", ":", "0", "65536", "-1", "6006:", ":6006", "1:2:3", "http", "6006/tcp"} {
		if _, _, err := parsePorts(said); err == nil {
			t.Errorf("%q is taken for ports", said)
		}
	}
}
