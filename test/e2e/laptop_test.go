package e2e

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// pc is somebody's laptop: another network namespace with nothing but a way to
// the server's sshd, an account of its own there, and a browser.
type pc struct {
	t    *testing.T
	l    *lab
	user *user.User
}

// newPC makes the laptop, and an sshd on the server that lets its owner in as who.
func newPC(t *testing.T, l *lab, who *user.User) *pc {
	t.Helper()
	secondMachine(t)
	p := &pc{t, l, l.member("e2elaptop")}
	p.root("ip", "-n", lanSpace, "link", "set", "lo", "up")
	p.root("usermod", "-p", "*", who.Username) // no password, but not locked
	p.root("install", "-d", "-m", "755", "/run/sshd")
	at := func(name string) string { return filepath.Join(l.dir, name) }
	p.root("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", at("host"))
	if err := os.MkdirAll(at("bin"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(l.bin, at("bin/masu")); err != nil {
		t.Fatal(err)
	}
	home := filepath.Join(p.user.HomeDir, ".ssh")
	p.root("install", "-d", "-m", "700", "-o", p.user.Uid, "-g", p.user.Gid, home)
	p.root("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", filepath.Join(home, "id_ed25519"))
	p.root("install", "-m", "644", filepath.Join(home, "id_ed25519.pub"), at("authorized"))
	port := freePort(t)
	p.file(at("sshd"), fmt.Sprintf("Port %d\nListenAddress %s\nHostKey %s\nAuthorizedKeysFile %s\nPidFile none\nUsePAM no\nStrictModes no\nPasswordAuthentication no\nSetEnv MASU_SOCKET=%s PATH=%s:/usr/bin:/bin\n",
		port, lanServer, at("host"), at("authorized"), l.socket, at("bin")))
	key, err := os.ReadFile(at("host.pub"))
	if err != nil {
		t.Fatal(err)
	}
	p.file(filepath.Join(home, "known_hosts"), fmt.Sprintf("[%s]:%d %s", lanServer, port, key))
	p.file(filepath.Join(home, "config"), fmt.Sprintf("Host gpu\n  HostName %s\n  Port %d\n  User %s\n", lanServer, port, who.Username))
	p.root("chown", "-R", p.user.Uid+":"+p.user.Gid, home)
	sshd := exec.Command("/usr/sbin/sshd", "-D", "-e", "-f", at("sshd"))
	if err := sshd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = sshd.Process.Kill(), sshd.Wait() })
	l.until(10*time.Second, "the laptop reaches sshd", func() bool {
		c, err := fromLaptop(t.Context(), "tcp", net.JoinHostPort(lanServer, strconv.Itoa(port)))
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	})
	t.Cleanup(func() {
		_ = p.command("sh", "-c", "for s in /tmp/masu-ssh-$(id -u)/????????????; do ssh -o ControlPath=$s -O exit gpu; done").Run()
	})
	return p
}

func (p *pc) root(argv ...string) {
	p.t.Helper()
	if out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput(); err != nil {
		p.t.Fatalf("%v: %v: %s", argv, err, out)
	}
}

func (p *pc) file(path, text string) {
	p.t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		p.t.Fatal(err)
	}
}

// command runs something on the laptop, as its owner.
func (p *pc) command(argv ...string) *exec.Cmd {
	cmd := exec.Command("ip", append([]string{"netns", "exec", lanSpace, "setpriv", "--reuid=" + p.user.Uid, "--regid=" + p.user.Gid, "--clear-groups", "--"}, argv...)...)
	cmd.Dir = p.user.HomeDir
	cmd.Env = []string{"HOME=" + p.user.HomeDir, "USER=" + p.user.Username, "PATH=/usr/bin:/bin:/usr/sbin", "LANG=C.UTF-8", "MASU_LANG=en"}
	return cmd
}

// masu runs the laptop's masu.
func (p *pc) masu(args ...string) result {
	cmd := p.command(append([]string{p.l.bin}, args...)...)
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	err := cmd.Run()
	return result{out: out.String(), errOut: errOut.String(), code: cmd.ProcessState.ExitCode(), err: err}
}

