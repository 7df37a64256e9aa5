package agent

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/masu-lab/masu"
)

// forwarding is a forwarder with its gateway.
type forwarding struct {
	*testing.T
	orders *json.Encoder
	events *json.Decoder
	door   masu.ForwardEvent
	hangUp func()
	ended  chan error
}

func newForwarding(t *testing.T) *forwarding {
	t.Helper()
	t.Setenv("TMPDIR", t.TempDir())
	in, orders := io.Pipe()
	events, out := io.Pipe()
	f := &forwarding{T: t, orders: json.NewEncoder(orders), events: json.NewDecoder(events), hangUp: func() { _ = orders.Close() }, ended: make(chan error, 1)}
	go func() { f.ended <- forward(t.Context(), in, out) }()
	t.Cleanup(func() { _ = events.Close(); f.hangUp() })
	f.door = f.event()
	return f
}

func (f *forwarding) event() (e masu.ForwardEvent) {
	f.Helper()
	if err := f.events.Decode(&e); err != nil {
		f.Fatal(err)
	}
	return e
}

func (f *forwarding) order(o masu.ForwardOrder) masu.ForwardEvent {
	f.Helper()
	if err := f.orders.Encode(o); err != nil {
		f.Fatal(err)
	}
	return f.event()
}

// call connects to the door and gives what it says.
func (f *forwarding) call(q masu.ForwardCall) (net.Conn, *bufio.Reader, string) {
	f.Helper()
	c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", f.door.Door))
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	if err := json.NewEncoder(c).Encode(q); err != nil {
		f.Fatal(err)
	}
	in := bufio.NewReader(c)
	line, _ := in.ReadString('\n')
	return c, in, line
}

// TestForward: whoever connects to what is listened on in the box is handed over, both ways, and nobody without the secret.
func TestForward(t *testing.T) {
	f := newForwarding(t)
	dir := t.TempDir()
	for i, o := range []masu.ForwardOrder{{Network: masu.ForwardTCP, Address: "127.0.0.1:0"}, {Network: masu.ForwardUnix, Address: filepath.Join(dir, "s")}, {Network: masu.ForwardAgent}} {
		o.ID = i + 1
		e := f.order(o)
		if e.ID != o.ID || e.Error != "" {
			t.Fatalf("%+v: %+v", o, e)
		}
		network := "unix"
		if o.Network == masu.ForwardTCP {
			network = "tcp"
		} else if st, err := os.Stat(e.Address); err != nil || st.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", o.Network, st.Mode(), err)
		}
		program, err := net.Dial(network, e.Address)
		if err != nil {
			t.Fatal(err)
		}
		e = f.event()
		if e.ID != o.ID || e.Call == 0 {
			t.Fatalf("%+v", e)
		}
		if _, _, said := f.call(masu.ForwardCall{Secret: "guess", Call: e.Call}); said != "" {
			t.Errorf("without the secret: %q", said)
		}
		c, in, said := f.call(masu.ForwardCall{Secret: f.door.Secret, Call: e.Call})
		if said != "ok\n" {
			t.Fatal(said)
		}
		fmt.Fprintln(program, "from the box")
		fmt.Fprintln(c, "from the laptop")
		there, _ := in.ReadString('\n')
		here, _ := bufio.NewReader(program).ReadString('\n')
		if there != "from the box\n" || here != "from the laptop\n" {
			t.Errorf("%s: %q, %q", o.Network, there, here)
		}
		_ = program.Close()
		if _, _, said := f.call(masu.ForwardCall{Secret: f.door.Secret, Call: e.Call}); said == "ok\n" {
			t.Error("somebody is handed over twice")
		}
	}
	f.hangUp()
	if err := <-f.ended; err != nil {
		t.Error(err)
	}
	if left, _ := filepath.Glob(filepath.Join(os.Getenv("TMPDIR"), "*")); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
	if _, err := os.Lstat(filepath.Join(dir, "s")); err == nil {
		t.Error("a socket is left behind")
	}
}

// TestForwardRefuses: only the box's own loopback is listened on, and nothing twice; a socket of the box is reached by its path.
func TestForwardRefuses(t *testing.T) {
	f := newForwarding(t)
	first := f.order(masu.ForwardOrder{ID: 1, Network: masu.ForwardTCP, Address: "127.0.0.1:0"})
	for _, o := range []masu.ForwardOrder{
		{ID: 2, Network: masu.ForwardTCP, Address: "0.0.0.0:0"}, {ID: 3, Network: masu.ForwardTCP, Address: ":0"}, {ID: 4, Network: masu.ForwardTCP, Address: first.Address},
		{ID: 5, Network: masu.ForwardUnix, Address: "/nowhere/s"}, {ID: 6, Network: "udp", Address: "127.0.0.1:0"}, {ID: 1, Network: masu.ForwardTCP, Address: "127.0.0.1:0"},
	} {
		if e := f.order(o); e.ID != o.ID || e.Error == "" {
			t.Errorf("%+v: %+v", o, e)
		}
	}
	if err := f.orders.Encode(masu.ForwardOrder{ID: 1}); err != nil {
		t.Fatal(err)
	}
	if e := f.order(masu.ForwardOrder{ID: 7, Network: masu.ForwardTCP, Address: first.Address}); e.Error != "" {
		t.Errorf("a port that is free again: %+v", e)
	}
	path := filepath.Join(t.TempDir(), "server")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		if c, err := l.Accept(); err == nil {
			_, _ = io.Copy(c, c)
			_ = c.Close()
		}
	}()
	c, in, said := f.call(masu.ForwardCall{Secret: f.door.Secret, Socket: path})
	fmt.Fprintln(c, "echo")
	if back, _ := in.ReadString('\n'); said != "ok\n" || back != "echo\n" {
		t.Errorf("a socket: %q, %q", said, back)
	}
	if _, _, said := f.call(masu.ForwardCall{Secret: f.door.Secret, Socket: path + "x"}); !strings.Contains(said, "no such file") {
		t.Errorf("a socket that is not there: %q", said)
	}
}
