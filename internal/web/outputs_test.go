package web

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// TestOpensNotebook: the box is asked before a page reads all of a notebook, and at no other time.
func TestOpensNotebook(t *testing.T) {
	for target, want := range map[string]string{
		"GET /api/contents/a.ipynb":                       "a.ipynb",
		"GET /api/contents/sub/%E5%A4%9C.ipynb?content=1": "sub/夜.ipynb",
		"GET /api/contents/a.ipynb?content=0":             "",
		"GET /api/contents/a.ipynb/checkpoints":           "",
		"GET /api/contents/":                              "",
		"GET /api/contents/a.py":                          "",
		"GET /files/a.ipynb":                              "",
		"PUT /api/contents/a.ipynb":                       "",
	} {
		method, address, _ := strings.Cut(target, " ")
		if got, ok := opensNotebook(httptest.NewRequest(method, address, nil)); got != want && ok || ok != (want != "") {
			t.Errorf("%s: %q, %v", target, got, ok)
		}
	}
}

// TestOutputsAround: the box is told the path and who is attached, and its answer is awaited but not read.
func TestOutputsAround(t *testing.T) {
	asked := make(chan string, 1)
	dial := func(context.Context) (net.Conn, error) {
		here, there := net.Pipe()
		go func() {
			defer there.Close()
			r, err := http.ReadRequest(bufio.NewReader(there))
			if err != nil {
				return
			}
			body, _ := io.ReadAll(r.Body)
			asked <- r.Method + " " + r.URL.Path + " " + string(body)
			_, _ = there.Write([]byte("HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\nxxxx"))
		}()
		return here, nil
	}
	var a attached
	around := a.around("w", dial)
	attach := httptest.NewRequest("GET", "/api/kernels/k1/channels?session_id=s1", nil)
	attach.Header.Set("Upgrade", "websocket")
	leave := around(attach)
	around(httptest.NewRequest("GET", "/api/contents/a%26b.ipynb", nil))
	if got := <-asked; got != `POST /v1/outputs {"path":"a\u0026b.ipynb","pages":{"k1":["s1"]}}` {
		t.Errorf("asked %q", got)
	}
	leave()
	if len(a.of("w")) > 0 || len(a.pages) > 0 {
		t.Errorf("it has left, and is in %v", a.pages)
	}
}
