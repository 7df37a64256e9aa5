package web

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/masu-lab/masu"
	"github.com/masu-lab/masu/internal/oidc"
)

// TestSignIn: a new session with a new secret (W1), by password and by link (W16).
func TestSignIn(t *testing.T) {
	b := newRig(t).browser()
	home, _ := url.Parse(b.base)
	b.client.Jar.SetCookies(home, []*http.Cookie{{Name: "masu_session", Value: "FIXED", Path: "/"}})
	a := b.post("/signin", url.Values{"name": {"alice"}, "password": {"right alice"}, "next": {"/w/thesis"}})
	if a.StatusCode != 303 || a.Header.Get("Location") != "/w/thesis" {
		t.Fatalf("%s to %s", a.Status, a.Header.Get("Location"))
	}
	c := a.Cookies()
	if len(c) != 1 || c[0].Name != "masu_session" || c[0].Value == "FIXED" || !c[0].HttpOnly || c[0].SameSite != http.SameSiteLaxMode || c[0].Path != "/" || c[0].Domain != "" || c[0].Secure {
		t.Errorf("cookie %v", c)
	}
	if a := b.get("/"); a.StatusCode != 200 || !strings.Contains(a.text, "alice") {
		t.Errorf("home: %s", a.Status)
	}
	for _, id := range []string{"FIXED", "", "hash of secret-1"} {
		if a := b.rig.browser().get("/", "Cookie", "masu_session="+id); a.StatusCode != 303 || a.Header.Get("Location") != "/signin" {
			t.Errorf("session %q: %s %s", id, a.Status, a.Header.Get("Location"))
		}
	}
}

func TestWrongPassword(t *testing.T) {
	g := newRig(t)
	b := g.browser()
	a := b.post("/signin", url.Values{"name": {`al"><img src=x>`}, "password": {"secret words"}})
	if a.StatusCode != 403 || !strings.Contains(a.text, `role="alert"`) || strings.Contains(a.text, "<img src=x") || strings.Contains(a.text, "secret words") {
		t.Errorf("%s\n%s", a.Status, a.text)
	}
	b.post("/signin", url.Values{"name": {"alice"}, "password": {"wrong"}}, "X-Forwarded-For", "192.0.2.99", "X-Real-IP", "192.0.2.99", "Forwarded", "for=192.0.2.99")
	if !g.gate.from.IsLoopback() {
		t.Errorf("whom tries are counted for is made up: %v", g.gate.from)
	}
	g.gate.refuse = masu.E(masu.Full, "signin_too_often", 15)
	a = b.post("/signin", url.Values{"name": {"alice"}, "password": {"x"}})
	if a.StatusCode != 429 || a.Header.Get("Retry-After") != "15" || !strings.Contains(a.text, "15") {
		t.Errorf("too often: %s, %v", a.Status, a.Header)
	}
	a = b.post("/signin", url.Values{"name": {"alice"}, "password": {strings.Repeat("x", 1<<20)}})
	if a.StatusCode != 413 {
		t.Errorf("a password of 1 MiB: %s", a.Status)
	}
}

func TestOneTimeLink(t *testing.T) {
	g := newRig(t)
	code := g.gate.link(masu.Link{User: "alice", Next: "/open/thesis"})
	for _, h := range [][]string{{"Sec-Purpose", "prefetch;prerender"}, {"Purpose", "prefetch"}, {"X-Moz", "prefetch"}} {
		if a := g.browser().get("/enter?code="+code, h...); a.StatusCode != 403 || len(a.Cookies()) > 0 {
			t.Errorf("looking ahead by %s: %s", h[0], a.Status)
		}
	}
	if a := g.browser().do("HEAD", "/enter?code="+code, ""); a.StatusCode != 403 {
		t.Errorf("HEAD: %s", a.Status)
	}
	b := g.browser()
	a := b.get("/enter?code=" + code)
	if a.StatusCode != 303 || a.Header.Get("Location") != "/open/thesis" || len(a.Cookies()) != 1 {
		t.Fatalf("%s %v", a.Status, a.Header)
	}
	if a := g.browser().get("/enter?code=" + code); a.StatusCode != 403 || !strings.Contains(a.text, "masu open") || len(a.Cookies()) > 0 {
		t.Errorf("used twice: %s", a.Status)
	}
	if a := b.get("/enter?code=" + code); a.Header.Get("Location") != "/" {
		t.Errorf("used twice by who is signed in: %s", a.Status)
	}
	if a := g.browser().get("/?token=" + code + "&code=" + code); a.Header.Get("Location") != "/signin" {
		t.Errorf("a token in an address signed somebody in: %s", a.Status)
	}
	// A link into an app opens no page.
	if a := g.browser().get("/enter?code=" + g.gate.link(masu.Link{User: "alice", For: "x"})); a.StatusCode != 403 {
		t.Errorf("an app's link: %s", a.Status)
	}
	// A second link of the same member leaves the session, and what hangs on it.
	if a := b.get("/enter?code=" + g.gate.link(masu.Link{User: "alice", Next: "/w/x"})); a.Header.Get("Location") != "/w/x" || len(a.Cookies()) > 0 {
		t.Errorf("a second link: %s %v", a.Status, a.Cookies())
	}
	// Somebody else's ends it.
	b.get("/enter?code=" + g.gate.link(masu.Link{User: "bob", Next: "/"}))
	if a := b.get("/"); !strings.Contains(a.text, "<b>bob</b>") || len(g.gate.sessions) != 1 {
		t.Errorf("%d sessions are open", len(g.gate.sessions))
	}
}

