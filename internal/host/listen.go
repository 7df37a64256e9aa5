package host

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

const handOverTime = 5 * time.Second // for whoever has called to take what they called for

// Listen opens a unix socket without a file, by its abstract name ("@name"), in
// the network namespace of a process: whoever is in that namespace can reach
// it, and nobody else. verify is as for Dial.
func (h *Host) Listen(pid int, verify, name string) (*net.UnixListener, error) {
	if !h.cfg.Root {
		return nil, errors.New("host: no other namespace is entered without root")
	}
	ns, err := netOf(pid, verify)
	if err != nil {
		return nil, err
	}
	defer unix.Close(ns)
	fd := -1
	err = onThread(
		func() error { return unix.Setns(ns, unix.CLONE_NEWNET) },
		func() error { return unix.Setns(h.homeNet, unix.CLONE_NEWNET) },
		func() (err error) {
			fd, err = unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
			return err
		})
	if fd < 0 {
		return nil, err
	}
	f := os.NewFile(uintptr(fd), name)
	defer f.Close()
	if err == nil {
		err = unix.Bind(fd, &unix.SockaddrUnix{Name: name}) // the socket is of the namespace it was made in
	}
	if err == nil {
		err = unix.Listen(fd, 4)
	}
	if err != nil {
		return nil, fmt.Errorf("host: listen in process %d: %w", pid, err)
	}
	l, err := net.FileListener(f)
	if err != nil {
		return nil, err
	}
	return l.(*net.UnixListener), nil
}

// HandOver gives open files to the first of those who call at a socket of
// Listen's who is root where they are, and returns when they have said that they have them.
func HandOver(l *net.UnixListener, files []int) error {
	for {
		conn, err := l.AcceptUnix()
		if err != nil {
			return err
		}
		cred, err := credentials(conn)
		if err != nil || cred.Uid != 0 {
			_ = conn.Close()
			continue
		}
		_ = conn.SetDeadline(time.Now().Add(handOverTime)) // an error is one of the next lines too
		_, _, err = conn.WriteMsgUnix([]byte{1}, unix.UnixRights(files...), nil)
		if err == nil {
			_, err = io.ReadFull(conn, make([]byte, 1))
		}
		return errors.Join(err, conn.Close())
	}
}
