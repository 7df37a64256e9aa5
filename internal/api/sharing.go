package api

import (
	"context"
	"net/url"
	"time"

	"github.com/masu-lab/masu"
)

// sharingRoutes adds the routes of masu.Sharing, and those about what a workspace has become.
func sharingRoutes(r router) {
	post(r, "/v1/guests/admit", func(ctx context.Context, svc masu.Service, q guestRequest) (masu.Workspace, error) {
		return svc.Admit(ctx, q.Name, q.Guest)
	})
	post(r, "/v1/guests/dismiss", func(ctx context.Context, svc masu.Service, q guestRequest) (masu.Workspace, error) {
		return svc.Dismiss(ctx, q.Name, q.Guest)
	})
	get(r, "/v1/environments", func(ctx context.Context, svc masu.Service, _ url.Values) ([]masu.EnvironmentUse, error) {
		return svc.Environments(ctx)
	})
	get(r, "/v1/shared", func(ctx context.Context, svc masu.Service, q url.Values) (masu.EnvironmentUse, error) {
		return svc.Shared(ctx, q.Get("id"))
	}, "id")
	post(r, "/v1/shared", func(ctx context.Context, svc masu.Service, q masu.ShareWish) (masu.Shared, error) {
		return svc.Share(ctx, q)
	})
	post(r, "/v1/shared/change", func(ctx context.Context, svc masu.Service, q sharedRequest) (masu.Shared, error) {
		return svc.ChangeShared(ctx, q.ID, q.Change)
	})
	post(r, "/v1/shared/delete", func(ctx context.Context, svc masu.Service, q named) (nothing, error) {
		return nothing{}, svc.Unshare(ctx, q.Name)
	})
	get(r, "/v1/samples", func(ctx context.Context, svc masu.Service, q url.Values) ([]masu.Sample, error) {
		since, err := time.Parse(time.RFC3339, q.Get("since"))
		if err != nil {
			return nil, masu.E(masu.Invalid, "request_odd", "since")
		}
		return svc.Samples(ctx, q.Get("name"), since)
	}, "name", "since")
	get(r, "/v1/added", func(ctx context.Context, svc masu.Service, q url.Values) (masu.Layer, error) {
		return svc.Added(ctx, q.Get("name"))
	}, "name")
	post(r, "/v1/keep", func(ctx context.Context, svc masu.Service, q keepRequest) (nothing, error) {
		return nothing{}, svc.Keep(ctx, q.Name, q.Layer)
	})
}

type keepRequest struct {
	Name  string     `json:"name"`
	Layer masu.Layer `json:"layer"`
}

type guestRequest struct {
	Name  string        `json:"name"`
	Guest masu.Username `json:"guest"`
}

type sharedRequest struct {
	ID     string            `json:"id"`
	Change masu.SharedChange `json:"change"`
}

// Admit is masu.Service's, as are all that follow.
func (c *Client) Admit(ctx context.Context, name string, guest masu.Username) (masu.Workspace, error) {
	return call[masu.Workspace](ctx, c, "/v1/guests/admit", nil, guestRequest{name, guest})
}

// Dismiss is masu.Service's.
func (c *Client) Dismiss(ctx context.Context, name string, guest masu.Username) (masu.Workspace, error) {
	return call[masu.Workspace](ctx, c, "/v1/guests/dismiss", nil, guestRequest{name, guest})
}

// Environments is masu.Service's.
func (c *Client) Environments(ctx context.Context) ([]masu.EnvironmentUse, error) {
	return call[[]masu.EnvironmentUse](ctx, c, "/v1/environments", nil, nil)
}

// Shared is masu.Service's.
func (c *Client) Shared(ctx context.Context, id string) (masu.EnvironmentUse, error) {
	return call[masu.EnvironmentUse](ctx, c, "/v1/shared", url.Values{"id": {id}}, nil)
}

// Share is masu.Service's.
func (c *Client) Share(ctx context.Context, w masu.ShareWish) (masu.Shared, error) {
	return call[masu.Shared](ctx, c, "/v1/shared", nil, w)
}

// ChangeShared is masu.Service's.
func (c *Client) ChangeShared(ctx context.Context, id string, change masu.SharedChange) (masu.Shared, error) {
	return call[masu.Shared](ctx, c, "/v1/shared/change", nil, sharedRequest{id, change})
}

// Unshare is masu.Service's.
func (c *Client) Unshare(ctx context.Context, id string) error {
	return c.done(ctx, "/v1/shared/delete", named{id})
}

// Samples is masu.Service's.
func (c *Client) Samples(ctx context.Context, name string, since time.Time) ([]masu.Sample, error) {
	return call[[]masu.Sample](ctx, c, "/v1/samples", url.Values{"name": {name}, "since": {since.Format(time.RFC3339)}}, nil)
}

// Added is masu.Service's.
func (c *Client) Added(ctx context.Context, name string) (masu.Layer, error) {
	return call[masu.Layer](ctx, c, "/v1/added", url.Values{"name": {name}}, nil)
}

// Keep is masu.Service's.
func (c *Client) Keep(ctx context.Context, name string, l masu.Layer) error {
	return c.done(ctx, "/v1/keep", keepRequest{name, l})
}
