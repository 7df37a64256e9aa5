package kernel

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"io"
	"net/http"
	"strings"

	"github.com/masu-lab/masu"
)

// session is Jupyter's word for a document and its kernel.
type session struct {
	ID     string `json:"id"`
	Kernel struct {
		ID string `json:"id"`
	} `json:"kernel"`
}

// open starts a kernel. It asks for a session rather than a bare kernel
// because only a session's kernel starts in the server's root folder.
func (c *Client) open(ctx context.Context, xsrf string) (session, error) {
	name := "masu-check-" + strings.ToLower(rand.Text()[:8])
	body, err := json.Marshal(map[string]any{
		"path": name, "name": name, "type": "console",
		"kernel": map[string]any{"name": ""}, // "" is the server's own default
	})
	if err != nil {
		return session{}, err
	}
	var s session
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

// close ends the session and its kernel.
func (c *Client) close(ctx context.Context, s session, xsrf string) {
	if resp, err := c.do(ctx, http.MethodDelete, "/api/sessions/"+s.ID, xsrf, nil); err == nil {
		resp.Body.Close()
	}
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