// TestNext: W7, and what else a browser may take for another host.
func TestNext(t *testing.T) {
	for _, next := range []string{
		"https://e.com", "//e.com", "///e.com", `\\e.com`, `/\e.com`, "/%09/e.com", "/%2f%2fe.com", "%2F%2Fe.com", "http:e.com", "javascript:alert(1)",
		"http://localhost:8888//e.com", "http://localhost:8888@e.com", "", " /x", "x", "/x//e.com", "/%5ce.com", "/\t/e.com", "/\r\nSet-Cookie: a=b", "/%0d%0aSet-Cookie:a=b",
		"/%00", "?x", "#x", "/%zz", "//", `/x\..\\e.com`, "/" + strings.Repeat("x", 3000),
	} {
		if got := safeNext(next); got != "/" {
			t.Errorf("safeNext(%q) = %q", next, got)
		}
	}
	for _, next := range []string{"/", "/w/thesis", "/signin?next=//e.com", "/lab/tree/a%20b.ipynb?x=1&y=%252f", "/lab/tree/%E3%81%82.ipynb", "/x?y=z:/w", "/w/a?go=jupyter"} {
		if got := safeNext(next); got != next {
			t.Errorf("safeNext(%q) = %q", next, got)
		}
	}
	b := newRig(t).browser()
	b.signIn("alice")
	if a := b.get("/signin?next=//e.com"); a.Header.Get("Location") != "/" {
		t.Errorf("who is signed in is sent to %q", a.Header.Get("Location"))
	}
}

