package web

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/masu-lab/masu"
)

// frameOf is what a bar's page shows in its frame.
func frameOf(t *testing.T, a answer) string {
	t.Helper()
	m := regexp.MustCompile(`<iframe id="app" src="([^"]+)"`).FindStringSubmatch(a.text)
	if m == nil {
		t.Fatalf("no frame: %s\n%s", a.Status, a.text)
	}
	return strings.ReplaceAll(m[1], "&amp;", "&")
}

// TestBar: the page around an app lets in that app's origin alone, and the app
// lets itself be framed by the pages alone.
func TestBar(t *testing.T) {
	g := newRig(t)
	w := running("alice", "thesis")
	w.GPUs, w.Until = []masu.GPUID{"0"}, time.Now().Add(90*time.Minute)
	w.EndsAt, w.EndWhy = time.Now().Add(10*time.Minute), masu.EndIdle
	g.lab.set(w)
	g.lab.measured = masu.Board{GPUs: []masu.BoardGPU{{GPU: masu.GPU{ID: "0", Index: 3, Memory: 80 << 30}, Reading: &masu.Reading{Busy: 0.5, Memory: 20 << 30}}}}
	b := g.browser()
	if a := b.get("/w/thesis/app/jupyter"); a.Header.Get("Location") != "/signin?next=%2Fw%2Fthesis%2Fapp%2Fjupyter" {
		t.Errorf("without a sign-in: %s %s", a.Status, a.Header.Get("Location"))
	}
	b.signIn("alice")
	origin := "http://thesis--alice.localhost:" + g.port
	a := b.get("/w/thesis/app/jupyter?next=" + url.QueryEscape("/lab/tree/x.ipynb"))
	csp := a.Header.Get("Content-Security-Policy")
	if a.StatusCode != 200 || !strings.Contains(csp, "; frame-src "+origin+"; frame-ancestors 'none'") || !strings.Contains(csp, "default-src 'none'") || a.Header.Get("X-Frame-Options") != "DENY" {
		t.Errorf("%s; %s", a.Status, csp)
	}
	for _, want := range []string{"50% · 20 GiB / 80 GiB", `action="/w/thesis/extend"`, "data-ends=", `href="/open/thesis/jupyter?next=%2Flab%2Ftree%2Fx.ipynb"`} {
		if !strings.Contains(a.text, want) {
			t.Errorf("the bar has no %s:\n%s", want, a.text)
		}
	}
	if part := b.get("/w/thesis/bar"); part.StatusCode != 200 || !strings.Contains(part.text, "data-ends=") || strings.Contains(part.text, "<html") {
		t.Errorf("the part that moves: %s %s", part.Status, part.text)
	}

	frame := frameOf(t, a)
	if !strings.HasPrefix(frame, origin+"/_masu/enter?code=") {
		t.Fatalf("the frame begins at %s", frame)
	}
	entered := b.get(frame)
	set := entered.Header.Get("Set-Cookie")
	for _, want := range []string{"masu_app_framed=", "HttpOnly", "Secure", "SameSite=None", "Partitioned", "Path=/"} {
		if !strings.Contains(set, want) || strings.Contains(set, "Domain") {
			t.Errorf("the frame's cookie lacks %s: %s", want, set)
		}
	}
	if to := entered.Header.Get("Location"); to != "/_masu/framed?next=%2Flab%2Ftree%2Fx.ipynb" {
		t.Errorf("it leads to %s", to)
	}
	// A browser that keeps it goes on; one that does not is told, in the frame, and by a page that may be there.
	cookie, _, _ := strings.Cut(set, ";")
	if a := g.browser().get(origin+"/_masu/framed?next=%2Flab", "Cookie", cookie, "Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate"); a.Header.Get("Location") != "/lab" {
		t.Errorf("with its cookie: %s %s", a.Status, a.Header.Get("Location"))
	}
	a = g.browser().get(origin + "/_masu/framed?next=%2Flab")
	want := "frame-ancestors http://localhost:" + g.port + " http://127.0.0.1:" + g.port
	if a.StatusCode != 403 || !strings.Contains(a.text, b.base+"/open/thesis--alice/jupyter?next=%2Flab") || !strings.HasSuffix(a.Header.Get("Content-Security-Policy"), want) || a.Header.Get("X-Frame-Options") != "" {
		t.Errorf("without its cookie: %s %v\n%s", a.Status, a.Header, a.text)
	}
	inside := []string{"Cookie", cookie, "Sec-Fetch-Site", "same-origin", "Accept", "*/*"}
	a = g.browser().get(origin+"/lab", inside...)
	if a.StatusCode != 200 || a.text != "app thesis--alice.localhost:"+g.port+" /lab []" || a.Header.Get("Content-Security-Policy") != strings.Replace(want, "frame-ancestors", "frame-ancestors 'self'", 1) {
		t.Errorf("the app: %s %v %s", a.Status, a.Header, a.text)
	}
	if a := g.browser().get(origin+"/lab", "Cookie", cookie, "Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "no-cors"); a.StatusCode != 403 {
		t.Errorf("another page's script tag: %s", a.Status)
	}
	if a := g.browser().post(origin+"/api", nil, append(inside, "Origin", "http://localhost:9999")...); a.StatusCode != 403 {
		t.Errorf("another page's form: %s", a.Status)
	}
	// What ends while it is in the frame leads out of it by a button, not by a page that cannot be there.
	w.Phase, w.Apps = masu.Stopped, nil
	g.lab.set(w)
	time.Sleep(sightFor)
	a = g.browser().get(origin+"/lab", "Cookie", cookie, "Sec-Fetch-Site", "none", "Sec-Fetch-Dest", "iframe")
	if a.StatusCode != 409 || !strings.Contains(a.text, b.base+"/w/thesis--alice/app/jupyter?next=%2Flab") || a.Header.Get("X-Frame-Options") != "" {
		t.Errorf("stopped, in the frame: %s\n%s", a.Status, a.text)
	}
	if to := b.get("/w/thesis/app/jupyter?next=%2Flab").Header.Get("Location"); to != "/w/thesis?bar=jupyter&next=%2Flab" {
		t.Errorf("the bar of what does not run leads to %s", to)
	}
	if a := b.get("/w/thesis?bar=jupyter&next=%2Flab"); !strings.Contains(a.text, `data-next="/w/thesis/app/jupyter?next=%2Flab"`) {
		t.Errorf("and from there not back:\n%s", a.text)
	}
	if to := b.post("/w/thesis/start", url.Values{"next": {"/w/thesis/app/jupyter?next=%2Flab"}}).Header.Get("Location"); to != "/w/thesis?bar=jupyter&next=%2Flab" {
		t.Errorf("starting leads to %s", to)
	}
}

