// Package client lets Go programs use a lab: what it gives is the very
// masu.Service that the pages and the masu command use.
//
//	lab, err := client.Open("https://gpu.example.ac.jp", os.Getenv("MASU_TOKEN"))
//	…
//	all, err := lab.Workspaces(ctx, false)
//
// Errors are *masu.Error: their Kind says what a program should do, their Code
// which sentence people read. A call ends when its context does.
package client

import (
	"context"
	"io"

	"github.com/masu-lab/masu"
	"github.com/masu-lab/masu/internal/api"
)

// Client is a lab as its daemon serves it. Many may use one at once.
type Client interface {
	masu.Service
	io.Closer
}

// Socket is where a lab's daemon listens for programs of its own host.
const Socket = "/run/masu/masu.sock"

// Dial speaks to the daemon of this host at a unix socket, as the login under
// which the program runs; the kernel says who that is. Unreachable "no_daemon"
// means that none answers.
func Dial(ctx context.Context, socket string) (Client, error) {
	return api.Dial(ctx, socket, api.ClientOptions{})
}

// Open speaks to a lab over the network, by the address of its pages and a token
// (masu token add, or the settings page); Invalid "address_wrong" for what is no
// address. Denied "token_needed" from a call means that the token does not serve.
// Exec, Logs, Run and Dial take a connection over, and need a socket: over the
// network they are NotFound "no_route".
func Open(address, token string) (Client, error) { return api.Open(address, token) }
