package web

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/masu-lab/masu"
)

// sharesDemo is a workspace of alice's that shares one app with bob.
func sharesDemo() masu.Workspace {
	ws := running("alice", "thesis")
	ws.Project.Apps = []masu.AppWish{{Name: "jupyter"}, {Name: "demo", Command: "serve --token geheim", Port: 8501}}
	ws.Apps = []masu.App{{Name: "jupyter", Port: 8888, Ready: true}, {Name: "demo", Port: 8501, Own: true, Ready: true, Error: "geheim"}, {Name: "p9000", Port: 9000, Ready: true}}
	ws.Shares = []masu.AppShare{{App: "demo", With: "bob", Port: 8501, Command: "serve --token geheim"}}
	return ws
}

// TestAppShare: with whom one app was shared opens that app and no other, not by
// that app's cookie either, sees nothing else of the workspace, and is out at once when it is taken back.
func TestAppShare(t *testing.T) {
	g := newRig(t)
	ws := sharesDemo()
	g.lab.set(ws)
	bob, carol := g.browser(), g.browser()
	bob.signIn("bob")
	carol.signIn("carol")
	home := bob.get("/", "Accept-Language", "en")
	if !strings.Contains(home.text, `href="/open/thesis--alice/demo"`) || strings.Contains(home.text, `id="ws-`) || strings.Contains(home.text, "p9000") {
		t.Errorf("bob's first page: %s", home.text)
	}
	if part := bob.get("/shared"); !strings.Contains(part.text, `href="/open/thesis--alice/demo"`) {
		t.Errorf("the part of it that comes again: %s", part.text)
	}
	page := bob.get("/w/thesis--alice", "Accept-Language", "en")
	if page.StatusCode != 200 || !strings.Contains(page.text, `action="/w/thesis--alice/apps/unshare"`) {
		t.Errorf("bob's page of it: %s", page.Status)
	}
	for _, wrong := range []string{"geheim", "jupyter", "p9000", "/home/alice", "/log", "/events", "/stop"} {
		if _, main, _ := strings.Cut(page.text, "<main"); strings.Contains(main, wrong) {
			t.Errorf("bob's page of it has %s", wrong)
		}
	}
	at, a := bob.follow("/open/thesis--alice/demo")
	if a.StatusCode != 200 || !strings.HasPrefix(at, "http://demo--thesis--alice.localhost:") {
		t.Fatalf("bob opens it: %s %s", at, a.Status)
	}
	for _, other := range []string{"jupyter", "p9000"} {
		if a := bob.get("/open/thesis--alice/" + other); a.StatusCode != http.StatusNotFound {
			t.Errorf("bob opens %s: %s to %s", other, a.Status, a.Header.Get("Location"))
		}
	}
	if a := carol.get("/open/thesis--alice/demo"); a.StatusCode != http.StatusNotFound {
		t.Errorf("a stranger opens it: %s", a.Status)
	}
	// The cookie of the app that is his is taken to those that are not.
	var cookie *http.Cookie
	here, err := url.Parse(at)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range bob.client.Jar.Cookies(here) {
		if strings.Contains(c.Name, appCookie) {
			cookie = c
		}
	}
	for _, c := range []struct {
		host string
		want int
	}{{here.Host, 200}, {strings.TrimPrefix(here.Host, "demo--"), 404}, {strings.Replace(here.Host, "demo--", "p9000--", 1), 404}} {
		before := g.lab.doings()
		r, err := http.NewRequest("GET", "http://"+g.addr+"/", nil)
		if err != nil || cookie == nil {
			t.Fatal(err, cookie)
		}
		r.Host = c.host
		r.AddCookie(&http.Cookie{Name: cookie.Name, Value: cookie.Value})
		resp, err := http.DefaultTransport.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != c.want || c.want != 200 && g.lab.doings() != before {
			t.Errorf("his cookie at %s: %s, %s", c.host, resp.Status, strings.TrimPrefix(g.lab.doings(), before))
		}
	}
	for _, path := range []string{"/w/thesis--alice/apps", "/w/thesis--alice/apps/demo/log", "/w/thesis--alice/log"} {
		if a := bob.get(path); a.StatusCode == 200 && a.text != "" {
			t.Errorf("%s: %s %s", path, a.Status, a.text)
		}
	}
	// What the lab does when its owner takes the share back.
	ws.Shares = nil
	g.lab.set(ws)
	g.gate.mu.Lock()
	for secret, s := range g.gate.sessions {
		if s.User == "bob" && s.For != "" {
			delete(g.gate.sessions, secret)
			g.gate.ended <- masu.Ending{Session: s.Hash}
		}
	}
	g.gate.mu.Unlock()
	eventually(t, "bob is out", func() bool {
		resp, err := bob.client.Get(at)
		if err != nil {
			return false // cut in the middle of it
		}
		resp.Body.Close()
		return resp.StatusCode != 200
	})
	if a := bob.get("/w/thesis--alice"); a.StatusCode != 404 {
		t.Errorf("bob looks afterwards: %s", a.Status)
	}
}