// TestWhereABarCanBe: the server knows by the layout, and says so to browsers by the way it sends them.
func TestWhereABarCanBe(t *testing.T) {
	listen := func(int) (net.Listener, error) { return nil, net.ErrClosed }
	for _, c := range []struct {
		config OriginsConfig
		host   string
		can    bool
	}{
		{OriginsConfig{Pages: "http://localhost:8888", Suffix: "localhost:8888"}, "localhost:8888", true},
		{OriginsConfig{Pages: "http://localhost:8888", Suffix: "localhost:8888"}, "127.0.0.1:8888", true},
		{OriginsConfig{Pages: "http://localhost:8888", Suffix: "localhost:8888"}, "192.0.2.7:8888", false},
		{OriginsConfig{Pages: "http://localhost:8888", Suffix: "localhost:8888", Listen: listen}, "192.0.2.7:8888", true},
		{OriginsConfig{Pages: "https://gpu.lab", Suffix: "apps.gpu.lab"}, "gpu.lab", true},
		{OriginsConfig{Pages: "http://gpu.lab", Suffix: "apps.gpu.lab"}, "gpu.lab", false},
	} {
		o, err := NewOrigins(c.config)
		if err != nil {
			t.Fatal(err)
		}
		if got := o.frames(c.host); got != c.can {
			t.Errorf("%s at %s: %v", c.config.Pages, c.host, got)
		}
	}
	// By port, the cookie is the usual one: ports of a host are one site.
	g := newRig(t)
	g.lab.set(running("alice", "thesis"))
	b := g.browser()
	b.base = "http://192.0.2.7:" + g.port
	b.signIn("alice")
	frame := frameOf(t, b.get("/w/thesis/app/jupyter"))
	a := b.get(frame)
	if c := a.Cookies(); len(c) != 1 || !strings.HasPrefix(c[0].Name, "masu_app_") || c[0].Secure || c[0].SameSite != http.SameSiteLaxMode {
		t.Errorf("by port: %v", c)
	}
	u, _ := url.Parse(frame)
	at, a := b.follow("http://" + u.Host + a.Header.Get("Location"))
	if want := "frame-ancestors 'self' " + b.base; a.StatusCode != 200 || at != "http://"+u.Host+"/lab" || a.Header.Get("Content-Security-Policy") != want {
		t.Errorf("by port at %s: %s %s", at, a.Status, a.Header.Get("Content-Security-Policy"))
	}
}

