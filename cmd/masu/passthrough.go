package main

import (
	"context"
	"os"
	"os/signal"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/masu-lab/masu"
)

// execOptions says how a program in a box hangs on this terminal.
type execOptions struct {
	stdin, tty bool
}

// execFlags gives a command docker's -i and -t. What follows the first
// argument belongs to the program, flags and all.
func (a *app) execFlags(c *cobra.Command, o *execOptions) {
	c.Annotations["passes"] = "yes"
	c.Flags().SetInterspersed(false)
	c.Flags().BoolVarP(&o.stdin, "interactive", "i", false, "")
	c.Flags().BoolVarP(&o.tty, "tty", "t", false, "")
}

// passThrough runs a program in a box on this process's streams and passes its
// exit code on. With neither -i nor -t, a person at a terminal gets both, and a
// script neither.
func (a *app) passThrough(ctx context.Context, e masu.Exec, o execOptions, run func(context.Context, masu.Exec) (int, error)) error {
	in, inTTY := terminal(a.in)
	if a.wantsTTY(o) && !o.tty {
		o.stdin, o.tty = true, true
	}
	if o.tty && o.stdin && !inTTY {
		return masu.E(masu.Invalid, "no_terminal")
	}
	e.Stdout, e.Stderr = a.out, a.err
	if o.stdin {
		e.Stdin = a.in
	}
	if o.tty {
		e.TTY = true
		if t := a.getenv("TERM"); t != "" {
			e.Env = append([]string{"TERM=" + t}, e.Env...)
		}
	}
	if o.tty && inTTY {
		restore, err := a.raw(ctx, in, &e, o.stdin)
		if err != nil {
			return err
		}
		defer restore()
	}
	code, err := run(ctx, e)
	if err != nil {
		return err
	}
	if code != 0 {
		return passed(code)
	}
	return nil
}

// wantsTTY tells whether the program gets a terminal.
func (a *app) wantsTTY(o execOptions) bool {
	_, in := terminal(a.in)
	_, out := terminal(a.out)
	return o.tty || !o.stdin && in && out
}

// raw gives the program the terminal as it is, keys like Ctrl-C included, and
// tells it the terminal's size as it changes.
func (a *app) raw(ctx context.Context, f *os.File, e *masu.Exec, keys bool) (restore func(), err error) {
	e.Size = winSize(f)
	sizes := make(chan masu.WinSize, 1)
	e.Resize = sizes
	signals := make(chan os.Signal, 1)
	notifySize(signals)
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case <-ctx.Done():
				return
			case <-signals:
				select {
				case sizes <- winSize(f):
				case <-ctx.Done():
					return
				}
			}
		}
	}()
	var old *term.State
	if keys {
		if old, err = term.MakeRaw(int(f.Fd())); err != nil {
			err = masu.E(masu.Internal, "no_terminal").Because(err)
		}
	}
	return func() {
		signal.Stop(signals)
		cancel()
		<-ended
		if old != nil {
			_ = term.Restore(int(f.Fd()), old) // nothing can be done about a terminal that is gone
		}
	}, err
}

func winSize(f *os.File) masu.WinSize {
	cols, rows, err := term.GetSize(int(f.Fd()))
	if err != nil {
		return masu.WinSize{}
	}
	return masu.WinSize{Rows: uint16(rows), Cols: uint16(cols)}
}
