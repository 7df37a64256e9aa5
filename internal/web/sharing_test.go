package web

import (
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/masu-lab/masu"
)

// TestGuest: who was let in finds the workspace by its own name, opens its apps,
// and is out at once when dismissed.
func TestGuest(t *testing.T) {
	g := newRig(t)
	ws := running("alice", "thesis")
	ws.Guests = []masu.Username{"bob"}
	g.lab.set(ws)
	g.lab.set(running("bob", "thesis"))
	bob := g.browser()
	bob.signIn("bob")
	home := bob.get("/")
	for _, want := range []string{`href="/w/thesis--alice"`, `href="/w/thesis--alice/app/jupyter"`, `href="/w/thesis"`, `action="/w/thesis/stop"`} {
		if !strings.Contains(home.text, want) {
			t.Errorf("home has no %s", want)
		}
	}
	if strings.Contains(home.text, "/w/thesis--alice/stop") {
		t.Error("home offers to stop another's workspace")
	}
	page := bob.get("/w/thesis--alice")
	if page.StatusCode != 200 || !strings.Contains(page.text, `/w/thesis--alice/dismiss`) || strings.Contains(page.text, `/w/thesis--alice/remove`) || strings.Contains(page.text, "/guest") {
		t.Errorf("a guest's page: %s", page.Status)
	}
	at, a := bob.follow("/open/thesis--alice/jupyter")
	if a.StatusCode != 200 || !strings.HasPrefix(at, "http://thesis--alice.localhost:") {
		t.Fatalf("a guest opens it: %s %s", at, a.Status)
	}
	// What the lab does when the owner dismisses a guest.
	ws.Guests = nil
	g.lab.set(ws)
	g.gate.mu.Lock()
	for secret, s := range g.gate.sessions {
		if s.User == "bob" && s.For != "" {
			delete(g.gate.sessions, secret)
			g.gate.ended <- masu.Ending{Session: s.Hash}
		}
	}
	g.gate.mu.Unlock()
	eventually(t, "a dismissed guest is out", func() bool {
		resp, err := bob.client.Get(at)
		if err != nil {
			return false // cut in the middle of it
		}
		resp.Body.Close()
		return resp.StatusCode != 200
	})
	if a := bob.get("/w/thesis--alice"); a.StatusCode != 404 {
		t.Errorf("a dismissed guest looks: %s", a.Status)
	}
}

func TestGuestActs(t *testing.T) {
	g := newRig(t)
	ws := running("alice", "thesis")
	ws.Guests = []masu.Username{"bob"}
	g.lab.set(ws)
	alice, bob := g.browser(), g.browser()
	alice.signIn("alice")
	bob.signIn("bob")
	for _, c := range []struct {
		who      *browser
		path     string
		form     url.Values
		to, done string
	}{
		{alice, "/w/thesis/guest", url.Values{"guest": {" carol "}}, "/w/thesis#guests", "alice admit thesis-alice carol"},
		{alice, "/w/thesis/guest", url.Values{"guest": {"nobody"}}, "", "alice admit thesis-alice nobody"},
		{alice, "/w/thesis/dismiss", url.Values{"guest": {"bob"}}, "/w/thesis#guests", "alice dismiss thesis-alice bob"},
		{bob, "/w/thesis--alice/dismiss", url.Values{"guest": {"bob"}}, "/", "bob dismiss thesis-alice bob"},
		{bob, "/w/thesis--alice/share", url.Values{"title": {"x"}}, "/e/shared000001", "bob share thesis--alice x false"}, // refused by the service
		{alice, "/w/thesis/keep", url.Values{"apt": {"tree"}, "pip": {"a==1", "b==2"}}, "/w/thesis?changed=yes", "alice keep thesis[tree] [a==1 b==2]"},
		{alice, "/w/thesis/share", url.Values{"title": {"画像"}, "lab": {"yes"}}, "/e/shared000001", "alice share thesis 画像 true"},
	} {
		g.lab.did = nil
		a := c.who.post(c.path, c.form)
		if a.Header.Get("Location") != c.to || g.lab.doings() != c.done || c.to == "" && a.StatusCode != 404 {
			t.Errorf("%s %v: %s to %q, did %q", c.path, c.form, a.Status, a.Header.Get("Location"), g.lab.doings())
		}
	}
}

