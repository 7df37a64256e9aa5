package api

import (
	"context"
	"encoding/json"
	"iter"
	"net/url"

	"github.com/masu-lab/masu"
)

// Whoami is masu.Service's, as are all that follow.
func (c *Client) Whoami(ctx context.Context) (masu.Hello, error) {
	return call[masu.Hello](ctx, c, "/v1/whoami", nil, nil)
}

// Read is masu.Service's.
func (c *Client) Read(ctx context.Context, dir string) (masu.Plan, error) {
	if err := carried(dir); err != nil {
		return masu.Plan{}, err
	}
	return call[masu.Plan](ctx, c, "/v1/read", nil, readRequest{dir})
}

// Choices is masu.Service's.
func (c *Client) Choices(ctx context.Context) ([]masu.Choice, error) {
	return call[[]masu.Choice](ctx, c, "/v1/choices", nil, nil)
}

// Browse is masu.Service's.
func (c *Client) Browse(ctx context.Context, dir string) (masu.Listing, error) {
	return call[masu.Listing](ctx, c, "/v1/folder", url.Values{"dir": {dir}}, nil)
}

// MakeFolder is masu.Service's.
func (c *Client) MakeFolder(ctx context.Context, dir string) error {
	if err := carried(dir); err != nil {
		return err
	}
	_, err := call[nothing](ctx, c, "/v1/folder/make", nil, readRequest{dir})
	return err
}

// Preview is masu.Service's.
func (c *Client) Preview(ctx context.Context, dir, text string) (masu.Plan, error) {
	if err := carried(dir, text); err != nil {
		return masu.Plan{}, err
	}
	return call[masu.Plan](ctx, c, "/v1/project/preview", nil, projectRequest{Dir: dir, Text: text})
}

// ProjectFile is masu.Service's.
func (c *Client) ProjectFile(ctx context.Context, dir string) (string, error) {
	return call[string](ctx, c, "/v1/project", url.Values{"dir": {dir}}, nil)
}

// WriteProjectFile is masu.Service's.
func (c *Client) WriteProjectFile(ctx context.Context, dir, old, text string) error {
	if err := carried(dir, old, text); err != nil {
		return err
	}
	_, err := call[nothing](ctx, c, "/v1/project", nil, projectRequest{Dir: dir, Old: old, Text: text})
	return err
}

// Up is masu.Service's.
func (c *Client) Up(ctx context.Context, r masu.UpRequest) (masu.Workspace, error) {
	if err := carried(r.Dir, r.Name); err != nil {
		return masu.Workspace{}, err
	}
	return call[masu.Workspace](ctx, c, "/v1/up", nil, r)
}

// Watch is masu.Service's.
func (c *Client) Watch(ctx context.Context, name string) iter.Seq2[masu.Progress, error] {
	return sequence[masu.Progress](ctx, c, "/v1/watch", url.Values{"name": {name}})
}

// Stop is masu.Service's.
func (c *Client) Stop(ctx context.Context, name string) (masu.Workspace, error) {
	return call[masu.Workspace](ctx, c, "/v1/stop", nil, named{name})
}

// Remove is masu.Service's.
func (c *Client) Remove(ctx context.Context, name string) error {
	_, err := call[nothing](ctx, c, "/v1/remove", nil, named{name})
	return err
}

// Workspace is masu.Service's.
func (c *Client) Workspace(ctx context.Context, name string) (masu.Workspace, error) {
	return call[masu.Workspace](ctx, c, "/v1/workspace", url.Values{"name": {name}}, nil)
}

// Workspaces is masu.Service's.
func (c *Client) Workspaces(ctx context.Context, all bool) ([]masu.Workspace, error) {
	q := url.Values{}
	if all {
		q.Set("all", "true")
	}
	return call[[]masu.Workspace](ctx, c, "/v1/workspaces", q, nil)
}

// Changes is masu.Service's.
func (c *Client) Changes(ctx context.Context) iter.Seq2[masu.Workspace, error] {
	return sequence[masu.Workspace](ctx, c, "/v1/changes", nil)
}

// Build is masu.Service's.
func (c *Client) Build(ctx context.Context, r masu.BuildWish, progress func(masu.Progress)) (masu.Image, error) {
	var image masu.Image
	if err := carried(r.Dir); err != nil {
		return image, err
	}
	result, err := readLines(ctx, c, "/v1/build", nil, r, func(p masu.Progress) error {
		if progress != nil {
			progress(p)
		}
		return nil
	})
	if err != nil {
		return image, err
	}
	return image, json.Unmarshal(result, &image)
}

// Images is masu.Service's.
func (c *Client) Images(ctx context.Context) ([]masu.ImageUse, error) {
	return call[[]masu.ImageUse](ctx, c, "/v1/images", nil, nil)
}

// RemoveImage is masu.Service's.
func (c *Client) RemoveImage(ctx context.Context, ref masu.ImageRef) error {
	_, err := call[nothing](ctx, c, "/v1/images/remove", nil, imageRequest{ref})
	return err
}

// PruneImages is masu.Service's.
func (c *Client) PruneImages(ctx context.Context, dry bool) ([]masu.ImageUse, error) {
	return call[[]masu.ImageUse](ctx, c, "/v1/images/prune", nil, pruneRequest{dry})
}

// SetPassword is masu.Service's.
func (c *Client) SetPassword(ctx context.Context, password string) error {
	_, err := call[nothing](ctx, c, "/v1/password", nil, passwordRequest{password})
	return err
}

// SetLang is masu.Service's.
func (c *Client) SetLang(ctx context.Context, lang masu.Lang) error {
	_, err := call[nothing](ctx, c, "/v1/lang", nil, langRequest{lang})
	return err
}

// Link is masu.Service's.
func (c *Client) Link(ctx context.Context, name string) (masu.OpenLink, error) {
	return call[masu.OpenLink](ctx, c, "/v1/link", nil, named{name})
}

// Board is masu.Service's.
func (c *Client) Board(ctx context.Context) (masu.Board, error) {
	return call[masu.Board](ctx, c, "/v1/board", nil, nil)
}
