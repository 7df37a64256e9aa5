package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// signIn fills the form of the sign-in page.
func (l *lab) signIn(t *testing.T, who, password, lang string) (went bool) {
	t.Helper()
	ctx := browser(t, lang)
	pages := strings.SplitAfter(l.link(who), "/enter")[0]
	do(t, ctx, chromedp.Navigate(strings.TrimSuffix(pages, "/enter")+"/signin"))
	holds(t, ctx, "the sign-in form is there", `document.querySelector('input[name="password"]')`)
	do(t, ctx,
		chromedp.SendKeys(`input[name="name"]`, who),
		chromedp.SendKeys(`input[name="password"]`, password),
		chromedp.Click(`form[action="/signin"] button`))
	holds(t, ctx, "the page has answered", `document.querySelector('form[action="/signout"]') || document.querySelector('[role="alert"]')`)
	in, err := chromedp.Run(ctx, chromedp.Evaluate[bool](`Boolean(document.querySelector('form[action="/signout"]'))`))
	if err != nil {
		t.Fatal(err)
	}
	return in
}

// TestPassword is row S9: asked twice, DONE or RETRY, on the host and inside
// the box alike, and good for signing in.
func TestPassword(t *testing.T) {
	l := newLab(t)
	alice := l.member("e2ealice")
	if r := l.asIn("e2ealice", "", "correct horse\ncorrect horse\n", "passwd"); r.code != 0 || !strings.Contains(r.out+r.errOut, "DONE") {
		t.Fatalf("passwd: %d %q %q", r.code, r.out, r.errOut)
	}
	if !l.signIn(t, "e2ealice", "correct horse", "en") {
		t.Error("the right password does not sign in")
	}
	if l.signIn(t, "e2ealice", "wrong horse", "ja") {
		t.Error("a wrong password signs in")
	}
	if r := l.asIn("e2ealice", "", "one thing\nanother thing\n", "passwd"); !strings.Contains(r.out+r.errOut, "RETRY") {
		t.Errorf("two different ones: %d %q %q", r.code, r.out, r.errOut)
	}

	l.must("e2ealice", "up", "--no-check", l.folder(alice, "thesis", nil))
	r := l.asIn("e2ealice", "", "battery staple\nbattery staple\n", "exec", "-i", "thesis", "--", "sh", "-c", "$HOME/scripts/set_passwd.sh")
	if r.code != 0 || !strings.Contains(r.out+r.errOut, "DONE") {
		t.Fatalf("set_passwd.sh in the box: %d %q %q", r.code, r.out, r.errOut)
	}
	if !l.signIn(t, "e2ealice", "battery staple", "ja") {
		t.Error("the password set in the box does not sign in")
	}
	if r := l.asIn("e2ealice", "", "\n\n", "passwd"); r.code != 0 || !strings.Contains(r.out+r.errOut, "DONE") {
		t.Errorf("Enter twice: %d %q %q", r.code, r.out, r.errOut)
	}
	if l.signIn(t, "e2ealice", "battery staple", "en") {
		t.Error("a password that was taken away signs in")
	}
}

// TestFromThePage: who never sees a terminal but for the first link starts,
// watches, opens and stops a workspace on the page, in Japanese.
func TestFromThePage(t *testing.T) {
	l := newLab(t)
	alice := l.member("e2ealice")
	dir := l.folder(alice, "jikken", nil)
	ctx := browser(t, "ja")
	do(t, ctx, chromedp.Navigate(l.link("e2ealice")))
	holds(t, ctx, "the page is Japanese", `document.documentElement.lang === "ja" && document.querySelector('input[name="folder"]')`)
	shoot(t, ctx, "first-ja")
	do(t, ctx, chromedp.SetValue(`input[name="folder"]`, dir), chromedp.Click(`form[action="/start"] button`))
	holds(t, ctx, "the workspace's page shows its log", `location.pathname === "/w/jikken" && document.querySelector('#steps > *')`)
	holds(t, ctx, "Jupyter can be opened", `document.querySelector('[data-open="jupyter"]')`)
	shoot(t, ctx, "workspace-ja")
	openApp(t, ctx, "jupyter")
	if got := runCell(t, ctx, `print(chr(0x67a1) * 2)`); got != "枡枡" {
		t.Errorf("the cell printed %q", got)
	}
	if at := where(ctx); !strings.Contains(at, "jikken--e2ealice.localhost") {
		t.Errorf("Jupyter is not on the workspace's own origin: %s", at)
	}
	ctx = browser(t, "ja") // the first one has an unsaved notebook, and would be asked about it
	do(t, ctx, chromedp.Navigate(l.link("e2ealice")))
	openApp(t, ctx, "terminal")
	holds(t, ctx, "a terminal is there", `document.querySelector('.jp-Terminal .xterm-helper-textarea')`)
	l.until(30*time.Second, "what is typed there is done", func() bool { // once its shell listens
		if _, err := chromedp.Run(ctx, chromedp.Evaluate[bool](`(e => { const d = new DataTransfer(); d.setData("text/plain", "echo $((6*7)) > ~/work/typed"); e.focus(); return e.dispatchEvent(new ClipboardEvent("paste", { clipboardData: d, bubbles: true, cancelable: true })) })(document.querySelector(".jp-Terminal .xterm-helper-textarea"))`)); err != nil {
			t.Fatal(err)
		}
		do(t, ctx, chromedp.KeyEvent(kb.Enter))
		b, err := os.ReadFile(filepath.Join(dir, "typed"))
		return err == nil && string(b) == "42\n"
	})
	shoot(t, ctx, "terminal")
	do(t, ctx, chromedp.Navigate(l.link("e2ealice")))
	holds(t, ctx, "the workspace is on the first page", `document.querySelector('a[href="/w/jikken"]')`)
	do(t, ctx, chromedp.Click(`a[href="/w/jikken"]`))
	holds(t, ctx, "it can be stopped", `document.querySelector('form[action="/w/jikken/stop"]')`)
	do(t, ctx, chromedp.Click(`form[action="/w/jikken/stop"] button`))
	holds(t, ctx, "it is stopped, and can be started again", `document.querySelector('form[action="/w/jikken/start"]')`)
	if p := l.phase("e2ealice", "jikken"); p != "stopped" {
		t.Errorf("the page says stopped, the daemon %q", p)
	}
}
