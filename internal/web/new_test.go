package web

import (
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/masu-lab/masu"
)

func TestPicks(t *testing.T) {
	choices := []masu.Choice{{Preset: "pytorch", Torch: "2.9.0", Default: true}, {Preset: "python"}}
	for _, c := range []struct{ source, was, want string }{
		{"", "", "pytorch/2.9.0* python/ edit"},
		{"", "edit", "pytorch/2.9.0 python/ edit*"},
		{"", "nonsense", "pytorch/2.9.0* python/ edit"},
		{"requirements.txt", "", "own* pytorch/2.9.0 python/ edit"},
		{"masu.yaml", "", "own* edit"},
		{"Dockerfile", "python/", "own* edit"}, // a choice would hide the file
	} {
		f := newForm{pick: c.was}
		var got []string
		for _, p := range picks(masu.English, c.source, choices, nil, &f) {
			mark := ""
			if p.Chosen {
				mark = "*"
				if f.pick != p.Value {
					t.Errorf("%q: the form has %q", c.source, f.pick)
				}
			}
			got = append(got, p.Value+mark)
		}
		if all := strings.Join(got, " "); all != c.want {
			t.Errorf("%q, %q: %s", c.source, c.was, all)
		}
	}
}

func TestAbove(t *testing.T) {
	for dir, want := range map[string]string{"/home/a": "~", "/home/a/x/y": "~ x y", "/home/ab": "~ /home/ab", "/data": "~ /data"} {
		var got []string
		for _, l := range above("/home/a", dir, "") {
			got = append(got, l.Name)
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s: %q", dir, got)
		}
	}
}

