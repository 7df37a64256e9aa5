package api

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"strconv"

	"github.com/masu-lab/masu"
)

// programRoutes adds the routes of masu.Programs, but for the log's, and of masu.AppSharing.
func programRoutes(r router) {
	post(r, "/v1/apps/put", func(ctx context.Context, svc masu.Service, q appPut) (nothing, error) {
		return nothing{}, svc.PutApp(ctx, q.Name, q.App)
	})
	post(r, "/v1/apps/drop", func(ctx context.Context, svc masu.Service, q appRequest) (nothing, error) {
		return nothing{}, svc.DropApp(ctx, q.Name, q.App)
	})
	post(r, "/v1/apps/start", func(ctx context.Context, svc masu.Service, q appRequest) (nothing, error) {
		return nothing{}, svc.StartApp(ctx, q.Name, q.App)
	})
	post(r, "/v1/apps/stop", func(ctx context.Context, svc masu.Service, q appRequest) (nothing, error) {
		return nothing{}, svc.StopApp(ctx, q.Name, q.App)
	})
	post(r, "/v1/apps/share", func(ctx context.Context, svc masu.Service, q appShareRequest) (masu.Workspace, error) {
		return svc.ShareApp(ctx, q.Name, q.Share)
	})
	post(r, "/v1/apps/unshare", func(ctx context.Context, svc masu.Service, q appShareRequest) (masu.Workspace, error) {
		return svc.UnshareApp(ctx, q.Name, q.Share)
	})
}

type appShareRequest struct {
	Name  string        `json:"name"`
	Share masu.AppShare `json:"share"`
}

type appPut struct {
	Name string       `json:"name"`
	App  masu.AppWish `json:"app"`
}

type appRequest struct {
	Name string `json:"name"`
	App  string `json:"app"`
}

// appLog is logs of an app.
func (s *Server) appLog(svc masu.Service, w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	return s.printed(w, r, func(ctx context.Context, to io.Writer) error {
		return svc.AppLog(ctx, q.Get("name"), q.Get("app"), to, q.Get("follow") == "true")
	})
}

// PutApp is masu.Programs'.
func (c *Client) PutApp(ctx context.Context, name string, a masu.AppWish) error {
	return c.done(ctx, "/v1/apps/put", appPut{name, a})
}

// DropApp is masu.Programs'.
func (c *Client) DropApp(ctx context.Context, name, app string) error {
	return c.done(ctx, "/v1/apps/drop", appRequest{name, app})
}

// StartApp is masu.Programs'.
func (c *Client) StartApp(ctx context.Context, name, app string) error {
	return c.done(ctx, "/v1/apps/start", appRequest{name, app})
}

// StopApp is masu.Programs'.
func (c *Client) StopApp(ctx context.Context, name, app string) error {
	return c.done(ctx, "/v1/apps/stop", appRequest{name, app})
}

// ShareApp is masu.AppSharing's.
func (c *Client) ShareApp(ctx context.Context, name string, s masu.AppShare) (masu.Workspace, error) {
	return call[masu.Workspace](ctx, c, "/v1/apps/share", nil, appShareRequest{name, s})
}

// UnshareApp is masu.AppSharing's.
func (c *Client) UnshareApp(ctx context.Context, name string, s masu.AppShare) (masu.Workspace, error) {
	return call[masu.Workspace](ctx, c, "/v1/apps/unshare", nil, appShareRequest{name, s})
}

// AppLog is masu.Programs'.
func (c *Client) AppLog(ctx context.Context, name, app string, w io.Writer, follow bool) error {
	return c.printed(ctx, "/v1/apps/log", url.Values{"name": {name}, "app": {app}, "follow": {strconv.FormatBool(follow)}}, w)
}
