package web

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/masu-lab/masu"
)

func TestEnteringAnApp(t *testing.T) {
	g := newRig(t)
	w := running("alice", "thesis")
	w.Apps = append(w.Apps, masu.App{Name: "p9000", Port: 9000})
	g.lab.set(w)
	b := g.browser()
	b.signIn("alice")
	for path, want := range map[string]string{
		"/open/thesis":                "http://thesis--alice.localhost:" + g.port + "/lab",
		"/open/thesis/jupyter":        "http://thesis--alice.localhost:" + g.port + "/lab",
		"/open/thesis/p9000":          "http://p9000--thesis--alice.localhost:" + g.port + "/",
		"/open/thesis--alice/jupyter": "http://thesis--alice.localhost:" + g.port + "/lab",
		"/open/thesis?next=" + url.QueryEscape("/lab/tree/a%20b?x=1"): "http://thesis--alice.localhost:" + g.port + "/lab/tree/a%20b?x=1",
		"/open/thesis/p9000?next=//evil.example/":                     "http://p9000--thesis--alice.localhost:" + g.port + "/",
	} {
		at, a := b.follow(path)
		u, _ := url.Parse(want)
		if at != want || a.StatusCode != 200 || a.text != fmt.Sprintf("app %s %s []", u.Host, u.RequestURI()) {
			t.Errorf("%s ends at %s: %s %s", path, at, a.Status, a.text)
		}
	}
	for path, code := range map[string]string{"/open/other": "no_workspace", "/open/thesis/p9001": "no_port", "/open/thesis/P9000": "no_app", "/open/thesis/127.0.0.1:2375": "no_app", "/open/thesis--bob/jupyter": "no_workspace"} {
		if a := b.get(path); a.StatusCode != 404 || !strings.Contains(a.text, code) {
			t.Errorf("%s: %s", path, a.Status)
		}
	}
	// VS Code knows a port, and no origin but its own.
	vscode := "http://code--thesis--alice.localhost:" + g.port + masu.PortPath
	for path, want := range map[string]string{
		"9000":              "http://p9000--thesis--alice.localhost:" + g.port + "/",
		"9000/":             "http://p9000--thesis--alice.localhost:" + g.port + "/",
		"9000/a%20b/?x=1&y": "http://p9000--thesis--alice.localhost:" + g.port + "/a%20b/?x=1&y",
		"8888/tree":         "http://thesis--alice.localhost:" + g.port + "/tree",
		"9000//evil":        "http://p9000--thesis--alice.localhost:" + g.port + "/evil",
	} {
		if at, a := b.follow(vscode + path); at != want || a.StatusCode != 200 {
			t.Errorf("port %s ends at %s: %s", path, at, a.Status)
		}
	}
	for _, path := range []string{"9001/", "99999/", "x/", "9000x/", ""} {
		if at, a := b.follow(vscode + path); a.StatusCode != 404 {
			t.Errorf("port %q ends at %s: %s", path, at, a.Status)
		}
	}
	// The cookie is for that one origin, and the way in is not the app's.
	at := "http://thesis--alice.localhost:" + g.port
	if a := b.get(at + "/_masu/other"); a.StatusCode != 404 || strings.HasPrefix(a.text, "app ") {
		t.Errorf("the reserved corner: %s %s", a.Status, a.text)
	}
	if a := b.get(at + "/_masu" + g.server.looks.path("masu.css")); a.StatusCode != 200 {
		t.Errorf("its files: %s", a.Status)
	}
	if a := g.browser().get(at+"/lab", "Accept", "application/json"); a.StatusCode != 401 || a.text != "masu: signin_needed\n" {
		t.Errorf("a script without a session: %s %s", a.Status, a.text)
	}
	if a := b.get(at+"/lab/%0d%0aX:y", "Accept", "*/*"); a.StatusCode != 400 {
		t.Errorf("a line break in a path: %s", a.Status)
	}
}