// TestNew: a folder is found or made, an environment is chosen or written, and it starts.
func TestNew(t *testing.T) {
	g := newRig(t)
	home := aHome(t)
	g.gate.home = home
	b := g.browser()
	b.signIn("alice")
	if a := b.get("/new"); a.StatusCode != 200 || !strings.Contains(a.text, "研究") || !strings.Contains(a.text, `value="python/"`) {
		t.Fatalf("%s\n%s", a.Status, a.text)
	}
	dir := filepath.Join(home, "研究", "新しい")
	if a := b.post("/new/folder", url.Values{"dir": {filepath.Dir(dir)}, "name": {"新しい"}}); a.Header.Get("Location") != newPath(dir, "") {
		t.Errorf("made: %s %s", a.Status, a.Header.Get("Location"))
	}
	for _, name := range []string{"", ".hidden", "a/b", "../x", "実験 1"} {
		if a := b.post("/new/folder", url.Values{"dir": {filepath.Dir(dir)}, "name": {name}}); a.StatusCode < 400 || !strings.Contains(a.text, "note bad") {
			t.Errorf("%q was made: %s", name, a.Status)
		}
	}
	if a := b.get("/new?dir=/no/such/folder"); a.StatusCode != 400 || !strings.Contains(a.text, "/no/such/folder") {
		t.Errorf("%s", a.Status)
	}
	form := url.Values{"dir": {dir}, "env": {"python/"}, "was": {digest("")}, "name": {"first"}}
	if a := b.post("/new/preview", form); a.StatusCode != 200 || !strings.Contains(a.text, "first") {
		t.Errorf("preview: %s %s", a.Status, a.text)
	}
	g.lab.hello.Host.GPUs = []masu.GPU{{ID: "GPU-1"}, {ID: "GPU-2"}}
	for gpus, f := range map[string]masu.Forecast{"1, at once": {}, "1, at once, until 08:05": {Until: time.Date(2026, 1, 1, 8, 5, 0, 0, time.Local)}, "4 in line, by": {Place: 4, Blocked: masu.WaitGPUs, Expect: time.Now()},
		"3 in line, nobody": {Place: 3, Blocked: masu.WaitGPUs}, "only after you": {Place: 1, Blocked: masu.WaitMember}} {
		form.Set("gpus", "1")
		g.lab.forecast = f
		want := strings.TrimPrefix(strings.Replace(gpus, "until 08:05", "until 01-01 08:05", 1), "1")
		if a := b.post("/new/preview", form); !strings.Contains(a.text, want) {
			t.Errorf("what to expect: want %q\n%s", want, a.text)
		}
	}
	form.Set("gpus", "3")
	if a := b.post("/new/preview", form); !strings.Contains(a.text, "2 GPU") {
		t.Errorf("what can never be: %s", a.text)
	}
	form.Set("gpus", "2")
	form.Set("or_cpu", "yes")
	g.lab.set(running("alice", "first"))
	if a := b.post("/new", form); a.Header.Get("Location") != "/w/first" || !strings.Contains(g.lab.doings(), "alice up "+dir) || !strings.Contains(g.lab.doings(), "or-cpu") {
		t.Errorf("%s to %s, %q", a.Status, a.Header.Get("Location"), g.lab.doings())
	}
	file := filepath.Join(dir, "masu.yaml")
	if text, err := os.ReadFile(file); err != nil || string(text) != "preset: python\n" {
		t.Errorf("wrote %q, %v", text, err)
	}

	// Written by hand; a browser sends lines as on paper.
	form = url.Values{"dir": {dir}, "env": {"edit"}, "text": {"# 枡\r\npreset: python\r\n"}, "was": {digest("preset: python\n")}}
	if a := b.post("/new", form); a.StatusCode != http.StatusSeeOther {
		t.Errorf("%s\n%s", a.Status, a.text)
	}
	if text, _ := os.ReadFile(file); string(text) != "# 枡\npreset: python\n" {
		t.Errorf("wrote %q", text)
	}
	g.lab.did = nil
	if a := b.post("/new", form); a.StatusCode != http.StatusConflict || !strings.Contains(a.text, "# 枡") {
		t.Errorf("somebody changed it meanwhile: %s", a.Status)
	}
	form.Set("text", "wrong: 1\n")
	for _, path := range []string{"/new", "/new/preview"} {
		if a := b.post(path, form); !strings.Contains(a.text, "masu.yaml:1:1") {
			t.Errorf("%s: %s\n%s", path, a.Status, a.text)
		}
	}
	for _, bad := range []url.Values{{"dir": {dir}, "env": {"evil"}}, {"dir": {dir}, "env": {"own"}, "gpus": {"-1"}}, {"dir": {dir}, "env": {"own"}, "gpus": {"many"}}} {
		if a := b.post("/new", bad); a.StatusCode < 400 {
			t.Errorf("%v: %s", bad, a.Status)
		}
	}
	if did := g.lab.doings(); strings.Contains(did, "up") {
		t.Errorf("what is wrong started all the same: %s", did)
	}
}

// The page of a new workspace checks what is typed, while it is typed.
func TestNewInABrowser(t *testing.T) {
	if _, err := exec.LookPath("chromium"); err != nil {
		t.Skip("chromium is not installed")
	}
	g := newRig(t)
	g.gate.home = aHome(t)
	c := newChromium(t)
	base := "http://localhost:" + g.port
	c.cookie(base, "masu_session", g.secret("alice"))
	c.goTo(base + "/new")
	if c.eval(`getComputedStyle(document.querySelector('.yaml')).display`) != "none" {
		t.Error("masu.yaml is shown before it is asked for")
	}
	c.eval(`[...document.querySelectorAll('.folders a')].find(a => a.textContent === '研究').click()`)
	c.until(`new URL(location).searchParams.get('dir')?.endsWith('/研究') && document.readyState === 'complete'`)
	c.eval(`document.querySelector('[value=edit]').click()`)
	c.until(`document.getElementById('text').checkVisibility()`)
	type_ := func(s string) {
		c.eval(`{ const t = document.getElementById('text'); t.value = '` + s + `'; t.dispatchEvent(new Event('input', { bubbles: true })); }`)
	}
	type_("wrong: 1")
	c.until(`document.querySelector('#plan .note.bad')?.textContent.includes('masu.yaml:1:1')`)
	type_("preset: python")
	c.until(`document.querySelector('#plan .kv')`)
	c.eval(`document.querySelector('[form=new]').click()`)
	c.until(`location.pathname === '/w/new'`)
	c.well("new")
}
