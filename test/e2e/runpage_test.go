package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// TestNotebookFromThePage: who has never seen a terminal runs a notebook with one press, closes the browser,
// stops the workspace, and finds the result in the evening, on a phone.
func TestNotebookFromThePage(t *testing.T) {
	l := newLab(t)
	alice := l.member("e2ealice")
	dir := l.folder(alice, "thesis", map[string]string{"masu.yaml": "preset: python\n",
		"第1回.ipynb": notebookOf(t, "import os, time\nprint('begun as', os.getuid(), flush=True)\nwhile not os.path.exists('go'):\n    time.sleep(0.2)", "6 * 7")})
	l.must("e2ealice", "up", "--no-check", dir)

	ctx := browser(t, "ja")
	do(t, ctx, chromedp.Navigate(l.link("e2ealice")))
	holds(t, ctx, "the workspace is on the first page", `document.querySelector('a[href="/w/thesis"]')`)
	do(t, ctx, chromedp.Click(`a[href="/w/thesis"]`))
	holds(t, ctx, "the notebook can be run", `document.querySelector('#run .lines li')?.textContent.includes('第1回.ipynb')`)
	do(t, ctx, chromedp.ScrollIntoView(`#run`))
	shoot(t, ctx, "run-form-ja")
	do(t, ctx, chromedp.Click(`#run .lines button`))
	holds(t, ctx, "its page is there", `location.pathname.startsWith('/runs/')`)
	id := where(ctx)
	id = id[strings.LastIndex(id, "/")+1:]
	if err := chromedp.Cancel(ctx); err != nil {
		t.Fatal(err)
	}
	result := filepath.Join(dir, "第1回.run-"+id+".ipynb")
	out := func() string {
		text, _ := os.ReadFile(result) // not there yet
		return string(text)
	}
	l.until(3*time.Minute, "it works without anybody looking", func() bool { return strings.Contains(out(), "begun as "+alice.Uid) })
	l.must("e2ealice", "stop", "thesis")
	if err := os.WriteFile(filepath.Join(dir, "go"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	l.until(60*time.Second, "it has ended", func() bool { return l.runState("e2ealice", id).Phase == "ended" })

	phone := browser(t, "ja")
	do(t, phone, chromedp.EmulateViewport(390, 844), chromedp.Navigate(l.link("e2ealice")))
	holds(t, phone, "signed in", `document.querySelector('nav a[href="/runs"]')`)
	do(t, phone, chromedp.Click(`nav a[href="/runs"]`))
	holds(t, phone, "the run is listed, and has ended well", `document.querySelector('.card')?.textContent.includes('(0)')`)
	do(t, phone, chromedp.Click(`.card h2 a`))
	holds(t, phone, "the result is there", `[...document.querySelectorAll('.res')].at(-1)?.textContent === '42'`)
	holds(t, phone, "it tells what it used", `[...document.querySelectorAll('dl.kv dt')].some(e => e.textContent.startsWith('CPU'))`)
	holds(t, phone, "nothing is wider than the phone", `document.documentElement.scrollWidth <= 390`)
	shoot(t, phone, "run-page-phone-ja")
	do(t, phone, chromedp.Click(`form[action="/runs/`+id+`/again"] button`))
	holds(t, phone, "it is run again, as another run", `location.pathname.startsWith('/runs/') && !location.pathname.endsWith('`+id+`') && document.querySelector('h1')`)
	again := where(phone)
	again = again[strings.LastIndex(again, "/")+1:]
	l.until(2*time.Minute, "that ends too", func() bool { return l.runState("e2ealice", again).Phase == "ended" })
	if shown := l.must("e2ealice", "runs", "show", id); !strings.Contains(shown, "第1回.ipynb") || !strings.Contains(shown, dir) {
		t.Errorf("masu runs show: %q", shown)
	}
}
