package kube

import (
	"context"
	"io"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/masu-lab/masu"
)

// Publish puts an image of a root file system's tar into a registry, as
// Runtime.Import does, without a cluster. It gives the image's name with its digest.
func Publish(ctx context.Context, registry string, keychain authn.Keychain, ref masu.ImageRef, rootfs io.Reader) (string, error) {
	r := &Runtime{cfg: Config{Registry: registry, Keychain: keychain}}
	if err := r.Import(ctx, ref, rootfs, nil); err != nil {
		return "", err
	}
	at, err := r.at(ref)
	if err != nil {
		return "", err
	}
	d, err := remote.Head(at, r.registry(ctx)...)
	if err != nil {
		return "", r.pullTrouble(ref, err)
	}
	return at.Context().Digest(d.Digest.String()).String(), nil
}
