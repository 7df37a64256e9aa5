package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/masu-lab/masu"
)

// endDaemon ends the daemon that answers at this user's own socket, and waits
// until it has gone. Boxes go on; whoever starts the next daemon finds them.
// None that answers is ended already.
func (a *app) endDaemon(ctx context.Context) error {
	pid, err := daemonAt(a.ownSocket())
	if err != nil || pid == 0 {
		return err
	}
	a.note("daemon_ends", pid)
	if err := syscall.Kill(pid, syscall.SIGTERM); err != nil && !errors.Is(err, syscall.ESRCH) {
		return masu.E(masu.Denied, "daemon_stays", pid).Because(err)
	}
	ctx, cancel := context.WithTimeout(ctx, daemonTime)
	defer cancel()
	for syscall.Kill(pid, 0) == nil && !zombie(pid) {
		select {
		case <-ctx.Done():
			return masu.E(masu.Conflict, "daemon_stays", pid).Because(context.Cause(ctx))
		case <-time.After(20 * time.Millisecond):
		}
	}
	return nil
}

// daemonAt asks the kernel which process listens at a socket; 0 if none does.
func daemonAt(socket string) (pid int, err error) {
	c, err := net.Dial("unix", socket)
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED) {
		return 0, nil
	}
	if err != nil {
		return 0, masu.E(masu.Denied, "socket_denied", socket).Because(err)
	}
	defer c.Close()
	raw, err := c.(*net.UnixConn).SyscallConn()
	if err != nil {
		return 0, err
	}
	var who *unix.Ucred
	var sockErr error
	if err := raw.Control(func(fd uintptr) { who, sockErr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) }); err != nil {
		return 0, err
	}
	if sockErr != nil {
		return 0, sockErr
	}
	if argv, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", who.Pid)); err != nil || !isDaemon(argv) {
		return 0, masu.E(masu.Conflict, "daemon_stays", who.Pid).Because(err)
	}
	return int(who.Pid), nil
}

// isDaemon tells whether a command line is that of `masu serve`; systemd, which
// may hold the socket of a service, is not to be ended.
func isDaemon(cmdline []byte) bool {
	argv := strings.Split(string(cmdline), "\x00")
	return len(argv) > 1 && strings.HasPrefix(filepath.Base(argv[0]), "masu") && argv[1] == "serve"
}

// zombie tells whether a process has ended and only waits to be noticed.
func zombie(pid int) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return true
	}
	_, rest, _ := strings.Cut(string(b), ") ")
	return strings.HasPrefix(rest, "Z")
}
