package web

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/masu-lab/masu"
)

// acts is every address that changes something.
var acts = []string{"/start", "/w/thesis/start", "/w/thesis/restart", "/w/thesis/stop", "/w/thesis/remove", "/lang", "/signout", "/signin"}

// TestCrossOrigin: W2, W4, W5, W6.
func TestCrossOrigin(t *testing.T) {
	g := newRig(t)
	g.lab.set(running("alice", "thesis"))
	b := g.browser()
	b.signIn("alice")
	form := url.Values{"confirm": {"thesis"}, "lang": {"ja"}, "folder": {"x"}}
	for _, path := range acts {
		for _, origin := range []string{"", "null", "http://127.0.0.1:9999", "http://localhost:9999", "https://localhost:" + g.port, "http://localhost:" + g.port + "/", "http://thesis--alice.localhost:" + g.port, "http://127.0.0.1:" + g.port} {
			a := b.post(path, form, "Origin", origin, "Sec-Fetch-Site", "same-origin")
			if a.StatusCode != 403 || !strings.Contains(a.text, "cross_origin") {
				t.Errorf("POST %s from %q: %s", path, origin, a.Status)
			}
		}
		if a := b.get(path); a.StatusCode != 405 && path != "/signin" {
			t.Errorf("GET %s: %s", path, a.Status)
		}
		if a := b.post(path, form, "Content-Type", "text/plain"); a.StatusCode != 415 {
			t.Errorf("POST %s as text: %s", path, a.Status)
		}
		if a := b.do("POST", path, "%zz", "Content-Type", "application/x-www-form-urlencoded"); a.StatusCode != 415 {
			t.Errorf("POST %s of nonsense: %s", path, a.Status)
		}
	}
	if did := g.lab.doings(); did != "" {
		t.Errorf("something was done: %s", did)
	}
	if a := b.get("/"); a.StatusCode != 200 {
		t.Error("the session was ended")
	}
}

// TestHeaders: W18, on every kind of page.
func TestHeaders(t *testing.T) {
	g := newRig(t)
	g.lab.set(running("alice", "thesis"))
	b := g.browser()
	pages := []string{"/signin", "/nowhere", "/enter?code=x", "/start"}
	check := func(path string) {
		a := b.get(path)
		for name, want := range map[string]string{
			"X-Frame-Options": "DENY", "X-Content-Type-Options": "nosniff", "Cache-Control": "no-store", "Referrer-Policy": "same-origin", "Content-Type": "text/html; charset=utf-8",
		} {
			if got := a.Header.Get(name); got != want {
				t.Errorf("%s: %s: %q", path, name, got)
			}
		}
		policy := a.Header.Get("Content-Security-Policy")
		for _, want := range []string{"default-src 'none'", "frame-ancestors 'none'", "script-src 'self'", "form-action 'self'", "base-uri 'none'"} {
			if !strings.Contains(policy, want) {
				t.Errorf("%s: the policy lacks %s", path, want)
			}
		}
		if strings.Contains(policy, "unsafe") || strings.Contains(a.text, "<style") || strings.Contains(a.text, " style=") || strings.Contains(a.text, " onclick") || strings.Contains(a.text, "<script>") {
			t.Errorf("%s: something is inline", path)
		}
	}
	for _, p := range pages {
		check(p)
	}
	b.signIn("alice")
	for _, p := range []string{"/", "/w/thesis", "/w/other", "/nowhere"} {
		check(p)
	}
}

