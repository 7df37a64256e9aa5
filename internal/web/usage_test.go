package web

import (
	"encoding/base64"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
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
		r := masu.UsageRow{Month: "2026-10", Member: m.who, Project: []string{"vision", "language"}[i%2], Name: m.name, Groups: []string{[]string{"b4", "m1", "m2"}[i%3]}, Leases: 3 + 2*i, Energy: 4e8 / float64(i+1), Waited: time.Duration(i*47) * time.Minute}
		for day := 1 + i; day <= 31; day += 1 + (day+i)%3 {
			lent := time.Duration(4+(day*7+i*5)%18) * time.Hour
			r.Book(time.Date(2026, 10, day, 12, 0, 0, 0, time.Local), lent, lent*time.Duration(30+(day*11)%60)/100)
		}
		rows = append(rows, r)
	}
	return rows
}

// aYear is that month and what the lab used before it, less and less.
func aYear() []masu.UsageRow {
	rows := aMonth()
	for ago := 1; ago < trendMonths; ago++ {
		at := time.Date(2026, 10, 15, 0, 0, 0, 0, time.Local).AddDate(0, -ago, 0)
		r := masu.UsageRow{Month: at.Format("2006-01"), Member: "suzuki", Project: "vision", Name: "before", Leases: 3}
		r.Book(at, time.Duration(900-40*ago)*time.Hour, time.Duration(600-50*ago)*time.Hour)
		rows = append(rows, r)
	}
	return rows
}

// TestTrend: the months before count in the trend, and nowhere else; a month without GPUs is a gap, not left out.
func TestTrend(t *testing.T) {
	month := time.Date(2026, 2, 1, 0, 0, 0, 0, time.Local)
	c := newTrend(masu.English, month, []masu.UsageRow{{Month: "2025-03", Lent: 50 * time.Hour, Busy: 60 * time.Hour}, {Month: "2026-02", Lent: 60 * time.Hour, Busy: 30 * time.Hour}, {Month: "2026-02", Lent: 40 * time.Hour}, {Month: "2025-02", Lent: 900 * time.Hour}})
	if len(c.Bars) != 12 || c.Most != "100.0 h" || c.Says != "2025-03 to 2026-02 by month: 150.0 h lent, 90.0 h busy" {
		t.Fatalf("%d bars of %s: %s", len(c.Bars), c.Most, c.Says)
	}
	for i, want := range map[int]struct {
		label      string
		lent, busy float64
	}{0: {"3", 50, 50}, 1: {"4", 0, 0}, 9: {"12", 0, 0}, 10: {"1", 0, 0}, 11: {"2", 100, 30}} {
		if b := c.Bars[i]; b.Label != want.label || b.Lent != want.lent || b.Busy != want.busy {
			t.Errorf("bar %d: %+v, want %+v", i, b, want)
		}
	}
	if c := newTrend(masu.English, month, nil); c.Bars != nil {
		t.Errorf("of nothing: %+v", c)
	}
}

// TestUsageOfAMonth: what was used before the month is in its trend alone, and the projects are added up.
func TestUsageOfAMonth(t *testing.T) {
	g := newRig(t)
	g.lab.usage = aYear()
	b := g.browser()
	b.signIn("boss")
	b.get("/usage?month=2026-10") // looking changes nothing
	a := b.get("/usage?month=2026-10")
	if months := strings.Count(a.text, "<title>2026-") + strings.Count(a.text, "<title>2025-"); months != trendMonths {
		t.Errorf("%d months have a bar", months)
	}
	if strings.Contains(a.text, "suzuki/before") || !strings.Contains(a.text, `<th scope="row">language</th>`) || strings.Count(a.text, `class="days sec"`) != 2 {
		t.Errorf("the account of a month: %s", a.text)
	}
	if a := b.get("/usage.csv?month=2026-10"); !strings.Contains(a.text, ",project\n") || !strings.Contains(a.text, ",language\n") {
		t.Errorf("for a spreadsheet: %s", a.text)
	}
}

// TestUsageInABrowser shows a month on the screen, and prints it.
func TestUsageInABrowser(t *testing.T) {
	if _, err := exec.LookPath("chromium"); err != nil {
		t.Skip("chromium is not installed")
	}
	g := newRig(t)
	g.lab.usage = aYear()
	aLab(g)
	c, axe := newChromium(t), axeScript(t)
	base := "http://localhost:" + g.port
	c.cookie(base, "masu_session", g.secret("boss"))
	for _, lang := range []string{"ja", "en"} {
		c.lang(lang)
		for _, look := range []struct {
			width  int
			scheme string
		}{{1280, "light"}, {1280, "dark"}, {390, "light"}, {360, "dark"}} {
			c.size(look.width)
			c.scheme(look.scheme)
			c.goTo(base + "/usage?month=2026-10")
			if bars := c.eval(`[...document.querySelectorAll(".days-bars")].map(b => b.querySelectorAll("g").length).join()`); bars != "31,12" {
				t.Errorf("%v days, and months, have a bar", bars)
			}
			shot := fmt.Sprintf("usage-%s-%d-%s", lang, look.width, look.scheme)
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
