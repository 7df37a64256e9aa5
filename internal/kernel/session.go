package kernel

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"path"

	"github.com/masu-lab/masu"
)

// Document is what a kernel is started for.
type Document struct {
	Path   string // from the server's root folder; the kernel starts where it is
	Type   string // "notebook", "console"
	Kernel string // its name; "" is the server's own default
}

// Message is one thing that a kernel says about a cell, by the protocol's own names.
type Message struct {
	Type    string
	Content json.RawMessage
}

// Reply is how a cell ended.
type Reply struct {
	Count   int    // the number of its execution
	Well    bool   // nothing was raised, and nothing kept it from running
	Failure string // what was raised: "NAME: VALUE"
}

// Session is a kernel that runs one cell after the other.
type Session struct {
	client  *Client
	xsrf    string
	channel *channel
	made
}

// made is what the server says of a session, Jupyter's word for a document and its kernel.
type made struct {
	ID     string `json:"id"`
	Kernel struct {
		ID string `json:"id"`
	} `json:"kernel"`
}

// Open starts a kernel for a document. It is not closed when ctx ends.
func (c *Client) Open(ctx context.Context, d Document) (*Session, error) {
	base, err := url.Parse(c.Base)
	if err != nil || base.Host == "" {
		return nil, masu.E(masu.Unreachable, "jupyter_unreachable", c.Base).Because(err)
	}
	s := &Session{client: c}
	if s.xsrf, err = c.xsrf(ctx, base); err != nil {
		return nil, err
	}
	if s.made, err = c.open(ctx, s.xsrf, d); err != nil {
		return nil, err
	}
	if s.channel, err = c.dial(ctx, s.made); err != nil {
		s.Close(ctx)
		return nil, err
	}
	return s, nil
}

// Execute runs a cell and passes on what the kernel says about it, as it does.
// Errors are as Client.Run's; a cell that raises is none. When ctx ends, so does the session's connection.
func (s *Session) Execute(ctx context.Context, code string, said func(Message)) (Reply, error) {
	return s.channel.execute(ctx, code, true, said)
}

// Interrupt makes the cell that runs raise, as the stop button does.
func (s *Session) Interrupt(ctx context.Context) error {
	resp, err := s.client.do(ctx, http.MethodPost, "/api/kernels/"+url.PathEscape(s.Kernel.ID)+"/interrupt", s.xsrf, []byte("{}"))
	if err != nil {
		return err
	}
	return resp.Body.Close()
}

// Close ends the kernel, also when ctx has ended.
func (s *Session) Close(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeIn)
	defer cancel()
	if s.channel != nil {
		defer s.channel.ws.CloseNow()
	}
	if resp, err := s.client.do(ctx, http.MethodDelete, "/api/sessions/"+url.PathEscape(s.ID), s.xsrf, nil); err == nil {
		resp.Body.Close()
	}
}

// Kernels are those that a server can start.
type Kernels struct {
	Default string
	Specs   map[string]struct {
		Spec struct{ Language string }
	} `json:"kernelspecs"`
}

// Kernels asks which there are.
func (c *Client) Kernels(ctx context.Context) (k Kernels, err error) {
	resp, err := c.do(ctx, http.MethodGet, "/api/kernelspecs", "", nil)
	if err != nil {
		return k, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return k, masu.E(masu.Unreachable, "jupyter_unreachable", "GET /api/kernelspecs → "+resp.Status)
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, 16<<20)).Decode(&k); err != nil {
		return k, unreachable(ctx, "GET /api/kernelspecs", err)
	}
	return k, nil
}

// open asks for a session rather than a bare kernel because only a session's
// kernel starts where its document is.
func (c *Client) open(ctx context.Context, xsrf string, d Document) (s made, err error) {
	body, err := json.Marshal(map[string]any{
		"path": d.Path, "name": path.Base(d.Path), "type": d.Type,
		"kernel": map[string]any{"name": d.Kernel},
	})
	if err != nil {
		return s, err
	}
	resp, err := c.do(ctx, http.MethodPost, "/api/sessions", xsrf, body)
	if err != nil {
		return s, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return s, unreachable(ctx, "POST /api/sessions", err)
	}
	if resp.StatusCode != http.StatusCreated {
		return s, masu.E(masu.Unreachable, "jupyter_unreachable", "POST /api/sessions → "+resp.Status)
	}
	if err := json.Unmarshal(b, &s); err != nil || s.ID == "" || s.Kernel.ID == "" {
		return s, masu.E(masu.Unreachable, "jupyter_unreachable", "POST /api/sessions").Because(err)
	}
	return s, nil
}

func (c *Client) do(ctx context.Context, method, path, xsrf string, body []byte) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, c.Base+path, bytes.NewReader(body))
	if err != nil {
		return nil, masu.E(masu.Unreachable, "jupyter_unreachable", c.Base).Because(err)
	}
	if method != http.MethodGet {
		req.Header.Set("Origin", c.Base)
		req.Header.Set("Content-Type", "application/json")
		if xsrf != "" {
			req.Header.Set("X-XSRFToken", xsrf)
		}
	}
	resp, err := c.HTTP.Do(req)
	if err != nil {
		return nil, unreachable(ctx, method+" "+path, err)
	}
	return resp, nil
}

// unreachable tells a caller who has gone away from a server that has.
func unreachable(ctx context.Context, what string, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return masu.E(masu.Unreachable, "jupyter_unreachable", what).Because(err)
}
