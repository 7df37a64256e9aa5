package remote

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/masu-lab/masu"
)

// house is a real sshd of the test's own, and the ways into it.
type house struct {
	t     *testing.T
	dir   string
	port  int
	ssh   string // a program that is ssh with the test's keys
	sshd  *exec.Cmd
	extra string // of its configuration
}

// newHouse starts one that lets this user in. What a command by ssh finds there is bin.
func newHouse(t *testing.T) *house {
	t.Helper()
	for _, program := range []string{"ssh", "ssh-keygen", "/usr/sbin/sshd"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skip("needs OpenSSH's client and server")
		}
	}
	dir, err := os.MkdirTemp("", "masu-ssh-test-") // a test's own folder is too long a path for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	h := &house{t: t, dir: dir, ssh: filepath.Join(dir, "ssh")}
	for _, key := range []string{"host", "id", "other"} {
		h.must("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", h.at(key))
	}
	if os.Geteuid() == 0 {
		h.must("install", "-d", "-m", "755", "/run/sshd")
	}
	h.write("authorized", 0o600, h.read("id.pub"))
	if err := os.Mkdir(h.at("bin"), 0o755); err != nil {
		t.Fatal(err)
	}
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h.port = free.Addr().(*net.TCPAddr).Port
	_ = free.Close()
	h.write("known", 0o600, fmt.Sprintf("[127.0.0.1]:%d %s", h.port, h.read("host.pub")))
	h.key("id")
	h.masu("printf 'masu-dial/1 ok\\n'; exec cat")
	h.start()
	t.Cleanup(h.stop)
	return h
}

func (h *house) at(name string) string { return filepath.Join(h.dir, name) }

func (h *house) must(argv ...string) {
	h.t.Helper()
	if out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput(); err != nil {
		h.t.Fatalf("%v: %v: %s", argv, err, out)
	}
}

func (h *house) write(name string, mode os.FileMode, text string) {
	h.t.Helper()
	if err := os.WriteFile(h.at(name), []byte(text), mode); err != nil {
		h.t.Fatal(err)
	}
}

func (h *house) read(name string) string {
	h.t.Helper()
	b, err := os.ReadFile(h.at(name))
	if err != nil {
		h.t.Fatal(err)
	}
	return string(b)
}

// key makes the test's ssh, which comes with a key of the test's.
func (h *house) key(name string) {
	h.write("ssh", 0o755, fmt.Sprintf("#!/bin/sh\necho $$ >%s\nexec ssh -F none -o IdentitiesOnly=yes -o IdentityAgent=none -o UserKnownHostsFile=%s -o GlobalKnownHostsFile=none -i %s \"$@\"\n", h.at("pid"), h.at("known"), h.at(name)))
}

// masu makes the program at the far end.
func (h *house) masu(script string) { h.write("bin/masu", 0o755, "#!/bin/sh\n"+script+"\n") }

