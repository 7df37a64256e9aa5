package main

import (
	"errors"
	"os"
	"os/exec"

	"golang.org/x/sys/windows"
)

// notifySize tells nothing: Windows has no signal for it.
func notifySize(chan<- os.Signal) {}

// ownDescriptor gives the console itself: its handles are not used again while it is open.
func ownDescriptor(fd int) (own int, closeOwn func(), err error) { return fd, func() {}, nil }

// taken tells whether an error means that somebody else has the port.
func taken(err error) bool { return errors.Is(err, windows.WSAEADDRINUSE) }

// become runs another program in this one's place: Windows has no way to exchange them.
func become(path string, argv []string) error {
	c := exec.Command(path, argv[1:]...)
	c.Stdin, c.Stdout, c.Stderr = os.Stdin, os.Stdout, os.Stderr
	err := c.Run()
	if e, ok := errors.AsType[*exec.ExitError](err); ok {
		return passed(e.ExitCode())
	}
	return err
}

// lockFile takes a lock that ends with the process; it fails where another has it.
func lockFile(path string) (release func(), err error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	const how = windows.LOCKFILE_EXCLUSIVE_LOCK | windows.LOCKFILE_FAIL_IMMEDIATELY
	if err := windows.LockFileEx(windows.Handle(f.Fd()), how, 0, 1, 0, &windows.Overlapped{}); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return func() { _ = f.Close() }, nil
}
