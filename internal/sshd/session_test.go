package sshd

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/masu-lab/masu"
	"github.com/masu-lab/masu/internal/masutest"
)

// lines is what a terminal shows, line by line.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
	more chan struct{}
}

func newLines() *lines { return &lines{more: make(chan struct{}, 1)} }

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case l.more <- struct{}{}:
	default:
	}
	return l.text.Write(p)
}

func (l *lines) await(t *testing.T, what string) {
	t.Helper()
	for limit := time.After(20 * time.Second); ; {
		l.mu.Lock()
		has := strings.Contains(l.text.String(), what)
		l.mu.Unlock()
		if has {
			return
		}
		select {
		case <-l.more:
		case <-limit:
			t.Fatalf("%q never came; there is %q", what, l.text.String())
		}
	}
}

// TestTerminal: a shell with a terminal has its size, its kind and what may be told of the screen, and nothing else.
func TestTerminal(t *testing.T) {
	d := newDesk(t)
	d.up("alice", "thesis", true)
	s, err := d.dial("alice", "thesis").NewSession()
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range []struct {
		name, value string
		taken       bool
	}{
		{"LANG", "ja_JP.UTF-8", true}, {"LC_ALL", "C.UTF-8", true}, {"COLORTERM", "truecolor", true},
		{"LD_PRELOAD", "/tmp/x.so", false}, {"GIT_SSH_COMMAND", "id", false}, {"PATH", "/tmp", false}, {"LC_x", "1", false}, {"LANGUAGE", "x", false}, {"LANG", "a\nb", false}, {"LANG", strings.Repeat("x", 300), false},
	} {
		if err := s.Setenv(v.name, v.value); (err == nil) != v.taken {
			t.Errorf("%s=%q: %v", v.name, v.value, err)
		}
	}
	if err := s.RequestPty("xterm-256color", 33, 101, ssh.TerminalModes{ssh.ECHO: 0}); err != nil {
		t.Fatal(err)
	}
	in, _ := s.StdinPipe()
	out := newLines()
	s.Stdout = out
	if err := s.Shell(); err != nil {
		t.Fatal(err)
	}
	if err := s.Shell(); err == nil {
		t.Error("a second program in one session")
	}
	fmt.Fprint(in, "hello\n")
	out.await(t, "hello")
	if err := s.WindowChange(50, 150); err != nil {
		t.Fatal(err)
	}
	if got := <-d.last.Resize; got != (masu.WinSize{Rows: 50, Cols: 150}) {
		t.Errorf("the new size came as %v", got)
	}
	in.Close()
	if err := s.Wait(); err != nil {
		t.Errorf("the shell ended with %v", err)
	}
	env := slices.DeleteFunc(d.last.Env, func(kv string) bool { return strings.HasPrefix(kv, "SSH_C") })
	if want := []string{"LANG=ja_JP.UTF-8", "LC_ALL=C.UTF-8", "COLORTERM=truecolor", "TERM=xterm-256color"}; !slices.Equal(env, want) {
		t.Errorf("variables: %q", env)
	}
	if !d.last.TTY || d.last.Size != (masu.WinSize{Rows: 33, Cols: 101}) || d.last.Root {
		t.Errorf("%+v", d.last)
	}
}

// TestStartsWhatIsStopped: who connects to a stopped workspace is told that it starts, in their language, and then is there.
func TestStartsWhatIsStopped(t *testing.T) {
	d := newDesk(t)
	d.up("alice", "thesis", false)
	c := d.dial("alice", "thesis")
	if _, err := c.Dial("tcp", "localhost:8888"); err == nil {
		t.Error("a port of a stopped workspace")
	}
	code, out, errOut := d.run(c, "echo there", "")
	if code != 0 || out != "there\n" || !strings.Contains(errOut, "ssh_starting thesis") {
		t.Errorf("%d, %q, %q", code, out, errOut)
	}
	if code, _, errOut := d.run(c, "true", ""); code != 0 || errOut != "" {
		t.Errorf("a second time: %d, %q", code, errOut)
	}
}

