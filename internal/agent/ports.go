package agent

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/masu-lab/masu"
)

// socket is one line of /proc/net/tcp.
type socket struct {
	local, remote netip.AddrPort
	listens, open bool // open: both sides are there
	uid           int
	inode         uint64 // by which the processes that hold it name it
}

// sockets reads the box's TCP sockets, of both families.
func sockets() []socket {
	var all []socket
	for _, name := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		if b, err := os.ReadFile(name); err == nil { // without IPv6 there is no second
			all = append(all, parseSockets(string(b))...)
		}
	}
	return all
}

const (
	tcpOpen   = "01"
	tcpListen = "0A"
)

func parseSockets(table string) []socket {
	var all []socket
	for line := range strings.Lines(table) {
		f := strings.Fields(line)
		if len(f) < 10 {
			continue
		}
		local, ok1 := parseAddrPort(f[1])
		remote, ok2 := parseAddrPort(f[2])
		uid, err1 := strconv.Atoi(f[7])
		inode, err2 := strconv.ParseUint(f[9], 10, 64)
		if ok1 && ok2 && err1 == nil && err2 == nil {
			all = append(all, socket{local, remote, f[3] == tcpListen, f[3] == tcpOpen, uid, inode})
		}
	}
	return all
}

// parseAddrPort reads "0100007F:22B8": the address as words in the machine's
// byte order (masu runs on little-endian ones), the port as a number.
func parseAddrPort(s string) (netip.AddrPort, bool) {
	address, port, _ := strings.Cut(s, ":")
	raw, err := hex.DecodeString(address)
	if err != nil || len(raw) != 4 && len(raw) != 16 {
		return netip.AddrPort{}, false
	}
	for i := 0; i < len(raw); i += 4 {
		binary.BigEndian.PutUint32(raw[i:], binary.LittleEndian.Uint32(raw[i:]))
	}
	n, err := strconv.ParseUint(port, 16, 16)
	if err != nil {
		return netip.AddrPort{}, false
	}
	addr, _ := netip.AddrFromSlice(raw)
	return netip.AddrPortFrom(addr.Unmap(), uint16(n)), true
}

// openPorts are those on which the member's programs listen where the daemon
// can reach them. Ports that the kernel has picked (low to high) are nobody's
// page: a kernel of Jupyter's alone has five of them. Of very many the first are told.
func openPorts(all []socket, uid, low, high int) []int {
	var ports []int
	for _, s := range all {
		port := int(s.local.Port())
		if !s.listens || s.uid != uid || port < 1024 || port == masu.AgentPort || port >= low && port <= high {
			continue
		}
		switch a := s.local.Addr(); {
		case a.IsUnspecified(), a == netip.AddrFrom4([4]byte{127, 0, 0, 1}), a == netip.IPv6Loopback():
			ports = append(ports, port)
		}
	}
	slices.Sort(ports)
	ports = slices.Compact(ports)
	return ports[:min(len(ports), masu.PortsMost)]
}

// pickedPorts is the range from which the kernel picks.
func pickedPorts() (low, high int) {
	b, err := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range")
	if _, scan := fmt.Sscan(string(b), &low, &high); err != nil || scan != nil {
		return 32768, 60999
	}
	return low, high
}

func portName(port int) string { return "p" + strconv.Itoa(port) }

// owner tells whose a connection to the agent is; -1 if it is not known.
func owner(all []socket, from string) int {
	peer, err := netip.ParseAddrPort(from)
	if err != nil {
		return -1
	}
	for _, s := range all {
		if s.local == peer && s.remote.Port() == masu.AgentPort {
			return s.uid
		}
	}
	return -1
}
