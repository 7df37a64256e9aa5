package e2e

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// TestRunByItself: close the laptop, and come back for the result: also when
// the daemon was killed in between.
func TestRunByItself(t *testing.T) {
	l := newLab(t)
	alice := l.member("e2ealice")
	l.member("e2ebob")
	dir := l.folder(alice, "thesis", map[string]string{"masu.yaml": "preset: python\n", "train.py": "import time, os\nprint('begun as', os.getuid(), flush=True)\ntime.sleep(8)\nopen('model.txt', 'w').write('trained')\nprint('done')\nraise SystemExit(5)\n"})
	id := strings.TrimSpace(l.must("e2ealice", "run", "-C", dir, "-d", "--name", "train", "--", "python3", "train.py"))
	state := func() (r struct {
		Phase string
		Code  int
	}) {
		var list []struct {
			ID, Phase string
			Code      int
		}
		if err := json.Unmarshal([]byte(l.must("e2ealice", "runs", "--json")), &list); err != nil {
			t.Fatal(err)
		}
		for _, x := range list {
			if x.ID == id {
				r.Phase, r.Code = x.Phase, x.Code
			}
		}
		return r
	}
	l.until(3*time.Minute, "it prints", func() bool { return strings.Contains(l.must("e2ealice", "runs", "log", id), "begun as "+alice.Uid) })
	l.kill()
	l.start()
	if s := state(); s.Phase != "running" {
		t.Errorf("after the daemon's death it is %+v", s)
	}
	for _, args := range [][]string{{"runs", "log", id}, {"runs", "cancel", id}, {"runs", "rm", id}} {
		if r := l.as("e2ebob", args...); r.code == 0 || strings.Contains(r.out+r.errOut, "begun") {
			t.Errorf("bob: %v: %d %s", args, r.code, r.out+r.errOut)
		}
	}
	l.until(60*time.Second, "it has ended", func() bool { return state().Phase == "ended" })
	if s := state(); s.Code != 5 {
		t.Errorf("it ended with %d", s.Code)
	}
	if out := l.must("e2ealice", "runs", "log", id); !strings.HasSuffix(out, "done\n") {
		t.Errorf("its log: %q", out)
	}
	if out := l.must("e2ealice", "run", "-C", dir, "--", "cat", "model.txt"); strings.TrimSpace(out) != "trained" {
		t.Errorf("its file: %q", out)
	}
	if left := docker(t, "ps", "-aq", "--filter", "name=masu-"+id); left != "" {
		t.Errorf("its box is left: %s", left)
	}
	ctx := browser(t, "ja")
	do(t, ctx, chromedp.Navigate(l.link("e2ealice")))
	holds(t, ctx, "signed in", `document.querySelector('nav a[href="/runs"]')`)
	do(t, ctx, chromedp.Click(`nav a[href="/runs"]`))
	holds(t, ctx, "the page tells how it ended", `document.querySelector('.card')?.textContent.includes('(5)')`)
	shoot(t, ctx, "runs-ja")
	do(t, ctx, chromedp.Click(`.card a[href$="/log"]`))
	holds(t, ctx, "the log is there", `document.body.textContent.includes('done')`)
}
