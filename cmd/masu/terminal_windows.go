package main

import (
	"errors"
	"os"

	"golang.org/x/sys/windows"
)

// notifySize tells nothing: Windows has no signal for it.
func notifySize(chan<- os.Signal) {}

// ownDescriptor gives the console itself: its handles are not used again while it is open.
func ownDescriptor(fd int) (own int, closeOwn func(), err error) { return fd, func() {}, nil }

// taken tells whether an error means that somebody else has the port.
func taken(err error) bool { return errors.Is(err, windows.WSAEADDRINUSE) }