// attach goes on in a frame of another origin, which is a target of its own, until the returned function is called.
func (c *chromium) attach(origin string) (leave func()) {
	c.t.Helper()
	var id string
	page := c.session
	eventually(c.t, "there is a frame of "+origin, func() bool {
		var list struct {
			TargetInfos []struct{ TargetID, Type, URL string }
		}
		c.call("Target.getTargets", nil, &list)
		i := slices.IndexFunc(list.TargetInfos, func(x struct{ TargetID, Type, URL string }) bool {
			return x.Type == "iframe" && strings.HasPrefix(x.URL, origin)
		})
		if i >= 0 {
			id = list.TargetInfos[i].TargetID
		}
		return i >= 0
	})
	c.session = ""
	var session struct{ SessionID string }
	c.call("Target.attachToTarget", map[string]any{"targetId": id, "flatten": true}, &session)
	c.session = session.SessionID
	return func() { c.session = page }
}

// aJupyter is an app that needs a cookie of its own for what is unsafe, as Jupyter does, and echoes what a WebSocket says.
func aJupyter(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Upgrade") != "" {
		c, err := websocket.Accept(w, r, &websocket.AcceptOptions{InsecureSkipVerify: true})
		if err != nil {
			return
		}
		defer c.CloseNow()
		for {
			kind, m, err := c.Read(r.Context())
			if err != nil || c.Write(r.Context(), kind, m) != nil {
				return
			}
		}
	}
	if r.Method == http.MethodPost {
		c, err := r.Cookie("_xsrf")
		if err != nil || c.Value != r.Header.Get("X-XSRFToken") {
			w.WriteHeader(http.StatusForbidden)
		}
		return
	}
	http.SetCookie(w, &http.Cookie{Name: "_xsrf", Value: "token", Path: "/"})
	w.Header().Set("Content-Security-Policy", "frame-ancestors 'self'; report-uri /csp")
	w.Header().Set("X-Frame-Options", "SAMEORIGIN")
	w.Header().Set("Content-Type", "text/html")
	fmt.Fprintf(w, `<!doctype html><html lang="en"><title>the app</title><body>app %s<script>fetch("/api", {method: "POST", headers: {"X-XSRFToken": "token"}}).then(r => { document.body.dataset.posted = r.status;
const s = new WebSocket(location.origin.replace("http", "ws") + "/ws"); s.onopen = () => s.send("6*7"); s.onmessage = (m) => { document.body.dataset.said = m.data } })</script>`, r.RequestURI)
}

