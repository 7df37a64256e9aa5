package proxy

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"
)

func TestEventsComeAtOnce(t *testing.T) {
	next := make(chan struct{})
	r := newRig(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for i := range 3 {
			fmt.Fprintf(w, "data: %d\n\n", i)
			w.(http.Flusher).Flush()
			<-next // the next one only when this one has arrived
		}
	}))
	resp, err := r.Client().Get(r.URL)
	if err != nil {
		t.Fatal(err)
	}
	br := bufio.NewReader(resp.Body)
	for i := range 3 {
		if l, err := br.ReadString('\n'); l != fmt.Sprintf("data: %d\n", i) {
			t.Fatalf("%q %v", l, err)
		}
		_, _ = br.ReadString('\n')
		next <- struct{}{}
	}
}

// TestSlowAnswerOfKnownLength: what the app has sent is there before the rest.
func TestSlowAnswerOfKnownLength(t *testing.T) {
	next := make(chan struct{})
	r := newRig(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "6")
		w.(http.Flusher).Flush()
		<-next
		_, _ = io.WriteString(w, "abc")
		w.(http.Flusher).Flush()
		<-next
		_, _ = io.WriteString(w, "def")
	}))
	resp, err := r.Client().Get(r.URL)
	if err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 3)
	for _, want := range []string{"abc", "def"} {
		next <- struct{}{}
		if _, err := io.ReadFull(resp.Body, b); string(b) != want {
			t.Fatalf("%q %v", b, err)
		}
	}
}

// TestUploadStreams: the app reads the first part before the browser has the
// last, and may answer before it has read all.
func TestUploadStreams(t *testing.T) {
	r := newRig(t, http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		_ = http.NewResponseController(w).EnableFullDuplex()
		br := bufio.NewReader(q.Body)
		for {
			l, err := br.ReadString('\n')
			if err != nil {
				return
			}
			_, _ = io.WriteString(w, "got "+l)
			w.(http.Flusher).Flush()
		}
	}))
	body, part := io.Pipe()
	q, _ := http.NewRequest("POST", r.URL, body)
	q.Header.Set("Origin", r.origin)
	go func() { _, _ = io.WriteString(part, "first\n") }()
	resp, err := r.Client().Do(q)
	if err != nil {
		t.Fatal(err)
	}
	br := bufio.NewReader(resp.Body)
	for _, want := range []string{"first", "second"} {
		if l, err := br.ReadString('\n'); l != "got "+want+"\n" {
			t.Fatalf("%q %v", l, err)
		}
		if want == "first" {
			_, _ = io.WriteString(part, "second\n")
		}
	}
	part.Close()
	if b, err := io.ReadAll(br); len(b) > 0 || err != nil {
		t.Errorf("%q %v", b, err)
	}
}

// TestAnswerBeforeTheUploadEnds: what is left of an upload is never taken for
// another request.
func TestAnswerBeforeTheUploadEnds(t *testing.T) {
	r := rigTo(t, rawApp(t, func(c net.Conn, br *bufio.Reader) {
		if _, err := http.ReadRequest(br); err == nil {
			_, _ = io.WriteString(c, "HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\n\r\nbig")
			_, _ = io.Copy(io.Discard, br)
		}
	}))
	c, br := r.raw(t, "POST / HTTP/1.1\r\nHost: x\r\nOrigin: "+r.origin+"\r\nContent-Length: 100000\r\n\r\nsome")
	resp, body := answer(t, br, "POST")
	if resp.StatusCode != 413 || body != "big" || !resp.Close {
		t.Errorf("%d %q, closes: %v", resp.StatusCode, body, resp.Close)
	}
	_, _ = io.WriteString(c, "GET /inner HTTP/1.1\r\nHost: x\r\n\r\n")
	if b, _ := io.ReadAll(br); len(b) > 0 {
		t.Errorf("the rest of the upload was answered: %q", b)
	}
	if n := r.asked.Load(); n != 1 {
		t.Errorf("%d requests", n)
	}
}

func TestChunksAndTrailers(t *testing.T) {
	r := newRig(t, http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		w.Header().Set("Trailer", "X-Sum")
		b, err := io.ReadAll(q.Body)
		fmt.Fprintf(w, "%s %v %v %s", b, err, q.TransferEncoding, q.Trailer.Get("X-Client"))
		w.Header().Set("X-Sum", "42")
	}))
	_, br := r.raw(t, "POST / HTTP/1.1\r\nHost: x\r\nOrigin: "+r.origin+"\r\nTransfer-Encoding: chunked\r\nTrailer: X-Client, Cookie, X-Remote-User\r\n\r\n"+
		"3\r\nabc\r\n2\r\nde\r\n0\r\nX-Client: mine\r\nCookie: masu_session=x\r\nX-Remote-User: root\r\n\r\n")
	resp, body := answer(t, br, "POST")
	if body != "abcde <nil> [chunked] mine" || resp.Trailer.Get("X-Sum") != "42" {
		t.Errorf("%q, trailer %v", body, resp.Trailer)
	}
}

func TestExpectContinue(t *testing.T) {
	r := newRig(t, http.HandlerFunc(echo))
	c, br := r.raw(t, "POST / HTTP/1.1\r\nHost: x\r\nOrigin: "+r.origin+"\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n")
	resp, err := http.ReadResponse(br, nil)
	if err != nil || resp.StatusCode != 100 {
		t.Fatalf("%v %v", resp, err)
	}
	_, _ = io.WriteString(c, "hi")
	if resp, body := answer(t, br, "POST"); resp.StatusCode != 200 || !strings.HasSuffix(body, "\nhi <nil>") {
		t.Errorf("%d %s", resp.StatusCode, body)
	}
	// Who may not is not asked to send its body.
	_, br = r.raw(t, "POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n")
	if resp, _ := answer(t, br, "POST"); resp.StatusCode != 403 {
		t.Errorf("without Origin: %d", resp.StatusCode)
	}
}

