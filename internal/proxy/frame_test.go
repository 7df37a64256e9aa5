package proxy

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// TestWhoMayFrame: whatever an app says, its pages are framed by itself and by
// masu's pages, and what else it asked of browsers stays.
func TestWhoMayFrame(t *testing.T) {
	const ours = "frame-ancestors 'self' http://localhost:8888 http://127.0.0.1:8888"
	for _, c := range []struct{ says, want []string }{
		{nil, []string{ours}},
		{[]string{"frame-ancestors 'self'; report-uri /api/security/csp-report"}, []string{"report-uri /api/security/csp-report", ours}},
		{[]string{"frame-ancestors 'none'"}, []string{ours}},
		{[]string{"frame-ancestors *"}, []string{ours}},
		{[]string{"FRAME-Ancestors\thttp://evil.example"}, []string{ours}},
		{[]string{"default-src 'self';frame-ancestors *;frame-ancestors http://evil.example; sandbox allow-scripts"}, []string{"default-src 'self'; sandbox allow-scripts", ours}},
		{[]string{"frame-ancestors *, frame-ancestors http://evil.example; img-src *", "sandbox"}, []string{"img-src *", "sandbox", ours}},
		{[]string{"frame-ancestors-x 1; frame-src 'none'"}, []string{"frame-ancestors-x 1; frame-src 'none'", ours}},
		{[]string{" ; ,;"}, []string{ours}},
	} {
		r := newRig(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header()["Content-Security-Policy"] = c.says
			w.Header().Set("X-Frame-Options", "ALLOWALL")
		}))
		r.framers = []string{"http://localhost:8888", "http://127.0.0.1:8888"}
		resp, err := r.Client().Get(r.URL)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if got := resp.Header["Content-Security-Policy"]; !slices.Equal(got, c.want) || resp.Header["X-Frame-Options"] != nil {
			t.Errorf("%q became %q, want %q; %q", c.says, got, c.want, resp.Header["X-Frame-Options"])
		}
	}
}

// TestInsideAFrame: a frame's cookie opens what the frame asks for, and nothing for other pages of the same site.
func TestInsideAFrame(t *testing.T) {
	r := newRig(t, http.HandlerFunc(echo))
	const ws = "Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
	for _, c := range []struct {
		method, headers string
		want            int
	}{
		{"GET", "Sec-Fetch-Site: same-origin\r\nSec-Fetch-Mode: cors\r\nSec-Fetch-Dest: empty\r\n", 200},
		{"GET", "Sec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: iframe\r\n", 200},
		{"GET", "Sec-Fetch-Site: none\r\nSec-Fetch-Mode: navigate\r\n", 200},
		{"GET", "", 403}, {"HEAD", "", 403}, {"OPTIONS", "", 403},
		{"GET", "Sec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: no-cors\r\nSec-Fetch-Dest: script\r\n", 403},
		{"GET", "Sec-Fetch-Site: same-site\r\nSec-Fetch-Mode: cors\r\n", 403},
		{"GET", "Sec-Fetch-Site: cross-site\r\nSec-Fetch-Site: same-origin\r\n", 403},
		{"POST", "Sec-Fetch-Site: same-origin\r\n", 403},
		{"POST", "Sec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: navigate\r\nOrigin: http://localhost:9999\r\n", 403},
		{"POST", "Sec-Fetch-Site: same-origin\r\nOrigin: " + r.origin + "\r\n", 200},
		{"GET", ws, 403}, {"GET", ws + "Origin: http://localhost:9999\r\n", 403},
		{"GET", ws + "Origin: " + r.origin + "\r\n", 200}, // the app does not upgrade; it was asked
	} {
		r.framed = true
		before := r.dialed.Load()
		_, br := r.raw(t, c.method+" / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nConnection: close\r\n"+c.headers+"\r\n")
		resp, _ := answer(t, br, c.method)
		if resp.StatusCode != c.want || c.want == 403 && r.dialed.Load() != before {
			t.Errorf("%s %q: %d, want %d", c.method, c.headers, resp.StatusCode, c.want)
		}
	}
}

// TestCookiesOfAFrame: what an app sets there stays there.
func TestCookiesOfAFrame(t *testing.T) {
	r := newRig(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header()["Set-Cookie"] = []string{"_xsrf=2|a; expires=Wed, 01 Jan 2031 00:00:00 GMT; Path=/", "a=1;SameSite=Strict; HttpOnly;secure", "samesite=x; PARTITIONED", "masu_app_framed=x", "b=1; Domain=localhost"}
	}))
	r.framed = true
	q, _ := http.NewRequest("GET", r.URL, nil)
	q.Header.Set("Sec-Fetch-Site", "same-origin")
	resp, err := r.Client().Do(q)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	const in = "; SameSite=None; Secure; Partitioned"
	if want := []string{"_xsrf=2|a; expires=Wed, 01 Jan 2031 00:00:00 GMT; Path=/" + in, "a=1; HttpOnly" + in, "samesite=x" + in}; !slices.Equal(resp.Header["Set-Cookie"], want) {
		t.Errorf("cookies %q, want %q", resp.Header["Set-Cookie"], want)
	}
}

// FuzzFramePolicy: no directive about frames gets through, whatever it stands among.
func FuzzFramePolicy(f *testing.F) {
	f.Add("default-src 'self'; frame-ancestors *")
	f.Add("sandbox,frame-ancestors 'none';x")
	f.Fuzz(func(t *testing.T, policy string) {
		if strings.ContainsFunc(policy, func(c rune) bool { return c < 0x20 && c != '\t' || c >= 0x7f }) {
			return // no header
		}
		for _, l := range withoutAncestors([]string{policy}) {
			for _, d := range strings.FieldsFunc(l, func(c rune) bool { return c == ',' || c == ';' }) {
				if words := strings.Fields(d); len(words) > 0 && strings.EqualFold(words[0], "frame-ancestors") {
					t.Errorf("%q leaves %q", policy, l)
				}
			}
		}
		if again := withoutAncestors(withoutAncestors([]string{policy})); fmt.Sprint(again) != fmt.Sprint(withoutAncestors([]string{policy})) {
			t.Errorf("%q is not settled", policy)
		}
	})
}
