package main

import (
	"context"
	"net"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/masu-lab/masu"
)

func (a *app) forwardCommand() *cobra.Command {
	c := a.command("forward", "forward [NAME] PORT[:LOCAL]", groupWork, a.args(1, 2), func(ctx context.Context, args []string) error {
		port, local, err := parsePorts(args[len(args)-1])
		if err != nil {
			return err
		}
		if a.server == nil { // a port of this machine is open to everybody who has a login here
			return masu.E(masu.Invalid, "forward_here")
		}
		return a.with(ctx, func(s service) error {
			name, err := a.which(ctx, s, args[:len(args)-1])
			if err != nil {
				return err
			}
			probe, err := s.Dial(ctx, name, port) // what is wrong is told now, not to a browser later
			if err != nil {
				return err
			}
			_ = probe.Close()
			w, err := openWindow(ctx, strconv.Itoa(local), func(ctx context.Context) (net.Conn, error) { return s.Dial(ctx, name, port) })
			if err != nil {
				return err
			}
			a.print("  http://localhost:" + w.port)
			a.note("forward_open", name, port, w.port)
			return w.serve(ctx)
		})
	})
	c.ValidArgsFunction = a.completeNames
	return c
}

// parsePorts reads "6006" or "6006:16006": the box's port, and this machine's.
func parsePorts(s string) (port, local int, err error) {
	first, second, two := strings.Cut(s, ":")
	if !two {
		second = first
	}
	port, ok := portNumber(first)
	local, good := portNumber(second)
	if !ok || !good {
		return 0, 0, masu.E(masu.Invalid, "ports_wrong", s)
	}
	return port, local, nil
}

func portNumber(s string) (int, bool) {
	n, err := strconv.ParseUint(s, 10, 16)
	return int(n), err == nil && n > 0
}
