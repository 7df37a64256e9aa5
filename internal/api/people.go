package api

import (
	"context"

	"github.com/masu-lab/masu"
)

// Sessions is masu.Service's, as are all that follow.
func (c *Client) Sessions(ctx context.Context) ([]masu.Session, error) {
	return call[[]masu.Session](ctx, c, "/v1/sessions", nil, nil)
}

// EndSession is masu.Service's.
func (c *Client) EndSession(ctx context.Context, hash string) error {
	return c.done(ctx, "/v1/sessions/end", named{hash})
}

// Tokens is masu.Service's.
func (c *Client) Tokens(ctx context.Context) ([]masu.Token, error) {
	return call[[]masu.Token](ctx, c, "/v1/tokens", nil, nil)
}

// NewToken is masu.Service's.
func (c *Client) NewToken(ctx context.Context, w masu.TokenWish) (masu.NewToken, error) {
	return call[masu.NewToken](ctx, c, "/v1/tokens", nil, w)
}

// DeleteToken is masu.Service's.
func (c *Client) DeleteToken(ctx context.Context, id string) error {
	return c.done(ctx, "/v1/tokens/delete", named{id})
}

// Notices is masu.Service's.
func (c *Client) Notices(ctx context.Context) (masu.NotifyWish, error) {
	return call[masu.NotifyWish](ctx, c, "/v1/notices", nil, nil)
}

// SetNotices is masu.Service's.
func (c *Client) SetNotices(ctx context.Context, n masu.NotifyWish) error {
	return c.done(ctx, "/v1/notices", n)
}

// TryNotices is masu.Service's.
func (c *Client) TryNotices(ctx context.Context) error {
	return c.done(ctx, "/v1/notices/try", nothing{})
}

// Events is masu.Service's.
func (c *Client) Events(ctx context.Context, q masu.EventQuery) ([]masu.Event, error) {
	return call[[]masu.Event](ctx, c, "/v1/events", nil, q)
}

// VerifyEvents is masu.Service's.
func (c *Client) VerifyEvents(ctx context.Context) error {
	_, err := call[nothing](ctx, c, "/v1/events/verify", nil, nil)
	return err
}

// Members is masu.Service's.
func (c *Client) Members(ctx context.Context) ([]masu.MemberUse, error) {
	return call[[]masu.MemberUse](ctx, c, "/v1/members", nil, nil)
}

// ChangeMember is masu.Service's.
func (c *Client) ChangeMember(ctx context.Context, name masu.Username, change masu.MemberChange) error {
	return c.done(ctx, "/v1/members/change", memberRequest{string(name), change})
}

// Handover is masu.Service's.
func (c *Client) Handover(ctx context.Context, w masu.HandoverWish) (masu.Handover, error) {
	return call[masu.Handover](ctx, c, "/v1/members/handover", nil, w)
}

// Invite is masu.Service's.
func (c *Client) Invite(ctx context.Context, name masu.Username) (masu.OpenLink, error) {
	return call[masu.OpenLink](ctx, c, "/v1/members/invite", nil, named{string(name)})
}

// SetHouse is masu.Service's.
func (c *Client) SetHouse(ctx context.Context, h masu.House) error {
	return c.done(ctx, "/v1/house", h)
}

// done asks for something that only succeeds or fails.
func (c *Client) done(ctx context.Context, path string, body any) error {
	_, err := call[nothing](ctx, c, path, nil, body)
	return err
}

// Adopt is masu.Service's.
func (c *Client) Adopt(ctx context.Context, w masu.AdoptWish) (masu.Workspace, error) {
	return call[masu.Workspace](ctx, c, "/v1/adopt", nil, w)
}

// Unadopt is masu.Service's.
func (c *Client) Unadopt(ctx context.Context, name string) error {
	return c.done(ctx, "/v1/unadopt", named{name})
}

// Rules is masu.Service's.
func (c *Client) Rules(ctx context.Context) (masu.RulesNow, error) {
	return call[masu.RulesNow](ctx, c, "/v1/rules", nil, nil)
}

// SetRules is masu.Service's.
func (c *Client) SetRules(ctx context.Context, r masu.Rules) error {
	return c.done(ctx, "/v1/rules", r)
}

// Findings is masu.Service's.
func (c *Client) Findings(ctx context.Context) ([]masu.Finding, error) {
	return call[[]masu.Finding](ctx, c, "/v1/findings", nil, nil)
}
