package docker

import (
	"context"
	"errors"
	"io"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"github.com/masu-lab/masu"
)

// Extract copies a folder out of an image; see masu.Extractor. A container of it is made, and never started.
func (r *Runtime) Extract(ctx context.Context, ref masu.ImageRef, folder string, to io.Writer) (err error) {
	made, err := r.api.ContainerCreate(ctx, client.ContainerCreateOptions{
		Config:     &container.Config{Image: string(ref), Cmd: []string{"never"}},
		HostConfig: &container.HostConfig{NetworkMode: "none"},
	})
	if isNotFound(err) {
		return masu.E(masu.NotFound, "no_image", ref).Because(err)
	}
	if err != nil {
		return r.failed("extract", err)
	}
	defer func() { err = errors.Join(err, r.remove(context.WithoutCancel(ctx), made.ID)) }()
	res, err := r.api.CopyFromContainer(ctx, made.ID, client.CopyFromContainerOptions{SourcePath: folder})
	if err != nil {
		return r.failed("extract", err)
	}
	defer res.Content.Close()
	_, err = io.Copy(to, res.Content)
	return err
}
