package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// smi stands for nvidia-smi: it answers with the files beside it, which the
// test changes, and with --loop-ms again and again, as nvidia-smi does.
const smi = `#!/bin/sh
dir=$(dirname "$0")
case "$*" in
*utilization.gpu*--loop-ms*) while cat "$dir/state.csv"; do sleep 0.5; done ;;
*compute-apps*--loop-ms*) while cat "$dir/processes.csv"; do sleep 0.5; done ;;
*compute_cap*) cat "$dir/query.csv" ;;
esac
`

// cards are the GPUs of a host that has none: the driver's answers are made up,
// and the engine has a hook, so that it takes requests for devices and tells
// the box which ones it was given.
type cards struct {
	t   *testing.T
	dir string
}

func newCards(t *testing.T, n int) *cards {
	t.Helper()
	c := &cards{t, t.TempDir()}
	if err := os.Chmod(c.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	c.write("nvidia-smi", smi)
	c.write("nvidia-container-runtime-hook", "#!/bin/sh\ncat >/dev/null\n")
	var query strings.Builder
	for i := range n {
		fmt.Fprintf(&query, "%d, %s, NVIDIA A100 80GB PCIe, 81920, 8.0, Disabled, 550.54.15\n", i, c.id(i))
	}
	c.write("query.csv", query.String())
	c.write("processes.csv", "")
	c.busy(n, nil)
	return c
}

func (c *cards) id(i int) string { return fmt.Sprintf("GPU-00000000-0000-0000-0000-%012d", i) }

func (c *cards) write(name, text string) {
	c.t.Helper()
	draft := filepath.Join(c.dir, "."+name)
	if err := os.WriteFile(draft, []byte(text), 0o755); err != nil {
		c.t.Fatal(err)
	}
	if err := os.Rename(draft, filepath.Join(c.dir, name)); err != nil { // at once: others read it
		c.t.Fatal(err)
	}
}

// busy says which cards compute.
func (c *cards) busy(n int, which []string) {
	var b strings.Builder
	for i := range n {
		use := 0
		if slices.Contains(which, c.id(i)) {
			use = 97
		}
		fmt.Fprintf(&b, "%s, %d, 1024, 40, 60.00, 0\n", c.id(i), use)
	}
	c.write("state.csv", b.String())
}

func (c *cards) path() string { return "PATH=" + c.dir + ":" + os.Getenv("PATH") }

// gpuBoard is what the test needs of masu gpus --json.
type gpuBoard struct {
	GPUs []struct {
		ID      string
		Holds   []struct{ Member, Why string }
		Outside []struct{ Login, Command string }
		Reading *struct{ Busy float64 }
	}
	Waiting []struct {
		Place  int
		Holder string
	}
}

func (l *lab) gpus() (b gpuBoard) {
	l.t.Helper()
	if err := json.Unmarshal([]byte(l.must("root", "gpus", "--json")), &b); err != nil {
		l.t.Fatal(err)
	}
	return b
}

// device is the GPU that a box was given, as the box sees it.
func (l *lab) device(who, name string) string {
	l.t.Helper()
	return strings.TrimSpace(l.must(who, "exec", name, "--", "printenv", "NVIDIA_VISIBLE_DEVICES"))
}

// TestGPUs: on a real engine GPUs are lent, waited for, reclaimed, reserved and
// given back, and the page shows it.
func TestGPUs(t *testing.T) {
	c := newCards(t, 2)
	e := newEngine(t, true, c.path())
	l := newLabOn(t, e.addr)
	l.kill()
	l.env = []string{c.path()}
	l.config = filepath.Join(l.dir, "config.yaml")
	if err := os.WriteFile(l.config, []byte("policy: {gpus: {idle_for: 8s, grace: 6s, notice: 10s, hold: 1h}}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	l.takeImages(e)
	l.start()
	people := []string{"e2ealice", "e2ebob", "e2ecarol", "e2edave"}
	dirs := map[string]string{}
	for _, who := range people {
		dirs[who] = l.folder(l.member(who), "thesis", map[string]string{"masu.yaml": "preset: python\n"})
	}
	c.busy(2, []string{c.id(0), c.id(1)})

	atOnce(t, l, c, people, dirs)
	first, waits := holdersAndWaiting(t, l)
	killedWhileTheyWait(t, l, first, waits)

	meanwhileOnTheCPU(t, l, waits[1], dirs[waits[1]])

	// One gives back: the first who waits gets it.
	l.must(first[0], "stop", "thesis")
	l.until(60*time.Second, waits[0]+" gets what was given back", func() bool { return l.phase(waits[0], "thesis") == "running" })
	idleGoesBack(t, l, c, first[1], waits[1])
	outsiderIsNamed(t, l, c, waits[1])
	reservedChangesHands(t, l, c, waits, first[0], dirs)
}

// atOnce: two run, two wait, and no box sees another's device.
func atOnce(t *testing.T, l *lab, c *cards, people []string, dirs map[string]string) {
	t.Helper()
	var wg sync.WaitGroup
	for _, who := range people {
		cmd := l.command(who, "", "up", "--no-check", "--gpus", "1", dirs[who])
		log := filepath.Join(l.dir, who+".up")
		f, err := os.Create(log)
		if err != nil {
			t.Fatal(err)
		}
		cmd.Stdout, cmd.Stderr = f, f
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		wg.Go(func() { _ = cmd.Wait(); _ = f.Close() })
	}
	t.Cleanup(wg.Wait)
	l.until(3*time.Minute, "two run and two wait", func() bool {
		n := map[string]int{}
		for _, who := range people {
			n[l.phase(who, "thesis")]++
		}
		return n["running"] == 2 && n["waiting"] == 2
	})
	devices := map[string]bool{}
	for _, who := range people {
		if l.phase(who, "thesis") == "running" {
			devices[l.device(who, "thesis")] = true
		}
	}
	if len(devices) != 2 || !devices[c.id(0)] || !devices[c.id(1)] {
		t.Fatalf("the boxes have %v", devices)
	}
}

// meanwhileOnTheCPU: who waits may begin without, from the page, keeps the place, and may go back to waiting.
func meanwhileOnTheCPU(t *testing.T, l *lab, who, dir string) {
	t.Helper()
	ctx := browser(t, "ja")
	do(t, ctx, chromedp.Navigate(l.link(who)))
	holds(t, ctx, "it can begin on the CPU", `document.querySelector('form[action="/w/thesis/meanwhile"] button')`)
	do(t, ctx, chromedp.Click(`form[action="/w/thesis/meanwhile"] button`))
	l.until(60*time.Second, who+" runs without", func() bool { return l.phase(who, "thesis") == "running" })
	holds(t, ctx, "the page says that it waits", `document.querySelector('#state .note')?.textContent.includes('順番を待っています')`)
	shoot(t, ctx, "gpu-meanwhile-ja")
	if got := l.device(who, "thesis"); got != "void" {
		t.Errorf("on the CPU the box has %q", got)
	}
	if b := l.gpus(); len(b.Waiting) != 2 || b.Waiting[1].Holder != who {
		t.Errorf("who waits: %+v", b.Waiting)
	}
	l.must(who, "up", "--no-check", "-d", "--restart", "--gpus", "1", dir)
	l.until(30*time.Second, who+" waits again", func() bool { return l.phase(who, "thesis") == "waiting" })
}

func holdersAndWaiting(t *testing.T, l *lab) (holders, waiting []string) {
	t.Helper()
	b := l.gpus()
	for _, g := range b.GPUs {
		if len(g.Holds) != 1 || g.Reading == nil {
			t.Fatalf("the board says %+v", b)
		}
		holders = append(holders, g.Holds[0].Member)
	}
	for i, w := range b.Waiting {
		if w.Place != i+1 {
			t.Errorf("places: %+v", b.Waiting)
		}
		waiting = append(waiting, w.Holder)
	}
	if len(holders) != 2 || len(waiting) != 2 {
		t.Fatalf("%v hold, %v wait", holders, waiting)
	}
	return holders, waiting
}

// killedWhileTheyWait: nobody loses a GPU, nor their place.
func killedWhileTheyWait(t *testing.T, l *lab, holders, waiting []string) {
	t.Helper()
	l.kill()
	l.start()
	l.until(30*time.Second, "they wait again", func() bool { return len(l.gpus().Waiting) == len(waiting) })
	if h, w := holdersAndWaiting(t, l); !slices.Equal(h, holders) || !slices.Equal(w, waiting) {
		t.Errorf("before: %v hold, %v wait; after: %v hold, %v wait", holders, waiting, h, w)
	}
}

// idleGoesBack: who does nothing is told on the page, may keep it once, and then loses it to who waits.
func idleGoesBack(t *testing.T, l *lab, c *cards, idle, waits string) {
	t.Helper()
	device := l.device(idle, "thesis")
	other := c.id(0)
	if device == other {
		other = c.id(1)
	}
	ctx := browser(t, "en")
	do(t, ctx, chromedp.Navigate(l.link(idle)))
	c.busy(2, []string{other})
	holds(t, ctx, "the holder is told on the page", `[...document.querySelectorAll('.card .note.warn')].some(e => e.textContent.includes('not used'))`)
	shoot(t, ctx, "gpu-idle")
	do(t, ctx, chromedp.Click(`.card .note.warn button`))
	holds(t, ctx, "it is kept", `location.pathname === "/w/thesis" && !document.querySelector('#state .note.warn')`)
	c.busy(2, []string{other, device}) // and works
	time.Sleep(time.Second)
	if p := l.phase(idle, "thesis"); p != "running" {
		t.Errorf("kept, and %s", p)
	}
	l.must(idle, "release", "thesis")
	l.until(60*time.Second, waits+" gets what was released", func() bool { return l.phase(waits, "thesis") == "running" })
	l.until(60*time.Second, idle+" goes on without", func() bool { return l.phase(idle, "thesis") == "running" })
	if got := l.device(idle, "thesis"); got != "void" {
		t.Errorf("without a GPU the box has %q", got)
	}
	if got := l.device(waits, "thesis"); got != device {
		t.Errorf("%s has %q, not %q", waits, got, device)
	}
}

// outsiderIsNamed: a process outside masu makes its GPU nobody's, and people can ask who it is.
func outsiderIsNamed(t *testing.T, l *lab, c *cards, gives string) {
	t.Helper()
	device := l.device(gives, "thesis")
	sleep := exec.Command("sleep", "300")
	if err := sleep.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = sleep.Process.Kill(); _ = sleep.Wait() }()
	l.must(gives, "stop", "thesis")
	c.write("processes.csv", fmt.Sprintf("%s, %d, 900, sleep\n", device, sleep.Process.Pid))
	l.until(30*time.Second, "the outsider is named", func() bool {
		for _, g := range l.gpus().GPUs {
			if g.ID == device && len(g.Outside) == 1 && g.Outside[0].Login == "root" && g.Outside[0].Command == "sleep" {
				return true
			}
		}
		return false
	})
	time.Sleep(9 * time.Second) // a process may outlive its lease so long
	up := l.command(gives, "", "up", "--no-check", "--gpus", "1", filepath.Join("/home", gives, "thesis"))
	if err := up.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = up.Wait() }()
	l.until(30*time.Second, gives+" waits", func() bool { return l.phase(gives, "thesis") == "waiting" })
	c.write("processes.csv", "")
	l.until(60*time.Second, gives+" gets it when the outsider has gone", func() bool { return l.phase(gives, "thesis") == "running" })
}

// reservedChangesHands: at the minute, to whom it was promised.
func reservedChangesHands(t *testing.T, l *lab, c *cards, holders []string, reserver string, dirs map[string]string) {
	t.Helper()
	out := l.must(reserver, "reserve", "2", "--from", "+8s", "--for", "10m", "--json")
	var made []struct{ ID string }
	if err := json.Unmarshal([]byte(out), &made); err != nil || len(made) != 1 {
		t.Fatalf("reserve said %q: %v", out, err)
	}
	if r := l.as(holders[0], "reserve", "1", "--from", "+1m", "--for", "10m"); r.code != 1 || !strings.Contains(r.errOut, "reserved") {
		t.Errorf("a second reservation of the same: %d %s", r.code, r.errOut)
	}
	for _, who := range holders {
		l.until(60*time.Second, who+" gives way", func() bool {
			w := l.only(who)
			return w.Phase == "stopped" && w.Trouble != nil && w.Trouble.Code == "lease_reserved"
		})
	}
	l.must(reserver, "up", "--no-check", "--gpus", "2", dirs[reserver])
	if got := l.device(reserver, "thesis"); got != c.id(0)+","+c.id(1) {
		t.Errorf("reserved two, and got %q", got)
	}
}
