package api

import (
	"context"
	"net"
	"net/http"
	"net/url"

	"github.com/masu-lab/masu"
)

// keyRequest is a key to add.
type keyRequest struct {
	Line string `json:"line"`
	Name string `json:"name,omitempty"`
}

// keysRoutes adds the routes of masu.SSHKeys, and the ssh gateway itself.
func keysRoutes(r router) {
	get(r, "/v1/keys", func(ctx context.Context, svc masu.Service, _ url.Values) ([]masu.SSHKey, error) {
		return svc.Keys(ctx)
	})
	post(r, "/v1/keys", func(ctx context.Context, svc masu.Service, q keyRequest) (masu.SSHKey, error) {
		return svc.AddKey(ctx, q.Line, q.Name)
	})
	post(r, "/v1/keys/delete", func(ctx context.Context, svc masu.Service, q named) (nothing, error) {
		return nothing{}, svc.RemoveKey(ctx, q.Name)
	})
	r.handle("POST /v1/ssh", r.ssh)
}

// ssh hands the connection to the gateway, which need not ask for a key: the
// kernel has said who is there.
func (s *Server) ssh(svc masu.Service, w http.ResponseWriter, r *http.Request) error {
	if s.SSH == nil {
		return masu.E(masu.NotFound, "no_route", r.Method+" "+r.URL.Path)
	}
	q, err := readBody[named](w, r)
	if err != nil {
		return err
	}
	h, err := svc.Whoami(r.Context())
	if err != nil {
		return err
	}
	conn, in, done, err := s.takeOver(w, r, protocolBytes)
	if err != nil {
		return err
	}
	defer done()
	s.SSH(r.Context(), tunnel{conn, in}, h.Actor.User, q.Name)
	return nil
}

// Keys is masu.Service's, as are those that follow.
func (c *Client) Keys(ctx context.Context) ([]masu.SSHKey, error) {
	return call[[]masu.SSHKey](ctx, c, "/v1/keys", nil, nil)
}

// AddKey is masu.Service's.
func (c *Client) AddKey(ctx context.Context, line, name string) (masu.SSHKey, error) {
	return call[masu.SSHKey](ctx, c, "/v1/keys", nil, keyRequest{line, name})
}

// RemoveKey is masu.Service's.
func (c *Client) RemoveKey(ctx context.Context, fingerprint string) error {
	return c.done(ctx, "/v1/keys/delete", named{fingerprint})
}

// SSH connects to the ssh gateway as who the kernel says we are, for a workspace. ctx bounds the connecting only.
func (c *Client) SSH(ctx context.Context, name string) (net.Conn, error) {
	conn, err := c.takeOver(ctx, "/v1/ssh", protocolBytes, named{name})
	if err != nil {
		return nil, err
	}
	return conn, nil
}