func FuzzNext(f *testing.F) {
	for _, s := range []string{"/x", "//e.com", `/\e`, "/%2f/e", "/a?b#c", "http://e", "/%25%32%66/e"} {
		f.Add(s)
	}
	base, _ := url.Parse("http://localhost:8888/signin")
	f.Fuzz(func(t *testing.T, s string) {
		got := safeNext(s)
		u, err := base.Parse(got)
		if err != nil || u.Host != base.Host || u.Scheme != "http" || u.User != nil || !strings.HasPrefix(got, "/") || strings.HasPrefix(got, "//") || strings.HasPrefix(got, `/\`) || strings.ContainsAny(got, "\r\n\t") {
			t.Errorf("safeNext(%q) = %q leads to %v (%v)", s, got, u, err)
		}
		if safeNext(got) != got && got != "/" {
			t.Errorf("safeNext is not stable: %q, %q, %q", s, got, safeNext(got))
		}
	})
}

// TestSignOut: W13.
func TestSignOut(t *testing.T) {
	b := newRig(t).browser()
	b.signIn("alice")
	home, _ := url.Parse(b.base)
	old := b.client.Jar.Cookies(home)[0].String()
	a := b.post("/signout", nil)
	if a.StatusCode != 303 || a.Header.Get("Location") != "/signin" || a.Cookies()[0].MaxAge >= 0 {
		t.Errorf("%s %v", a.Status, a.Cookies())
	}
	if a := b.rig.browser().get("/w/x", "Cookie", old); a.Header.Get("Location") != "/signin?next=%2Fw%2Fx" {
		t.Errorf("the old cookie opens %s %s", a.Status, a.Header.Get("Location"))
	}
	if a := b.rig.browser().get("/events", "Cookie", old, "Accept", "text/event-stream"); a.StatusCode != 401 {
		t.Errorf("the old cookie opens a stream: %s", a.Status)
	}
}

func TestLanguage(t *testing.T) {
	g := newRig(t)
	b := g.browser()
	for accept, want := range map[string]string{"ja,en;q=0.8": "ja", "en-US,en": "en", "fr": "en"} {
		if a := b.get("/signin", "Accept-Language", accept); !strings.Contains(a.text, `<html lang="`+want+`">`) {
			t.Errorf("%s is not answered in %s", accept, want)
		}
	}
	b.signIn("alice")
	if a := b.post("/lang", url.Values{"lang": {"ja"}, "next": {"/w/x"}}); a.Header.Get("Location") != "/w/x" {
		t.Errorf("%s", a.Status)
	}
	if a := b.get("/", "Accept-Language", "en"); !strings.Contains(a.text, `<html lang="ja">`) {
		t.Error("the switch did not hold")
	}
	if a := b.post("/lang", url.Values{"lang": {"xx"}}); a.StatusCode != 400 {
		t.Errorf("a language that nobody speaks: %s", a.Status)
	}
	if g.lab.doings() != "alice lang ja" {
		t.Errorf("the lab was told %q", g.lab.doings())
	}
	g.gate.langs["bob"] = masu.Japanese
	b = g.browser()
	b.signIn("bob")
	if a := b.get("/", "Accept-Language", "en"); !strings.Contains(a.text, `<html lang="ja">`) {
		t.Error("what the member chose is not followed")
	}
}

// vouching is a sign-in service that vouches for whoever the code names.
type vouching struct{ tries map[string]oidc.Try }

func (v vouching) Begin(_ context.Context, t oidc.Try) (string, error) {
	v.tries[t.State] = t
	return "https://id.example/auth?state=" + t.State, nil
}

func (v vouching) Finish(_ context.Context, t oidc.Try, state, code string) (masu.Username, error) {
	if t.State == "" || state != t.State || v.tries[state] != t {
		return "", masu.E(masu.Denied, "signin_wrong")
	}
	return masu.Username(code), nil
}

// TestSSO: who comes back must be the browser that went, and a member.
func TestSSO(t *testing.T) {
	g := newRig(t)
	v := vouching{map[string]oidc.Try{}}
	g.server.cfg.SSO, g.server.cfg.SSOName = v, "Example University"
	begin := func(b *browser, next string) string {
		t.Helper()
		a := b.post("/signin/sso", url.Values{"next": {next}})
		_, state, ok := strings.Cut(a.text, "https://id.example/auth?state=")
		if a.StatusCode != 200 || !ok {
			t.Fatalf("%s\n%s", a.Status, a.text)
		}
		return state[:strings.IndexAny(state, `"&`)]
	}
	b := g.browser()
	if a := b.get("/signin"); !strings.Contains(a.text, "Example University") {
		t.Error("the sign-in page does not offer it")
	}
	state := begin(b, "/w/thesis")
	if a := b.get("/signin/callback?state=" + state + "&code=alice"); a.Header.Get("Location") != "/w/thesis" {
		t.Errorf("%s %s", a.Status, a.Header.Get("Location"))
	}
	if a := b.get("/"); a.StatusCode != 200 {
		t.Errorf("signed in: %s", a.Status)
	}
	for name, c := range map[string]func(b *browser) answer{
		"somebody's link": func(b *browser) answer { return b.get("/signin/callback?state=" + state + "&code=alice") },
		"another state":   func(b *browser) answer { begin(b, "/"); return b.get("/signin/callback?state=x&code=alice") },
		"no member":       func(b *browser) answer { return b.get("/signin/callback?state=" + begin(b, "/") + "&code=root") },
		"the second time": func(b *browser) answer {
			s := begin(b, "/")
			b.get("/signin/callback?state=x&code=alice")
			return b.get("/signin/callback?state=" + s + "&code=alice")
		},
		"another site's form": func(b *browser) answer { return b.post("/signin/sso", nil, "Origin", "http://evil.example") },
	} {
		b := g.browser()
		if a := c(b); a.StatusCode != 403 {
			t.Errorf("%s: %s", name, a.Status)
		}
		if a := b.get("/"); a.StatusCode == 200 {
			t.Errorf("%s: signed in", name)
		}
	}
	b = g.browser()
	state = begin(b, "//evil.example/")
	if a := b.get("/signin/callback?state=" + state + "&code=alice"); a.Header.Get("Location") != "/" {
		t.Errorf("led to %s", a.Header.Get("Location"))
	}
	g.server.cfg.SSO = nil
	if a := g.browser().post("/signin/sso", nil); a.StatusCode != 404 {
		t.Errorf("where there is none: %s", a.Status)
	}
}
