package agent

import (
	"bytes"
	"net"
	"net/netip"
	"slices"
	"testing"
)

// TestListeners: the kernel's two ways to tell who listens agree.
func TestListeners(t *testing.T) {
	for _, address := range []string{"127.0.0.1:0", "[::1]:0", ":0"} {
		l, err := net.Listen("tcp", address)
		if err != nil {
			t.Logf("%s: %v", address, err) // a host without IPv6
			continue
		}
		defer l.Close()
		at := netip.MustParseAddrPort(l.Addr().String())
		here := func(s socket) bool { return s.listens && s.local.Port() == at.Port() && s.local.Addr() == at.Addr() }
		asked, read := listeners(), sockets()
		i, j := slices.IndexFunc(asked, here), slices.IndexFunc(read, here)
		if i < 0 || j < 0 || asked[i].uid != read[j].uid || asked[i].inode != read[j].inode {
			t.Errorf("%s: asked %v, read %v", at, asked, read)
		}
	}
	if _, err := askListeners(2); err != nil {
		t.Error("the kernel is not asked:", err)
	}
}

func FuzzParseDiag(f *testing.F) {
	done := []byte{20, 0, 0, 0, 3, 0, 2, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0}
	one := append([]byte{88, 0, 0, 0, 20, 0, 2, 0, 1, 0, 0, 0, 1, 0, 0, 0, 2, 10, 0, 0, 0x22, 0xb8}, make([]byte, 66)...)
	f.Add(append(bytes.Clone(one), done...))
	f.Add(one[:40])
	f.Fuzz(func(t *testing.T, b []byte) {
		all, last, err := parseDiag(b)
		if len(all) > len(b)/diagMessage || err != nil && !last {
			t.Errorf("%d sockets of %d bytes, last %v, %v", len(all), len(b), last, err)
		}
	})
}

func BenchmarkListeners(b *testing.B) {
	for b.Loop() {
		listeners()
	}
}

func BenchmarkSockets(b *testing.B) {
	for b.Loop() {
		sockets()
	}
}
