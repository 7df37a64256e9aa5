package proxy

import (
	"bufio"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/coder/websocket"
)

func BenchmarkSmallAnswer(b *testing.B) {
	r := rigTo(b, says(b, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 14\r\n\r\na small answer"))
	c, br := r.raw(b, "")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := io.WriteString(c, "GET /api/kernels HTTP/1.1\r\nHost: x\r\nUser-Agent: bench\r\nAccept: */*\r\nCookie: masu_app=x; _xsrf=1\r\n\r\n"); err != nil {
			b.Fatal(err)
		}
		resp, err := http.ReadResponse(br, nil)
		if err != nil || resp.StatusCode != 200 {
			b.Fatal(resp, err)
		}
		if _, err := br.Discard(14); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkWebSocketMessage(b *testing.B) {
	r := newRig(b, http.HandlerFunc(parrot))
	c, _ := r.socket(b)
	if _, _, err := c.Read(b.Context()); err != nil {
		b.Fatal(err)
	}
	message := make([]byte, 128)
	b.ReportAllocs()
	for b.Loop() {
		if err := c.Write(b.Context(), websocket.MessageBinary, message); err != nil {
			b.Fatal(err)
		}
		if _, _, err := c.Read(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}

// FuzzCookies: whatever is written, none of masu's cookies passes, and all others do.
func FuzzCookies(f *testing.F) {
	for _, s := range []string{"masu_session=a; b=c", "a=1;masu_app", `x="masu_session=1; y"`, ";;=;", "__host-masu_x=1;__Host-__Secure-masu_x=1"} {
		f.Add(s)
	}
	p := &Proxy{cfg: Config{Cookies: []string{"masu_"}}}
	f.Fuzz(func(t *testing.T, s string) {
		if strings.ContainsAny(s, "\r\n") {
			return
		}
		kept := strings.Join(p.withoutOurs([]string{s}), "; ")
		q, err := http.ReadRequest(bufio.NewReader(strings.NewReader("GET / HTTP/1.1\r\nHost: x\r\nCookie: " + kept + "\r\n\r\n")))
		if err != nil {
			return // the server would have refused it
		}
		for _, c := range q.Cookies() {
			if strings.HasPrefix(strings.ToLower(c.Name), "masu_") {
				t.Errorf("%q lets %q through", s, c)
			}
		}
		var want, got []string
		for pair := range strings.SplitSeq(s, ";") {
			if pair = strings.TrimSpace(pair); pair != "" && !strings.Contains(strings.ToLower(pair), "masu_") {
				want = append(want, pair)
			}
		}
		for pair := range strings.SplitSeq(kept, ";") {
			got = append(got, strings.TrimSpace(pair))
		}
		for _, w := range want {
			if !slices.Contains(got, w) {
				t.Errorf("%q lost %q", s, w)
			}
		}
	})
}
