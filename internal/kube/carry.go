package kube

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path"
	"strings"
	"sync"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"github.com/masu-lab/masu"
)

// mostFile is what a file of an image may have that is asked for by itself.
const mostFile = 8 << 20

// pulled gives an image of the registry's.
func (r *Runtime) pulled(ctx context.Context, ref masu.ImageRef) (v1.Image, name.Reference, error) {
	at, err := r.at(ref)
	if err != nil {
		return nil, nil, err
	}
	img, err := remote.Image(at, r.registry(ctx)...)
	if err != nil {
		return nil, nil, r.pullTrouble(ref, err)
	}
	return img, at, nil
}

// ImageFile gives a small file of an image: of the last of its layers that has it.
func (r *Runtime) ImageFile(ctx context.Context, ref masu.ImageRef, file string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, slow)
	defer cancel()
	img, _, err := r.pulled(ctx, ref)
	if err != nil {
		return nil, err
	}
	layers, err := img.Layers()
	if err != nil {
		return nil, r.pullTrouble(ref, err)
	}
	want := strings.TrimPrefix(path.Clean(file), "/")
	for i := len(layers) - 1; i >= 0; i-- {
		text, gone, err := fileOf(layers[i], want)
		switch {
		case err != nil:
			return nil, r.pullTrouble(ref, err)
		case text != nil:
			return text, nil
		case gone:
			return nil, masu.E(masu.NotFound, "image_no_record", ref)
		}
	}
	return nil, masu.E(masu.NotFound, "image_no_record", ref)
}

// fileOf looks for a file in a layer; gone tells that the layer takes it away.
func fileOf(l v1.Layer, want string) (text []byte, gone bool, err error) {
	body, err := l.Uncompressed()
	if err != nil {
		return nil, false, err
	}
	defer body.Close()
	dir, base := path.Split(want)
	for t := tar.NewReader(body); ; {
		h, err := t.Next()
		if err == io.EOF {
			return nil, gone, nil
		}
		if err != nil {
			return nil, false, err
		}
		switch n := strings.TrimPrefix(path.Clean(h.Name), "/"); {
		case n == want && h.Typeflag == tar.TypeReg && h.Size <= mostFile:
			text, err := io.ReadAll(io.LimitReader(t, h.Size))
			return append([]byte{}, text...), false, err
		case n == dir+".wh."+base, n == dir+".wh..wh..opq":
			gone = true
		}
	}
}

// Tag gives an image one more name in the registry.
func (r *Runtime) Tag(ctx context.Context, ref, as masu.ImageRef) error {
	img, _, err := r.pulled(ctx, ref)
	if err != nil {
		return err
	}
	return r.write(ctx, img, as, nil)
}

func (r *Runtime) write(ctx context.Context, img v1.Image, as masu.ImageRef, progress func(masu.Progress)) error {
	to, err := r.at(as)
	if err != nil {
		return err
	}
	if err := copied(to, img, r.registry(ctx), progress); err != nil {
		return r.pullTrouble(as, err)
	}
	return nil
}

// Save writes an image as an archive, with no name of its own.
func (r *Runtime) Save(ctx context.Context, ref masu.ImageRef, w io.Writer) error {
	img, at, err := r.pulled(ctx, ref)
	if err != nil {
		return err
	}
	digest, err := img.Digest()
	if err == nil {
		err = tarball.Write(at.Context().Digest(digest.String()), img, w)
	}
	if err != nil {
		return fmt.Errorf("kube: save: %w", err)
	}
	return nil
}

// Load puts the images of an archive into the registry, under the names in it.
// The archive is read twice, so it is kept in a file meanwhile.
func (r *Runtime) Load(ctx context.Context, archive io.Reader) error {
	f, err := os.CreateTemp("", "masu-load-")
	if err != nil {
		return fmt.Errorf("kube: load: %w", err)
	}
	defer os.Remove(f.Name())
	_, err = io.Copy(f, archive)
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	open := func() (io.ReadCloser, error) { return os.Open(f.Name()) }
	manifest, err := tarball.LoadManifest(open)
	if err != nil {
		return masu.E(masu.Invalid, "image_damaged").Because(err)
	}
	for _, d := range manifest {
		for _, t := range d.RepoTags {
			tag, err := name.NewTag(t)
			if err != nil {
				return masu.E(masu.Invalid, "image_damaged").Because(err)
			}
			img, err := tarball.Image(open, &tag)
			if err != nil {
				return masu.E(masu.Invalid, "image_damaged").Because(err)
			}
			if err := r.write(ctx, img, masu.ImageRef(t), nil); err != nil {
				return err
			}
		}
	}
	return nil
}

// Push copies an image to another registry, with its owner's word.
func (r *Runtime) Push(ctx context.Context, ref, to masu.ImageRef, auth masu.RegistryAuth, progress func(masu.Progress)) error {
	img, _, err := r.pulled(ctx, ref)
	if err != nil {
		return err
	}
	at, err := name.ParseReference(string(to))
	if err != nil {
		return masu.E(masu.NotFound, "no_image", to).Because(err)
	}
	if err := copied(at, img, theirs(ctx, auth), progress); err != nil {
		return r.carryTrouble(to, err)
	}
	return nil
}

// Fetch copies an image of another registry's into the lab's.
func (r *Runtime) Fetch(ctx context.Context, ref, as masu.ImageRef, auth masu.RegistryAuth, progress func(masu.Progress)) error {
	at, err := name.ParseReference(string(ref))
	if err != nil {
		return masu.E(masu.NotFound, "no_image", ref).Because(err)
	}
	img, err := remote.Image(at, theirs(ctx, auth)...)
	if err != nil {
		return r.carryTrouble(ref, err)
	}
	return r.write(ctx, img, as, progress)
}

// theirs speaks to a registry as the member; without a word of theirs, as nobody.
func theirs(ctx context.Context, auth masu.RegistryAuth) []remote.Option {
	who := authn.Anonymous
	if auth != (masu.RegistryAuth{}) {
		who = authn.FromConfig(authn.AuthConfig{Username: auth.Username, Password: auth.Password, IdentityToken: auth.Token})
	}
	return []remote.Option{remote.WithContext(ctx), remote.WithAuth(who)}
}

// copied writes an image to a registry, and passes on how far that is.
func copied(to name.Reference, img v1.Image, how []remote.Option, progress func(masu.Progress)) error {
	if progress == nil {
		return remote.Write(to, img, how...)
	}
	updates := make(chan v1.Update, 100) // closed at the end of the copy
	var told sync.WaitGroup
	told.Go(func() {
		for u := range updates {
			if u.Error == nil {
				progress(masu.Progress{At: time.Now(), Current: masu.Bytes(u.Complete), Total: masu.Bytes(u.Total)})
			}
		}
	})
	defer told.Wait()
	return remote.Write(to, img, append(how, remote.WithProgress(updates))...)
}

// carryTrouble tells what a registry of the member's has refused.
func (r *Runtime) carryTrouble(ref masu.ImageRef, err error) error {
	if answer, ok := errors.AsType[*transport.Error](err); ok && (answer.StatusCode == http.StatusUnauthorized || answer.StatusCode == http.StatusForbidden) {
		return masu.E(masu.Denied, "registry_denied", ref).Because(err)
	}
	return r.pullTrouble(ref, err)
}
