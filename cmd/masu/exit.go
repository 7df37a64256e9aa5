package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/pflag"

	"github.com/masu-lab/masu"
	"github.com/masu-lab/masu/internal/text"
)

// Exit codes: 126 and 127 come from the runtime, as docker's do.
const (
	exitFailed    = 1
	exitUsage     = 2
	exitCancelled = 3
	exitDenied    = 4
	exitFull      = 5
	exitMasu      = 125 // masu itself failed where a program's own code would be passed on
	exitInterrupt = 130
)

// exitCodes says how a program sees each kind of error.
var exitCodes = map[masu.Kind]int{
	masu.Internal:    exitFailed,
	masu.Invalid:     exitUsage,
	masu.NotFound:    exitFailed,
	masu.Conflict:    exitFailed,
	masu.Denied:      exitDenied,
	masu.Full:        exitFull,
	masu.Unreachable: exitFailed,
	masu.Cancelled:   exitCancelled,
}

// passed is the exit code of a program that ran in a box, or one whose reason
// has already been told.
type passed int

func (p passed) Error() string { return fmt.Sprintf("exit code %d", int(p)) }

// exit tells a person what went wrong, if anything did, and gives the exit code.
func (a *app) exit(ctx context.Context, err error) int {
	var code passed
	switch {
	case err == nil:
		return 0
	case errors.As(err, &code):
		return int(code)
	case ctx.Err() != nil && (errors.Is(err, context.Canceled) || masu.KindOf(err) == masu.Cancelled):
		return exitInterrupt // Ctrl-C: the person knows why
	}
	a.tell(err)
	if a.passing {
		return exitMasu
	}
	return exitCodes[masu.KindOf(err)]
}

// tell writes what happened and what to do about it.
func (a *app) tell(err error) {
	message, fix := text.Error(a.lang, err)
	red, normal := "", ""
	if a.colourful(a.err) {
		red, normal = "\x1b[31m", "\x1b[0m"
	}
	fmt.Fprintf(a.err, "%s%s%s %s\n", red, a.say("error_mark"), normal, short(message))
	e, ours := errors.AsType[*masu.Error](err)
	switch {
	case !ours:
		fmt.Fprintf(a.err, "  %v\n", err) // this very process failed: nobody else's log has it
	case a.debug:
		fmt.Fprintf(a.err, "  [%s %s] %v\n", e.Kind, e.Code, err)
	}
	for line := range strings.Lines(fix) {
		fmt.Fprintln(a.err, "→", strings.TrimSuffix(line, "\n"))
	}
}

// flagError gives pflag's complaints in the person's language.
func flagError(err error, command string) error {
	if errors.Is(err, pflag.ErrHelp) {
		return err
	}
	if e, ok := errors.AsType[*pflag.NotExistError](err); ok {
		name := "--" + e.GetSpecifiedName()
		if e.GetSpecifiedShortnames() != "" {
			name = "-" + e.GetSpecifiedName()
		}
		return masu.E(masu.Invalid, "flag_unknown", name, command)
	}
	if e, ok := errors.AsType[*pflag.ValueRequiredError](err); ok {
		name := "--" + e.GetSpecifiedName()
		if e.GetSpecifiedShortnames() != "" {
			name = "-" + e.GetSpecifiedName()
		}
		return masu.E(masu.Invalid, "flag_needs_value", name, command)
	}
	if e, ok := errors.AsType[*pflag.InvalidValueError](err); ok {
		if _, ours := errors.AsType[*masu.Error](e.Unwrap()); ours {
			return e.Unwrap()
		}
		return masu.E(masu.Invalid, "flag_wrong_value", "--"+e.GetFlag().Name, e.GetValue(), command)
	}
	return masu.E(masu.Invalid, "flag_syntax", err, command)
}