func TestAnswersWithoutBody(t *testing.T) {
	r := newRig(t, http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		code, _ := strconv.Atoi(q.URL.Path[1:])
		w.Header().Set("ETag", `"x"`)
		if code == 200 {
			w.Header().Set("Content-Length", "1234")
		}
		w.WriteHeader(code)
		if q.Method == "GET" && code == 200 {
			_, _ = w.Write(make([]byte, 1234))
		}
	}))
	c, br := r.raw(t, "")
	for _, q := range []struct {
		method, path, length string
	}{{"HEAD", "/200", "1234"}, {"GET", "/304", ""}, {"GET", "/204", ""}, {"GET", "/200", "1234"}, {"HEAD", "/204", ""}} {
		fmt.Fprintf(c, "%s %s HTTP/1.1\r\nHost: x\r\n\r\n", q.method, q.path)
		resp, _ := answer(t, br, q.method)
		if "/"+strconv.Itoa(resp.StatusCode) != q.path || resp.Header.Get("Content-Length") != q.length || resp.Header.Get("ETag") != `"x"` {
			t.Errorf("%s %s: %d %v", q.method, q.path, resp.StatusCode, resp.Header)
		}
	}
	if n := r.dialed.Load(); n != 1 {
		t.Errorf("%d connections to the app", n)
	}
}

func TestOldClient(t *testing.T) {
	r := newRig(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "one ")
		w.(http.Flusher).Flush()
		_, _ = io.WriteString(w, "two")
	}))
	_, br := r.raw(t, "GET / HTTP/1.0\r\n\r\n")
	resp, body := answer(t, br, "GET")
	if body != "one two" || len(resp.TransferEncoding) > 0 {
		t.Errorf("%q %v", body, resp.TransferEncoding)
	}
}

func TestOldApp(t *testing.T) {
	r := rigTo(t, rawApp(t, func(c net.Conn, br *bufio.Reader) {
		if _, err := http.ReadRequest(br); err == nil {
			_, _ = io.WriteString(c, "HTTP/1.0 200 OK\r\nServer: old\r\n\r\nuntil the end")
		}
	}))
	for range 2 {
		resp, err := r.Client().Get(r.URL)
		if err != nil {
			t.Fatal(err)
		}
		if b, err := io.ReadAll(resp.Body); string(b) != "until the end" || err != nil {
			t.Errorf("%q %v", b, err)
		}
	}
}

// TestBigDownload: what is carried is not kept.
func TestBigDownload(t *testing.T) {
	const size = 1 << 30
	r := newRig(t, http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		if q.URL.Path == "/known" {
			w.Header().Set("Content-Length", strconv.Itoa(size))
		}
		for block, sent := make([]byte, 256<<10), 0; sent < size; sent += len(block) {
			if _, err := w.Write(block); err != nil {
				return
			}
		}
	}))
	for _, path := range []string{"/known", "/chunked"} {
		before := resident(t)
		resp, err := r.Client().Get(r.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		if n, err := io.CopyBuffer(onlyWriter{io.Discard}, resp.Body, make([]byte, 64<<10)); n != size || err != nil {
			t.Errorf("%s: %d bytes, %v", path, n, err)
		}
		if grown := resident(t) - before; grown > 50<<20 {
			t.Errorf("%s: memory grew by %d MiB", path, grown>>20)
		}
	}
}

// resident is the memory of this process, in bytes.
func resident(t *testing.T) int {
	t.Helper()
	runtime.GC()
	b, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		t.Fatal(err)
	}
	pages, err := strconv.Atoi(strings.Fields(string(b))[1])
	if err != nil {
		t.Fatal(err)
	}
	return pages * os.Getpagesize()
}

// TestBrowserGoes: the app learns that nobody waits for its answer.
func TestBrowserGoes(t *testing.T) {
	for _, begun := range []bool{false, true} {
		here, gone := make(chan struct{}), make(chan struct{})
		r := newRig(t, http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
			if begun {
				w.(http.Flusher).Flush()
			}
			close(here)
			<-q.Context().Done()
			close(gone)
		}))
		ctx, leave := context.WithCancel(t.Context())
		q, _ := http.NewRequestWithContext(ctx, "GET", r.URL, nil)
		go func() { <-here; leave() }()
		if resp, err := r.Client().Do(q); err == nil {
			_, _ = io.ReadAll(resp.Body)
		}
		<-gone
	}
}

// TestSessionEnds: what a session has going ends with it, also to a browser that does not read.
func TestSessionEnds(t *testing.T) {
	for _, path := range []string{"/silent", "/stream", "/flood", "/known"} {
		here, gone := make(chan struct{}), make(chan struct{})
		r := newRig(t, http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
			defer close(gone)
			if path == "/known" {
				w.Header().Set("Content-Length", strconv.Itoa(1<<40))
			}
			if path != "/silent" {
				w.(http.Flusher).Flush()
			}
			close(here)
			for block := make([]byte, 1<<20); path == "/flood" || path == "/known"; {
				if _, err := w.Write(block); err != nil {
					return
				}
			}
			<-q.Context().Done()
		}))
		_, br := r.raw(t, "GET "+path+" HTTP/1.1\r\nHost: x\r\n\r\n")
		<-here
		r.end()
		<-gone
		if path == "/silent" {
			if b, _ := io.ReadAll(br); len(b) > 0 {
				t.Errorf("after the session's end came %q", b)
			}
		}
	}
}