// TestOthersWorkspaces: P9, T5. What is not yours does not exist.
func TestOthersWorkspaces(t *testing.T) {
	g := newRig(t)
	g.lab.set(running("alice", "thesis"))
	g.lab.set(running("bob", "thesis"))
	bob := g.browser()
	bob.signIn("bob")
	if at, a := bob.follow("/open/thesis"); at != "http://thesis--bob.localhost:"+g.port+"/lab" || a.StatusCode != 200 {
		t.Fatalf("bob's own ends at %s", at)
	}
	home, _ := url.Parse("http://thesis--bob.localhost:" + g.port)
	cookie := bob.client.Jar.Cookies(home)[0].String()
	a := g.browser().get("http://thesis--alice.localhost:"+g.port+"/lab", "Cookie", cookie, "Accept", "*/*")
	if a.StatusCode != 404 || a.text != "masu: no_workspace\n" {
		t.Errorf("bob's cookie at alice's origin: %s %s", a.Status, a.text)
	}
	// bob, sent by alice's address, does not land in his own workspace of that name.
	if at, a := bob.follow("http://thesis--alice.localhost:" + g.port + "/lab"); a.StatusCode != 404 || !strings.HasPrefix(at, bob.base+"/open/thesis--alice/jupyter") {
		t.Errorf("alice's address leads bob to %s (%s)", at, a.Status)
	}
	// A session of the pages is none at an app, nor the other way round.
	pages := g.secret("alice")
	if a := g.browser().get("http://thesis--alice.localhost:"+g.port+"/", "Cookie", "masu_app="+pages, "Accept", "*/*"); a.StatusCode != 401 {
		t.Errorf("the pages' session at the app: %s", a.Status)
	}
	app, err := g.gate.SignIn(t.Context(), masu.Session{User: "alice", For: "thesis-alice"})
	if err != nil {
		t.Fatal(err)
	}
	if a := g.browser().get("/", "Cookie", "masu_session="+app); a.Header.Get("Location") != "/signin" {
		t.Errorf("an app's session at the pages: %s", a.Status)
	}
	for _, path := range []string{"/w/thesis2", "/w/thesis2/log", "/w/thesis2/events", "/w/thesis-alice"} {
		x, y := bob.get(path), bob.get("/w/thesis3")
		if x.StatusCode != 404 || y.StatusCode != 404 {
			t.Errorf("%s: %s, %s", path, x.Status, y.Status)
		}
	}
}

// TestAppByPort: on a plain LAN address apps have ports, and each its own cookie.
func TestAppByPort(t *testing.T) {
	g := newRig(t)
	g.lab.set(running("alice", "thesis"))
	g.lab.set(running("alice", "second"))
	b := g.browser()
	b.base = "http://192.0.2.7:" + g.port
	b.signIn("alice")
	at, a := b.follow("/open/thesis")
	port := fmt.Sprint(g.server.cfg.Origins.cfg.Ports[0])
	if at != "http://192.0.2.7:"+port+"/lab" || a.StatusCode != 200 || a.text != "app 192.0.2.7:"+port+" /lab []" {
		t.Fatalf("ends at %s: %s %s", at, a.Status, a.text)
	}
	if again, _ := b.follow("/open/thesis"); again != at {
		t.Errorf("the second time at %s", again)
	}
	if a := b.get("/open/second"); a.StatusCode != 507 || !strings.Contains(a.text, "app_ports_full") {
		t.Errorf("when all ports are taken: %s", a.Status)
	}
	if at, _ := b.follow("http://192.0.2.7:" + port + "/_masu/enter?code=wrong"); at != "http://192.0.2.7:"+port+"/lab" {
		t.Errorf("a wrong code leads to %s", at)
	}
	for _, host := range []string{"evil.example:" + port, "thesis--alice.localhost:" + g.port, "localhost:" + g.port, "192.0.2.7:" + g.port} {
		q, _ := http.NewRequest("GET", "http://127.0.0.1:"+port+"/", nil)
		q.Host = host
		if resp, err := b.client.Do(q); err != nil || resp.StatusCode == 200 {
			t.Errorf("Host %s at the app's port: %v %v", host, resp, err)
		}
	}
	if a := b.post("http://192.0.2.7:"+port+"/api", nil, "Origin", b.base); a.StatusCode != 403 {
		t.Errorf("the pages' origin may post to the app: %s", a.Status)
	}
}

// TestWhatDoesNotRun: a browser is sent to where the workspace can be started, and then comes back.
func TestWhatDoesNotRun(t *testing.T) {
	g := newRig(t)
	w := running("alice", "thesis")
	w.Phase, w.Apps = masu.Stopped, nil
	g.lab.set(w)
	b := g.browser()
	b.signIn("alice")
	at, a := b.follow("http://thesis--alice.localhost:" + g.port + "/lab/tree/a.ipynb")
	if want := b.base + "/w/thesis?go=jupyter&next=%2Flab%2Ftree%2Fa.ipynb"; at != want || a.StatusCode != 200 {
		t.Fatalf("%s, want %s (%s)", at, want, a.Status)
	}
	next := `/open/thesis/jupyter?next=%2Flab%2Ftree%2Fa.ipynb`
	if !strings.Contains(a.text, `data-next="`+next+`"`) || !strings.Contains(a.text, `action="/w/thesis/start"><input type="hidden" name="next" value="`+next+`">`) {
		t.Errorf("the page does not know where to go on:\n%s", a.text)
	}
	if a := b.post("/w/thesis/start", url.Values{"next": {next}}); a.Header.Get("Location") != "/w/thesis?go=jupyter&next=%2Flab%2Ftree%2Fa.ipynb" {
		t.Errorf("starting leads to %s", a.Header.Get("Location"))
	}
	if a := b.post("/w/thesis/start", url.Values{"next": {"//evil.example/open/"}}); a.Header.Get("Location") != "/w/thesis" {
		t.Errorf("starting leads to %s", a.Header.Get("Location"))
	}
	g.lab.set(running("alice", "thesis"))
	if at, a = b.follow(at); at != "http://thesis--alice.localhost:"+g.port+"/lab/tree/a.ipynb" || a.StatusCode != 200 {
		t.Errorf("once it runs: %s %s", at, a.Status)
	}
	// It runs, but the app is silent: the page stays, and tries again.
	g.lab.dial = errors.Join(masu.E(masu.Unreachable, "port_silent", 8888))
	w = running("alice", "thesis")
	w.Apps[0].Port = 8889
	g.lab.set(w)
	eventually(t, "the new port is asked", func() bool {
		a = b.get(at)
		return a.StatusCode == 502
	})
	if a.Header.Get("Refresh") != "3" || !strings.Contains(a.text, "Jupyter") || strings.Contains(a.text, "<form") || a.Header.Get("Content-Security-Policy") == "" {
		t.Errorf("a silent app: %v\n%s", a.Header, a.text)
	}
	if a := b.get(at, "Accept", "application/json"); a.StatusCode != 502 || a.text != "masu: port_silent\n" {
		t.Errorf("a silent app, to a script: %s %s", a.Status, a.text)
	}
}

