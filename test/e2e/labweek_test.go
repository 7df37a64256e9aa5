package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// TestLabWeek is the week of internal/lab's TestWeek… with real boxes and test
// cards: what changes hands there, changes hands here, and people see it. What
// needs a driver's readings (idle GPUs, strangers) is TestGPUs, and that the
// account is right to the second is the other's: there time stands still.
//
//	queue, a gap filled, laptop closed   gapIsFilled
//	asked to give back                   askedFor
//	reserved, changes hands, no-show     reservedInTime
//	a card that is lost                  cardIsLost
func TestLabWeek(t *testing.T) {
	e := newCDIEngine(t)
	l := newLabOn(t, e.addr)
	l.kill()
	l.config = filepath.Join(l.dir, "config.yaml")
	if err := os.WriteFile(l.config, []byte("policy: {gpus: {cdi: [masu.test/gpu], hold: 1h, grace: 5s, notice: 8s, no_show: 10s}}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(e.dir, "cdi"), 0o755); err != nil {
		t.Fatal(err)
	}
	e.describe(testCards)
	l.takeImages(e)
	l.start()
	w := &labWeek{lab: l, dirs: map[string]string{}}
	for _, who := range []string{"e2ealice", "e2ebob", "e2ecarol", "e2edave"} {
		w.dirs[who] = l.folder(l.member(who), "thesis", map[string]string{"masu.yaml": "preset: python\n",
			"gap.ipynb": notebookOf(t, "import os, time\ntime.sleep(6)\nprint('seen:', *[d for d in os.listdir('/dev') if d.startswith('testgpu')])")})
	}
	w.askedFor(w.gapIsFilled())
	w.reservedInTime()
	w.cardIsLost(e)
}

// describe says which cards there are.
func (e *engine) describe(cards string) {
	e.t.Helper()
	draft := filepath.Join(e.dir, "cdi", ".test")
	if err := os.WriteFile(draft, []byte(cards), 0o644); err != nil {
		e.t.Fatal(err)
	}
	if err := os.Rename(draft, filepath.Join(e.dir, "cdi", "test.json")); err != nil {
		e.t.Fatal(err)
	}
}

type labWeek struct {
	*lab
	dirs map[string]string
}

func (w *labWeek) submit(who string, args ...string) string {
	w.t.Helper()
	return strings.TrimSpace(w.must(who, append([]string{"run", "-C", w.dirs[who], "-d"}, args...)...))
}

func (w *labWeek) runIs(who, id, phase string) {
	w.t.Helper()
	w.until(2*time.Minute, fmt.Sprintf("%s's run is %s", who, phase), func() bool { return w.runState(who, id).Phase == phase })
}

func (w *labWeek) is(who, phase string) {
	w.t.Helper()
	w.until(2*time.Minute, fmt.Sprintf("%s's workspace is %s", who, phase), func() bool { return w.phase(who, "thesis") == phase })
}

// stoppedFor waits until a workspace was stopped, and says why.
func (w *labWeek) stoppedFor(who, code string) {
	w.t.Helper()
	w.until(3*time.Minute, who+" gives way: "+code, func() bool {
		x := w.only(who)
		return x.Phase == "stopped" && x.Trouble != nil && x.Trouble.Code == code
	})
}

// gapIsFilled: bob waits for both cards, of which alice has one; a notebook that
// ends in time has the other meanwhile, and what would delay him waits.
func (w *labWeek) gapIsFilled() (both, long string) {
	w.t.Helper()
	w.must("e2ealice", "up", "--no-check", "--gpus", "1", w.dirs["e2ealice"])
	w.othersAreOutOfReach()
	both = w.submit("e2ebob", "--gpus", "2", "--name", "both", "--", "sh", "-c", "echo seen: $(ls /dev | grep testgpu); sleep 3")
	w.until(time.Minute, "bob waits", func() bool { return len(w.gpus().Waiting) == 1 })
	long = w.submit("e2edave", "--gpus", "1", "--limit", "3h", "--name", "long", "--", "sh", "-c", "echo seen: $(ls /dev | grep testgpu); sleep 600")
	id := w.submit("e2ecarol", "--gpus", "1", "--limit", "10m", "gap.ipynb")
	w.runIs("e2ecarol", id, "running") // nobody is there: the laptop is closed
	for who, run := range map[string]string{"e2ebob": both, "e2edave": long} {
		if s := w.runState(who, run); s.Phase != "queued" {
			w.t.Errorf("%s's run is %+v beside the gap", who, s)
		}
	}
	w.runIs("e2ecarol", id, "ended")
	result, err := os.ReadFile(filepath.Join(w.dirs["e2ecarol"], "gap.run-"+id+".ipynb"))
	if err != nil || strings.Count(string(result), "seen: testgpu") != 1 || w.runState("e2ecarol", id).Code != 0 {
		w.t.Errorf("the notebook in the gap: %v, %s", err, result)
	}
	return both, long
}

// othersAreOutOfReach is rows G3 and G4: neither a variable nor root in the box makes the other card appear.
func (w *labWeek) othersAreOutOfReach() {
	w.t.Helper()
	r := w.as("e2ealice", "exec", "thesis", "--", "env", "MASU_TEST_GPU_1=1", "CUDA_VISIBLE_DEVICES=0,1", "NVIDIA_VISIBLE_DEVICES=all", "sh", "-c", "ls /dev | grep testgpu")
	if strings.TrimSpace(r.out) != "testgpu0" {
		w.t.Errorf("with variables of her own alice sees %q", r.out)
	}
	if r := w.as("e2ealice", "exec", "thesis", "--", "sudo", "mknod", "/dev/testgpu1", "c", "1", "3"); r.code == 0 || !strings.Contains(r.out+r.errOut, "not permitted") {
		w.t.Errorf("alice makes the other card: %d %s", r.code, r.out+r.errOut)
	}
}

// askedFor: bob asks by a button, alice sees it and gives back by another. His
// run has both cards, and dave's goes after it.
func (w *labWeek) askedFor(both, long string) {
	w.t.Helper()
	bob, alice := browser(w.t, "en"), browser(w.t, "en")
	do(w.t, alice, chromedp.Navigate(w.link("e2ealice")))
	do(w.t, bob, chromedp.Navigate(w.link("e2ebob")))
	holds(w.t, bob, "signed in", `document.querySelector('nav a[href="/gpus"]')`)
	do(w.t, bob, chromedp.Click(`nav a[href="/gpus"]`))
	holds(w.t, bob, "he sees who has it, and that he waits", `[...document.querySelectorAll('form[action="/gpus/ask"] button')].some(b => b.textContent.includes('e2ealice')) && document.body.textContent.includes('e2ebob')`)
	do(w.t, bob, chromedp.Click(`form[action="/gpus/ask"] button`))
	holds(w.t, alice, "she is asked", `document.querySelector('.card .note form[action="/w/thesis/release"]')?.closest('.note').textContent.includes('e2ebob')`)
	shoot(w.t, alice, "week-asked")
	do(w.t, alice, chromedp.Click(`.card .note form[action="/w/thesis/release"] button`))
	w.runIs("e2ebob", both, "ended")
	if out := w.must("e2ebob", "runs", "log", both); !strings.Contains(out, "seen: testgpu0 testgpu1") {
		w.t.Errorf("bob's run: %q", out)
	}
	w.runIs("e2edave", long, "running")
	w.must("e2edave", "runs", "cancel", long)
	w.is("e2ealice", "running") // without, as she said
}

// reservedInTime: what is reserved changes hands at the minute, to who waits for
// it; who reserves and does not come loses it to who waits then.
func (w *labWeek) reservedInTime() {
	w.t.Helper()
	w.must("e2ecarol", "up", "--no-check", "--gpus", "2", w.dirs["e2ecarol"])
	carol := browser(w.t, "en")
	do(w.t, carol, chromedp.Navigate(w.link("e2ecarol")))
	mine := w.reserve("e2ebob", "2", "--from", "+12s", "--for", "10m")
	w.must("e2ebob", "up", "--no-check", "-d", "--gpus", "2", w.dirs["e2ebob"])
	holds(w.t, carol, "she is told", `[...document.querySelectorAll('.card .note.warn')].some(e => e.textContent.includes('Reserved by somebody else'))`)
	w.is("e2ebob", "running")
	w.t.Logf("a reservation changed hands: the next box ran %v after the minute", time.Since(mine.From).Round(10*time.Millisecond))
	w.stoppedFor("e2ecarol", "lease_reserved")
	holds(w.t, carol, "she sees why", `document.querySelector('.card')?.textContent.includes('were reserved by somebody else')`)
	w.must("e2ebob", "stop", "thesis")
	w.must("e2ebob", "reserve", "rm", mine.ID)

	unclaimed := w.reserve("e2edave", "2", "--from", "+1s", "--for", "10m")
	w.until(time.Minute, "the time has come", func() bool { return time.Now().After(unclaimed.From) })
	w.must("e2ecarol", "up", "--no-check", "-d", "--gpus", "1", w.dirs["e2ecarol"])
	w.until(time.Minute, "it is kept for who does not come", func() bool {
		b := w.gpus()
		return len(b.Waiting) == 1 && len(b.GPUs) == 2 && len(b.GPUs[0].Holds)+len(b.GPUs[1].Holds) == 0
	})
	w.is("e2ecarol", "running")
	if r := w.reserve("e2edave"); !r.Missed {
		w.t.Errorf("nobody came, and the list says %+v", r)
	}
	w.must("e2ecarol", "stop", "thesis")
}

// reservation is what the test needs of masu reserve --json.
type reservation struct {
	ID     string
	From   time.Time
	Missed bool
}

// reserve reserves, or lists what is reserved: of one reservation.
func (w *labWeek) reserve(who string, args ...string) reservation {
	w.t.Helper()
	out := w.must(who, append([]string{"reserve", "--json"}, args...)...)
	var list []reservation
	if err := json.Unmarshal([]byte(out), &list); err != nil || len(list) != 1 {
		w.t.Fatalf("reserve %v: %s (%v)", args, out, err)
	}
	return list[0]
}

// cardIsLost: of two who have a card each, one's is gone: it stops, and says why; the other goes on.
func (w *labWeek) cardIsLost(e *engine) {
	w.t.Helper()
	for _, who := range []string{"e2ebob", "e2ecarol"} {
		w.must(who, "up", "--no-check", "--gpus", "1", w.dirs[who])
	}
	has := ""
	for _, g := range w.gpus().GPUs {
		if len(g.Holds) == 1 && g.Holds[0].Member == "e2ecarol" {
			has = strings.TrimPrefix(g.ID, "masu.test/gpu=")
		}
	}
	if has == "" {
		w.t.Fatalf("the board does not show which carol has: %+v", w.gpus())
	}
	var left []string
	for line := range strings.Lines(testCards) {
		if !strings.Contains(line, fmt.Sprintf(`"name": "%s"`, has)) {
			left = append(left, line)
		}
	}
	e.describe(strings.Join(left, ""))
	w.stoppedFor("e2ecarol", "lease_lost")
	if p := w.phase("e2ebob", "thesis"); p != "running" {
		w.t.Errorf("the other is %s", p)
	}
	w.must("e2ebob", "stop", "thesis")
}
