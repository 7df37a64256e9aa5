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

// lockFile takes a lock that ends with the process; it fails where another has it.
func lockFile(path string) (release func(), err error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return func() { _ = f.Close() }, nil
}
