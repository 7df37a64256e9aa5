package e2e

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/target"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// browser opens a new Chromium with an empty profile.
func browser(t *testing.T, lang string, more ...chromedp.ExecAllocatorOption) context.Context {
	t.Helper()
	opts := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.NoSandbox, chromedp.ExecPath("/usr/bin/chromium"),
		chromedp.Flag("lang", lang), chromedp.Flag("accept-lang", lang),
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-sync", true),
		chromedp.UserDataDir(t.TempDir()))
	opts = append(opts, more...)
	alloc, cancel := chromedp.NewExecAllocator(t.Context(), opts...)
	t.Cleanup(cancel)
	ctx, cancel := chromedp.NewContext(alloc)
	t.Cleanup(cancel)
	ctx, cancel = context.WithTimeout(ctx, 5*time.Minute)
	t.Cleanup(cancel)
	do(t, ctx, chromedp.EmulateViewport(1280, 900))
	return ctx
}

func do(t *testing.T, ctx context.Context, steps ...chromedp.Action[chromedp.Void]) {
	t.Helper()
	if err := chromedp.Do(ctx, steps...); err != nil {
		shoot(t, ctx, "failure")
		t.Fatalf("browser: %v (at %s)", err, where(ctx))
	}
}

// holds waits until a JavaScript expression is true on the page, also across navigations.
func holds(t *testing.T, ctx context.Context, what, expression string) {
	t.Helper()
	deadline := time.Now().Add(60 * time.Second)
	for {
		try, cancel := context.WithTimeout(ctx, 5*time.Second) // an answer can be lost while the page changes
		ok, err := chromedp.Run(try, chromedp.Evaluate[bool]("Boolean("+expression+")"))
		cancel()
		if err == nil && ok {
			return
		}
		if time.Now().After(deadline) {
			shoot(t, ctx, "failure")
			t.Fatalf("waited in vain until %s (at %s; %v)", what, where(ctx), err)
		}
		time.Sleep(100 * time.Millisecond)
	}
}

func where(ctx context.Context) string {
	at, _ := chromedp.Run(ctx, chromedp.Location())
	return at
}

// shoot keeps a screenshot under MASU_SHOTS, where that is set.
func shoot(t *testing.T, ctx context.Context, name string) {
	t.Helper()
	dir := os.Getenv("MASU_SHOTS")
	if dir == "" {
		return
	}
	png, err := chromedp.Run(ctx, chromedp.CaptureScreenshot())
	if err != nil {
		t.Logf("screenshot %s: %v", name, err)
		return
	}
	if err := os.WriteFile(filepath.Join(dir, name+".png"), png, 0o644); err != nil {
		t.Log(err)
	}
}

// runCell opens a new notebook in JupyterLab, runs one cell in it and returns what it printed.
func runCell(t *testing.T, ctx context.Context, code string) string {
	t.Helper()
	holds(t, ctx, "JupyterLab's launcher is there", `document.querySelector('.jp-LauncherCard[data-category="Notebook"]')`)
	do(t, ctx, chromedp.Click(`.jp-LauncherCard[data-category="Notebook"]`))
	holds(t, ctx, "a notebook with its kernel is there", `document.querySelector('.jp-Notebook .jp-Cell .cm-content') && [...document.querySelectorAll('.jp-StatusBar-TextItem')].some(e => e.textContent.endsWith('| Idle'))`)
	do(t, ctx, chromedp.Click(".jp-Notebook .jp-Cell .cm-content"), chromedp.KeyEvent(code), chromedp.KeyEvent(kb.Enter, chromedp.KeyModifiers(8)))
	holds(t, ctx, "the cell has printed", `document.querySelector('.jp-OutputArea-output pre')`)
	out, err := chromedp.Run(ctx, chromedp.Evaluate[string](`document.querySelector('.jp-OutputArea-output pre').textContent`))
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(out)
}

// openApp presses the button that opens an app, as by "without the bar": then
// the app is the page. It opens in a new tab, which the test does without.
func openApp(t *testing.T, ctx context.Context, app string) {
	t.Helper()
	button := `document.querySelector('[data-open="` + app + `"]')`
	holds(t, ctx, "the app can be opened", button)
	if _, err := chromedp.Run(ctx, chromedp.Evaluate[bool](`(b => { b.removeAttribute("target"); b.pathname = b.pathname.replace(/^\/w\/(.+)\/app\//, "/open/$1/"); setTimeout(() => b.click()); return true })(`+button+`)`)); err != nil {
		t.Fatal(err)
	}
}

// inFrame is the frame of an app under the bar: another site to the browser, and a target of its own.
func inFrame(t *testing.T, ctx context.Context, origin string) context.Context {
	t.Helper()
	var id target.ID
	for deadline := time.Now().Add(60 * time.Second); id == ""; time.Sleep(100 * time.Millisecond) {
		list, err := chromedp.Targets(ctx)
		if err != nil {
			t.Fatal(err)
		}
		for _, x := range list {
			if x.Type == "iframe" && strings.HasPrefix(x.URL, origin+"/lab") {
				id = x.TargetID
			}
		}
		if id == "" && time.Now().After(deadline) {
			shoot(t, ctx, "failure")
			t.Fatalf("no frame of %s (at %s)", origin, where(ctx))
		}
	}
	frame, cancel := chromedp.NewContext(ctx, chromedp.WithTargetID(id))
	t.Cleanup(cancel)
	return frame
}

// kernelJS starts a kernel as JupyterLab does, with Jupyter's own cookie against
// forgery and a WebSocket, and gives what 6*7 is.
const kernelJS = `(async () => {
  const xsrf = document.cookie.split("; ").find(c => c.startsWith("_xsrf="))?.slice(6);
  const made = await fetch("/api/kernels", {method: "POST", headers: {"X-XSRFToken": xsrf, "Content-Type": "application/json"}, body: "{}"});
  if (!made.ok) return "kernel: " + made.status + " with " + document.cookie;
  const socket = new WebSocket(location.origin.replace("http", "ws") + "/api/kernels/" + (await made.json()).id + "/channels");
  const header = {msg_id: "m1", msg_type: "execute_request", session: "s1", username: "", version: "5.3", date: ""};
  socket.onopen = () => socket.send(JSON.stringify({channel: "shell", header, parent_header: {}, metadata: {}, buffers: [], content: {code: "print(6*7)", silent: false, store_history: false, user_expressions: {}, allow_stdin: false, stop_on_error: true}}));
  return new Promise((done) => {
    socket.onmessage = (e) => { const m = JSON.parse(e.data); if (m.msg_type === "stream") done(m.content.text.trim()); };
    socket.onclose = (e) => done("closed: " + e.code);
  });
})()`

// runsUnderTheBar opens Jupyter as the button does, in its frame, and runs something there.
func runsUnderTheBar(t *testing.T, ctx context.Context, pages, name, origin string) {
	t.Helper()
	do(t, ctx, chromedp.Navigate(pages+"/w/"+name+"/app/jupyter"))
	holds(t, ctx, "the bar is there, and the frame has the keyboard", `document.querySelector("#bar .bar-facts li") && document.activeElement.id === "app"`)
	frame := inFrame(t, ctx, origin)
	holds(t, frame, "JupyterLab is in the frame", `document.querySelector('.jp-LauncherCard[data-category="Notebook"]')`)
	got, err := chromedp.Run(frame, chromedp.Evaluate[string](kernelJS, chromedp.EvalAwaitPromise))
	if err != nil || got != "42" {
		t.Errorf("under the bar the kernel says %q (%v)", got, err)
	}
	shoot(t, ctx, "bar-jupyter")
}
