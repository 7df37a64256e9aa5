package kube

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"github.com/masu-lab/masu"
)

// RemoveImage takes a name from an image, and removes the image with its last
// one; an ID removes it under all its names. Conflict "image_in_use" if a box
// needs it, Denied "registry_keeps" where the registry deletes nothing.
func (r *Runtime) RemoveImage(ctx context.Context, ref masu.ImageRef) error {
	ctx, cancel := context.WithTimeout(ctx, slow)
	defer cancel()
	img, err := r.Image(ctx, ref)
	if masu.CodeOf(err) == "no_image" {
		return nil
	}
	if err != nil {
		return err
	}
	named, err := r.at(ref)
	if err != nil {
		return err
	}
	if img.InUse {
		return masu.E(masu.Conflict, "image_in_use", ref)
	}
	at, err := name.NewDigest(img.ID)
	if err != nil {
		return fmt.Errorf("kube: registry: %w", err)
	}
	if tag, ok := named.(name.Tag); ok {
		if at, err = r.onlyName(ctx, tag, at); err != nil {
			return r.pullTrouble(ref, err)
		}
	}
	err = remote.Delete(at, r.registry(ctx)...)
	if answer, ok := errors.AsType[*transport.Error](err); ok {
		switch answer.StatusCode {
		case http.StatusNotFound:
			return nil
		case http.StatusMethodNotAllowed:
			return masu.E(masu.Denied, "registry_keeps", r.cfg.Registry).Because(err)
		}
	}
	if err != nil {
		return r.pullTrouble(ref, err)
	}
	return nil
}

// onlyName gives what is to be deleted so that a name goes and no other. Most
// registries delete by digest alone, and that takes every name of an image: one
// that has others is first made the name of an image of nothing.
func (r *Runtime) onlyName(ctx context.Context, tag name.Tag, img name.Digest) (name.Digest, error) {
	all, err := remote.List(tag.Context(), r.registry(ctx)...)
	if err != nil {
		return img, err
	}
	for _, other := range all {
		if other == tag.TagStr() {
			continue
		}
		if d, err := remote.Head(tag.Context().Tag(other), r.registry(ctx)...); err != nil || d.Digest.String() != img.DigestStr() {
			continue // one that does not answer has perhaps just been removed
		}
		nothing, err := mutate.ConfigFile(empty.Image, &v1.ConfigFile{Author: rand.Text()})
		if err != nil {
			return img, err
		}
		if err := remote.Write(tag, nothing, r.registry(ctx)...); err != nil {
			return img, err
		}
		digest, err := nothing.Digest()
		return tag.Context().Digest(digest.String()), err
	}
	return img, nil
}
