package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/masu-lab/masu"
)

// passwordTries bounds how often a person at a terminal is asked again.
const passwordTries = 3

func (a *app) passwdCommand() *cobra.Command {
	return a.command("passwd", "passwd", groupServer, a.args(0, 0), func(ctx context.Context, _ []string) error {
		return a.with(ctx, func(s service) error { return a.passwd(ctx, s) })
	})
}

// passwd asks twice, as the guide's script did: Enter twice sets no password,
// DONE is success and RETRY is not. Unlike it, no mistake ends in a crash.
func (a *app) passwd(ctx context.Context, s masu.Service) error {
	tries := 1
	if a.interactive() {
		tries = passwordTries
		a.note("passwd_ask")
	}
	var err error
	for range tries {
		if err = a.passwdOnce(ctx, s); err == nil {
			a.print("DONE")
			return nil
		}
		if ctx.Err() != nil {
			return err
		}
		a.print("RETRY")
		if k := masu.KindOf(err); k != masu.Invalid {
			return err
		}
		if tries > 1 {
			a.tell(err)
		}
	}
	if tries > 1 {
		return passed(exitUsage) // every mistake has been told already
	}
	return err
}

func (a *app) passwdOnce(ctx context.Context, s masu.Service) error {
	first, err := a.secret(ctx, "passwd_first")
	if err != nil {
		return err
	}
	second, err := a.secret(ctx, "passwd_second")
	if err != nil {
		return err
	}
	if first != second {
		return masu.E(masu.Invalid, "passwd_differ")
	}
	if err := s.SetPassword(ctx, first); err != nil {
		return err
	}
	if first == "" {
		a.note("passwd_none")
	}
	return nil
}

// secret reads a line without showing it; from a pipe it just reads a line.
func (a *app) secret(ctx context.Context, prompt string) (string, error) {
	f, tty := terminal(a.in)
	if !tty {
		line, err := a.readLine(ctx)
		if errors.Is(err, io.EOF) {
			if line != "" {
				return line, nil // a last line without its end
			}
			return "", masu.E(masu.Invalid, "passwd_short_input").Because(err)
		}
		return line, err
	}
	fmt.Fprint(a.err, a.say(prompt)+" ")
	defer fmt.Fprintln(a.err)
	fd := int(f.Fd())
	old, err := term.GetState(fd)
	if err != nil {
		return "", err
	}
	type answer struct {
		line []byte
		err  error
	}
	// The read outlives a cancelled wait, because a terminal's cannot be
	// interrupted; so it has a descriptor of its own, whose number nobody else gets.
	own, closeOwn, err := ownDescriptor(fd)
	if err != nil {
		return "", err
	}
	got := make(chan answer, 1)
	go func() {
		defer closeOwn()
		line, err := term.ReadPassword(own)
		got <- answer{line, err}
	}()
	select {
	case <-ctx.Done():
		_ = term.Restore(fd, old)
		return "", ctx.Err()
	case g := <-got:
		if errors.Is(g.err, io.EOF) {
			return "", masu.E(masu.Invalid, "passwd_short_input").Because(g.err)
		}
		return string(g.line), g.err
	}
}
