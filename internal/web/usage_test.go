package web

import (
	"encoding/base64"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/masu-lab/masu"
)

// aMonth is what a lab used in a month.
func aMonth() (rows []masu.UsageRow) {
	for i, m := range []struct {
		who  masu.Username
		name string
	}{{"suzuki", "vit-finetune"}, {"tanaka", "llm-eval"}, {"alice", "thesis"}, {"ito", "bert"}, {"alice", "train"}} {
		r := masu.UsageRow{Month: "2026-10", Member: m.who, Name: m.name, Groups: []string{[]string{"b4", "m1", "m2"}[i%3]}, Leases: 3 + 2*i, Energy: 4e8 / float64(i+1), Waited: time.Duration(i*47) * time.Minute}
		for day := 1 + i; day <= 31; day += 1 + (day+i)%3 {
			lent := time.Duration(4+(day*7+i*5)%18) * time.Hour
			r.Book(time.Date(2026, 10, day, 12, 0, 0, 0, time.Local), lent, lent*time.Duration(30+(day*11)%60)/100)
		}
		rows = append(rows, r)
	}
	return rows
}

// TestUsageInABrowser shows a month on the screen, and prints it.
func TestUsageInABrowser(t *testing.T) {
	if _, err := exec.LookPath("chromium"); err != nil {
		t.Skip("chromium is not installed")
	}
	g := newRig(t)
	g.lab.usage = aMonth()
	aLab(g)
	c, axe := newChromium(t), axeScript(t)
	base := "http://localhost:" + g.port
	c.cookie(base, "masu_session", g.secret("boss"))
	for _, lang := range []string{"ja", "en"} {
		c.lang(lang)
		for width, scheme := range map[int]string{1280: "light", 390: "light", 360: "dark"} {
			c.size(width)
			c.scheme(scheme)
			c.goTo(base + "/usage?month=2026-10")
			if bars := c.eval(`document.querySelectorAll(".days-bars g").length`); bars != 31.0 {
				t.Errorf("%v days have a bar", bars)
			}
			shot := fmt.Sprintf("usage-%s-%d-%s", lang, width, scheme)
			c.shoot(shot)
			c.axe(axe, shot)
			c.well(shot)
		}
		c.scheme("light")
		var pdf struct{ Data string }
		c.call("Page.printToPDF", map[string]any{"preferCSSPageSize": true, "printBackground": true}, &pdf)
		b, err := base64.StdEncoding.DecodeString(pdf.Data)
		if err != nil || len(b) < 1000 {
			t.Fatalf("printed: %d bytes, %v", len(b), err)
		}
		if dir := os.Getenv("MASU_SHOTS"); dir != "" {
			if err := os.WriteFile(filepath.Join(dir, "usage-"+lang+".pdf"), b, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		c.call("Emulation.setEmulatedMedia", map[string]any{"media": "print"}, nil)
		if seen := c.eval(`[".top", ".foot", ".btn"].filter(s => [...document.querySelectorAll(s)].some(e => e.offsetParent)).join()`); seen != "" {
			t.Errorf("on paper there is %v", seen)
		}
		if c.eval(`document.querySelector(".on-paper").offsetParent !== null`) != true {
			t.Error("the paper does not say whose it is, and of when")
		}
		c.call("Emulation.setEmulatedMedia", map[string]any{"media": ""}, nil)
	}
}

func usageRows() []masu.UsageRow {
	return []masu.UsageRow{{Month: "2026-11", Member: "alice", Name: evil, Groups: []string{"b4", evil}, Leases: 2, Lent: 30 * time.Hour, Busy: 12 * time.Hour, Energy: 9e6, Waited: time.Hour}, {Month: "2026-11", Member: evil, Name: "x"}}
}
