package web

import (
	"encoding/json"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/masu-lab/masu"
)

// watchShifts adds up by how much of the window things have moved though nobody had touched anything.
const watchShifts = `window.masuShift = { sum: 0, what: [] };
new PerformanceObserver((list) => {
  for (const e of list.getEntries()) {
    if (e.hadRecentInput) continue;
    masuShift.sum += e.value;
    masuShift.what.push(e.value.toFixed(4) + ' ' + e.sources.map((s) => (s.node?.id || s.node?.className || s.node?.nodeName) + ' ' + Math.round(s.previousRect.y) + '→' + Math.round(s.currentRect.y)).join(', '));
  }
}).observe({ type: 'layout-shift', buffered: true });`

// mostShift is how much may move in all; browsers' makers call a page good below
// 0.1. What is left is what changes where one looks: a card that comes or goes.
const mostShift = 0.05

// transfer is one request of a page.
type transfer struct {
	address, kind string
	from          string // the address of what asked for it: the page, or a script
	bytes         float64
}

// transferred notes what the browser tells of the network.
func (c *chromium) transferred(event string, params json.RawMessage) {
	var m struct {
		RequestID         string
		Type              string
		DocumentURL       string
		Request           struct{ URL string }
		EncodedDataLength float64
		Initiator         struct {
			Type, URL string
			Stack     struct{ CallFrames []struct{ URL string } }
		}
	}
	if json.Unmarshal(params, &m) != nil || c.requests == nil {
		return
	}
	switch event {
	case "Network.requestWillBeSent":
		t := &transfer{address: m.Request.URL, kind: m.Type, from: m.Initiator.URL}
		if frames := m.Initiator.Stack.CallFrames; len(frames) > 0 {
			t.from = frames[len(frames)-1].URL
		}
		c.requests[m.RequestID] = t
	case "Network.loadingFinished":
		if t := c.requests[m.RequestID]; t != nil {
			t.bytes = m.EncodedDataLength
		}
	}
}

// rounds is how many requests, each after the other's answer, a request was the last of.
func rounds(all map[string]*transfer, t *transfer) int {
	for _, other := range all {
		if other != t && other.address == t.from && other.address != t.address {
			return rounds(all, other) + 1
		}
	}
	return 1
}

// TestFarAwayInABrowser: over a link on which each answer takes 200 ms, the first
// page is there after two rounds, moves on its own, and sends a form once however
// often its button is pressed.
func TestFarAwayInABrowser(t *testing.T) {
	if _, err := exec.LookPath("chromium"); err != nil {
		t.Skip("chromium is not installed")
	}
	g := newRig(t)
	c := newChromium(t)
	base := "http://localhost:" + g.port
	aLab(g)
	g.gate.home = aHome(t)
	c.size(1280)
	c.call("Network.setCacheDisabled", map[string]any{"cacheDisabled": true}, nil)
	c.call("Network.emulateNetworkConditions", map[string]any{"offline": false, "latency": 200, "downloadThroughput": 1.5e6 / 8, "uploadThroughput": 1.5e6 / 8}, nil)
	c.cookie(base, "masu_session", g.secret("alice"))
	begun := time.Now()
	c.goTo(base + "/")
	t.Logf("the first page is there after %d ms; by the browser's clock it can be used after %v ms", time.Since(begun).Milliseconds(),
		c.eval("Math.round(performance.getEntriesByType('navigation')[0].domContentLoadedEventEnd)"))
	c.until("document.querySelector('#board .lines')")
	bytes, deepest := 0.0, 0
	c.mu.Lock()
	for _, r := range c.requests {
		n := rounds(c.requests, r)
		bytes += r.bytes
		if r.kind != "Fetch" && r.kind != "EventSource" { // those fill in what moves, in a page that can be used
			deepest = max(deepest, n)
		}
		if n > 3 {
			t.Errorf("%s comes after %d rounds", r.address, n)
		}
		t.Logf("%s %s: round %d, %.0f bytes", r.kind, strings.TrimPrefix(r.address, base), n, r.bytes)
	}
	c.mu.Unlock()
	if deepest > 2 || bytes > 100e3 || bytes == 0 {
		t.Errorf("the first page needs %d rounds and %.0f bytes", deepest, bytes)
	}
	g.lab.set(masu.Workspace{Owner: "alice", Name: "other", Phase: masu.Building})
	c.until(`document.querySelector('#ws-other-alice[data-phase=building]')`)
	c.well("far away")
	c.eval(`{ const b = document.querySelector('form.start button'); b.click(); b.click(); setTimeout(() => b.click(), 50); }`)
	c.until(`location.pathname.startsWith('/w/')`)
	if n := strings.Count(g.lab.doings(), "alice up"); n != 1 {
		t.Errorf("pressed three times, it began %d times: %s", n, g.lab.doings())
	}
	c.well("begun far away")
}
