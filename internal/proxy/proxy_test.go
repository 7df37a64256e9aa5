package proxy

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/masu-lab/masu"
)

// rig is a proxy in front of one app, both on real sockets.
type rig struct {
	*httptest.Server
	origin  string
	asked   atomic.Int32 // how often Authorize was
	dialed  atomic.Int32 // how often the app was
	session context.Context
	end     context.CancelFunc // of the session
	app     string             // address
	deny    error              // what Authorize says
	framers []string
	framed  bool
}

func newRig(t testing.TB, app http.Handler) *rig {
	t.Helper()
	up := httptest.NewServer(app)
	t.Cleanup(up.Close)
	return rigTo(t, up.Listener.Addr().String())
}

func rigTo(t testing.TB, app string) *rig {
	t.Helper()
	r := &rig{app: app}
	r.session, r.end = context.WithCancel(context.Background())
	p, err := New(Config{
		Authorize: func(*http.Request) (Target, error) {
			r.asked.Add(1)
			return Target{Key: "app", Origin: r.origin, User: "alice", Framers: r.framers, Framed: r.framed, OnEnd: func(f func()) func() bool { return context.AfterFunc(r.session, f) }, Dial: r.dial}, r.deny
		},
		Refuse: func(w http.ResponseWriter, _ *http.Request, err error) {
			status := map[masu.Kind]int{masu.Invalid: 400, masu.Denied: 403, masu.NotFound: 404, masu.Unreachable: 502}[masu.KindOf(err)]
			http.Error(w, masu.CodeOf(err), status)
		},
		Cookies: []string{"masu_"}, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	r.Server = httptest.NewServer(p)
	r.origin = r.URL
	t.Cleanup(r.Close)
	return r
}

func (r *rig) dial(ctx context.Context) (net.Conn, error) {
	r.dialed.Add(1)
	return new(net.Dialer).DialContext(ctx, "tcp", r.app)
}

// raw sends bytes as they are and gives the connection they went on.
func (r *rig) raw(t testing.TB, request string) (net.Conn, *bufio.Reader) {
	t.Helper()
	c, err := net.Dial("tcp", r.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(c, request); err != nil {
		t.Fatal(err)
	}
	return c, bufio.NewReader(c)
}

// answer reads the answer to a raw request.
func answer(t testing.TB, br *bufio.Reader, method string) (*http.Response, string) {
	t.Helper()
	resp, err := http.ReadResponse(br, &http.Request{Method: method})
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(b)
}

// rawApp is an app that answers every connection by a function.
func rawApp(t testing.TB, serve func(c net.Conn, br *bufio.Reader)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				serve(c, bufio.NewReader(c))
			}()
		}
	}()
	return l.Addr().String()
}

// says is a raw app that answers every request with the same bytes.
func says(t testing.TB, answer string) string {
	return rawApp(t, func(c net.Conn, br *bufio.Reader) {
		for {
			if _, err := http.ReadRequest(br); err != nil {
				return
			}
			if _, err := io.WriteString(c, answer); err != nil {
				return
			}
		}
	})
}

// echo tells what arrived: request line, headers in order of name, body.
func echo(w http.ResponseWriter, r *http.Request) {
	b, err := io.ReadAll(r.Body)
	fmt.Fprintf(w, "%s %s %s\n", r.Method, r.RequestURI, r.Host)
	var names []string
	for name := range r.Header {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		for _, v := range r.Header[name] {
			fmt.Fprintf(w, "%s: %s\n", name, v)
		}
	}
	fmt.Fprintf(w, "\n%s %v", b, err)
}

// eventually polls what other goroutines will make true.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain until %s", what)
		}
	}
}

func TestNewWantsItsParts(t *testing.T) {
	if _, err := New(Config{}); err == nil {
		t.Error("a proxy that authorises nobody was made")
	}
}

