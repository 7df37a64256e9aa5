//go:build unix

package main

import (
	"errors"
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/sys/unix"
)

// notifySize tells when the terminal's size changes.
func notifySize(to chan<- os.Signal) { signal.Notify(to, syscall.SIGWINCH) }

// ownDescriptor gives a terminal a second descriptor.
func ownDescriptor(fd int) (own int, closeOwn func(), err error) {
	own, err = unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	return own, func() { _ = unix.Close(own) }, err
}

// taken tells whether an error means that somebody else has the port.
func taken(err error) bool { return errors.Is(err, unix.EADDRINUSE) }

// become puts another program in this one's place.
func become(path string, argv []string) error { return syscall.Exec(path, argv, os.Environ()) }
