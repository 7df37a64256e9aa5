package web

import (
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/masu-lab/masu"
)

// TestGPUWish: what --gpus can say, a form can, and what makes no sense is said to.
func TestGPUWish(t *testing.T) {
	for _, c := range []struct {
		form  string
		count int
		want  masu.Want
		code  string
	}{
		{"", 0, masu.Want{}, ""},
		{"", 2, masu.Want{Count: 2}, ""},
		{"model=A100", 0, masu.Want{Count: 1, Model: "A100"}, ""},
		{"gpu_memory=24&model=RTX+A6000", 2, masu.Want{Count: 2, Memory: 24 * masu.GiB, Model: "RTX A6000"}, ""},
		{"share=7.5", 1, masu.Want{Share: 7*masu.GiB + masu.GiB/2}, ""},
		{"all=yes", 1, masu.Want{All: true}, ""},
		{"all=yes&share=8", 0, masu.Want{}, "gpus_form_both"},
		{"share=8&model=A100", 0, masu.Want{}, "gpus_form_both"},
		{"share=-1", 0, masu.Want{}, "gpus_form"}, {"share=0", 0, masu.Want{}, "gpus_form"}, {"gpu_memory=NaN", 0, masu.Want{}, "gpus_form"},
		{"gpu_memory=Inf", 0, masu.Want{}, "gpus_form"}, {"gpu_memory=1e99", 0, masu.Want{}, "gpus_form"}, {"gpu_memory=much", 0, masu.Want{}, "gpus_form"},
		{"model=" + strings.Repeat("A", 61), 0, masu.Want{}, "gpus_form"},
	} {
		v, err := url.ParseQuery(c.form)
		if err != nil {
			t.Fatal(err)
		}
		got, err := readGPUWish(v).want(c.count)
		if err != nil && masu.CodeOf(err) != c.code || err == nil && (c.code != "" || got != c.want) {
			t.Errorf("%q with %d: %+v, %v", c.form, c.count, got, err)
		}
	}
}

// TestNewSaysWhoHasWhat: before Start one sees what is free and who has the rest
// until when; and what was unfolded is what is asked for.
func TestNewSaysWhoHasWhat(t *testing.T) {
	g := newRig(t)
	home := aHome(t)
	g.gate.home = home
	until := time.Now().Add(3 * time.Hour)
	g.lab.hello.Host.GPUs = []masu.GPU{{ID: "a", Model: "NVIDIA RTX A6000"}, {ID: "b", Index: 1, Model: "NVIDIA A100"}}
	g.lab.hello.Classes = []string{"paper"}
	g.lab.measured = masu.Board{At: time.Now(), GPUs: []masu.BoardGPU{{GPU: g.lab.hello.Host.GPUs[0]}, {GPU: g.lab.hello.Host.GPUs[1], Holds: []masu.Hold{{Member: "tanaka", Since: time.Now(), Until: until}}}}}
	b := g.browser()
	b.signIn("alice")
	dir := filepath.Join(home, "report")
	a := b.get("/new?dir="+url.QueryEscape(dir), "Accept-Language", "en")
	for _, want := range []string{"<option>RTX A6000", "<option>A100", "<option>paper", "1 of 2", "tanaka · until " + near(until)} {
		if !strings.Contains(a.text, want) {
			t.Errorf("the page does not say %q", want)
		}
	}
	form := url.Values{"dir": {dir}, "env": {"python/"}, "was": {digest("")}, "gpus": {"1"}, "model": {"A100"}, "gpu_memory": {"24"}, "class": {"paper"}}
	if a := b.post("/new/preview", form, "Accept-Language", "en"); !strings.Contains(a.text, "A100") || !strings.Contains(a.text, "24 GiB") {
		t.Errorf("what to expect: %s", a.text)
	}
	bad := url.Values{"dir": {dir}, "env": {"python/"}, "was": {digest("")}, "share": {"8"}, "all": {"yes"}}
	for _, path := range []string{"/new", "/new/preview"} {
		if a := b.post(path, bad); !strings.Contains(a.text, "note bad") {
			t.Errorf("%s takes both: %s", path, a.Status)
		}
	}
	if a := b.post("/new", form); a.StatusCode != 303 {
		t.Fatalf("%s", a.Status)
	}
	if up := g.lab.asked; up.Class != "paper" || up.Want == nil || *up.Want != (masu.Want{Count: 1, Model: "A100", Memory: 24 * masu.GiB}) {
		t.Errorf("asked for %+v %+v", up, up.Want)
	}
	form = url.Values{"count": {"1"}, "day": {"2030-01-01"}, "from": {"10:00"}, "until": {"12:00"}, "weeks": {"1"}, "model": {"A100"}, "gpu_memory": {"40"}}
	if a := b.post("/gpus/reserve", form); a.StatusCode != 303 || g.lab.reserved.Want != (masu.Want{Count: 1, Model: "A100", Memory: 40 * masu.GiB}) {
		t.Errorf("reserved: %s, %+v", a.Status, g.lab.reserved)
	}
}