func TestRequestArrivesAsItWasMade(t *testing.T) {
	r := newRig(t, http.HandlerFunc(echo))
	_, br := r.raw(t, "PUT /a%2f..%2fb/%E3%81%82//c;x?q=%0d%0a&&=1;2 HTTP/1.1\r\nHost: thesis--alice.localhost:8888\r\n"+
		"Origin: "+r.origin+"\r\nX-Mine: a\r\nX-Mine: b\r\nContent-Length: 5\r\n\r\nhello")
	_, got := answer(t, br, "PUT")
	want := "PUT /a%2f..%2fb/%E3%81%82//c;x?q=%0d%0a&&=1;2 thesis--alice.localhost:8888\n" +
		"Content-Length: 5\nOrigin: " + r.origin + "\nX-Forwarded-For: 127.0.0.1\nX-Forwarded-Host: thesis--alice.localhost:8888\n" +
		"X-Forwarded-Proto: http\nX-Mine: a\nX-Mine: b\n\nhello <nil>"
	if got != want {
		t.Errorf("the app got\n%s\nwant\n%s", got, want)
	}
	if r.asked.Load() != 1 {
		t.Errorf("Authorize was asked %d times for one request", r.asked.Load())
	}
}

func TestNobodyPretends(t *testing.T) {
	r := newRig(t, http.HandlerFunc(echo))
	_, br := r.raw(t, "GET http://"+r.Listener.Addr().String()+"/x?y HTTP/1.1\r\nHost: evil.example\r\nX-Forwarded-For: 6.6.6.6\r\nX-Forwarded-User: root\r\n"+
		"Forwarded: for=6.6.6.6\r\nX-Real-IP: 6.6.6.6\r\nX-Remote-User: root\r\nX_Remote_User: root\r\nX_Masu_User: root\r\nRemote-User: root\r\nX-Masu-User: root\r\n"+
		"Authorization: token x\r\nConnection: close, X-Forwarded-For, X-Mine, X-Forwarded-Host\r\nX-Mine: hop\r\nProxy-Connection: x\r\nKeep-Alive: 5\r\n"+
		"Upgrade: h2c\r\nOrigin: "+r.origin+"\r\nHTTP2-Settings: x\r\nTE: gzip\r\n\r\n")
	_, got := answer(t, br, "GET")
	host := r.Listener.Addr().String()
	want := "GET /x?y " + host + "\nHttp2-Settings: x\nOrigin: " + r.origin + "\nX-Forwarded-For: 127.0.0.1\nX-Forwarded-Host: " + host + "\nX-Forwarded-Proto: http\n\n <nil>"
	if got != want {
		t.Errorf("the app got\n%s\nwant\n%s", got, want)
	}
}

func TestCookiesToTheApp(t *testing.T) {
	r := newRig(t, http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) { fmt.Fprintf(w, "%q", q.Header["Cookie"]) }))
	for _, c := range []struct {
		lines []string
		want  string
	}{
		{nil, "[]"},
		{[]string{"masu_session=a"}, "[]"},
		{[]string{"masu_session=a; other=1; masu_app_8901=b"}, `["other=1"]`},
		{[]string{`a="x y"; _xsrf=2|3|4=; masu_app=q;  b = c;;d`}, `["a=\"x y\"; _xsrf=2|3|4=; b = c; d"]`},
		{[]string{"a=1; MASU_session=x; __Host-masu_session=x; __Secure-Masu_app=y"}, `["a=1"]`},
		{[]string{"masu_session=a;\tmasu_app=b", "z=1"}, `["z=1"]`},
		{[]string{"amasu_session=1; masu=2"}, `["amasu_session=1; masu=2"]`},
		{[]string{"masu_session"}, "[]"},
		{[]string{"masu_session =a; \"masu_app\"=b"}, "[]"},
	} {
		q, _ := http.NewRequest("GET", r.URL, nil)
		q.Header["Cookie"] = c.lines
		resp, err := r.Client().Do(q)
		if err != nil {
			t.Fatal(err)
		}
		b, _ := io.ReadAll(resp.Body)
		if string(b) != c.want {
			t.Errorf("%q arrived as %s, want %s", c.lines, b, c.want)
		}
	}
}