// TestRefused: row H4: nothing but programs and ports inside.
func TestRefused(t *testing.T) {
	d := newDesk(t)
	d.up("alice", "thesis", true)
	d.up("bob", "secret", true)
	c := d.dial("alice", "thesis")
	for _, to := range []string{"169.254.169.254:80", "172.17.0.1:22", "secret--bob:8888", "0.0.0.0:8888", "127.0.0.2:8888", "[::]:80", "localhost.:80", "example.ac.jp:80"} {
		if _, err := c.Dial("tcp", to); err == nil || !strings.Contains(err.Error(), "administratively prohibited") {
			t.Errorf("to %s: %v", to, err)
		}
	}
	for _, kind := range []string{"x11", "auth-agent@openssh.com", "direct-streamlocal@openssh.com", "tun@openssh.com", "forwarded-tcpip"} {
		if _, _, err := c.OpenChannel(kind, nil); err == nil {
			t.Errorf("a channel %s", kind)
		}
	}
	for _, kind := range []string{"tcpip-forward", "streamlocal-forward@openssh.com"} {
		if ok, _, err := c.SendRequest(kind, true, ssh.Marshal(struct {
			Host string
			Port uint32
		}{"0.0.0.0", 8080})); ok || err != nil {
			t.Errorf("%s: %t, %v", kind, ok, err)
		}
	}
	s, err := c.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range []string{"auth-agent-req@openssh.com", "x11-req", "eow@openssh.com", "pty-req", "window-change"} {
		if ok, err := s.SendRequest(kind, true, []byte{1}); ok || err != nil {
			t.Errorf("%s: %t, %v", kind, ok, err)
		}
	}
	if err := s.RequestSubsystem("shell"); err == nil {
		t.Error("another subsystem")
	}
}

// TestPorts: what is sent to a port of the box's own comes back, and so does its end.
func TestPorts(t *testing.T) {
	d := newDesk(t)
	d.up("alice", "thesis", true)
	c := d.dial("alice", "thesis")
	for _, host := range []string{"localhost", "127.0.0.1", "[::1]"} {
		conn, err := c.Dial("tcp", fmt.Sprintf("%s:%d", host, masutest.EchoPort))
		if err != nil {
			t.Fatal(err)
		}
		want := bytes.Repeat([]byte("x"), 1<<20)
		go func() { _, _ = conn.Write(want) }()
		got := make([]byte, len(want))
		if _, err := io.ReadFull(conn, got); err != nil || !bytes.Equal(got, want) {
			t.Error(err)
		}
		conn.Close()
	}
}

// TestKeyLimitsHold: a key that may not is told so.
func TestKeyLimitsHold(t *testing.T) {
	d := newDesk(t)
	d.up("alice", "thesis", true)
	d.gate.limits = masu.KeyLimits{NoPTY: true, NoForward: true}
	c := d.dial("alice", "thesis")
	s, err := c.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.RequestPty("xterm", 24, 80, nil); err == nil {
		t.Error("a terminal")
	}
	if _, err := c.Dial("tcp", fmt.Sprintf("localhost:%d", masutest.EchoPort)); err == nil {
		t.Error("a port")
	}
	if code, _, _ := d.run(c, "true", ""); code != 0 {
		t.Errorf("a command: %d", code)
	}
}

