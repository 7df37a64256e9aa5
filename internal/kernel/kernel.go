// Package kernel runs code in a Jupyter kernel the way a browser does: over
// Jupyter's REST interface and the kernel's WebSocket, with cookies, the XSRF
// token and an Origin, and with nothing that a browser would not have.
package kernel

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/masu-lab/masu"
)

// Client speaks to one Jupyter server.
type Client struct {
	HTTP *http.Client // with a cookie jar that holds the member's session
	Base string       // origin, "http://NAME--USER.localhost:8888", no slash at the end
	Most int64        // bytes of one message of a kernel; 0 means 16 MiB
}

// Result is what a cell gave.
type Result struct {
	Output string        // what it printed and its last value, as text, in order
	Kernel time.Duration // from asking for a kernel until it answered
	Took   time.Duration // from sending the cell until the kernel was idle again
}

// closeIn bounds the goodbye to a kernel whose caller may have gone.
const closeIn = 5 * time.Second

// Run starts a kernel in the server's root folder, runs code in it and shuts
// the kernel down. A cell that raises is Invalid "cell_failed" (argument: the
// error); a kernel that dies is Unreachable "kernel_died"; a server that does
// not behave like Jupyter is Unreachable "jupyter_unreachable" (argument: what
// was asked). Closing ctx ends it.
func (c *Client) Run(ctx context.Context, code string) (Result, error) {
	begin := time.Now()
	s, err := c.Open(ctx, Document{Path: "masu-check-" + strings.ToLower(rand.Text()[:8]), Type: "console"})
	if err != nil {
		return Result{}, err
	}
	defer s.Close(ctx) // its failure is not the cell's: the server ends idle kernels with the box
	r := Result{Kernel: time.Since(begin)}
	sent := time.Now()
	var out strings.Builder
	reply, err := s.channel.execute(ctx, code, false, func(m Message) {
		var c content
		if json.Unmarshal(m.Content, &c) != nil {
			return
		}
		switch m.Type {
		case "stream":
			out.WriteString(c.Text)
		case "execute_result", "display_data":
			if s, ok := c.Data["text/plain"].(string); ok {
				out.WriteString(s + "\n")
			}
		}
	})
	r.Output, r.Took = out.String(), time.Since(sent)
	if err == nil && reply.Failure != "" {
		err = masu.E(masu.Invalid, "cell_failed", reply.Failure)
	}
	return r, err
}

// xsrf visits the server as a browser would and returns the token that its
// cookie holds; "" when the server sets none, because it does not check it then.
func (c *Client) xsrf(ctx context.Context, base *url.URL) (string, error) {
	for _, path := range []string{"/lab", "/tree", "/login"} {
		resp, err := c.do(ctx, http.MethodGet, path, "", nil)
		if err != nil {
			return "", err
		}
		resp.Body.Close()
		if resp.StatusCode >= 500 {
			return "", masu.E(masu.Unreachable, "jupyter_unreachable", "GET "+path+" → "+resp.Status)
		}
		for _, k := range c.HTTP.Jar.Cookies(base) {
			if k.Name == "_xsrf" {
				return strings.Trim(k.Value, `"`), nil
			}
		}
	}
	return "", nil
}
