package sshd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/masu-lab/masu"
	"github.com/masu-lab/masu/internal/agent"
	"github.com/masu-lab/masu/internal/masutest"
)

// gate knows whose key is whose.
type gate struct {
	masu.Gate
	mu     sync.Mutex
	keys   map[string]masu.User
	limits masu.KeyLimits
	proofs []string
}

func (g *gate) ByKey(_ context.Context, o masu.KeyOffer) (masu.User, masu.KeyLimits, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	u, ok := g.keys[o.Fingerprint]
	if o.Principals != nil { // a certificate speaks alone
		ok = false
		for _, k := range g.keys {
			if k.Name == o.Principals[0] {
				u, ok = k, true
			}
		}
	}
	if !ok {
		return u, masu.KeyLimits{}, masu.E(masu.Denied, "signin_wrong")
	}
	if o.Proven {
		g.proofs = append(g.proofs, o.Fingerprint)
	}
	return u, g.limits, nil
}

func (g *gate) ByUID(_ context.Context, uid int) (masu.User, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, u := range g.keys {
		if u.UID == uid {
			return u, nil
		}
	}
	return masu.User{}, masu.E(masu.Denied, "not_a_member", uid)
}

// plainly has the shell of a fake box run what a member's shell would.
type plainly struct {
	masu.Service
	last *masu.Exec
}

func (p plainly) Exec(ctx context.Context, name string, e masu.Exec) (int, error) {
	if slices.Equal(e.Argv, forwardArgv) {
		return 0, asHelper(ctx, e)
	}
	*p.last = e
	switch {
	case slices.Equal(e.Argv, shellArgv):
		e.Argv = []string{"cat"}
	case slices.Equal(e.Argv[:len(e.Argv)-1], commandArgv):
		e.Argv = []string{"sh", "-c", e.Argv[len(e.Argv)-1]}
	}
	return p.Service.Exec(ctx, name, e)
}

// Dial reaches what stands for a box's ports: those of this machine.
func (p plainly) Dial(ctx context.Context, name string, port int) (net.Conn, error) {
	if w, err := p.Service.Workspace(ctx, name); err != nil || port == masutest.EchoPort || w.Phase != masu.Running {
		return p.Service.Dial(ctx, name, port)
	}
	return (&net.Dialer{}).DialContext(ctx, "tcp", fmt.Sprintf("127.0.0.1:%d", port))
}

// asAgent makes the test's own program the one that boxes have.
const asAgent = "MASU_TEST_AGENT"

func asHelper(ctx context.Context, e masu.Exec) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, self)
	cmd.Env = append(os.Environ(), asAgent+"=1")
	cmd.Stdin, cmd.Stdout, cmd.WaitDelay = e.Stdin, e.Stdout, time.Second
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	return cmd.Run()
}

func TestMain(m *testing.M) {
	if os.Getenv(asAgent) != "" {
		os.Exit(agent.Main(context.Background(), forwardArgv[2:]))
	}
	os.Exit(m.Run())
}

// desk is a gateway with alice's and bob's keys.
type desk struct {
	testing.TB
	lab    *masutest.FakeService
	gate   *gate
	server *Server
	addr   string
	key    map[string]ssh.Signer
	host   ssh.PublicKey
	last   masu.Exec
}

func newDesk(t testing.TB, change ...func(*Config)) *desk {
	t.Helper()
	d := &desk{TB: t, lab: masutest.NewService(), gate: &gate{keys: map[string]masu.User{}}, key: map[string]ssh.Signer{}}
	for i, name := range []string{"alice", "bob", "nobody"} {
		d.key[name] = newSigner(t)
		if name != "nobody" {
			d.gate.keys[ssh.FingerprintSHA256(d.key[name].PublicKey())] = d.user(name, i)
		}
	}
	hostKey, err := HostKey(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	d.host = hostKey.PublicKey()
	cfg := Config{Gate: d.gate, HostKey: hostKey, Log: slog.New(slog.DiscardHandler),
		As:  func(a masu.Actor) masu.Service { return plainly{d.lab.As(a), &d.last} },
		Say: func(_ masu.Lang, code string, args []string) string { return code + " " + strings.Join(args, ",") }}
	for _, c := range change {
		c(&cfg)
	}
	d.server, err = New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	d.addr = l.Addr().String()
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = d.server.Serve(ctx, l) })
	running.Go(func() { _ = d.server.Run(ctx) })
	t.Cleanup(func() { cancel(); running.Wait(); _ = d.lab.Close() })
	return d
}

