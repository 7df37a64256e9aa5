package web

import (
	"context"
	"io"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/masu-lab/masu"
)

func (a *fakeActor) PutApp(_ context.Context, name string, w masu.AppWish) error {
	if w.Port == 0 && w.Command != "" {
		return masu.E(masu.Invalid, "app_needs", w.Name, "port")
	}
	a.note("put", name+" "+w.Name+" "+w.Command+" "+w.Logs+" "+w.IdleFor.String())
	return nil
}

func (a *fakeActor) DropApp(_ context.Context, name, app string) error {
	a.note("drop", name+" "+app)
	return nil
}

func (a *fakeActor) StartApp(_ context.Context, name, app string) error {
	a.note("start app", name+" "+app)
	return masu.E(masu.Unreachable, "app_not_ready", app, "no such data")
}

func (a *fakeActor) StopApp(_ context.Context, name, app string) error {
	a.note("stop app", name+" "+app)
	return nil
}

func (a *fakeActor) AppLog(_ context.Context, _, app string, w io.Writer, _ bool) error {
	if app == "none" {
		return masu.E(masu.NotFound, "no_app", app)
	}
	_, err := io.WriteString(w, "<b>said</b>\n")
	return err
}

// TestPrograms: a workspace's owner sees how its apps are, and changes them on its page; nobody else does.
func TestPrograms(t *testing.T) {
	g := newRig(t)
	ws := running("alice", "thesis")
	ws.Guests = []masu.Username{"bob"}
	ws.Project.Apps = []masu.AppWish{{Name: "jupyter"}, {Name: "demo", Command: "serve", Port: 8501}, {Name: "board", Command: "node", Port: 3000, OnVisit: true}, {Name: "tensorboard", Logs: "runs", IdleFor: time.Hour}}
	ws.Apps = []masu.App{{Name: "jupyter", Port: 8888, Ready: true, Since: time.Now()}, {Name: "demo", Port: 8501, Own: true, Error: "demo ended\n<script>x</script>"}, {Name: "board", Port: 3000, Own: true, Rests: true}, {Name: "p9000", Port: 9000, Ready: true, Command: "serve '<a>' --token=secret"}, {Name: "tensorboard", Port: 6006, Slow: true, Error: "loads"}}
	g.lab.set(ws)
	alice := g.browser()
	alice.signIn("alice")
	page := alice.get("/w/thesis", "Accept-Language", "en")
	for _, want := range []string{
		`href="/w/thesis/app/board"`, `href="/w/thesis/apps/demo/log"`, `action="/w/thesis/apps/start"`, `action="/w/thesis/apps/stop"`, `action="/w/thesis/apps/drop"`,
		"does not run", "starts when opened", "has not answered yet", `href="/w/thesis?keep=9000#apps"`, "&lt;script&gt;x&lt;/script&gt;", `data-part="/w/thesis/apps"`,
	} {
		if !strings.Contains(page.text, want) {
			t.Errorf("the page has no %s", want)
		}
	}
	for _, wrong := range []string{`value="jupyter"><button`, `value="p9000"><button`, "<script>x", "keep=8888", "keep=8501", "keep=6006", "--token"} {
		if strings.Contains(page.text, wrong) {
			t.Errorf("the page has %s", wrong)
		}
	}
	if a := alice.get("/w/thesis?keep=9000"); !strings.Contains(a.text, `value="serve &#39;&lt;a&gt;&#39; --token=secret"`) || !strings.Contains(a.text, `name="port" value="9000"`) || !strings.Contains(a.text, `name="app" value="port9000"`) {
		t.Errorf("what runs at a port cannot be kept: %s", a.Status)
	}
	for _, port := range []string{"8888", "8501", "9001", `"><b>`} {
		if a := alice.get("/w/thesis?keep=" + url.QueryEscape(port)); a.StatusCode != 200 || !strings.Contains(a.text, `name="command" value=""`) || strings.Contains(a.text, "<b>\"") {
			t.Errorf("port %s is to be kept: %s", port, a.Status)
		}
	}
	for path, form := range map[string]url.Values{
		"/w/thesis/apps/put":   {"app": {" demo "}, "command": {"serve -p $PORT"}, "port": {"8501"}, "idle": {"30"}, "visit": {"yes"}},
		"/w/thesis/apps/drop":  {"app": {"board"}},
		"/w/thesis/apps/start": {"app": {"board"}}, // that it fails stands in the list
		"/w/thesis/apps/stop":  {"app": {"demo"}},
	} {
		if a := alice.post(path, form); a.StatusCode != 303 || a.Header.Get("Location") != "/w/thesis#apps" {
			t.Errorf("%s: %s to %s", path, a.Status, a.Header.Get("Location"))
		}
	}
	if a := alice.post("/w/thesis/apps/put", url.Values{"app": {"x"}, "command": {`a "b"`}, "port": {"many"}}); a.StatusCode != 400 || !strings.Contains(a.text, `value="a &#34;b&#34;"`) {
		t.Errorf("a port that is none: %s; what was filled in is gone", a.Status)
	}
	if a := alice.post("/w/thesis/apps/put", url.Values{"app": {"x"}, "command": {"a"}, "port": {"8502"}, "idle": {"３０分"}}); a.StatusCode != 400 {
		t.Errorf("an idle time that is none: %s", a.Status)
	}
	if a := alice.post("/w/thesis/apps/put", url.Values{"app": {"tensorboard"}, "logs": {"out/logs"}}); a.StatusCode != 303 {
		t.Errorf("tensorboard's folder: %s", a.Status)
	}
	if a := alice.get("/w/thesis/apps/demo/log"); a.text != "<b>said</b>\n" || !strings.HasPrefix(a.Header.Get("Content-Type"), "text/plain") {
		t.Errorf("the log is %q, as %s", a.text, a.Header.Get("Content-Type"))
	}
	if a := alice.get("/w/thesis/apps/none/log"); a.StatusCode != 404 {
		t.Errorf("the log of none: %s", a.Status)
	}
	bob := g.browser()
	bob.signIn("bob")
	if a := bob.get("/w/thesis--alice"); a.StatusCode != 200 || strings.Contains(a.text, "/apps/") || strings.Contains(bob.get("/w/thesis--alice/apps").text, "/apps/") {
		t.Errorf("a guest is offered to change the apps: %s", a.Status)
	}
	for _, want := range []string{"alice put thesis-alice demo serve -p $PORT  30m0s", "alice drop thesis-alice board", "alice start app thesis-alice board", "alice stop app thesis-alice demo", "alice put thesis-alice tensorboard  out/logs 1h0m0s"} {
		if !strings.Contains(g.lab.doings(), want) {
			t.Errorf("%q was not done: %q", want, g.lab.doings())
		}
	}
}