// TestHosts: W17, and names that only look like ours.
func TestHosts(t *testing.T) {
	g := newRig(t)
	g.lab.set(running("alice", "thesis"))
	for host, want := range map[string]int{
		"localhost:" + g.port: 303, "127.0.0.1:" + g.port: 303, "LOCALHOST:" + g.port: 303, "192.0.2.7:" + g.port: 303,
		"localhost:9999": 303, "localhost": 303, // the other end of a tunnel
		"evil.example": 421, "evil.example:" + g.port: 421, "192.0.2.7:1": 421, "192.0.2.8:" + g.port: 421, "localhost.evil.example:" + g.port: 421, "xlocalhost:" + g.port: 421,
		"thesis--alice.localhost:" + g.port: 401, "thesis--alice.localhost:9999": 401, "thesis--alice.localhost.:" + g.port: 421, "a.thesis--alice.localhost:" + g.port: 421,
		"thesis.localhost:" + g.port: 421, "--alice.localhost:" + g.port: 421, "jupyter--thesis--alice.localhost:" + g.port: 421, "a--b--c--d.localhost:" + g.port: 421,
		"8--thesis--alice.localhost:" + g.port: 421, "p8000--thesis--alice.localhost:" + g.port: 401,
	} {
		c, err := net.Dial("tcp", g.addr)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(c, "GET / HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", host)
		b, err := io.ReadAll(c)
		c.Close()
		if err != nil || !strings.HasPrefix(string(b), fmt.Sprintf("HTTP/1.1 %d ", want)) {
			t.Errorf("%s: %.60s, want %d", host, b, want)
		}
		if want == 421 && strings.Contains(string(b), host) {
			t.Errorf("%s is in the answer:\n%s", host, b)
		}
	}
	// Paths that the router cleans lead nowhere else.
	for _, path := range []string{"//e.com/%2e%2e", "//e.com/..", "/..//e.com", "///e.com/x/../"} {
		c, err := net.Dial("tcp", g.addr)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: localhost:%s\r\nConnection: close\r\n\r\n", path, g.port)
		b, _ := io.ReadAll(c)
		c.Close()
		_, rest, found := strings.Cut(string(b), "Location: ")
		if to, _, _ := strings.Cut(rest, "\r\n"); found && (!strings.HasPrefix(to, "/") || strings.HasPrefix(to, "//") || strings.HasPrefix(to, `/\`)) {
			t.Errorf("%s leads to %s", path, to)
		}
	}
}

func TestErrorPages(t *testing.T) {
	g := newRig(t)
	for _, lang := range []string{"ja", "en"} {
		for code, kind := range map[string]struct {
			err    error
			status int
		}{
			"403": {masu.E(masu.Denied, "cross_origin"), 403}, "404": {masu.E(masu.NotFound, "no_page"), 404}, "500": {fmt.Errorf("the secret cause"), 500},
			"502": {masu.E(masu.Unreachable, "app_unreachable").Because(fmt.Errorf("the secret cause")), 502}, "429": {masu.E(masu.Full, "signin_too_often", 9), 429}, "507": {masu.E(masu.Full, "app_ports_full", 1, 2), 507},
		} {
			w := &recorder{header: http.Header{}}
			r, _ := http.NewRequest("GET", "http://localhost:"+g.port+"/", nil)
			r.Header.Set("Accept-Language", lang)
			g.server.refuse(w, r, kind.err)
			body := w.body.String()
			if w.code != kind.status || !strings.Contains(body, `lang="`+lang+`"`) || !strings.Contains(body, masu.CodeOf(kind.err)) || strings.Contains(body, "secret cause") {
				t.Errorf("%s in %s: %d\n%s", code, lang, w.code, body)
			}
		}
	}
	if !strings.Contains(g.log.String(), "secret cause") {
		t.Error("the cause of what is our fault is not in the log")
	}
	if strings.Contains(g.log.String(), "app_unreachable") {
		t.Error("what is not our fault is in the log")
	}
}

// recorder is a ResponseWriter for the one test that asks no socket.
type recorder struct {
	header http.Header
	code   int
	body   strings.Builder
}

func (r *recorder) Header() http.Header         { return r.header }
func (r *recorder) WriteHeader(code int)        { r.code = code }
func (r *recorder) Write(b []byte) (int, error) { return r.body.Write(b) }

func TestWithTLS(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := rigAt(t, l, OriginsConfig{Pages: "https://gpu.lab", Suffix: "apps.gpu.lab"})
	w := &recorder{header: http.Header{}}
	r, _ := http.NewRequest("GET", "https://gpu.lab/enter?code="+g.gate.link(masu.Link{User: "alice", Next: "/"}), nil)
	g.server.Handler().ServeHTTP(w, r)
	c, err := http.ParseSetCookie(w.header.Get("Set-Cookie"))
	if err != nil || c.Name != "__Host-masu_session" || !c.Secure || c.Path != "/" || c.Domain != "" || !c.HttpOnly {
		t.Errorf("%v %v", c, err)
	}
}
