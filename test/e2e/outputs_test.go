package e2e

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// line is a network between the browser and the daemon that can break.
type line struct {
	l    net.Listener
	to   string
	mu   sync.Mutex
	down bool
	open []net.Conn
}

func newLine(t *testing.T, to string) *line {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	n := &line{l: l, to: to}
	t.Cleanup(func() { _ = l.Close(); n.set(true) })
	go n.run()
	return n
}

func (n *line) run() {
	for {
		near, err := n.l.Accept()
		if err != nil {
			return
		}
		far, err := net.Dial("tcp", n.to)
		n.mu.Lock()
		if n.down || err != nil {
			n.mu.Unlock()
			_ = near.Close()
			if err == nil {
				_ = far.Close()
			}
			continue
		}
		n.open = append(n.open, near, far)
		n.mu.Unlock()
		carry := func(a, b net.Conn) {
			_, _ = io.Copy(a, b)
			_, _ = a.Close(), b.Close()
		}
		go carry(near, far)
		go carry(far, near)
	}
}

// set breaks the line, or mends it.
func (n *line) set(down bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.down = down
	for _, c := range n.open {
		_ = c.Close()
	}
	n.open = nil
}

// waits prints until a file is there, and then a last line.
func waits(file, last string) string {
	return "import os, time\nn = 0\nwhile not os.path.exists('" + file + "'):\n    n += 1\n    print('step', n, flush=True)\n    time.sleep(0.2)\nprint('" + last + "')"
}

// TestOutputsSurvive: what a cell prints is there although its page lost the
// network, was closed and opened again while it ran, and closed until it had ended.
func TestOutputsSurvive(t *testing.T) {
	l := newLab(t)
	alice := l.member("e2eoutputs")
	dir := l.folder(alice, "night", map[string]string{"masu.yaml": "preset: python\n",
		"night.ipynb": strings.Replace(notebookOf(t, waits("go1", "END ONE"), waits("go2", "END TWO"), "from IPython.display import display, HTML\nh = display(HTML('<i>before</i>'), display_id=True)\nh.update(HTML('<i id=after>after</i>'))\n1/0"), "another-conda", "python3", 1)})
	l.must("e2eoutputs", "up", "--no-check", dir)
	name := l.workspaces("e2eoutputs")[0].Name
	touch := func(file string) {
		if err := os.WriteFile(filepath.Join(dir, file), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	connections := func() (n int) {
		var sessions []jupyterSession
		if json.Unmarshal([]byte(l.as("e2eoutputs", "exec", name, "--", "python3", "-c", asksJupyter).out), &sessions) != nil || len(sessions) == 0 {
			return -1
		}
		return sessions[0].Kernel.Connections
	}
	net := newLine(t, "127.0.0.1:"+strconv.Itoa(l.port))
	ctx := browser(t, "en", chromedp.Flag("host-resolver-rules", "MAP * "+net.l.Addr().String()))
	pages := "http://localhost:" + strconv.Itoa(l.port)
	do(t, ctx, chromedp.Navigate(l.link("e2eoutputs")))
	holds(t, ctx, "signed in", `document.querySelector('nav')`)
	open := func() (tab context.Context, shut context.CancelFunc) {
		tab, shut = chromedp.NewContext(ctx)
		do(t, tab, chromedp.Navigate(pages+"/open/"+name+"/jupyter?next=/lab/tree/night.ipynb"))
		holds(t, tab, "the notebook is there", `document.querySelectorAll('.jp-Notebook .jp-CodeCell').length === 3`)
		return tab, shut
	}

	tab, shut := open()
	holds(t, tab, "its kernel is there", `[...document.querySelectorAll('.jp-StatusBar-TextItem')].some(e => e.textContent.endsWith('| Idle'))`)
	do(t, tab, chromedp.Click(".jp-Notebook .jp-CodeCell .cm-content"))
	for range 3 {
		do(t, tab, chromedp.KeyEvent(kb.Enter, chromedp.KeyModifiers(8)))
	}
	holds(t, tab, "the first cell prints", printed("step 3"))

	// The network goes, and comes back to the same page.
	net.set(true)
	l.until(30*time.Second, "Jupyter has noticed", func() bool { return connections() == 0 })
	touch("go1")
	l.until(30*time.Second, "the first cell has ended", func() bool {
		out := l.as("e2eoutputs", "exec", name, "--", "python3", "-c", asksJupyter).out
		return strings.Contains(out, "busy") // the second runs
	})
	net.set(false)
	holds(t, tab, "the page has what was printed meanwhile, without being loaded again", printed("END ONE"))
	holds(t, tab, "and the second cell's", `document.querySelectorAll('.jp-CodeCell')[1].textContent.includes('step 3')`)

	// The page is closed, and another opened while the second cell runs.
	shut()
	l.until(30*time.Second, "the page has gone", func() bool { return connections() == 0 })
	tab, shut = open()
	holds(t, tab, "the first cell's output is in the notebook", printed("END ONE"))
	holds(t, tab, "what the second has printed is there, and that it goes on", printed("still running"))
	shoot(t, tab, "outputs-running")
	shut()
	l.until(30*time.Second, "that one has gone too", func() bool { return connections() == 0 })
	touch("go2")
	l.until(60*time.Second, "all has run", func() bool {
		return strings.Contains(l.as("e2eoutputs", "exec", name, "--", "python3", "-c", asksJupyter).out, "idle")
	})
	tab, shut = open()
	defer shut()
	holds(t, tab, "the second cell's output is whole", printed("END TWO"))
	holds(t, tab, "a display that was changed is as it was last", printed("after"))
	holds(t, tab, "the failure is there", printed("ZeroDivisionError"))
	shoot(t, tab, "outputs-whole")
	text, err := os.ReadFile(filepath.Join(dir, "night.ipynb"))
	if err != nil || !strings.Contains(string(text), "END ONE") || !strings.Contains(string(text), "END TWO") || strings.Contains(string(text), "still running") {
		t.Errorf("the file holds %s (%v)", text, err)
	}
}