// TestEnvironmentsPages: what is shared is found, taken, retired and taken back.
func TestEnvironmentsPages(t *testing.T) {
	g := newRig(t)
	g.gate.home = aHome(t)
	g.lab.shared["shared000001"] = masu.Shared{ID: "shared000001", Owner: "alice", Title: "画像の演習", Lab: true, Text: "preset: python\napt:\n  - git\n"}
	alice, bob := g.browser(), g.browser()
	alice.signIn("alice")
	bob.signIn("bob")
	if a := bob.get("/environments"); a.StatusCode != 200 || !strings.Contains(a.text, `href="/e/shared000001"`) {
		t.Errorf("the list: %s", a.Status)
	}
	a := bob.get("/e/shared000001")
	if a.StatusCode != 200 || !strings.Contains(a.text, "  - git") || !strings.Contains(a.text, `/e/shared000001</code>`) || strings.Contains(a.text, "/e/shared000001/delete") {
		t.Errorf("its page for bob: %s", a.Status)
	}
	if a := bob.get("/e/nothing"); a.StatusCode != 404 {
		t.Errorf("one that is not there: %s", a.Status)
	}
	if a := bob.get("/new?shared=shared000001"); a.StatusCode != 200 || !strings.Contains(a.text, `value="shared/shared000001" checked`) || !strings.Contains(a.text, `shared=shared000001`) {
		t.Errorf("taking it: %s %s", a.Status, a.text)
	}
	// A folder with a masu.yaml of its own: said, and not overwritten. One where something else is chosen: no complaint.
	if err := os.WriteFile(filepath.Join(g.gate.home, "masu.yaml"), []byte("preset: python\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if a := bob.get("/new?shared=shared000001"); !strings.Contains(a.text, "masu.yaml") || !strings.Contains(a.text, "note bad") || strings.Contains(a.text, `value="shared/shared000001"`) {
		t.Errorf("a folder that has its own: %s", a.Status)
	}
	if err := os.Remove(filepath.Join(g.gate.home, "masu.yaml")); err != nil {
		t.Fatal(err)
	}
	if a := bob.get("/new?shared=shared000001&env=python%2F"); strings.Contains(a.text, "note bad") {
		t.Errorf("another environment is chosen: %s", a.text)
	}
	if a := alice.post("/e/shared000001/change", url.Values{"title": {"新"}, "about": {""}}); a.StatusCode != 303 || g.lab.shared["shared000001"].Title != "新" || g.lab.shared["shared000001"].Lab {
		t.Errorf("change: %s, %+v", a.Status, g.lab.shared)
	}
	for _, c := range []struct {
		form url.Values
		want bool
	}{{url.Values{"retired": {""}, "retire": {"yes"}}, true}, {url.Values{"retired": {""}}, false}, {url.Values{"retired": {"new one"}, "retire": {"yes"}}, true}} {
		if a := alice.post("/e/shared000001/change", c.form); a.StatusCode != 303 || (g.lab.shared["shared000001"].Retired != "") != c.want {
			t.Errorf("%v: %s, %+v", c.form, a.Status, g.lab.shared)
		}
	}
	if a := alice.post("/e/shared000001/delete", nil); a.Header.Get("Location") != "/environments" || len(g.lab.shared) != 0 {
		t.Errorf("taking back: %s", a.Status)
	}
}

// TestGraphs: a line breaks where nothing ran, and what does not run has no value now.
func TestGraphs(t *testing.T) {
	now := time.Date(2026, 4, 1, 12, 0, 0, 0, time.UTC)
	at := func(minutes int, cpu float64) masu.Sample {
		return masu.Sample{At: now.Add(time.Duration(-minutes) * time.Minute), CPU: cpu, Memory: masu.GiB}
	}
	if g := newGraphs(masu.English, nil, now); len(g.Graphs) != 0 {
		t.Errorf("nothing was used: %+v", g)
	}
	g := newGraphs(masu.English, []masu.Sample{at(180, 0), at(179, 4), at(60, 2)}, now)
	cpu := g.Graphs[0]
	if cpu.Line != "M300.0 80.0L301.7 4.0M500.0 42.0" || cpu.Most != "4.0" || cpu.Now != "–" {
		t.Errorf("%+v", cpu)
	}
	if strings.Count(cpu.Area, "Z") != 2 {
		t.Errorf("the area is %s", cpu.Area)
	}
	if low := newGraphs(masu.English, []masu.Sample{at(1, 0.05)}, now).Graphs[0]; low.Line != "M598.3 76.2" { // noise is no mountain
		t.Errorf("%+v", low)
	}
	if g := newGraphs(masu.English, []masu.Sample{at(1, 0.25)}, now); g.Graphs[0].Now != "0.2" && g.Graphs[0].Now != "0.3" || g.Graphs[1].Now != "1 GiB" {
		t.Errorf("now: %+v", g.Graphs)
	}
}

// TestGPUGraphs: GPUs have lines of their own where they were lent, as high as there are GPUs.
func TestGPUGraphs(t *testing.T) {
	now := time.Date(2026, 4, 1, 12, 0, 0, 0, time.UTC)
	at := func(minutes, gpus int, busy float64) masu.Sample {
		return masu.Sample{At: now.Add(time.Duration(-minutes) * time.Minute), CPU: 1, GPUs: gpus, GPU: busy, GPUMemory: masu.Bytes(gpus) * 40 * masu.GiB}
	}
	if g := newGraphs(masu.English, []masu.Sample{at(1, 0, 0)}, now); len(g.Graphs) != 2 {
		t.Errorf("without a GPU: %+v", g.Graphs)
	}
	g := newGraphs(masu.English, []masu.Sample{at(181, 1, 0.5), at(180, 0, 0), at(179, 1, 1), at(1, 1, 0.25)}, now).Graphs
	if len(g) != 4 || g[2].Name != "GPU at work" || g[2].Most != "100%" || g[2].Now != "25%" || g[2].Line != "M298.3 42.0L301.7 4.0M598.3 61.0" || g[3].Now != "40 GiB" {
		t.Errorf("one GPU: %+v", g)
	}
	g = newGraphs(masu.English, []masu.Sample{at(2, 1, 1), at(1, 4, 1)}, now).Graphs
	if g[2].Name != "GPUs at work (of 4)" || g[2].Now != "1.0" || g[2].Line != "M596.7 61.0L598.3 61.0" || g[3].Most != "160 GiB" {
		t.Errorf("one of four works: %+v", g)
	}
}

// TestSliceGraphs: how busy a slice is nobody tells, and that is said; its memory is drawn all the same.
func TestSliceGraphs(t *testing.T) {
	now := time.Date(2026, 4, 1, 12, 0, 0, 0, time.UTC)
	at := func(minutes int, busy float64) masu.Sample {
		return masu.Sample{At: now.Add(time.Duration(-minutes) * time.Minute), GPUs: 1, GPU: busy, GPUMemory: 5 * masu.GiB}
	}
	g := newGraphs(masu.English, []masu.Sample{at(2, -1), at(1, -1)}, now).Graphs
	if len(g) != 4 || !g[2].Untold || g[2].Line != "" || g[3].Untold || g[3].Now != "5 GiB" || g[3].Line != "M596.7 4.0L598.3 4.0" {
		t.Errorf("a slice: %+v", g)
	}
	g = newGraphs(masu.English, []masu.Sample{at(5, 0.5), at(4, -1), at(1, 1)}, now).Graphs
	if g[2].Untold || g[2].Line != "M591.7 42.0M598.3 4.0" {
		t.Errorf("a slice first, then a card: %+v", g[2])
	}
}

// TestRunGraphs: a run's field is the time that it ran, however long that was; what is over has no value now.
func TestRunGraphs(t *testing.T) {
	began := time.Date(2026, 4, 1, 12, 0, 0, 0, time.UTC)
	r := masu.Run{Phase: masu.RunEnded, StartedAt: began, EndedAt: began.Add(10 * time.Minute)}
	var list []masu.Sample
	for i := range 48 * 60 {
		list = append(list, masu.Sample{At: began.Add(time.Duration(i) * time.Minute), CPU: 1, Memory: masu.GiB, GPUs: 1, GPU: float64(i % 2), GPUMemory: 3 * masu.GiB})
	}
	g := newRunGraphs(masu.English, r, list[:10], r.EndedAt)
	if gpu := g.Graphs[2]; len(g.Graphs) != 4 || gpu.Now != "" || gpu.Most != "100%" || !strings.HasPrefix(gpu.Line, "M0.0 80.0L60.0 4.0L") || !strings.HasSuffix(gpu.Line, "L540.0 4.0") {
		t.Errorf("%+v", g)
	}
	if g := newRunGraphs(masu.English, r, list[:1], r.EndedAt); len(g.Graphs) != 0 {
		t.Errorf("of one minute there is no line: %+v", g)
	}
	r.EndedAt = began.Add(48 * time.Hour)
	gpu := newRunGraphs(masu.English, r, list, r.EndedAt).Graphs[2]
	if n := strings.Count(gpu.Line, "L"); n < 500 || n > graphWide || strings.Count(gpu.Line, "M") != 1 || gpu.Most != "100%" {
		t.Errorf("two days: %d points, most %s", n, gpu.Most)
	}
	r.Phase = masu.RunRunning
	if g := newRunGraphs(masu.English, r, list[:10], began.Add(10*time.Minute)); g.To != "now" || g.Graphs[0].Now != "1.0" {
		t.Errorf("it runs: %+v", g)
	}
}

// TestLoad: a card says what its box uses and whether it lies idle, and a stopped one nothing.
func TestLoad(t *testing.T) {
	g := newRig(t)
	ws := running("alice", "thesis")
	ws.UsedAt, ws.Disk = time.Now().Add(-2*time.Hour), 3*masu.GiB
	g.lab.set(ws)
	g.lab.samples = []masu.Sample{{At: time.Now().Add(-time.Minute), CPU: 1.5, Memory: 12 * masu.GiB}}
	alice := g.browser()
	alice.signIn("alice")
	if a := alice.get("/", "Accept-Language", "en"); !strings.Contains(a.text, `data-part="/w/thesis/load"`) {
		t.Error("the card asks for nothing")
	}
	if a := alice.get("/w/thesis/load", "Accept-Language", "en"); a.text != " · 1.5 cores · 12 GiB · disk 3 GiB · idle for 2 h 0 min" {
		t.Errorf("%s %q", a.Status, a.text)
	}
	g.lab.samples[0].GPUs, g.lab.samples[0].GPU, g.lab.samples[0].GPUMemory = 2, 1, 30*masu.GiB
	if a := alice.get("/w/thesis/load", "Accept-Language", "en"); !strings.Contains(a.text, " · 12 GiB · GPU 50%, 30 GiB · disk") {
		t.Errorf("with GPUs: %q", a.text)
	}
	ws.Phase = masu.Stopped
	g.lab.set(ws)
	if a := alice.get("/w/thesis/load"); a.StatusCode != 200 || a.text != "" {
		t.Errorf("stopped: %q", a.text)
	}
	bob := g.browser()
	bob.signIn("bob")
	if a := bob.get("/w/thesis/load"); a.StatusCode != 404 {
		t.Errorf("another's: %s", a.Status)
	}
}