func (h *house) start() {
	h.t.Helper()
	h.write("conf", 0o600, fmt.Sprintf("Port %d\nListenAddress 127.0.0.1\nHostKey %s\nAuthorizedKeysFile %s\nPidFile none\nUsePAM no\nStrictModes no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\nPermitRootLogin yes\nSetEnv PATH=%s:/usr/bin:/bin\n%s",
		h.port, h.at("host"), h.at("authorized"), h.at("bin"), h.extra))
	h.sshd = exec.Command("/usr/sbin/sshd", "-D", "-e", "-f", h.at("conf"))
	if err := h.sshd.Start(); err != nil {
		h.t.Fatal(err)
	}
	for range 200 {
		if c, err := net.Dial("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(h.port))); err == nil {
			_ = c.Close()
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	h.t.Fatal("sshd does not listen")
}

func (h *house) stop() { _, _ = h.sshd.Process.Kill(), h.sshd.Wait() }

// link is the way into the house.
func (h *house) link(shared bool) *Link {
	h.t.Helper()
	me, err := user.Current()
	if err != nil {
		h.t.Fatal(err)
	}
	c := Config{Server: Server{User: me.Username, Host: "127.0.0.1", Port: h.port}, Program: h.ssh, Lang: masu.English}
	if shared {
		if c.Folder, err = Folder(h.dir); err != nil {
			h.t.Fatal(err)
		}
	}
	l, err := New(c)
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { _ = l.Hangup(context.Background()) })
	return l
}

// echo says something and expects to hear it.
func echo(c net.Conn, word string) error {
	if _, err := io.WriteString(c, word); err != nil {
		return err
	}
	b := make([]byte, len(word))
	_, err := io.ReadFull(c, b)
	if err == nil && string(b) != word {
		err = fmt.Errorf("heard %q", b)
	}
	return err
}

// TestDial: bytes go both ways, ends pass through, with a connection that is shared and without.
func TestDial(t *testing.T) {
	h := newHouse(t)
	for _, shared := range []bool{true, false} {
		l := h.link(shared)
		c, err := l.Dial(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if err := echo(c, "hello"); err != nil {
			t.Error(err)
		}
		if err := c.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
			t.Error(err)
		}
		if rest, err := io.ReadAll(c); err != nil || len(rest) > 0 {
			t.Errorf("after the end: %q, %v", rest, err)
		}
		_ = c.Close()
		if l.shared() && !l.alive() {
			t.Error("the connection does not stay for the next")
		}
	}
}

// TestJump: a name of the member's own configuration of ssh leads where that
// says, and over which machine.
func TestJump(t *testing.T) {
	h := newHouse(t)
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	jumped := h.at("jumped")
	h.write("config", 0o600, fmt.Sprintf("Host door behind\n HostName 127.0.0.1\n Port %d\n User %s\n IdentityFile %s\n IdentitiesOnly yes\n IdentityAgent none\n UserKnownHostsFile %s\n"+
		"Host behind\n ProxyJump door\nMatch originalhost door exec \"touch %s\"\n", h.port, me.Username, h.at("id"), h.at("known"), jumped))
	h.write("ssh", 0o755, fmt.Sprintf("#!/bin/sh\nexec ssh -F %s \"$@\"\n", h.at("config")))
	l, err := New(Config{Server: Server{Host: "behind"}, Program: h.ssh, Lang: masu.English})
	if err != nil {
		t.Fatal(err)
	}
	c, err := l.Dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := echo(c, "over two machines"); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(jumped); err != nil {
		t.Errorf("it did not go by the door: %v", err)
	}
}

// TestManyAtOnce (U7): more commands than a server lets share a connection, and
// than it lets knock, all come through.
func TestManyAtOnce(t *testing.T) {
	h := newHouse(t)
	const many = 50
	failed := make(chan error, many)
	var all sync.WaitGroup
	for i := range many {
		all.Go(func() {
			l := h.link(true) // as so many processes would
			c, err := l.Dial(t.Context())
			if err == nil {
				err = echo(c, fmt.Sprint("word ", i))
				_ = c.Close()
			}
			if err != nil {
				failed <- err
			}
		})
	}
	all.Wait()
	close(failed)
	for err := range failed {
		t.Error(err)
	}
}

// TestWhatGoesWrong: each failure has its own word, and ssh's are not lost.
func TestWhatGoesWrong(t *testing.T) {
	h := newHouse(t)
	expect := func(name, code string, prepare func(*Link)) {
		t.Helper()
		for _, shared := range []bool{true, false} {
			l := h.link(shared)
			_ = l.Hangup(t.Context())
			var words bytes.Buffer
			l.Words = &words
			prepare(l)
			c, err := l.Dial(t.Context())
			if err == nil {
				_ = c.Close()
			}
			if masu.CodeOf(err) != code {
				t.Errorf("%s (shared %v): %v, want %s\n%s", name, shared, err, code, words.String())
			}
		}
	}
	none := func(*Link) {}
	h.masu(`printf 'masu-dial/1 {"kind":"unreachable","code":"no_daemon","args":["/run/masu/masu.sock"]}\n'; exit 1`)
	expect("no daemon there", "no_daemon", none)
	h.masu("exit 2")
	expect("an old masu", "far_masu_old", none)
	h.masu("echo broken >&2; exit 1")
	expect("a broken masu", "ssh_failed", none)
	if err := os.Remove(h.at("bin/masu")); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat("/usr/local/bin/masu"); err != nil {
		expect("no masu", "far_no_masu", none)
	}
	expect("no such host", "ssh_no_host", func(l *Link) { l.Server.Host = "no-such-host.invalid" })
	expect("nobody listens", "ssh_failed", func(l *Link) { l.Server.Port = 1 })
	h.key("other")
	expect("a key that is not known", "ssh_denied", none)
	h.key("id")
	h.write("known", 0o600, fmt.Sprintf("[127.0.0.1]:%d %s", h.port, h.read("other.pub")))
	expect("another host key", "ssh_host_changed", none)
	h.write("known", 0o600, "")
	expect("an unknown host", "ssh_host_new", none)
	if _, err := New(Config{Program: "no-such-program"}); masu.CodeOf(err) != "ssh_missing" {
		t.Errorf("no ssh: %v", err)
	}
}

// TestDialEnds: whoever waits no longer leaves nothing behind.
func TestDialEnds(t *testing.T) {
	h := newHouse(t)
	h.masu("echo not yet; exec sleep 60")
	l := h.link(true)
	if err := l.open(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if _, err := l.Dial(ctx); masu.KindOf(err) != masu.Cancelled {
		t.Errorf("it ends with %v", err)
	}
}

// TestForward: an address of the server's is reached, and reached again after
// the connection was lost, by itself.
func TestForward(t *testing.T) {
	h := newHouse(t)
	far, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer far.Close()
	go func() {
		for {
			c, err := far.Accept()
			if err != nil {
				return
			}
			go func() { defer c.Close(); _, _ = io.Copy(c, c) }()
		}
	}()
	for _, shared := range []bool{true, false} {
		ctx, cancel := context.WithCancel(t.Context())
		l := h.link(shared)
		f, err := l.Forward(ctx, far.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		try := func() {
			t.Helper()
			c, err := f.Dial(ctx)
			if err == nil {
				err = echo(c, "hello")
				_ = c.Close()
			}
			if err != nil {
				t.Error(err)
			}
		}
		try()
		events, ended := make(chan Event, 100), make(chan error, 1)
		go func() { ended <- f.Run(ctx, func(e Event, _ error) { events <- e }) }()
		if shared {
			err = l.Hangup(ctx)
		} else {
			err = exec.Command("kill", strings.TrimSpace(h.read("pid"))).Run() // the ssh that holds it
		}
		if err != nil {
			t.Fatal(err)
		}
		for e := range events {
			if e == Back {
				break
			}
		}
		try()
		cancel()
		if err := <-ended; err != nil && !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	}
}

// TestForwardRefused: a door that was shut meanwhile is not knocked at for ever.
func TestForwardRefused(t *testing.T) {
	h := newHouse(t)
	l := h.link(true)
	f, err := l.Forward(t.Context(), "127.0.0.1:9")
	if err != nil {
		t.Fatal(err)
	}
	h.write("authorized", 0o600, "")
	ended := make(chan error, 1)
	go func() { ended <- f.Run(t.Context(), func(Event, error) {}) }()
	if err := l.Hangup(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; masu.CodeOf(err) != "ssh_denied" {
		t.Errorf("it ends with %v", err)
	}
}

func TestFolder(t *testing.T) {
	dir, err := os.MkdirTemp("", "masu-folder-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	got, err := Folder(dir)
	if err != nil || filepath.Dir(got) != dir {
		t.Fatalf("%s, %v", got, err)
	}
	if len(filepath.Join(got, Server{Host: "gpu"}.key(), ".0123456789abcdef")) > 100 {
		t.Errorf("%s is too long for a socket", got)
	}
	if err := os.Chmod(got, 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := Folder(dir); masu.CodeOf(err) != "ssh_folder" {
		t.Errorf("a folder that others enter: %v", err)
	}
}
