package e2e

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// TestShareDay: alice shares her environment with the lab on the page, bob takes
// it for a folder of his and gets the very same image; she lets him into her
// workspace, the daemon is killed in the middle, and when she shows him out he
// is out within five seconds. A chat is told what happens meanwhile.
func TestShareDay(t *testing.T) {
	told := make(chan string, 20)
	chat := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var m struct{ Title, Member string }
		if err := json.NewDecoder(r.Body).Decode(&m); err != nil {
			t.Error(err)
		}
		told <- m.Member + " " + m.Title
	}))
	t.Cleanup(chat.Close)
	l := newLab(t)
	alice := l.member("e2ealice")
	l.member("e2ebob")
	l.config = filepath.Join(l.dir, "config.yaml")
	if err := os.WriteFile(l.config, []byte("notify: {local: true}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	l.kill()
	l.start()
	l.must("e2ebob", "notify", "--webhook", chat.URL+"/hook", "--on", "house,ended")

	dir := l.folder(alice, "gazou", map[string]string{"masu.yaml": "preset: python\napt: [tree]\n"})
	l.must("e2ealice", "up", "--no-check", dir)
	link := l.link("e2ealice")
	pages := strings.TrimSuffix(strings.SplitAfter(link, "/enter")[0], "/enter")
	her := browser(t, "ja")
	do(t, her, chromedp.Navigate(link), chromedp.Navigate(pages+"/w/gazou"))
	holds(t, her, "the environment can be shared", `document.querySelector('#share form')`)
	do(t, her, chromedp.SetValue(`#title`, "画像の演習"), chromedp.Click(`#share #lab`), chromedp.Click(`#share form button`))
	holds(t, her, "it has a page", `location.pathname.startsWith("/e/") && document.body.textContent.includes("  - tree")`)

	his := browser(t, "en")
	do(t, his, chromedp.Navigate(l.link("e2ebob")), chromedp.Navigate(pages+"/environments"))
	holds(t, his, "bob finds it", `document.querySelector('a.btn[href^="/new?shared="]')`)
	do(t, his, chromedp.Click(`a.btn[href^="/new?shared="]`))
	holds(t, his, "it can be taken", `document.querySelector('#made')`)
	do(t, his, chromedp.SendKeys(`#made`, "mine"), chromedp.Click(`form[action="/new/folder"] button`))
	holds(t, his, "it is chosen, and built already", `new URL(location).searchParams.get("dir")?.endsWith("/mine") && document.querySelector('[value^="shared/"]:checked') && document.querySelector('#plan .note')`)
	do(t, his, chromedp.Click(`button[form="new"]`))
	holds(t, his, "it runs", `location.pathname === "/w/mine" && document.querySelector('[data-open="jupyter"]')`)
	if a, b := l.image("e2ealice", "gazou"), l.image("e2ebob", "mine"); a != b || a == "" {
		t.Errorf("her image is %s, his %s", a, b)
	}
	l.must("e2ebob", "exec", "mine", "--", "tree", "--version")

	do(t, her, chromedp.Navigate(pages+"/w/gazou"))
	holds(t, her, "she can let somebody in", `document.querySelector('#guest')`)
	do(t, her, chromedp.SendKeys(`#guest`, "e2ebob"), chromedp.Click(`#guests form[action$="/guest"] button`))
	holds(t, her, "he is in", `document.querySelector('#guests input[value="e2ebob"]')`)
	do(t, his, chromedp.Navigate(pages+"/"))
	holds(t, his, "bob sees hers", `document.querySelector('a[href="/w/gazou--e2ealice"]')`)
	l.kill()
	l.start()
	do(t, his, chromedp.Navigate(pages+"/w/gazou--e2ealice"))
	holds(t, his, "and may not stop it", `document.querySelector('form[action$="/dismiss"]') && !document.querySelector('form[action$="/stop"]')`)
	openApp(t, his, "jupyter")
	if got := runCell(t, his, `import os; open(os.path.expanduser("~/work/guest.txt"), "w").write("x"); print(os.environ["USER"])`); got != "e2ealice" {
		t.Errorf("a guest works as %q", got)
	}
	if info, err := os.Stat(filepath.Join(dir, "guest.txt")); err != nil || strconv.Itoa(int(info.Sys().(*syscall.Stat_t).Uid)) != alice.Uid {
		t.Errorf("what the guest wrote: %v, %v", info, err)
	}
	origin := strings.Split(where(his), "/lab")[0]
	do(t, her, chromedp.Navigate(pages+"/w/gazou"))
	holds(t, her, "she can show him out", `document.querySelector('#guests form[action$="/dismiss"] button')`)
	do(t, her, chromedp.Click(`#guests form[action$="/dismiss"] button`))
	l.until(5*time.Second, "his open notebook gets no answer any more", func() bool {
		ok, err := chromedp.Run(his, chromedp.Evaluate[bool](`fetch("`+origin+`/api/contents", {redirect: "error"}).then(r => !r.ok, () => true)`, chromedp.EvalAwaitPromise))
		return err == nil && ok
	})

	// A guest could have typed this: it would let them in as her for ever.
	if r := l.asIn("e2ealice", "", "battery staple\nbattery staple\n", "exec", "-i", "gazou", "--", "sh", "-c", "$HOME/scripts/set_passwd.sh"); strings.Contains(r.out+r.errOut, "DONE") {
		t.Errorf("a box that had a guest sets her password: %q %q", r.out, r.errOut)
	}
	if code := signInStatus(t, pages, url.Values{"name": {"e2ealice"}, "password": {"battery staple"}}); code != http.StatusForbidden {
		t.Errorf("and it signs in: %d", code)
	}

	l.must("root", "admin", "notice", "Power cut on Friday")
	select {
	case got := <-told:
		if got != "e2ebob Power cut on Friday" {
			t.Errorf("the chat was told %q", got)
		}
	case <-time.After(30 * time.Second):
		t.Error("the chat was told nothing")
	}
	if out := l.must("root", "audit", "--verb", "open"); !strings.Contains(out, "gazou--e2ealice") {
		t.Errorf("the log does not say that a guest came: %q", out)
	}
}

// image is what a workspace runs.
func (l *lab) image(owner, name string) string {
	for _, w := range l.workspaces(owner) {
		if w.Name == name {
			return w.Image
		}
	}
	return ""
}
