package agent

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/masu-lab/masu"
)

const (
	table4 = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1DC9 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 389175 2 0000000081241a5b 100 0 0 10 0
   1: 0100007F:22B8 00000000:0000 0A 00000000:00000000 00:00000000 00000000 30001        0 390385 1 0000000076775676 100 0 0 10 0
   2: 00000000:1388 00000000:0000 0A 00000000:00000000 00:00000000 00000000 30001        0 390386 1 0000000076775676 100 0 0 10 0
   3: 0B00007F:8A2F 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 390387 1 0000000076775676 100 0 0 10 0
   4: 0100007F:B1F7 00000000:0000 0A 00000000:00000000 00:00000000 00000000 30001        0 390388 1 0000000076775676 100 0 0 10 0
   5: 0100007F:0050 00000000:0000 0A 00000000:00000000 00:00000000 00000000 30001        0 390389 1 0000000076775676 100 0 0 10 0
   6: 020011AC:1389 00000000:0000 0A 00000000:00000000 00:00000000 00000000 30001        0 390390 1 0000000076775676 100 0 0 10 0
   7: 0100007F:138A 00000000:0000 0A 00000000:00000000 00:00000000 00000000 30002        0 390391 1 0000000076775676 100 0 0 10 0
   8: 0100007F:AB9A 0100007F:1DC9 01 00000000:00000000 00:00000000 00000000 30001        0 390392 1 0000000076775676 100 0 0 10 0
   9: 0100007F:1F90 0100007F:AB00 01 00000000:00000000 00:00000000 00000000 30001        0 390393 1 0000000076775676 100 0 0 10 0
  10: 0100007F:AB9B 0100007F:1DC9 01 00000000:00000000 00:00000000 00000000     0        0 390394 1 0000000076775676 100 0 0 10 0
  11: garbage
`
	table6 = `  sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000000000000000000001000000:1435 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000 30001        0 1 1 0 100 0 0 10 0
   1: 00000000000000000000000000000000:1388 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000 30001        0 2 1 0 100 0 0 10 0
   2: 0000000000000000FFFF00000100007F:1771 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000 30001        0 3 1 0 100 0 0 10 0
   3: B80D01200000000000000000010000FF:1772 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000 30001        0 4 1 0 100 0 0 10 0
`
)

func TestOpenPorts(t *testing.T) {
	all := append(parseSockets(table4), parseSockets(table6)...)
	// 5000 on all addresses (twice), 5173 on ::1, 6001 on ::ffff:127.0.0.1, 8888 on 127.0.0.1; none of others',
	// none of the agent's, none below 1024, none that the kernel has picked, none on other addresses.
	if got, want := openPorts(all, 30001, 32768, 60999), []int{5000, 5173, 6001, 8888}; !slices.Equal(got, want) {
		t.Errorf("ports %v, want %v", got, want)
	}
	if got := openPorts(all, 0, 32768, 60999); len(got) > 0 {
		t.Errorf("root's ports %v: the agent's and the engine's are nobody's apps", got)
	}
	var many []socket
	for port := 65535; port >= 1024; port-- { // every look at the workspace would carry them
		many = append(many, socket{local: netip.AddrPortFrom(netip.IPv6Unspecified(), uint16(port)), listens: true, uid: 30001})
	}
	if got := openPorts(many, 30001, 32768, 60999); len(got) != masu.PortsMost || got[0] != 1024 {
		t.Errorf("%d ports are told, from %d", len(got), got[0])
	}
}

func TestOwner(t *testing.T) {
	all := parseSockets(table4)
	for from, want := range map[string]int{"127.0.0.1:43930": 30001, "127.0.0.1:43931": 0, "127.0.0.1:8080": -1, "127.0.0.1:1": -1, "@": -1, "": -1} {
		if got := owner(all, from); got != want {
			t.Errorf("%s is %d's, want %d", from, got, want)
		}
	}
}

// TestOwnSocket reads the kernel's real tables.
func TestOwnSocket(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	port := l.Addr().(*net.TCPAddr).Port
	if !slices.Contains(openPorts(sockets(), os.Geteuid(), 0, 0), port) {
		t.Errorf("port %d is not found", port)
	}
	if low, high := pickedPorts(); port < low || port > high {
		t.Errorf("the kernel picked %d, which is not from %d to %d", port, low, high)
	}
}

func TestStatePorts(t *testing.T) {
	s := newState()
	s.change(func(s *state) { s.received, s.asked = true, startOf(masu.NamedApps("jupyter")) })
	then := time.Now().Add(-time.Hour)
	begun := func(port int) string { return fmt.Sprint("serve ", port) }
	s.ports([]int{9000, 5000, 8888}, then, begun)
	_, changed := s.now()
	s.ports([]int{5000, 9000, 8888}, time.Now(), func(int) string { t.Error("what is known is asked for again"); return "" })
	status, still := s.now()
	if changed != still {
		t.Error("nothing has changed, but it was told")
	}
	names := func() (out []string) {
		for _, a := range status.Apps {
			out = append(out, a.Name)
		}
		return out
	}
	if got := names(); !slices.Equal(got, []string{"jupyter", "p5000", "p9000"}) || !status.Apps[1].Since.Equal(then) || status.Apps[2].Command != "serve 9000" {
		t.Errorf("apps %+v", status.Apps)
	}
	if status.Ready {
		t.Error("ready without jupyter")
	}
	s.app("jupyter", func(a *masu.App) { a.Ready = true })
	s.ports(nil, time.Now(), begun)
	if status, _ = s.now(); !status.Ready || len(status.Apps) != 1 {
		t.Errorf("%+v", status)
	}
}

func TestActiveAt(t *testing.T) {
	s := newState()
	before, _ := s.now()
	s.activeAt(before.ActiveAt.Add(-time.Hour))
	s.activeAt(before.ActiveAt.Add(activityStep - 1))
	if now, _ := s.now(); !now.ActiveAt.Equal(before.ActiveAt) {
		t.Errorf("%v, then %v", before.ActiveAt, now.ActiveAt)
	}
	later := before.ActiveAt.Add(activityStep)
	s.activeAt(later)
	if now, _ := s.now(); !now.ActiveAt.Equal(later) {
		t.Errorf("%v, want %v", now.ActiveAt, later)
	}
}