// TestBarInABrowser: in a real browser the app works in its frame, with its own
// cookies and WebSockets; what is pressed in the bar leaves it alone; and a page
// at another port of the same host gets neither the app nor its files.
func TestBarInABrowser(t *testing.T) {
	if _, err := exec.LookPath("chromium"); err != nil {
		t.Skip("chromium is not installed")
	}
	g := newRig(t)
	app := httptest.NewServer(http.HandlerFunc(aJupyter))
	t.Cleanup(app.Close)
	g.lab.app = app.Listener.Addr().String()
	aLab(g)
	c := newChromium(t)
	for _, host := range []string{"localhost", "127.0.0.1"} {
		base, origin := "http://"+host+":"+g.port, "http://train--alice.localhost:"+g.port
		c.cookie(base, "masu_session", g.secret("alice"))
		c.goTo(base + "/w/train/app/jupyter?next=/lab/tree/x.ipynb")
		leave := c.attach(origin)
		c.until(`document.body.textContent.startsWith("app /lab/tree/x.ipynb") && document.body.dataset.posted === "200" && document.body.dataset.said === "6*7"`)
		if got := c.eval(`document.cookie`); got != "_xsrf=token" {
			t.Errorf("%s: the app's own cookie in the frame: %v", host, got)
		}
		c.eval(`window.mark = 1`)
		leave()
		c.until(`document.activeElement.id === "app"`)
		c.until(`document.querySelector(".bar-gpu")`)
		if high := c.eval(`document.getElementById("bar").offsetHeight`).(float64); high > 37 {
			t.Errorf("the bar is %v px high", high)
		}
		// Its GPUs will be taken back: the bar says so, and a press puts it off without leaving the app.
		w := g.lab.named("train-alice")
		w.EndsAt, w.EndWhy = time.Now().Add(11*time.Minute), masu.EndIdle
		g.lab.set(w)
		c.until(`document.querySelector(".bar-warn time")?.textContent.startsWith("10:") && document.title.startsWith("(10:")`)
		c.eval(`document.querySelector('form[action="/w/train/extend"] button').click()`)
		eventually(t, "the lab is asked", func() bool { return strings.Contains(g.lab.doings(), "alice extend train") })
		w.EndsAt, w.EndWhy = time.Time{}, ""
		g.lab.set(w)
		c.until(`!document.querySelector('form[action="/w/train/extend"]') && document.title.startsWith("train")`)
		leave = c.attach(origin)
		if got := c.eval(`window.mark`); got != 1.0 {
			t.Errorf("the app was loaded anew: %v", got)
		}
		leave()
		c.well("the bar")
	}
	looksWell(c, axeScript(t), "http://localhost:"+g.port, g)
	evil := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprintf(w, `<!doctype html><title>evil</title><body><iframe src="%[1]s/lab"></iframe><script src="%[1]s/files/secret.js" onload="document.body.dataset.script='loaded'" onerror="document.body.dataset.script='refused'"></script>
<script>fetch("%[1]s/api", {method: "POST", mode: "no-cors", credentials: "include"}).then(() => { document.body.dataset.sent = 1 })</script>`, "http://train--alice.localhost:"+g.port)
	}))
	t.Cleanup(evil.Close)
	c.goTo(strings.Replace(evil.URL, "127.0.0.1", "localhost", 1))
	c.until(`document.body.dataset.script && document.body.dataset.sent`)
	if got := c.eval(`document.body.dataset.script`); got != "refused" {
		t.Errorf("another port's page: the script is %v", got)
	}
	var list struct {
		TargetInfos []struct{ Type, URL, Title string }
	}
	c.call("Target.getTargets", nil, &list)
	for _, x := range list.TargetInfos {
		if x.Type == "iframe" && x.Title == "the app" {
			t.Errorf("another port's page frames the app: %v", x)
		}
	}
}

// looksWell examines the bar in both languages, wide and narrow, light and dark, with a warning and without.
func looksWell(c *chromium, axe, base string, g *rig) {
	c.t.Helper()
	calm := g.lab.named("train-alice")
	calm.Until = time.Now().Add(22 * time.Hour)
	warned := calm
	warned.EndsAt, warned.EndWhy = time.Now().Add(12*time.Minute), masu.EndIdle
	for name, w := range map[string]masu.Workspace{"bar": calm, "bar-warned": warned} {
		g.lab.set(w)
		for _, lang := range []string{"ja", "en"} {
			c.lang(lang)
			for width, scheme := range map[int]string{1280: "light", 390: "light", 360: "dark"} {
				c.size(width)
				c.scheme(scheme)
				c.goTo(base + "/w/train/app/jupyter")
				c.until(`document.querySelector(".bar-gpu")`)
				shot := fmt.Sprintf("%s-%s-%d-%s", name, lang, width, scheme)
				c.shoot(shot)
				c.axe(axe, shot)
				c.well(shot)
			}
		}
	}
	c.eval(`document.getElementById("bar-menu").showPopover()`)
	c.shoot("bar-menu")
	c.axe(axe, "bar-menu")
	c.well("bar-menu")
}
