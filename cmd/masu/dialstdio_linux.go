package main

import (
	"context"
	"io"
	"net"
	"os"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/masu-lab/masu"
	"github.com/masu-lab/masu/internal/api"
	"github.com/masu-lab/masu/internal/remote"
)

// dialStdioCommand is the far end of a masu that comes by ssh: it joins its own
// input and output to the daemon's socket, where the kernel says who it is.
func (a *app) dialStdioCommand() *cobra.Command {
	c := a.command("dial-stdio", "dial-stdio", groupOther, a.args(0, 0), func(ctx context.Context, _ []string) error { return a.dialStdio(ctx) })
	c.Hidden = true
	return c
}

func (a *app) dialStdio(ctx context.Context) error {
	conn, err := a.knock(ctx)
	socket := ""
	if err == nil {
		socket = conn.RemoteAddr().String()
	}
	if gone := remote.Greet(a.out, socket, err); err != nil || gone != nil {
		return passed(exitFailed) // the near end tells the reason
	}
	defer conn.Close()
	return a.joinStdio(conn)
}

// knock connects to the first daemon that answers.
func (a *app) knock(ctx context.Context) (conn net.Conn, err error) {
	ctx, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()
	for _, socket := range a.sockets() {
		if conn, err = api.Connect(ctx, socket); err == nil || masu.CodeOf(err) != "no_daemon" {
			break
		}
	}
	return conn, err
}

// joinStdio copies both ways until the daemon has said all, or nobody is left to hear it.
func (a *app) joinStdio(conn net.Conn) error {
	if f, ok := a.out.(*os.File); ok {
		go func() { // ends with the process
			awaitReaderGone(f)
			_ = conn.Close()
		}()
	}
	go func() { // nobody can end a read that waits
		_, _ = io.Copy(conn, a.in)
		if half, ok := conn.(*net.UnixConn); ok {
			_ = half.CloseWrite()
		}
	}()
	_, _ = io.Copy(a.out, conn) // who hears nothing any more has gone
	return nil
}

// awaitReaderGone returns when what is written to f has no reader any more.
func awaitReaderGone(f *os.File) {
	fds := []unix.PollFd{{Fd: int32(f.Fd())}} // only errors and the hang-up are waited for
	for {
		if _, err := unix.Poll(fds, -1); err != unix.EINTR {
			return
		}
	}
}
