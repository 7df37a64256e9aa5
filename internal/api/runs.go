package api

import (
	"context"
	"net/url"
	"strconv"

	"github.com/masu-lab/masu"
)

// runRoutes adds the routes of masu.Runs.
func runRoutes(r router) {
	post(r, "/v1/runs", func(ctx context.Context, svc masu.Service, q masu.RunWish) ([]masu.Run, error) {
		return svc.Submit(ctx, q)
	})
	get(r, "/v1/runs", func(ctx context.Context, svc masu.Service, q url.Values) ([]masu.Run, error) {
		return svc.Runs(ctx, q.Get("all") == "true")
	}, "all")
	get(r, "/v1/runs/one", func(ctx context.Context, svc masu.Service, q url.Values) (masu.Run, error) {
		return svc.RunByID(ctx, masu.WorkspaceID(q.Get("id")))
	}, "id")
	get(r, "/v1/runs/samples", func(ctx context.Context, svc masu.Service, q url.Values) ([]masu.Sample, error) {
		return svc.RunSamples(ctx, masu.WorkspaceID(q.Get("id")))
	}, "id")
	post(r, "/v1/runs/cancel", func(ctx context.Context, svc masu.Service, q runNamed) (masu.Run, error) {
		return svc.CancelRun(ctx, q.ID)
	})
	post(r, "/v1/runs/forget", func(ctx context.Context, svc masu.Service, q runNamed) (nothing, error) {
		return nothing{}, svc.ForgetRun(ctx, q.ID)
	})
	get(r, "/v1/runs/notebooks", func(ctx context.Context, svc masu.Service, q url.Values) ([]string, error) {
		return svc.Notebooks(ctx, q.Get("dir"))
	}, "dir")
}

type runNamed struct {
	ID masu.WorkspaceID `json:"id"`
}

// Submit is masu.Service's, as are all that follow.
func (c *Client) Submit(ctx context.Context, w masu.RunWish) ([]masu.Run, error) {
	return call[[]masu.Run](ctx, c, "/v1/runs", nil, w)
}

// Runs is masu.Service's.
func (c *Client) Runs(ctx context.Context, all bool) ([]masu.Run, error) {
	return call[[]masu.Run](ctx, c, "/v1/runs", url.Values{"all": {strconv.FormatBool(all)}}, nil)
}

// RunByID is masu.Service's.
func (c *Client) RunByID(ctx context.Context, id masu.WorkspaceID) (masu.Run, error) {
	return call[masu.Run](ctx, c, "/v1/runs/one", url.Values{"id": {string(id)}}, nil)
}

// RunSamples is masu.Service's.
func (c *Client) RunSamples(ctx context.Context, id masu.WorkspaceID) ([]masu.Sample, error) {
	return call[[]masu.Sample](ctx, c, "/v1/runs/samples", url.Values{"id": {string(id)}}, nil)
}

// CancelRun is masu.Service's.
func (c *Client) CancelRun(ctx context.Context, id masu.WorkspaceID) (masu.Run, error) {
	return call[masu.Run](ctx, c, "/v1/runs/cancel", nil, runNamed{id})
}

// ForgetRun is masu.Service's.
func (c *Client) ForgetRun(ctx context.Context, id masu.WorkspaceID) error {
	return c.done(ctx, "/v1/runs/forget", runNamed{id})
}

// Notebooks is masu.Service's.
func (c *Client) Notebooks(ctx context.Context, dir string) ([]string, error) {
	return call[[]string](ctx, c, "/v1/runs/notebooks", url.Values{"dir": {dir}}, nil)
}
