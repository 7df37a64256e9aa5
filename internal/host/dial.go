package host

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Dial connects to a port on the loopback of a process's network namespace.
// verify, a container's ID, must stand in the process's cgroup: the number may
// by now be another process's. The connection is a plain *net.TCPConn. Where
// nothing listens on 127.0.0.1, ::1 is tried.
func (h *Host) Dial(ctx context.Context, pid int, verify string, port int) (net.Conn, error) {
	if !h.cfg.Root {
		return nil, errors.New("host: no other namespace is entered without root")
	}
	if err := ctx.Err(); err != nil {
		return nil, context.Cause(ctx)
	}
	ns, err := netOf(pid, verify)
	if err != nil {
		return nil, err
	}
	defer unix.Close(ns)
	conn, err := h.dialIn(ctx, ns, unix.AF_INET, &unix.SockaddrInet4{Port: port, Addr: [4]byte{127, 0, 0, 1}})
	if errors.Is(err, unix.ECONNREFUSED) {
		conn6, err6 := h.dialIn(ctx, ns, unix.AF_INET6, &unix.SockaddrInet6{Port: port, Addr: [16]byte{15: 1}})
		if err6 == nil {
			return conn6, nil
		}
	}
	if err != nil {
		return nil, fmt.Errorf("host: dial port %d of process %d: %w", port, pid, err)
	}
	return conn, nil
}

// netOf opens the network namespace of a process. All is read through one
// descriptor of the process's folder, which answers for that process alone: if
// it has ended, nothing is read of one that got its number.
func netOf(pid int, verify string) (int, error) {
	if pid <= 0 || len(verify) < 12 {
		return -1, fmt.Errorf("host: process %d, container %q: not enough to be sure", pid, verify)
	}
	proc, err := unix.Open(fmt.Sprintf("/proc/%d", pid), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("host: process %d: %w", pid, err)
	}
	defer unix.Close(proc)
	dir := fmt.Sprintf("/proc/self/fd/%d/", proc)
	cgroup, err := os.ReadFile(dir + "cgroup")
	if err != nil {
		return -1, fmt.Errorf("host: process %d: %w", pid, err)
	}
	if !strings.Contains(string(cgroup), verify) {
		return -1, fmt.Errorf("host: process %d is not of container %.12s", pid, verify)
	}
	ns, err := unix.Open(dir+"ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("host: process %d: %w", pid, err)
	}
	return ns, nil
}

// dialIn makes a socket inside the namespace. A socket stays in the namespace
// it was made in, so the thread can come back before it connects.
func (h *Host) dialIn(ctx context.Context, ns, family int, to unix.Sockaddr) (net.Conn, error) {
	fd := -1
	err := onThread(
		func() error { return unix.Setns(ns, unix.CLONE_NEWNET) },
		func() error { return unix.Setns(h.homeNet, unix.CLONE_NEWNET) },
		func() (err error) {
			fd, err = unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
			return err
		})
	if fd < 0 {
		return nil, err
	}
	f := os.NewFile(uintptr(fd), "box")
	defer f.Close()
	if err != nil {
		return nil, err
	}
	if err := connect(ctx, f, to); err != nil {
		return nil, err
	}
	return net.FileConn(f)
}

// connect waits for the connection as the runtime waits for any other, with no thread of its own.
func connect(ctx context.Context, f *os.File, to unix.Sockaddr) error {
	raw, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var begun error
	if err := raw.Control(func(fd uintptr) { begun = unix.Connect(int(fd), to) }); err != nil {
		return err
	}
	if !errors.Is(begun, unix.EINPROGRESS) {
		return begun
	}
	stop := context.AfterFunc(ctx, func() { _ = f.SetWriteDeadline(time.Unix(1, 0)) })
	defer stop()
	var ended error
	err = raw.Write(func(fd uintptr) bool { // asked at once, and again whenever the kernel has news
		var code int
		if code, ended = unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_ERROR); ended == nil && code != 0 {
			ended = unix.Errno(code)
		}
		if ended != nil {
			return true
		}
		_, ended = unix.Getpeername(int(fd))
		return !errors.Is(ended, unix.ENOTCONN)
	})
	if err == nil {
		return ended
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}
