package sshd

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
)

// TestListensInside: whoever connects to what the laptop listens on in the box is there, both ways, and not any more when it is cancelled.
func TestListensInside(t *testing.T) {
	d := newDesk(t)
	d.up("alice", "thesis", false) // it is started for this
	c := d.dial("alice", "thesis")
	for _, where := range [][2]string{{"tcp", "127.0.0.1:0"}, {"unix", filepath.Join(t.TempDir(), "s")}} {
		l, err := c.Listen(where[0], where[1])
		if err != nil {
			t.Fatal(where, err)
		}
		served := make(chan error, 1)
		go func() {
			conn, err := l.Accept()
			if err == nil {
				_, _ = io.Copy(conn, conn)
				err = conn.Close()
			}
			served <- err
		}()
		program, err := net.Dial(where[0], l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		want := bytes.Repeat([]byte("x"), 1<<20)
		go func() { _, _ = program.Write(want) }()
		got := make([]byte, len(want))
		if _, err := io.ReadFull(program, got); err != nil || !bytes.Equal(got, want) {
			t.Error(where, err)
		}
		_ = program.Close()
		if err := <-served; err != nil {
			t.Error(err)
		}
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		for limit := time.Now().Add(20 * time.Second); ; { // the helper hears of it soon
			program, err := net.Dial(where[0], l.Addr().String())
			if err != nil {
				break
			}
			_ = program.Close()
			if time.Now().After(limit) {
				t.Fatal("it is still listened on")
			}
		}
	}
}

// TestListensNowhereElse: rows H3, H4: no other address than the box's own loopback, and no more than a few.
func TestListensNowhereElse(t *testing.T) {
	d := newDesk(t)
	d.up("alice", "thesis", true)
	d.up("bob", "secret", true)
	c := d.dial("alice", "thesis")
	ask := func(c *ssh.Client, host string, port uint32) bool {
		ok, _, err := c.SendRequest("tcpip-forward", true, ssh.Marshal(struct {
			Host string
			Port uint32
		}{host, port}))
		return ok && err == nil
	}
	for _, host := range []string{"0.0.0.0", "::", "*", "192.168.0.1", "127.0.0.2", "example.ac.jp"} {
		if ask(c, host, 0) {
			t.Errorf("it listens on %s", host)
		}
	}
	if ask(c, "localhost", 1<<20) {
		t.Error("a port that is none")
	}
	for i := range listenedMost + 1 {
		if ask(c, "localhost", 0) != (i < listenedMost) {
			t.Errorf("number %d", i)
		}
	}
	if ask(d.dial("alice", "secret"), "localhost", 0) {
		t.Error("in another's box")
	}
	d.gate.limits.NoForward = true
	if ask(d.dial("alice", "thesis"), "localhost", 0) {
		t.Error("by a key that may not")
	}
}

// TestSockets: a socket in the box is reached by its path.
func TestSockets(t *testing.T) {
	d := newDesk(t)
	d.up("alice", "thesis", true)
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		if conn, err := l.Accept(); err == nil {
			fmt.Fprintln(conn, "from a socket")
			_ = conn.Close()
		}
	}()
	c := d.dial("alice", "thesis")
	conn, err := c.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	if line, _ := bufio.NewReader(conn).ReadString('\n'); line != "from a socket\n" {
		t.Errorf("%q", line)
	}
	for _, path := range []string{path + "x", "", strings.Repeat("x", 200)} {
		if _, err := c.Dial("unix", path); err == nil {
			t.Errorf("to %q", path)
		}
	}
}

// TestAgent: the laptop's agent answers in the member's own box, if the lab lets it and the key may.
func TestAgent(t *testing.T) {
	keys := agent.NewKeyring()
	for _, x := range []struct {
		what             string
		off, limited, in bool
	}{{"forwarded", false, false, true}, {"off in the lab", true, false, false}, {"no-agent-forwarding", false, true, false}} {
		d := newDesk(t, func(c *Config) { c.AgentForwarding = !x.off })
		d.up("alice", "thesis", true)
		d.gate.limits.NoAgent = x.limited
		c := d.dial("alice", "thesis")
		if err := agent.ForwardToAgent(c, keys); err != nil {
			t.Fatal(err)
		}
		s, err := c.NewSession()
		if err != nil {
			t.Fatal(err)
		}
		if err := agent.RequestAgentForwarding(s); (err == nil) != x.in {
			t.Errorf("%s: %v", x.what, err)
		}
		if err := s.Run("true"); err != nil {
			t.Error(err)
		}
		socket := ""
		for _, kv := range d.last.Env {
			if path, ok := strings.CutPrefix(kv, "SSH_AUTH_SOCK="); ok {
				socket = path
			}
		}
		if x.in != (socket != "") {
			t.Errorf("%s: the box is told %q", x.what, d.last.Env)
		}
		if !x.in {
			continue
		}
		if st, err := os.Stat(socket); err != nil || st.Mode().Perm() != 0o600 {
			t.Errorf("its socket: %v, %v", st, err)
		}
		conn, err := net.Dial("unix", socket)
		if err != nil {
			t.Fatal(err)
		}
		if list, err := agent.NewClient(conn).List(); err != nil || len(list) != 0 {
			t.Errorf("the agent says %v, %v", list, err)
		}
		_ = c.Close()
		for limit := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
			if _, err := os.Lstat(filepath.Dir(socket)); os.IsNotExist(err) {
				break
			}
			if time.Now().After(limit) {
				t.Fatal("its socket is still there")
			}
		}
	}
}