func TestCookiesFromTheApp(t *testing.T) {
	set := []string{"ok=1; Path=/; HttpOnly", "masu_session=x; Path=/", "Masu_App=x", "__Host-masu_session=x; Secure; Path=/", "a=1; Domain=localhost", "b=1; domain = .gpu.lab; Path=/",
		" masu_lang=ja", "domain=1; Path=/lab", "username-8888=2|1:0; expires=Wed, 01 Jan 2031 00:00:00 GMT; Path=/"}
	r := newRig(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header()["Set-Cookie"] = set
		w.Header().Set("Service-Worker-Allowed", "/")
		w.Header().Set("X-Hop", "1")
		w.Header().Set("Connection", "X-Hop")
		w.Header().Set("X-Frame-Options", "SAMEORIGIN")
	}))
	resp, err := r.Client().Get(r.URL)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if want := []string{set[0], set[7], set[8]}; !slices.Equal(resp.Header["Set-Cookie"], want) {
		t.Errorf("cookies %q, want %q", resp.Header["Set-Cookie"], want)
	}
	for name, want := range map[string]string{"Service-Worker-Allowed": "", "X-Hop": "", "X-Frame-Options": "", "Content-Security-Policy": "frame-ancestors 'self'", "Content-Type": ""} {
		if got := resp.Header.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

func TestOrigin(t *testing.T) {
	r := newRig(t, http.HandlerFunc(echo))
	const ws = "Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
	for _, c := range []struct {
		method, headers string
		want            int
	}{
		{"GET", "", 200}, {"GET", "Origin: http://evil.example\r\n", 200}, {"HEAD", "", 200}, {"OPTIONS", "", 200},
		{"POST", "", 403}, {"POST", "Cookie: masu_app=x\r\n", 403}, {"POST", "Origin: null\r\n", 403}, {"POST", "Origin: http://evil.example\r\n", 403},
		{"POST", "Origin: " + r.origin + "/\r\n", 403}, {"POST", "Origin: " + r.origin + "0\r\n", 403}, {"POST", "Origin: " + r.origin + "\r\nOrigin: http://evil.example\r\n", 403},
		{"POST", "Sec-Fetch-Site: same-origin\r\n", 403}, {"POST", "Origin: " + strings.Replace(r.origin, "http", "https", 1) + "\r\n", 403},
		{"POST", "Origin: " + r.origin + "\r\n", 200}, {"DELETE", "Origin: " + r.origin + "\r\n", 200}, {"DELETE", "", 403}, {"PATCH", "", 403}, {"PROPFIND", "", 403},
		{"GET", ws, 403}, {"GET", ws + "Origin: http://127.0.0.1:9999\r\n", 403}, {"GET", "Upgrade: websocket\r\n", 403}, {"GET", "Upgrade: h2c\r\nConnection: Upgrade\r\n", 403},
	} {
		before := r.dialed.Load() + r.asked.Load()
		_, br := r.raw(t, c.method+" / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nConnection: close\r\n"+c.headers+"\r\n")
		resp, body := answer(t, br, c.method)
		if resp.StatusCode != c.want {
			t.Errorf("%s %q: %d, want %d", c.method, c.headers, resp.StatusCode, c.want)
		}
		if c.want == 403 && (strings.TrimSpace(body) != "cross_origin" || r.dialed.Load()+r.asked.Load() != before+1) {
			t.Errorf("%s %q: %q, and the app was dialled", c.method, c.headers, body)
		}
	}
}

func TestRefusedBeforeDialling(t *testing.T) {
	r := newRig(t, http.HandlerFunc(echo))
	for _, path := range []string{"/x%0d%0aSet-Cookie:a=b", "/%00", "/%1f/x", "/x%7f", "/a/%0A", "*"} {
		_, br := r.raw(t, "OPTIONS "+path+" HTTP/1.1\r\nHost: x\r\n\r\n")
		if resp, body := answer(t, br, "OPTIONS"); resp.StatusCode != 400 && path != "*" || path != "*" && strings.TrimSpace(body) != "path_wrong" {
			t.Errorf("%s: %d %s", path, resp.StatusCode, body)
		}
	}
	_, br := r.raw(t, "CONNECT 127.0.0.1:2375 HTTP/1.1\r\nHost: 127.0.0.1:2375\r\n\r\n")
	if resp, _ := answer(t, br, "GET"); resp.StatusCode != 400 {
		t.Errorf("CONNECT: %d", resp.StatusCode)
	}
	r.deny = masu.E(masu.NotFound, "no_workspace")
	if resp, err := r.Client().Get(r.URL); err != nil || resp.StatusCode != 404 {
		t.Errorf("somebody else's workspace: %v %v", resp, err)
	}
	if r.dialed.Load() != 0 {
		t.Errorf("the app was dialled %d times", r.dialed.Load())
	}
}

// TestSmuggling: one request on the wire is one request to the app, or none.
func TestSmuggling(t *testing.T) {
	var seen atomic.Int32
	r := newRig(t, http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		b, err := io.ReadAll(q.Body)
		seen.Add(1)
		fmt.Fprintf(w, "%s %q %v %v", q.URL.Path, b, q.TransferEncoding, err)
	}))
	const inner = "GET /inner HTTP/1.1\r\nHost: x\r\n\r\n"
	post := "POST /outer HTTP/1.1\r\nHost: x\r\nConnection: close\r\nOrigin: " + r.origin + "\r\n"
	for _, c := range []struct {
		name, request string
		status        int
		apps          int32
		body          string
	}{
		{"length and chunked", post + fmt.Sprintf("Content-Length: %d\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", len(inner)), 200, 1, `/outer "abc" [chunked] <nil>`},
		{"two lengths", post + "Content-Length: 0\r\nContent-Length: 34\r\n\r\n" + inner, 400, 0, ""},
		{"strange encoding", post + "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 501, 0, ""},
		{"space before colon", post + "Content-Length : 34\r\n\r\n" + inner, 400, 0, ""},
		{"two hosts", "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400, 0, ""},
		{"NUL in a value", "GET / HTTP/1.1\r\nHost: a\r\nX: a\x00b\r\n\r\n", 400, 0, ""},
		{"length by hop", post + "Connection: Content-Length\r\nContent-Length: 3\r\n\r\nabc", 200, 1, `/outer "abc" [] <nil>`},
		{"CR in a value", "GET / HTTP/1.1\r\nHost: a\r\nX: a\rY: b\r\n\r\n", 400, 0, ""},
	} {
		before := seen.Load()
		_, br := r.raw(t, c.request)
		resp, err := http.ReadResponse(br, &http.Request{Method: "POST"})
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		b, _ := io.ReadAll(resp.Body)
		if resp.StatusCode != c.status || seen.Load()-before != c.apps || c.body != "" && string(b) != c.body {
			t.Errorf("%s: %d, %d reached the app, %s", c.name, resp.StatusCode, seen.Load()-before, b)
		}
	}
	// A broken chunk breaks the request to the app too.
	before := seen.Load()
	_, br := r.raw(t, post+"Transfer-Encoding: chunked\r\n\r\n3;a\nb\r\nabc\r\nXX\r\n"+inner)
	if resp, err := http.ReadResponse(br, nil); err == nil && resp.StatusCode == 200 {
		b, _ := io.ReadAll(resp.Body)
		if !strings.Contains(string(b), "unexpected EOF") {
			t.Errorf("a broken chunk: %s", b)
		}
	}
	if seen.Load() > before+1 {
		t.Error("a broken chunk made two requests of one")
	}
}

func TestKeptConnections(t *testing.T) {
	r := newRig(t, http.HandlerFunc(echo))
	for range 5 {
		q, _ := http.NewRequest("POST", r.URL, strings.NewReader("body"))
		q.Header.Set("Origin", r.origin)
		resp, err := r.Client().Do(q)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, resp.Body); err != nil {
			t.Fatal(err)
		}
	}
	if n := r.dialed.Load(); n != 1 {
		t.Errorf("5 requests one after the other took %d connections", n)
	}
}