// TestAppShareActs: what the forms of the Apps section do.
func TestAppShareActs(t *testing.T) {
	g := newRig(t)
	g.lab.set(sharesDemo())
	g.lab.hello.Reach = masu.ReachColleagues
	alice, bob := g.browser(), g.browser()
	alice.signIn("alice")
	bob.signIn("bob")
	page := alice.get("/w/thesis", "Accept-Language", "en")
	for _, want := range []string{`action="/w/thesis/apps/share"`, `<option value="demo"`, `action="/w/thesis/apps/unshare"`, "as you"} {
		if !strings.Contains(page.text, want) {
			t.Errorf("the page has no %s", want)
		}
	}
	for _, wrong := range []string{`name="lab" value="yes">Share`, `<option value="p9000"`} { // the lab's policy; a server that nobody wrote down
		if strings.Contains(page.text, wrong) {
			t.Errorf("the page has %s", wrong)
		}
	}
	for _, c := range []struct {
		who        *browser
		path       string
		form       url.Values
		to, done   string
		statusCode int
	}{
		{alice, "/w/thesis/apps/share", url.Values{"app": {"demo"}, "with": {" carol "}}, "/w/thesis#apps", "alice share app thesis-alice demo carol false", 303},
		{alice, "/w/thesis/apps/share", url.Values{"app": {"demo"}, "with": {"left over"}, "lab": {"yes"}}, "/w/thesis#apps", "alice share app thesis-alice demo  true", 303},
		{alice, "/w/thesis/apps/share", url.Values{"app": {"demo"}, "with": {"nobody"}}, "", "alice share app thesis-alice demo nobody false", 404},
		{alice, "/w/thesis/apps/unshare", url.Values{"app": {"demo"}, "with": {"bob"}}, "/w/thesis#apps", "alice unshare app thesis-alice demo bob false", 303},
		{bob, "/w/thesis--alice/apps/unshare", url.Values{"app": {"demo"}, "with": {"bob"}}, "/", "bob unshare app thesis-alice demo bob false", 303},
		{bob, "/w/thesis/apps/share", url.Values{"app": {"demo"}, "with": {"carol"}}, "", "", 404},
	} {
		g.lab.did = nil
		a := c.who.post(c.path, c.form)
		if a.StatusCode != c.statusCode || a.Header.Get("Location") != c.to || g.lab.doings() != c.done {
			t.Errorf("%s %v: %s to %q, did %q", c.path, c.form, a.Status, a.Header.Get("Location"), g.lab.doings())
		}
	}
	if a := alice.post("/w/thesis/apps/share", url.Values{"app": {"demo"}, "with": {"nobody"}}); !strings.Contains(a.text, `value="nobody"`) || !strings.Contains(a.text, `<option value="demo" selected`) {
		t.Error("what was filled in is gone")
	}
	g.lab.hello.Reach = masu.ReachNobody
	if page := alice.get("/w/thesis"); strings.Contains(page.text, "/apps/share\"") {
		t.Error("what is forbidden is offered")
	}
}
