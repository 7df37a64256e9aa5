package masu

import (
	"errors"
	"fmt"
)

// Kind sorts errors by what a program should do about them. Each kind has one
// HTTP status (internal/api) and one exit code (cmd/masu).
type Kind uint8

const (
	Internal    Kind = iota // our fault; the cause is in the log
	Invalid                 // the request is wrong and must be changed
	NotFound                // no such thing, or it is not yours
	Conflict                // the thing is in a state that forbids it
	Denied                  // you may not
	Full                    // no room: disk, GPUs, a limit
	Unreachable             // something masu needs does not answer
	Cancelled               // the person asked to stop
)

var kindNames = [...]string{"internal", "invalid", "not_found", "conflict", "denied", "full", "unreachable", "cancelled"}

func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return fmt.Sprintf("kind(%d)", uint8(k))
}

// ParseKind is the inverse of Kind.String; an unknown name is Internal.
func ParseKind(s string) Kind {
	for i, n := range kindNames {
		if n == s {
			return Kind(i)
		}
	}
	return Internal
}

// Error is an error that a person may be shown. Code names a sentence in
// internal/text (CODE says what and where, CODE.fix says what to do about it)
// and Args fill its blanks; Err is the cause, which goes to the log and never
// to a member.
type Error struct {
	Kind Kind
	Code string
	Args []string
	Err  error
}

// E makes an Error; its args are formatted with fmt.Sprint.
func E(kind Kind, code string, args ...any) *Error {
	e := &Error{Kind: kind, Code: code}
	for _, a := range args {
		e.Args = append(e.Args, fmt.Sprint(a))
	}
	return e
}

// Because returns e with its cause.
func (e *Error) Because(err error) *Error {
	e.Err = err
	return e
}

func (e *Error) Error() string {
	s := e.Code
	for _, a := range e.Args {
		s += " " + a
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

func (e *Error) Unwrap() error { return e.Err }

// KindOf tells the kind of the first Error in err's chain; Internal if there is none.
func KindOf(err error) Kind {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Kind
	}
	return Internal
}

// CodeOf tells the code of the first Error in err's chain; "internal" if there is none.
func CodeOf(err error) string {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Code
	}
	return "internal"
}
