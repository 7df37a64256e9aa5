package docker

import (
	"context"
	"errors"
	"fmt"
	"net"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/masu-lab/masu"
)

func newTestHost(t *testing.T) Host { return plainHost{} }

type plainHost struct{}

func (plainHost) Rootless() bool { return false }
func (plainHost) Stage(u masu.User, dir, at string, dataset bool) (string, error) {
	return "", unix.Mount(dir, at, "", unix.MS_BIND, "")
}
func (plainHost) Unstage(at string) error {
	err := unix.Unmount(at, unix.MNT_DETACH)
	if errors.Is(err, unix.EINVAL) {
		return nil
	}
	return err
}
func (plainHost) Dial(ctx context.Context, pid int, verify string, port int) (conn net.Conn, err error) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		fd, e := unix.Open(fmt.Sprintf("/proc/%d/ns/net", pid), unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if e != nil {
			err = e
			return
		}
		if err = unix.Setns(fd, unix.CLONE_NEWNET); err != nil {
			return
		}
		conn, err = net.Dial("tcp4", fmt.Sprintf("127.0.0.1:%d", port))
	}()
	<-done
	return
}
func (plainHost) DialSocket(ctx context.Context, path string, uid, port int) (net.Conn, error) {
	return nil, errors.ErrUnsupported
}
