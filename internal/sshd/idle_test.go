package sshd

import (
	"fmt"
	"net"
	"runtime"
	"syscall"
	"testing"

	"golang.org/x/crypto/ssh"
)

// BenchmarkIdle tells what a connection keeps that does nothing: the gateway's
// end of it and the client's, which share this process. Members are so many
// that none has more than anybody may.
func BenchmarkIdle(b *testing.B) {
	const connections = 1000
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil || limit.Cur < 3*connections {
		b.Skip("too few files may be open")
	}
	for b.Loop() {
		d := newDesk(b)
		members := connections / clientsMost * 2
		for i := range members {
			name := fmt.Sprintf("m%d", i)
			d.key[name] = newSigner(b)
			d.gate.keys[ssh.FingerprintSHA256(d.key[name].PublicKey())] = d.user(name, 10+i)
		}
		before := heap()
		open := make([]net.Conn, 0, connections)
		for i := range connections {
			open = append(open, d.hold(fmt.Sprintf("m%d", i%members)))
		}
		b.ReportMetric(float64(heap()-before)/connections/1024, "KiB/connection")
		for _, c := range open {
			_ = c.Close()
		}
	}
}

// hold opens a connection that does nothing but answer.
func (d *desk) hold(who string) net.Conn {
	d.Helper()
	conn, err := net.Dial("tcp", d.addr)
	if err != nil {
		d.Fatal(err)
	}
	_, channels, requests, err := ssh.NewClientConn(conn, d.addr, d.config(who, "thesis"))
	if err != nil {
		d.Fatal(err)
	}
	go ssh.DiscardRequests(requests)
	go func() {
		for c := range channels {
			_ = c.Reject(ssh.Prohibited, "")
		}
	}()
	return conn
}

// heap is what is in use, with the stacks.
func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapInuse + m.StackInuse
}
