package main

import (
	"bytes"
	"encoding/json"
	"os"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/masu-lab/masu"
)

const root = "../.."

func outcomes(t *testing.T) (all []outcome) {
	t.Helper()
	b, err := os.ReadFile(kept(root))
	if err == nil {
		err = json.Unmarshal(b, &all)
	}
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// TestPages: the report's tables and figures are those of the year that is kept.
func TestPages(t *testing.T) {
	files, err := pages(root, outcomes(t))
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range files {
		if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s is not what the program makes (%v): make simulate", path, err)
		}
	}
}

// checked is a lender who is watched.
type checked struct {
	lender
	t *testing.T
}

func (c checked) lend(y *year) time.Time {
	again := c.lender.lend(y)
	holders := map[masu.GPUID]masu.Username{}
	for _, h := range y.holds {
		for _, g := range h.lease.GPUs {
			if other, taken := holders[g]; taken {
				c.t.Fatalf("%s has two holders, %s and %s", g, other, h.member)
			}
			holders[g] = h.member
		}
	}
	return again
}

// TestYear: the program still makes the year that is kept, for some of the ways;
// all of them take too long. Another kind of processor rounds otherwise, and has another year.
func TestYear(t *testing.T) {
	const gpus = 4
	if runtime.GOARCH != "amd64" {
		t.Skip("the year that is kept is that of amd64")
	}
	all := outcomes(t)
	kept := all[slices.IndexFunc(all, func(o outcome) bool { return o.GPUs == gpus })]
	p := newPlan(usualSeed, gpus)
	for i, w := range ways() {
		if w.name != "grab" && w.name != "masu" {
			continue
		}
		if got := summary(w.name, live(p, gpus, checked{w.lender(usualSeed), t})); got != kept.Years[i] {
			t.Errorf("the year is %+v\nand was %+v: make simulate", got, kept.Years[i])
		}
	}
}

// TestNobodyIsIdleAtWork: in all those years no work was stopped as idle, and no class waited for masu.
func TestNobodyIsIdleAtWork(t *testing.T) {
	for _, o := range outcomes(t) {
		for _, r := range o.Years {
			if r.Stopped.Idle != 0 {
				t.Errorf("%d GPUs, %s: work was stopped as idle %d times", o.GPUs, r.Way, r.Stopped.Idle)
			}
			if r.Way == "masu" && r.Late != 0 {
				t.Errorf("%d GPUs: %d of %d classes were late", o.GPUs, r.Late, r.Classes)
			}
		}
	}
}