func (d *desk) user(name string, i int) masu.User {
	return masu.User{Name: masu.Username(name), UID: 31001 + i, GID: 31001 + i, Home: "/home/" + name}
}

// up makes a workspace that runs, or is stopped.
func (d *desk) up(name, workspace string, running bool) {
	d.Helper()
	u := d.gate.keys[ssh.FingerprintSHA256(d.key[name].PublicKey())]
	s := d.lab.As(masu.Actor{User: u, Door: masu.DoorSocket})
	if _, err := s.Up(d.Context(), masu.UpRequest{Dir: d.TempDir(), Name: workspace}); err != nil {
		d.Fatal(err)
	}
	for _, err := range s.Watch(d.Context(), workspace) {
		if err != nil {
			d.Fatal(err)
		}
	}
	if !running {
		if _, err := s.Stop(d.Context(), workspace); err != nil {
			d.Fatal(err)
		}
	}
}

func (d *desk) config(who, name string) *ssh.ClientConfig {
	return &ssh.ClientConfig{User: name, Auth: []ssh.AuthMethod{ssh.PublicKeys(d.key[who])}, HostKeyCallback: ssh.FixedHostKey(d.host), Timeout: 10 * time.Second}
}

func (d *desk) dial(who, name string) *ssh.Client {
	d.Helper()
	c, err := ssh.Dial("tcp", d.addr, d.config(who, name))
	if err != nil {
		d.Fatal(err)
	}
	d.Cleanup(func() { _ = c.Close() })
	return c
}

// run runs a command and gives its exit code and what it wrote.
func (d *desk) run(c *ssh.Client, command, in string) (int, string, string) {
	d.Helper()
	s, err := c.NewSession()
	if err != nil {
		d.Fatal(err)
	}
	defer s.Close()
	var out, errOut bytes.Buffer
	s.Stdin, s.Stdout, s.Stderr = strings.NewReader(in), &out, &errOut
	err = s.Run(command)
	if e, ok := errors.AsType[*ssh.ExitError](err); ok {
		return e.ExitStatus(), out.String(), errOut.String()
	}
	if err != nil {
		d.Errorf("%s: %v", command, err)
	}
	return 0, out.String(), errOut.String()
}

func TestCommands(t *testing.T) {
	d := newDesk(t)
	d.up("alice", "thesis", true)
	c := d.dial("alice", "thesis")
	for _, x := range []struct {
		command, in    string
		code           int
		out, errOutput string
	}{
		{"echo 日本; echo err >&2", "", 0, "日本\n", "err\n"},
		{"sh -c 'exit 41'", "", 41, "", ""},
		{"cat", "in\n", 0, "in\n", ""},
		{"false", "", 1, "", ""},
	} {
		if code, out, errOut := d.run(c, x.command, x.in); code != x.code || out != x.out || errOut != x.errOutput {
			t.Errorf("%s: %d, %q, %q", x.command, code, out, errOut)
		}
	}
	if _, _, err := c.SendRequest("keepalive@openssh.com", true, nil); err != nil {
		t.Errorf("a keep-alive: %v", err)
	}
}

// TestNames: the key decides who somebody is. What is not theirs is what is not there.
func TestNames(t *testing.T) {
	d := newDesk(t)
	d.up("alice", "thesis", true)
	d.up("bob", "secret", true)
	for _, c := range []struct {
		who, name string
		code      int
	}{
		{"alice", "thesis", 0}, {"alice", "alice/thesis", 0}, {"alice", "secret", exitOurs}, {"alice", "bob/secret", exitOurs}, {"bob", "thesis", exitOurs},
		{"alice", "root", exitOurs}, {"alice", "alice/../bob/secret", exitOurs}, {"alice", "alice+secret", exitOurs}, {"alice", "no\x1b[2Jne", exitOurs}, {"alice", "", exitOurs},
	} {
		code, _, errOut := d.run(d.dial(c.who, c.name), "true", "")
		if code != c.code || code != 0 && !strings.Contains(errOut, fmt.Sprintf("masu: ssh_no_workspace %q,%s", c.name, c.who)) || strings.Contains(errOut, "\x1b") {
			t.Errorf("%s@%q: %d, %q", c.who, c.name, code, errOut)
		}
	}
}

