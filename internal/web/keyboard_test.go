package web

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/masu-lab/masu"
)

// key presses one key, as a keyboard does.
func (c *chromium) key(name string, code int, text string) {
	c.t.Helper()
	down := map[string]any{"type": "rawKeyDown", "key": name, "code": name, "windowsVirtualKeyCode": code}
	if text != "" {
		down["type"], down["text"] = "keyDown", text
	}
	c.call("Input.dispatchKeyEvent", down, nil)
	c.call("Input.dispatchKeyEvent", map[string]any{"type": "keyUp", "key": name, "code": name, "windowsVirtualKeyCode": code}, nil)
}

func (c *chromium) enter() { c.t.Helper(); c.key("Enter", 13, "\r") }

// tabTo presses Tab until something has the focus, which must be seen there.
func (c *chromium) tabTo(selector string) {
	c.t.Helper()
	for range 60 {
		if c.eval(`document.activeElement.matches('`+selector+`')`) == true {
			if c.eval(`document.activeElement.checkVisibility() && getComputedStyle(document.activeElement).outlineStyle !== "none"`) != true {
				c.t.Errorf("%s does not show that it has the focus", selector)
			}
			return
		}
		c.key("Tab", 9, "")
	}
	c.t.Fatalf("Tab does not lead to %s on %v", selector, c.eval(`location.pathname`))
}

// TestKeyboard: sign-in, Start, Jupyter and Stop by Tab and Enter alone.
func TestKeyboard(t *testing.T) {
	if _, err := exec.LookPath("chromium"); err != nil {
		t.Skip("chromium is not installed")
	}
	g := newRig(t)
	c := newChromium(t)
	base := "http://localhost:" + g.port
	c.goTo(base + "/signin")
	c.tabTo(`#name`)
	c.call("Input.insertText", map[string]any{"text": "alice"}, nil)
	c.tabTo(`#password`)
	c.call("Input.insertText", map[string]any{"text": "right alice"}, nil)
	c.enter()
	c.until(`document.querySelector('form[action="/start"]') && document.readyState === "complete"`)
	c.key("Tab", 9, "")
	if c.eval(`document.activeElement.matches(".skip") && document.activeElement.getBoundingClientRect().top >= 0`) != true {
		t.Error("the first Tab does not show the way past the menu")
	}
	c.enter()
	c.tabTo(`form[action="/start"] button`)
	c.enter()
	c.until(`location.pathname === "/w/new" && document.readyState === "complete"`)
	w := running("alice", "new")
	g.lab.set(w)
	c.until(`document.querySelector('[data-open="jupyter"]')`)
	c.tabTo(`[data-open="jupyter"]`)
	c.enter()
	eventually(t, "Jupyter is opened", func() bool {
		var list struct {
			TargetInfos []struct{ Type, URL string }
		}
		c.call("Target.getTargets", nil, &list)
		for _, x := range list.TargetInfos {
			if x.Type == "page" && strings.HasPrefix(x.URL, base+"/w/new/app/jupyter") {
				return true
			}
		}
		return false
	})
	// Under the bar the app has the keyboard at once.
	c.goTo(base + "/w/new/app/jupyter")
	c.until(`document.activeElement.id === "app"`)
	c.goTo(base + "/w/new")
	c.tabTo(`form[action="/w/new/stop"] button`)
	c.enter()
	eventually(t, "the lab is asked to stop it", func() bool { return strings.Contains(g.lab.doings(), "alice stop new") })
	w.Phase = masu.Stopped
	g.lab.set(w)
	c.goTo(base + "/w/new") // what the page is told by itself is another test's
	c.until(`document.querySelector('form[action="/w/new/start"]')`)
	c.well("by keyboard")
}
