package api

import (
	"context"
	"net/url"
	"strconv"
	"time"

	"github.com/masu-lab/masu"
)

// lendingRoutes adds the routes of masu.Lending.
func lendingRoutes(r router) {
	ask(r, "/v1/forecast", func(ctx context.Context, svc masu.Service, q masu.Want) (masu.Forecast, error) {
		return svc.Forecast(ctx, q)
	})
	post(r, "/v1/leases/extend", func(ctx context.Context, svc masu.Service, q extendRequest) (masu.Lease, error) {
		return svc.Extend(ctx, q.Name, q.By)
	})
	post(r, "/v1/leases/release", func(ctx context.Context, svc masu.Service, q named) (masu.Workspace, error) {
		return svc.Release(ctx, q.Name)
	})
	post(r, "/v1/leases/ask", func(ctx context.Context, svc masu.Service, q askRequest) (nothing, error) {
		return nothing{}, svc.AskFor(ctx, q.Lease)
	})
	post(r, "/v1/reservations", func(ctx context.Context, svc masu.Service, q masu.ReserveWish) ([]masu.Reservation, error) {
		return svc.Reserve(ctx, q)
	})
	post(r, "/v1/reservations/delete", func(ctx context.Context, svc masu.Service, q unreserveRequest) (nothing, error) {
		return nothing{}, svc.Unreserve(ctx, q.ID, q.Series)
	})
	get(r, "/v1/reservations", func(ctx context.Context, svc masu.Service, q url.Values) ([]masu.Reservation, error) {
		from, until, err := spanOf(q)
		if err != nil {
			return nil, err
		}
		return svc.Reservations(ctx, from, until)
	}, "from", "until")
	runRoutes(r)
	get(r, "/v1/usage", func(ctx context.Context, svc masu.Service, q url.Values) ([]masu.UsageRow, error) {
		from, until, err := spanOf(q)
		if err != nil {
			return nil, err
		}
		return svc.GPUUsage(ctx, from, until, q.Get("all") == "true")
	}, "from", "until", "all")
}

// spanOf reads from when until when.
func spanOf(q url.Values) (from, until time.Time, err error) {
	if from, err = time.Parse(time.RFC3339, q.Get("from")); err != nil {
		return from, until, masu.E(masu.Invalid, "request_odd", "from")
	}
	if until, err = time.Parse(time.RFC3339, q.Get("until")); err != nil {
		return from, until, masu.E(masu.Invalid, "request_odd", "until")
	}
	return from, until, nil
}

type extendRequest struct {
	Name string        `json:"name"`
	By   time.Duration `json:"by"` // nanoseconds
}

type askRequest struct {
	Lease masu.LeaseID `json:"lease"`
}

type unreserveRequest struct {
	ID     masu.ReservationID `json:"id"`
	Series bool               `json:"series,omitempty"`
}

// Forecast is masu.Service's, as are all that follow.
func (c *Client) Forecast(ctx context.Context, want masu.Want) (masu.Forecast, error) {
	return call[masu.Forecast](ctx, c, "/v1/forecast", nil, want)
}

// Extend is masu.Service's.
func (c *Client) Extend(ctx context.Context, name string, by time.Duration) (masu.Lease, error) {
	return call[masu.Lease](ctx, c, "/v1/leases/extend", nil, extendRequest{name, by})
}

// Release is masu.Service's.
func (c *Client) Release(ctx context.Context, name string) (masu.Workspace, error) {
	return call[masu.Workspace](ctx, c, "/v1/leases/release", nil, named{name})
}

// AskFor is masu.Service's.
func (c *Client) AskFor(ctx context.Context, lease masu.LeaseID) error {
	return c.done(ctx, "/v1/leases/ask", askRequest{lease})
}

// Reserve is masu.Service's.
func (c *Client) Reserve(ctx context.Context, w masu.ReserveWish) ([]masu.Reservation, error) {
	return call[[]masu.Reservation](ctx, c, "/v1/reservations", nil, w)
}

// Unreserve is masu.Service's.
func (c *Client) Unreserve(ctx context.Context, id masu.ReservationID, series bool) error {
	return c.done(ctx, "/v1/reservations/delete", unreserveRequest{id, series})
}

// Reservations is masu.Service's.
func (c *Client) Reservations(ctx context.Context, from, until time.Time) ([]masu.Reservation, error) {
	return call[[]masu.Reservation](ctx, c, "/v1/reservations", url.Values{"from": {from.Format(time.RFC3339)}, "until": {until.Format(time.RFC3339)}}, nil)
}

// GPUUsage is masu.Service's.
func (c *Client) GPUUsage(ctx context.Context, from, until time.Time, all bool) ([]masu.UsageRow, error) {
	return call[[]masu.UsageRow](ctx, c, "/v1/usage", url.Values{"from": {from.Format(time.RFC3339)}, "until": {until.Format(time.RFC3339)}, "all": {strconv.FormatBool(all)}}, nil)
}
