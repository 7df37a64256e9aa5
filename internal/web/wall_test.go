package web

import (
	"fmt"
	"os/exec"
	"testing"

	"github.com/masu-lab/masu"
)

// TestWallInABrowser is the board on a large display that nobody touches.
func TestWallInABrowser(t *testing.T) {
	if _, err := exec.LookPath("chromium"); err != nil {
		t.Skip("chromium is not installed")
	}
	g := newRig(t)
	aLab(g)
	c, axe := newChromium(t), axeScript(t)
	base := "http://localhost:" + g.port
	c.goTo(base + "/wall")
	if c.eval(`document.querySelectorAll(".board").length`) != 0.0 {
		t.Error("the wall shows the board although the house does not wish it")
	}
	g.server.cfg.Wall = g.lab.As(masu.Actor{}).Board
	for _, lang := range []string{"ja", "en"} {
		c.lang(lang)
		for _, scheme := range []string{"light", "dark"} {
			c.call("Emulation.setDeviceMetricsOverride", map[string]any{"width": 1920, "height": 1080, "deviceScaleFactor": 1, "mobile": false}, nil)
			c.scheme(scheme)
			c.goTo(base + "/wall")
			c.until(`document.querySelectorAll(".wall .gpu").length === 4`)
			shot := fmt.Sprintf("wall-%s-%s", lang, scheme)
			c.shoot(shot)
			c.axe(axe, shot)
			c.well(shot)
			if high := c.eval(`document.documentElement.scrollHeight`).(float64); high > 1080 {
				t.Errorf("the wall is %v px high", high)
			}
		}
	}
	if n := c.eval(`document.querySelectorAll("form[action], a[href='/gpus']").length`); n != 0.0 {
		t.Errorf("the wall has %v things to press", n)
	}
	// It goes on by itself.
	g.lab.mu.Lock()
	g.lab.measured.Waiting = nil
	g.lab.mu.Unlock()
	c.until(`!document.querySelector(".wall .wall-line")`)
}
