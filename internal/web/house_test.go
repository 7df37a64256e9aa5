package web

import (
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/masu-lab/masu"
)

// TestHouse: what an admin announces comes to pages that are open, with the time that is left.
func TestHouse(t *testing.T) {
	at := time.Date(2026, 4, 1, 9, 0, 0, 0, time.UTC)
	for closes, left := range map[time.Time]string{{}: "", at: "", at.Add(-time.Hour): "", at.Add(20 * time.Minute): "20 min", at.Add(90 * time.Minute): "1 h 30 min"} {
		if got := newHouse(masu.English, masu.House{ClosedAt: closes}, at).Left; got != left {
			t.Errorf("%v: %q left, not %q", closes, got, left)
		}
	}
	g := newRig(t)
	b := g.browser()
	if a := b.get("/house"); a.StatusCode != 401 && a.StatusCode != 303 {
		t.Errorf("nobody is told: %s", a.Status)
	}
	b.signIn("alice")
	if a := b.get("/"); !strings.Contains(a.text, `data-part="/house"`) {
		t.Error("the page does not ask again")
	}
	boss := g.lab.people.As(masu.Actor{User: masu.User{Name: "boss", Admin: true}})
	if err := boss.SetHouse(t.Context(), masu.House{Banner: "<b>Power cut", ClosedAt: time.Now().Add(30*time.Minute + 30*time.Second)}); err != nil {
		t.Fatal(err)
	}
	if a := b.get("/house"); a.StatusCode != 200 || !strings.Contains(a.text, "&lt;b&gt;Power cut") || !strings.Contains(a.text, "30 min left") {
		t.Errorf("%s %s", a.Status, a.text)
	}
}

// TestHouseInABrowser: what everybody should know stands over an app as well, and
// the time until maintenance counts.
func TestHouseInABrowser(t *testing.T) {
	if _, err := exec.LookPath("chromium"); err != nil {
		t.Skip("chromium is not installed")
	}
	g := newRig(t)
	g.lab.set(running("alice", "train"))
	boss := g.lab.As(masu.Actor{User: masu.User{Name: "boss", Admin: true}})
	if err := boss.SetHouse(t.Context(), masu.House{Banner: "Friday: no power", ClosedAt: time.Now().Add(20 * time.Minute)}); err != nil {
		t.Fatal(err)
	}
	c := newChromium(t)
	c.lang("en")
	base, axe := "http://localhost:"+g.port, axeScript(t)
	c.cookie(base, "masu_session", g.secret("alice"))
	for _, path := range []string{"/", "/w/train/app/jupyter"} {
		c.goTo(base + path)
		c.until(`document.body.textContent.includes("Friday: no power") && /1[89]:\d\d/.test(document.querySelector("[data-ends]").textContent)`)
		c.eval(`window.was = document.querySelector("[data-ends]").textContent`)
		c.until(`document.querySelector("[data-ends]").textContent !== window.was`)
		c.shoot("house" + strings.ReplaceAll(path, "/", "-"))
		c.axe(axe, path)
		c.well(path)
	}
}