// TestSignals: a signal ends what runs, and is how it ended.
func TestSignals(t *testing.T) {
	d := newDesk(t)
	d.up("alice", "thesis", true)
	s, err := d.dial("alice", "thesis").NewSession()
	if err != nil {
		t.Fatal(err)
	}
	out := newLines()
	s.Stdout = out
	if err := s.Start("echo on; sleep 1000"); err != nil {
		t.Fatal(err)
	}
	out.await(t, "on")
	if err := s.Signal(ssh.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if e, ok := s.Wait().(*ssh.ExitError); !ok || e.Signal() != "TERM" {
		t.Errorf("it ended with %v", e)
	}
}

// TestSentAway: who loses their key or their place is out within seconds, and so is what they run.
func TestSentAway(t *testing.T) {
	d := newDesk(t)
	d.up("alice", "thesis", true)
	c := d.dial("alice", "thesis")
	s, err := c.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	out := newLines()
	s.Stdout = out
	if err := s.Start("echo on; sleep 1000"); err != nil {
		t.Fatal(err)
	}
	out.await(t, "on")
	ours, theirs := pair(t)
	go d.server.ServeVouched(t.Context(), theirs, d.user("alice", 0), "thesis")
	cc, chans, reqs, err := ssh.NewClientConn(ours, "masu", &ssh.ClientConfig{User: "root", HostKeyCallback: ssh.FixedHostKey(d.host)})
	if err != nil {
		t.Fatal(err)
	}
	vouched := ssh.NewClient(cc, chans, reqs)
	if code, out, _ := d.run(vouched, "echo vouched", ""); code != 0 || out != "vouched\n" {
		t.Errorf("whom the kernel vouches for: %d, %q", code, out)
	}
	d.gate.mu.Lock()
	delete(d.gate.keys, ssh.FingerprintSHA256(d.key["alice"].PublicKey()))
	d.gate.mu.Unlock()
	begun := time.Now()
	_ = c.Wait()
	_ = vouched.Wait()
	if took := time.Since(begun); took > 5*time.Second {
		t.Errorf("it took %v", took)
	}
}

// pair is both ends of a unix socket.
func pair(t *testing.T) (net.Conn, net.Conn) {
	t.Helper()
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	a, err := net.Dial("unix", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	b, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	return a, b
}

// TestKnockers: those who only hold the door open keep nobody out.
func TestKnockers(t *testing.T) {
	d := newDesk(t)
	d.up("alice", "thesis", true)
	for range knocksMost + 100 {
		c, err := net.Dial("tcp", d.addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
	}
	if code, _, _ := d.run(d.dial("alice", "thesis"), "true", ""); code != 0 {
		t.Errorf("%d", code)
	}
	d.server.mu.Lock()
	defer d.server.mu.Unlock()
	if n := len(d.server.knocks); n > knocksMost {
		t.Errorf("%d are at the door", n)
	}
}

// TestCrowd: one member cannot have all connections.
func TestCrowd(t *testing.T) {
	d := newDesk(t)
	d.up("bob", "work", true)
	for range clientsMost {
		d.dial("alice", "thesis")
	}
	for in := 0; in < clientsMost; time.Sleep(time.Millisecond) { // the last one's handshake may be over sooner for them than for the gateway
		d.server.mu.Lock()
		in = len(d.server.clients)
		d.server.mu.Unlock()
	}
	cfg := d.config("alice", "thesis")
	said := ""
	cfg.BannerCallback = func(m string) error { said += m; return nil }
	if c, err := ssh.Dial("tcp", d.addr, cfg); err == nil || !strings.Contains(said, "ssh_crowded") {
		t.Errorf("one more: %v, %v, %q", c, err, said)
	}
	if code, _, _ := d.run(d.dial("bob", "work"), "true", ""); code != 0 {
		t.Errorf("another member: %d", code)
	}
}

// TestHostKey: it is made once, read by its owner only, and never replaced.
func TestHostKey(t *testing.T) {
	dir := t.TempDir()
	a, err := HostKey(dir)
	if err != nil {
		t.Fatal(err)
	}
	b, err := HostKey(dir)
	if err != nil || ssh.FingerprintSHA256(a.PublicKey()) != ssh.FingerprintSHA256(b.PublicKey()) || a.PublicKey().Type() != ssh.KeyAlgoED25519 {
		t.Errorf("another one the second time, %v", err)
	}
	path := filepath.Join(dir, HostKeyName)
	if st, err := os.Stat(path); err != nil || st.Mode().Perm() != 0o600 {
		t.Error(st, err)
	}
	if entries, _ := os.ReadDir(dir); len(entries) != 1 {
		t.Errorf("left behind: %v", entries)
	}
	for what, spoil := range map[string]func() error{
		"others read it": func() error { return os.Chmod(path, 0o640) },
		"broken":         func() error { return os.WriteFile(path, []byte("-----BEGIN"), 0o600) },
		"a link":         func() error { _ = os.Remove(path); return os.Symlink("/dev/null", path) },
	} {
		if err := spoil(); err != nil {
			t.Fatal(err)
		}
		if _, err := HostKey(dir); err == nil {
			t.Errorf("%s: it was taken", what)
		}
		_ = os.Remove(path)
		if _, err := HostKey(dir); err != nil {
			t.Fatal(err)
		}
	}
}