func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain until %s", what)
		}
	}
}

// TestSightsLast: one question to the gate serves many requests, and none after the sign-out.
func TestSightsLast(t *testing.T) {
	g := newRig(t)
	g.lab.set(running("alice", "thesis"))
	b := g.browser()
	b.signIn("alice")
	at, _ := b.follow("/open/thesis")
	before := g.gate.asked
	for range 20 {
		if a := b.get(at); a.StatusCode != 200 {
			t.Fatal(a.Status)
		}
	}
	if n := g.gate.asked - before; n > 10 {
		t.Errorf("20 requests asked the gate %d times", n)
	}
	if a := b.post("/signout", nil); a.StatusCode != 303 {
		t.Fatal(a.Status)
	}
	if a := b.get(at, "Accept", "*/*"); a.StatusCode != 401 {
		t.Errorf("after the sign-out: %s", a.Status)
	}
}

// TestSocketsOfASession: P8, P9, W13, through the whole of it.
func TestSocketsOfASession(t *testing.T) {
	g := newRig(t)
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := websocket.Accept(w, r, &websocket.AcceptOptions{InsecureSkipVerify: true})
		if err != nil {
			return
		}
		defer c.CloseNow()
		_ = c.Write(r.Context(), websocket.MessageText, fmt.Appendf(nil, "%q", r.Header["Cookie"]))
		_, _, _ = c.Read(r.Context())
	}))
	t.Cleanup(app.Close)
	g.lab.app = app.Listener.Addr().String()
	g.lab.set(running("alice", "thesis"))
	b := g.browser()
	b.signIn("alice")
	if a := b.get("/open/thesis"); a.StatusCode != 303 {
		t.Fatal(a.Status)
	} else if a = b.get(a.Header.Get("Location")); len(a.Cookies()) != 1 {
		t.Fatal("no cookie of the app's")
	}
	origin := "http://thesis--alice.localhost:" + g.port
	u, _ := url.Parse(origin)
	cookie := b.client.Jar.Cookies(u)[0].String()
	open := func(origin, cookie string) (*websocket.Conn, *http.Response, error) {
		h := http.Header{"Cookie": {cookie + "; other=1"}}
		if origin != "" {
			h.Set("Origin", origin)
		}
		return websocket.Dial(t.Context(), "ws://"+u.Host+"/api/kernels/x/channels", &websocket.DialOptions{HTTPHeader: h,
			HTTPClient: &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return new(net.Dialer).DialContext(ctx, "tcp", g.addr)
			}}}})
	}
	for _, c := range []struct {
		origin, cookie string
		want           int
	}{{"http://evil", cookie, 403}, {"http://127.0.0.1:9999", cookie, 403}, {b.base, cookie, 403}, {"", cookie, 403}, {origin, "x=y", 401}, {origin, "masu_app=x", 401}} {
		if _, resp, err := open(c.origin, c.cookie); err == nil || resp == nil || resp.StatusCode != c.want {
			t.Errorf("origin %q, cookie %q: %v, want %d", c.origin, c.cookie, err, c.want)
		}
	}
	ws, _, err := open(origin, cookie)
	if err != nil {
		t.Fatal(err)
	}
	defer ws.CloseNow()
	if _, m, err := ws.Read(t.Context()); err != nil || string(m) != `["other=1"]` {
		t.Errorf("the app got the cookies %s (%v)", m, err)
	}
	if a := b.post("/signout", nil); a.StatusCode != 303 {
		t.Fatal(a.Status)
	}
	if _, _, err := ws.Read(t.Context()); err == nil {
		t.Error("the socket outlives the session")
	}
	if _, resp, err := open(origin, cookie); err == nil || resp == nil || resp.StatusCode != 401 {
		t.Errorf("an open tab revived it: %v", err)
	}
}