// TestAppHangsUpBetweenRequests: an app may close an idle connection at any
// time, and nobody notices.
func TestAppHangsUpBetweenRequests(t *testing.T) {
	r := rigTo(t, rawApp(t, func(c net.Conn, br *bufio.Reader) {
		if q, err := http.ReadRequest(br); err == nil {
			b, _ := io.ReadAll(q.Body)
			fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(b), b)
		}
	}))
	for i := range 20 {
		want := fmt.Sprint("body ", i)
		q, _ := http.NewRequest("POST", r.URL, strings.NewReader(want))
		q.Header.Set("Origin", r.origin)
		resp, err := r.Client().Do(q)
		if err != nil {
			t.Fatal(err)
		}
		if b, err := io.ReadAll(resp.Body); string(b) != want || err != nil {
			t.Fatalf("%d: %d %q %v", i, resp.StatusCode, b, err)
		}
		eventually(t, "the app has hung up", func() bool {
			c := r.proxy().pool.take("app")
			if c == nil {
				return true
			}
			defer func() { r.proxy().pool.put(c) }()
			return !c.quiet()
		})
	}
}

func (r *rig) proxy() *Proxy { return r.Config.Handler.(*Proxy) }

func TestAppFails(t *testing.T) {
	for name, c := range map[string]struct {
		answer string
		status int
	}{
		"silence":         {"", 502},
		"no HTTP":         {"hello\r\n\r\n", 502},
		"switches":        {"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n", 502},
		"head for ever":   {"HTTP/1.1 200 OK\r\n" + strings.Repeat("X: "+strings.Repeat("y", 1000)+"\r\n", 10_000) + "\r\n", 502},
		"line for ever":   {"HTTP/1.1 200 OK\r\nX: " + strings.Repeat("y", 10<<20) + "\r\n\r\n", 502},
		"1xx for ever":    {strings.Repeat("HTTP/1.1 102 Processing\r\n\r\n", 100), 502},
		"bad length":      {"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", 502},
		"two lengths":     {"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", 502},
		"after two hints": {"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n", 204},
	} {
		r := rigTo(t, rawApp(t, func(conn net.Conn, br *bufio.Reader) {
			if _, err := http.ReadRequest(br); err == nil {
				_, _ = io.WriteString(conn, c.answer)
			}
		}))
		resp, err := r.Client().Get(r.URL)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		b, _ := io.ReadAll(resp.Body)
		if resp.StatusCode != c.status || c.status == 502 && strings.TrimSpace(string(b)) != "app_unreachable" {
			t.Errorf("%s: %d %s", name, resp.StatusCode, b)
		}
	}
	r := rigTo(t, "127.0.0.1:1")
	if resp, err := r.Client().Get(r.URL); err != nil || resp.StatusCode != 502 {
		t.Errorf("nobody there: %v %v", resp, err)
	}
}

// TestBrokenOff: a browser never takes half an answer for a whole one.
func TestBrokenOff(t *testing.T) {
	for _, answer := range []string{
		"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\nzz\r\n",
	} {
		r := rigTo(t, rawApp(t, func(c net.Conn, br *bufio.Reader) {
			if _, err := http.ReadRequest(br); err == nil {
				_, _ = io.WriteString(c, answer)
			}
		}))
		resp, err := r.Client().Get(r.URL)
		if err == nil {
			_, err = io.ReadAll(resp.Body)
		}
		if err == nil {
			t.Errorf("%q looked whole", answer)
		}
	}
}
