package api

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"

	"github.com/masu-lab/masu"
)

// carryRoutes adds the routes of masu.Images. An archive goes through in frames
// as it comes, in either direction, and is never held as a whole.
func carryRoutes(r router) {
	get(r, "/v1/images/contents", func(ctx context.Context, svc masu.Service, q url.Values) (masu.Contents, error) {
		return svc.Contents(ctx, q.Get("name"))
	}, "name")
	work(r, "/v1/lock", func(ctx context.Context, svc masu.Service, q masu.BuildWish, progress func(masu.Progress)) (masu.Lock, error) {
		return svc.Lock(ctx, q, progress)
	})
	work(r, "/v1/images/push", func(ctx context.Context, svc masu.Service, q masu.Transfer, progress func(masu.Progress)) (nothing, error) {
		return nothing{}, svc.PushImage(ctx, q, progress)
	})
	work(r, "/v1/images/pull", func(ctx context.Context, svc masu.Service, q masu.Transfer, progress func(masu.Progress)) (masu.Image, error) {
		return svc.PullImage(ctx, q, progress)
	})
	r.handle("GET /v1/images/save", r.saveImage)
	r.handle("POST /v1/images/load", r.loadImage)
}

func (s *Server) saveImage(svc masu.Service, w http.ResponseWriter, r *http.Request) error {
	return s.printed(w, r, func(ctx context.Context, to io.Writer) error {
		return svc.SaveImage(ctx, r.URL.Query().Get("name"), to)
	})
}

// loadImage takes the archive as a command's input, and prints what it became.
func (s *Server) loadImage(svc masu.Service, w http.ResponseWriter, r *http.Request) error {
	if _, err := readBody[nothing](w, r); err != nil {
		return err
	}
	return s.command(w, r, execSpec{Stdin: true}, func(ctx context.Context, e masu.Exec, progress func(masu.Progress)) (int, error) {
		image, err := svc.LoadImage(ctx, e.Stdin, progress)
		if err != nil {
			return -1, err
		}
		return 0, json.NewEncoder(e.Stdout).Encode(image)
	})
}

// Contents is masu.Service's.
func (c *Client) Contents(ctx context.Context, name string) (masu.Contents, error) {
	return call[masu.Contents](ctx, c, "/v1/images/contents", url.Values{"name": {name}}, nil)
}

// Lock is masu.Service's.
func (c *Client) Lock(ctx context.Context, q masu.BuildWish, progress func(masu.Progress)) (masu.Lock, error) {
	return worked[masu.Lock](ctx, c, "/v1/lock", q, progress)
}

// SaveImage is masu.Service's.
func (c *Client) SaveImage(ctx context.Context, name string, w io.Writer) error {
	return c.printed(ctx, "/v1/images/save", url.Values{"name": {name}}, w)
}

// LoadImage is masu.Service's. A Read of r may still be waiting when it returns.
func (c *Client) LoadImage(ctx context.Context, r io.Reader, progress func(masu.Progress)) (masu.Image, error) {
	var image masu.Image
	var out bytes.Buffer
	if _, err := c.command(ctx, "/v1/images/load", nothing{}, masu.Exec{Stdin: r, Stdout: &out}, progress); err != nil {
		return image, err
	}
	return image, json.Unmarshal(out.Bytes(), &image)
}

// PushImage is masu.Service's.
func (c *Client) PushImage(ctx context.Context, t masu.Transfer, progress func(masu.Progress)) error {
	_, err := worked[nothing](ctx, c, "/v1/images/push", t, progress)
	return err
}

// PullImage is masu.Service's.
func (c *Client) PullImage(ctx context.Context, t masu.Transfer, progress func(masu.Progress)) (masu.Image, error) {
	return worked[masu.Image](ctx, c, "/v1/images/pull", t, progress)
}

// worked asks for something long, and hands on what it tells meanwhile.
func worked[T any](ctx context.Context, c *Client, path string, q any, progress func(masu.Progress)) (answer T, err error) {
	result, err := readLines(ctx, c, path, nil, q, func(p masu.Progress) error {
		if progress != nil {
			progress(p)
		}
		return nil
	})
	if err != nil {
		return answer, err
	}
	return answer, json.Unmarshal(result, &answer)
}
