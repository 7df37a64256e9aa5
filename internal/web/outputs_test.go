package web

import (
	"bufio"
	"context"
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

// TestBefore: the box is told the path, and its answer is awaited but not read.
func TestBefore(t *testing.T) {
	asked := make(chan string, 1)
	dial := func(context.Context) (net.Conn, error) {
		here, there := net.Pipe()
		go func() {
			defer there.Close()
			r, err := http.ReadRequest(bufio.NewReader(there))
			if err != nil {
				return
			}
			asked <- r.Method + " " + r.URL.Path + " " + r.URL.Query().Get("path")
			_, _ = there.Write([]byte("HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\nxxxx"))
		}()
		return here, nil
	}
	before("jupyter", dial)(httptest.NewRequest("GET", "/api/contents/a%26b.ipynb", nil))
	if got := <-asked; got != "POST /v1/outputs a&b.ipynb" {
		t.Errorf("asked %q", got)
	}
	if before("tensorboard", dial) != nil {
		t.Error("another app has notebooks")
	}
}
