package web

import (
	"fmt"
	"os/exec"
	"testing"
	"time"

	"github.com/masu-lab/masu"
)

// TestAppsInABrowser: the list of a workspace's apps changes as they do, under
// the keyboard of who uses it; and what runs at a port is kept as an app.
func TestAppsInABrowser(t *testing.T) {
	if _, err := exec.LookPath("chromium"); err != nil {
		t.Skip("chromium is not installed")
	}
	g := newRig(t)
	c := newChromium(t)
	axe := axeScript(t)
	base := "http://localhost:" + g.port
	ws := running("alice", "thesis")
	ws.Project.Apps = []masu.AppWish{{Name: "jupyter"}, {Name: "demo", Command: "streamlit run app.py", Port: 8501}, {Name: "board", Command: "node server.js", Port: 3000, OnVisit: true}, {Name: "tensorboard", Logs: "out/logs"}}
	apps := func(demo masu.App, more ...masu.App) {
		demo.Name, demo.Port, demo.Own = "demo", 8501, true
		ws.Apps = append([]masu.App{{Name: "jupyter", Port: 8888, Ready: true}, demo, {Name: "board", Port: 3000, Own: true, Rests: true}, {Name: "tensorboard", Port: 6006, Ready: true}}, more...)
		g.lab.set(ws)
	}
	apps(masu.App{})
	c.cookie(base, "masu_session", g.secret("alice"))
	c.lang("en")
	c.goTo(base + "/w/thesis")
	item := func(name string) string {
		return `[...document.querySelectorAll('#apps .lines > li')].find(e => e.querySelector('b').textContent === '` + name + `')`
	}
	c.until(item("demo") + `.textContent.includes('starting')`)
	c.eval(`window.mark = 1; ` + item("demo") + `.querySelector('form[action$="/apps/stop"] button').focus()`)

	apps(masu.App{Slow: true, Error: "demo does not answer at port 8501\nloading the model"})
	c.until(item("demo") + `.textContent.includes('loading the model')`)
	apps(masu.App{Error: "demo ended with exit code 1\nModuleNotFoundError: No module named 'streamlit'"},
		masu.App{Name: "p9000", Port: 9000, Ready: true, Command: "python3 -m http.server 9000", Since: time.Now()})
	c.until(item("demo") + `.textContent.includes('No module named')`)
	c.until(item("Port 9000") + `?.querySelector('a[href*="keep="]')`)
	if got := c.eval(`document.activeElement.textContent`); got != "Stop demo" {
		t.Errorf("the keyboard was at demo's Stop, and is at %q", got)
	}
	c.eval(item("Port 9000") + `.querySelector('a[href*="keep="]').click()`)
	c.until(`document.readyState === 'complete' && document.getElementById('command')?.value === 'python3 -m http.server 9000' && document.getElementById('port').value === '9000'`)
	if c.eval(`window.mark`) == 1.0 || c.eval(`document.getElementById('command').checkVisibility()`) != true {
		t.Error("the form is not shown")
	}
	for _, lang := range []string{"en", "ja"} {
		c.lang(lang)
		for width, scheme := range map[int]string{1280: "light", 360: "dark"} {
			c.size(width)
			c.scheme(scheme)
			c.goTo(base + "/w/thesis?keep=9000")
			name := fmt.Sprintf("apps-%s-%d-%s", lang, width, scheme)
			c.shoot(name)
			c.axe(axe, name)
			c.well(name)
		}
	}
}
