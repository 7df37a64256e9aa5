package e2e

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

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
	const idle = `[...document.querySelectorAll('.jp-StatusBar-TextItem')].some(e => e.textContent.endsWith('| Idle'))`
	holds(t, ctx, "a notebook with its kernel is there", `document.querySelector('.jp-Notebook .jp-Cell .cm-content') && `+idle)
	do(t, ctx, chromedp.Click(".jp-Notebook .jp-Cell .cm-content"), chromedp.KeyEvent(code), chromedp.KeyEvent(kb.Enter, chromedp.KeyModifiers(8)))
	holds(t, ctx, "the cell has printed, all of it", `document.querySelector('.jp-OutputArea-output pre') && `+idle)
	out, err := chromedp.Run(ctx, chromedp.Evaluate[string](`document.querySelector('.jp-OutputArea-output pre').textContent`))
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(out)
}

// goOn types into the cell that the last run one has left behind, and runs it; printed tells when that has come.
func goOn(t *testing.T, ctx context.Context, code string) {
	t.Helper()
	do(t, ctx, chromedp.KeyEvent(code), chromedp.KeyEvent(kb.Enter, chromedp.KeyModifiers(8)))
}

// printed is true where a cell of the page's notebook has printed the text.
func printed(text string) string {
	return `[...document.querySelectorAll('.jp-OutputArea-output')].some(e => e.textContent.includes('` + text + `'))`
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

// aNotebook has one cell, and the kernel of the box.
const aNotebook = `{"cells": [{"cell_type": "code", "execution_count": null, "id": "a", "metadata": {}, "outputs": [], "source": "6*7"}], "metadata": {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}, "nbformat": 4, "nbformat_minor": 5}`

// asksJupyter prints the sessions that Jupyter has, as it tells them in the box.
const asksJupyter = `import urllib.request; print(urllib.request.urlopen("http://127.0.0.1:8888/api/sessions").read().decode())`

// jupyterSession is what the test needs of one.
type jupyterSession struct {
	Path   string
	Kernel struct{ Connections int }
}

// worksUnderTheBar opens a notebook as the button does, in a frame of its own
// origin. JupyterLab starts a kernel for it and talks to it by a WebSocket: for
// that it needs the browser to keep its sign-in, and its own cookie against forgery.
func (l *lab) worksUnderTheBar(ctx context.Context, pages, who, name string) {
	l.t.Helper()
	l.must(who, "exec", name, "--", "sh", "-c", "cat > ~/work/under.ipynb <<'END'\n"+aNotebook+"\nEND")
	do(l.t, ctx, chromedp.Navigate(pages+"/w/"+name+"/app/jupyter?next=/lab/tree/under.ipynb"))
	holds(l.t, ctx, "the bar is there, and the frame has the keyboard", `document.querySelector("#bar .bar-facts li") && document.activeElement.id === "app"`)
	l.until(60*time.Second, "the notebook in the frame is connected to its kernel", func() bool {
		said := l.as(who, "exec", name, "--", "python3", "-c", asksJupyter).out
		var sessions []jupyterSession
		err := json.Unmarshal([]byte(said), &sessions)
		return err == nil && slices.ContainsFunc(sessions, func(s jupyterSession) bool { return s.Path == "under.ipynb" && s.Kernel.Connections > 0 })
	})
	shoot(l.t, ctx, "bar-jupyter")
}