func (p *pc) must(args ...string) string {
	p.t.Helper()
	r := p.masu(args...)
	if r.err != nil {
		p.t.Fatalf("on the laptop: masu %s: %v\n%s%s", strings.Join(args, " "), r.err, r.out, r.errOut)
	}
	return r.out
}

// held is a masu that goes on running, such as one that forwards.
type held struct {
	mu    sync.Mutex
	text  strings.Builder
	ended chan struct{} // closed when it has ended by itself, or by Ctrl-C
	code  int
	own   bool // it was awaited: Ctrl-C is not what ends it
}

// end waits until it ends by itself, and gives its exit code.
func (h *held) end() int {
	h.own = true
	<-h.ended
	return h.code
}

func (h *held) has(pattern string) string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return regexp.MustCompile(pattern).FindString(h.text.String())
}

// hold starts one; Ctrl-C ends it with the test.
func (p *pc) hold(args ...string) *held {
	p.t.Helper()
	cmd := p.command(append([]string{p.l.bin}, args...)...)
	r, w, err := os.Pipe()
	if err != nil {
		p.t.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr = w, w
	if err := cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	_ = w.Close()
	h := &held{ended: make(chan struct{})}
	go func() {
		defer close(h.ended)
		_ = cmd.Wait() // told by its state
		h.code = cmd.ProcessState.ExitCode()
	}()
	read := make(chan struct{})
	go func() {
		defer close(read)
		for s := bufio.NewScanner(r); s.Scan(); {
			h.mu.Lock()
			h.text.WriteString(s.Text() + "\n")
			h.mu.Unlock()
		}
	}()
	p.t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGINT)
		if <-h.ended; h.code != 0 && !h.own {
			p.t.Errorf("Ctrl-C ends masu %v with %d", args, h.code)
		}
		_ = r.Close()
		<-read
		if p.t.Failed() {
			p.t.Logf("masu %v said:\n%s", args, h.text.String())
		}
	})
	return h
}

// browser is Chromium on the laptop; what steers it is a pipe, which needs no network.
func (p *pc) browser() context.Context {
	p.t.Helper()
	program := filepath.Join(p.l.dir, "chromium")
	p.file(program, "#!/bin/sh\nexec ip netns exec "+lanSpace+" /usr/bin/chromium \"$@\"\n")
	p.root("chmod", "755", program)
	return browser(p.t, "en", chromedp.ExecPath(program))
}

// TestLaptop: with nothing but an ssh path, somebody goes from a laptop to a
// running cell with two commands; loses the network in the middle of a cell,
// comes back with another address, and finds the kernel and the cell going on.
func TestLaptop(t *testing.T) {
	l := newLab(t)
	alice := l.member("e2ealice")
	l.folder(alice, "thesis", nil)
	p := newPC(t, l, alice)

	// An address cannot become an option of ssh (U5).
	trap := filepath.Join(p.user.HomeDir, "trap")
	if r := p.masu("-H", "ssh://-oProxyCommand=touch%20"+trap, "ls"); r.code != 2 {
		t.Errorf("an option for an address: exit %d: %s", r.code, r.errOut)
	}
	if r := p.masu("-H", "ssh://-oProxyCommand=touch "+trap, "ls"); r.code != 2 {
		t.Errorf("an option for an address: exit %d: %s", r.code, r.errOut)
	}
	if _, err := os.Lstat(trap); err == nil {
		t.Error("the option was obeyed")
	}

	p.must("context", "add", "gpu", "ssh://gpu")
	up := p.hold("up", "thesis")
	l.until(3*time.Minute, "the link is there, and the pages lead to the laptop", func() bool { return up.has(`until you press Ctrl-C`) != "" })
	if up.has(`/home/e2ealice/thesis on gpu`) == "" {
		t.Error("it does not say which folder it took")
	}
	ctx := p.browser()
	link := up.has(`http://localhost:\d+/enter\S+`)
	do(t, ctx, chromedp.Navigate(link))
	holds(t, ctx, "the link leads to Jupyter under the bar", `location.pathname === "/w/thesis/app/jupyter" && document.querySelector("#app")`)
	pages, _, _ := strings.Cut(link, "/enter")
	do(t, ctx, chromedp.Navigate(pages+"/open/thesis/jupyter"))
	holds(t, ctx, "without the bar it is at the workspace's own origin", `location.host.startsWith("thesis--e2ealice.localhost:") && location.pathname.startsWith("/lab")`)
	if got := runCell(t, ctx, `print(6*7)`); got != "42" {
		t.Errorf("the cell printed %q", got)
	}
	if out := p.must("ls"); !strings.Contains(out, "thesis") {
		t.Errorf("masu ls: %s", out)
	}
	many(t, p)
	compare(t, p)
	roams(t, p, ctx, up)
}

