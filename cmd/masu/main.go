// Command masu turns a lab's GPU server into the lab's own Colab: it is the
// daemon, the command line, the pages and the first process inside every box.
// This package knows flags, output, configuration and how the parts are put
// together, and nothing else.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

// Set by the linker (Makefile).
var (
	version = "dev"
	commit  = "none"
)

func main() {
	if len(os.Args) > 1 && os.Args[1] == "agent" { // a box's first process: nothing else may cost it time or memory
		os.Exit(agentMain(os.Args[2:]))
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends at once
	os.Exit(run(ctx, os.Args[1:]...))
}

// run is the program: its arguments in, its exit code out.
func run(ctx context.Context, args ...string) int {
	a := newApp(os.Stdin, os.Stdout, os.Stderr, os.Getenv, args)
	if len(args) == 1 && args[0] == "dial-stdio" { // each call from a laptop waits for it: no time for the other commands
		return a.exit(ctx, a.dialStdio(ctx))
	}
	return a.run(ctx, args)
}
