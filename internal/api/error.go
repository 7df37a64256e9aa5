package api

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"

	"github.com/masu-lab/masu"
)

// statuses gives each kind its HTTP status. The kind itself travels in the
// body; the status is for people with curl and for proxies.
var statuses = map[masu.Kind]int{
	masu.Internal:    http.StatusInternalServerError,
	masu.Invalid:     http.StatusBadRequest,
	masu.NotFound:    http.StatusNotFound,
	masu.Conflict:    http.StatusConflict,
	masu.Denied:      http.StatusForbidden,
	masu.Full:        http.StatusInsufficientStorage,
	masu.Unreachable: http.StatusServiceUnavailable,
	masu.Cancelled:   499, // as nginx has it: the client closed the request
}

// wireError is an error as it travels. The cause stays behind.
type wireError struct {
	Kind string   `json:"kind"`
	Code string   `json:"code"`
	Args []string `json:"args,omitempty"`
}

func toWire(err error) *wireError {
	e, ok := errors.AsType[*masu.Error](err)
	if !ok {
		e = masu.E(masu.Internal, "internal")
	}
	return &wireError{e.Kind.String(), e.Code, e.Args}
}

func (e *wireError) err() error {
	return &masu.Error{Kind: masu.ParseKind(e.Kind), Code: e.Code, Args: e.Args}
}

// decodeError reads the body of an answer that is no success.
func decodeError(body io.Reader) error {
	var e wireError
	if err := json.NewDecoder(io.LimitReader(body, maxBody)).Decode(&e); err != nil || e.Code == "" {
		return masu.E(masu.Unreachable, "not_masu").Because(err)
	}
	return e.err()
}

// spoken gives every error that leaves the server the form of a masu.Error: a
// context that has ended was either the daemon's, or the one who asked has gone.
func spoken(ctx context.Context, err error) error {
	if _, ok := errors.AsType[*masu.Error](err); ok {
		return err
	}
	switch {
	case ctx.Err() != nil:
		return masu.E(masu.Unreachable, "daemon_stopping").Because(err)
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return masu.E(masu.Cancelled, "cancelled").Because(err)
	}
	return masu.E(masu.Internal, "internal").Because(err)
}

// lost explains a failed exchange to the client's caller.
func lost(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return masu.E(masu.Cancelled, "cancelled").Because(context.Cause(ctx))
	}
	if e, ok := errors.AsType[*masu.Error](err); ok {
		return e // without the exchange around it
	}
	return masu.E(masu.Unreachable, "daemon_gone").Because(err)
}