// many (U7): fifty commands at once over one connection.
func many(t *testing.T, p *pc) {
	t.Helper()
	var all sync.WaitGroup
	failed := make(chan string, 50)
	for range 50 {
		all.Go(func() {
			if r := p.masu("ls"); r.err != nil || !strings.Contains(r.out, "thesis") {
				failed <- fmt.Sprint(r.code, ": ", r.out, r.errOut)
			}
		})
	}
	all.Wait()
	close(failed)
	for f := range failed {
		t.Errorf("one of fifty masu ls: %s", f)
	}
}

// compare tells how long a command takes over the open connection, beside what ssh alone takes there.
func compare(t *testing.T, p *pc) {
	t.Helper()
	sockets, err := filepath.Glob("/tmp/masu-ssh-" + p.user.Uid + "/????????????")
	if err != nil || len(sockets) != 1 {
		t.Fatalf("the connections' sockets: %v, %v", sockets, err)
	}
	median := func(argv ...string) time.Duration {
		var all []time.Duration
		for range 15 {
			begin := time.Now()
			if out, err := p.command(argv...).CombinedOutput(); err != nil {
				t.Fatalf("%v: %v: %s", argv, err, out)
			}
			all = append(all, time.Since(begin))
		}
		slices.Sort(all)
		return all[len(all)/2]
	}
	bare := median("ssh", "-o", "ControlPath="+sockets[0], "gpu", "true")
	ls := median(p.l.bin, "ls")
	t.Logf("masu ls takes %v over the open connection, ssh gpu true %v: %.2f times", ls, bare, float64(ls)/float64(bare))
}

// roams (F16): the laptop is away for a while in the middle of a cell, and comes
// back with another address.
func roams(t *testing.T, p *pc, ctx context.Context, up *held) {
	t.Helper()
	kernels := func() string {
		return p.l.must("e2ealice", "exec", "thesis", "--", "sh", "-c", `for d in /proc/[0-9]*; do grep -qs ipykerne[l] $d/cmdline && echo $d; done; true`)
	}
	before := kernels()
	do(t, ctx, chromedp.KeyEvent(`import time; print("off"); time.sleep(50); print("back", 6*7)`), chromedp.KeyEvent(kb.Enter, chromedp.KeyModifiers(8)))
	holds(t, ctx, "the long cell runs", `[...document.querySelectorAll('.jp-OutputArea-output pre')].some(e => e.textContent.includes("off"))`)
	p.root("ip", "link", "set", "masu-e2e0", "down")
	waits := make(chan result, 1)
	go func() { waits <- p.masu("ls") }() // over a connection that is open, and leads nowhere
	p.root("ip", "-n", lanSpace, "addr", "del", lanLaptop+"/24", "dev", "lan0")
	p.l.until(60*time.Second, "masu notices", func() bool { return up.has(`broke off`) != "" })
	p.root("ip", "-n", lanSpace, "addr", "add", "10.213.9.3/24", "dev", "lan0")
	p.root("ip", "link", "set", "masu-e2e0", "up")
	p.l.until(60*time.Second, "masu has connected again by itself", func() bool { return up.has(`Connected to gpu again`) != "" })
	if r := <-waits; r.err != nil && !strings.Contains(r.errOut, "ssh cannot connect") {
		t.Errorf("a command on a half-open connection: %d, %s%s", r.code, r.out, r.errOut)
	}
	holds(t, ctx, "the cell goes on, and prints", `[...document.querySelectorAll('.jp-OutputArea-output pre')].some(e => e.textContent.includes("off") && e.textContent.includes("back 42"))`)
	if after := kernels(); before == "" || after != before {
		t.Errorf("the kernel was %q and is %q", before, after)
	}
	p.must("ls")
}
