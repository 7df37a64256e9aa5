// Package kernel runs code in a Jupyter kernel the way a browser does: over
// Jupyter's REST interface and the kernel's WebSocket, with cookies, the XSRF
// token and an Origin, and with nothing that a browser would not have.
package kernel

import (
	"context"
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
	base, err := url.Parse(c.Base)
	if err != nil || base.Host == "" {
		return Result{}, masu.E(masu.Unreachable, "jupyter_unreachable", c.Base).Because(err)
	}
	xsrf, err := c.xsrf(ctx, base)
	if err != nil {
		return Result{}, err
	}
	begin := time.Now()
	s, err := c.open(ctx, xsrf)
	if err != nil {
		return Result{}, err
	}
	defer func() {
		bye, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeIn)
		defer cancel()
		c.close(bye, s, xsrf) // its failure is not the cell's: the server ends idle kernels with the box
	}()
	ch, err := c.dial(ctx, s)
	if err != nil {
		return Result{}, err
	}
	defer ch.ws.CloseNow()
	r := Result{Kernel: time.Since(begin)}
	sent := time.Now()
	r.Output, err = ch.execute(ctx, code)
	r.Took = time.Since(sent)
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
