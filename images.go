package masu

import (
	"context"
	"io"
)

// Images is the part of Service that hands environments on. An image is named by
// a workspace that has it, by its own name, or by its ID. Who loads or fetches
// one keeps it for themselves: only their own environments are met with it.
type Images interface {
	// Contents tells what an image has; name may also be a project folder (an
	// absolute path), whose masu.lock counts first. Conflict "not_built" for a
	// folder that has neither, NotFound "image_no_record" for an image that
	// was built before masu noted what is in it.
	Contents(ctx context.Context, name string) (Contents, error)
	// Lock writes masu.lock into a folder: what its image has, which is built if it is not there.
	Lock(ctx context.Context, r BuildWish, progress func(Progress)) (Lock, error)
	// SaveImage writes an image that the actor uses, as engines save images. Denied "image_not_used".
	SaveImage(ctx context.Context, name string, w io.Writer) error
	// LoadImage takes one that SaveImage wrote: Invalid "image_damaged", "image_foreign" or "image_arch".
	LoadImage(ctx context.Context, r io.Reader, progress func(Progress)) (Image, error)
	// PushImage copies an image that the actor uses to a registry; what is there already is not sent again.
	PushImage(ctx context.Context, r Transfer, progress func(Progress)) error
	// PullImage fetches one that masu made, as LoadImage takes it.
	PullImage(ctx context.Context, r Transfer, progress func(Progress)) (Image, error)
}

// Transfer asks to bring an image to a registry or from it.
type Transfer struct {
	Name string       `json:"name,omitempty"` // what to push
	Ref  ImageRef     `json:"ref"`            // with its registry: "registry.example.org/lab/env:1"
	Auth RegistryAuth `json:"auth,omitzero"`
}