// TestGuestsLook: a guest may open apps on the pages, and has no way in here.
func TestGuestsLook(t *testing.T) {
	d := newDesk(t)
	d.up("alice", "thesis", true)
	if _, err := d.lab.As(masu.Actor{User: d.user("alice", 0)}).Admit(t.Context(), "thesis", "bob"); err != nil {
		t.Fatal(err)
	}
	c := d.dial("bob", "alice/thesis")
	if code, _, errOut := d.run(c, "true", ""); code != exitOurs || !strings.Contains(errOut, "ssh_no_workspace") {
		t.Errorf("a guest's command: %d, %q", code, errOut)
	}
	if _, err := c.Dial("tcp", fmt.Sprintf("localhost:%d", masutest.EchoPort)); err == nil {
		t.Error("a guest reaches a port")
	}
}

// TestWhoMayComeIn: only whoever proves a member's key, and by no other method.
func TestWhoMayComeIn(t *testing.T) {
	d := newDesk(t)
	for what, auth := range map[string]ssh.AuthMethod{
		"password": ssh.Password("x"), "another's key": ssh.PublicKeys(d.key["nobody"]),
		"questions": ssh.KeyboardInteractive(func(string, string, []string, []bool) ([]string, error) { return nil, nil }),
	} {
		cfg := d.config("alice", "thesis")
		cfg.Auth = []ssh.AuthMethod{auth}
		if c, err := ssh.Dial("tcp", d.addr, cfg); err == nil {
			c.Close()
			t.Errorf("by %s somebody came in", what)
		} else if !strings.Contains(err.Error(), "none") && what != "another's key" {
			t.Errorf("%s: %v", what, err)
		}
	}
	// Whoever asks about bob's key last and proves their own is who they are.
	cfg := d.server.byKey(t.Context(), netip.Addr{})
	alice, bob := d.key["alice"].PublicKey(), d.key["bob"].PublicKey()
	for _, k := range []ssh.PublicKey{alice, bob} {
		if _, err := cfg.PublicKeyCallback(asked("thesis"), k); err != nil {
			t.Fatal(err)
		}
	}
	p, err := cfg.VerifiedPublicKeyCallback(asked("thesis"), alice, nil, ssh.KeyAlgoED25519)
	if err != nil {
		t.Fatal(err)
	}
	if v := p.ExtraData[visitorKey{}].(visitor); v.Name != "alice" || v.fingerprint != ssh.FingerprintSHA256(alice) || !slices.Equal(d.gate.proofs, []string{v.fingerprint}) {
		t.Errorf("%+v came in; proven: %q", v, d.gate.proofs)
	}
}

// asked is a handshake for that name.
type asked string

func (a asked) User() string        { return string(a) }
func (asked) SessionID() []byte     { return nil }
func (asked) ClientVersion() []byte { return nil }
func (asked) ServerVersion() []byte { return nil }
func (asked) RemoteAddr() net.Addr  { return nil }
func (asked) LocalAddr() net.Addr   { return nil }

// TestCiphers: who likes ChaCha20 best gets AES where the processor knows it, and ChaCha20 where it does not.
func TestCiphers(t *testing.T) {
	d := newDesk(t)
	d.up("alice", "thesis", true)
	aes := !slices.Contains(ciphers(), ssh.CipherChaCha20Poly1305)
	for name, ok := range map[string]bool{ssh.CipherChaCha20Poly1305: !aes, ssh.CipherAES128CTR: true, ssh.CipherAES128GCM: true, ssh.InsecureCipherAES128CBC: false} {
		c := d.config("alice", "thesis")
		c.Ciphers = []string{name}
		conn, err := ssh.Dial("tcp", d.addr, c)
		if (err == nil) != ok {
			t.Errorf("%s: %v", name, err)
		}
		if err == nil {
			_ = conn.Close()
		}
	}
}
