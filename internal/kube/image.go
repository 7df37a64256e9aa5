package kube

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	goruntime "runtime"
	"slices"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/google/go-containerregistry/pkg/v1/stream"

	corev1 "k8s.io/api/core/v1"

	"github.com/masu-lab/masu"
)

// Images live in the lab's registry: nodes pull from it what masu pushed. The
// ID of an image is its name there with its digest, which is what pods name.

// at is where an image of masu's name is in the registry. A name of another
// registry's, and an ID, stand for themselves.
func (r *Runtime) at(ref masu.ImageRef) (name.Reference, error) {
	s := string(ref)
	if first, _, path := strings.Cut(s, "/"); !path || !strings.ContainsAny(first, ".:") && first != "localhost" {
		s = r.cfg.Registry + "/" + s
	}
	parsed, err := name.ParseReference(s, name.WithDefaultTag("latest"))
	if err != nil {
		return nil, masu.E(masu.NotFound, "no_image", ref).Because(err)
	}
	return parsed, nil
}

func (r *Runtime) registry(ctx context.Context) []remote.Option {
	return []remote.Option{remote.WithContext(ctx), remote.WithAuthFromKeychain(r.cfg.Keychain)}
}

// Image tells about an image that the registry has; NotFound "no_image" if it has not.
func (r *Runtime) Image(ctx context.Context, ref masu.ImageRef) (masu.Image, error) {
	img, err := r.image(ctx, ref, nil)
	if err == nil {
		img.InUse, err = r.inUse(ctx, img.ID)
	}
	return img, err
}

func (r *Runtime) image(ctx context.Context, ref masu.ImageRef, used map[string]bool) (masu.Image, error) {
	ctx, cancel := context.WithTimeout(ctx, quick)
	defer cancel()
	at, err := r.at(ref)
	if err != nil {
		return masu.Image{}, err
	}
	img, err := remote.Image(at, r.registry(ctx)...)
	if err != nil {
		return masu.Image{}, r.pullTrouble(ref, err)
	}
	digest, err1 := img.Digest()
	manifest, err2 := img.Manifest()
	config, err3 := img.ConfigFile()
	if err := errors.Join(err1, err2, err3); err != nil {
		return masu.Image{}, r.pullTrouble(ref, err)
	}
	out := masu.Image{ID: at.Context().Digest(digest.String()).String(), Labels: config.Config.Labels, Created: config.Created.Time, Arch: config.Architecture}
	out.InUse = used[out.ID]
	for _, l := range manifest.Layers {
		out.Size += masu.Bytes(l.Size)
	}
	if tag, ok := at.(name.Tag); ok {
		out.Refs = []masu.ImageRef{r.known(tag)}
	}
	return out, nil
}

// known is masu's name of an image in the registry.
func (r *Runtime) known(tag name.Tag) masu.ImageRef {
	return masu.ImageRef(strings.TrimPrefix(tag.Context().String()+":"+tag.TagStr(), r.cfg.Registry+"/"))
}

// pullTrouble tells what the registry, or the way to it, has refused.
func (r *Runtime) pullTrouble(ref masu.ImageRef, err error) error {
	if answer, ok := errors.AsType[*transport.Error](err); ok {
		switch answer.StatusCode {
		case http.StatusNotFound, http.StatusUnauthorized, http.StatusForbidden:
			return masu.E(masu.NotFound, "no_image", ref).Because(err)
		case http.StatusTooManyRequests:
			return masu.E(masu.Unreachable, "registry_busy", ref).Because(err)
		}
	}
	if errors.Is(err, context.Canceled) {
		return fmt.Errorf("kube: registry: %w", err)
	}
	return masu.E(masu.Unreachable, "registry_unreachable", ref).Because(err)
}

// usedImages tells the IDs of the images that some box was made from.
func (r *Runtime) usedImages(ctx context.Context) (map[string]bool, error) {
	used := map[string]bool{}
	_, err := r.each(ctx, func(p *corev1.Pod) bool {
		used[p.Annotations[noteImage]] = true
		return true
	})
	return used, err
}

// inUse tells it of one image, without a look at all boxes.
func (r *Runtime) inUse(ctx context.Context, id string) (bool, error) {
	o := r.mine()
	o.LabelSelector += "," + labelImage + "=" + digest(id)
	o.Limit = 1
	l, err := r.page(ctx, o)
	return len(l.Items) > 0, r.failed("list", err)
}

// Pull brings an image into the lab's registry from the world's: the nodes fetch
// from there what they need. One that names another registry stays there.
func (r *Runtime) Pull(ctx context.Context, ref masu.ImageRef, progress func(masu.Progress)) error {
	_, err := r.Image(ctx, ref)
	if masu.CodeOf(err) != "no_image" {
		return err
	}
	at, atErr := r.at(ref)
	if atErr != nil || !strings.HasPrefix(at.Name(), r.cfg.Registry+"/") {
		return err // that registry has been asked
	}
	world, parseErr := name.ParseReference(string(ref), name.WithDefaultTag("latest"))
	if parseErr != nil {
		return err
	}
	img, pullErr := remote.Image(world, append(r.registry(ctx), remote.WithPlatform(v1.Platform{OS: "linux", Architecture: goruntime.GOARCH}))...)
	if pullErr != nil {
		return r.pullTrouble(ref, pullErr)
	}
	p := masu.Progress{Step: string(ref), Name: string(ref), State: masu.StepRunning}
	say := func(now masu.Progress) {
		p.At, p.Current, p.Total = now.At, now.Current, now.Total
		if progress != nil {
			progress(p)
		}
	}
	err = r.write(ctx, img, ref, say)
	p.State = masu.StepDone
	if err != nil {
		p.State = masu.StepFailed
	}
	say(masu.Progress{At: time.Now(), Current: p.Current, Total: p.Total})
	return err
}

// Images lists masu's images in the registry, newest first.
func (r *Runtime) Images(ctx context.Context) ([]masu.Image, error) {
	ctx, cancel := context.WithTimeout(ctx, slow)
	defer cancel()
	used, err := r.usedImages(ctx)
	if err != nil {
		return nil, err
	}
	tags, err := r.tags(ctx)
	if err != nil {
		return nil, err
	}
	found := map[string]masu.Image{}
	for _, tag := range tags {
		img, err := r.image(ctx, tag, used)
		if masu.CodeOf(err) == "no_image" {
			continue // removed meanwhile
		}
		if err != nil {
			return nil, err
		}
		if img.Labels["masu.environment"] == "" && img.Labels["masu.base"] == "" {
			continue
		}
		if old, ok := found[img.ID]; ok {
			img.Refs = append(old.Refs, img.Refs...)
		}
		found[img.ID] = img
	}
	out := make([]masu.Image, 0, len(found))
	for _, img := range found {
		out = append(out, img)
	}
	slices.SortFunc(out, func(a, b masu.Image) int {
		if c := b.Created.Compare(a.Created); c != 0 {
			return c
		}
		return strings.Compare(a.ID, b.ID)
	})
	return out, nil
}

// tags lists the names of all images under the lab's part of the registry.
func (r *Runtime) tags(ctx context.Context) ([]masu.ImageRef, error) {
	host, prefix, _ := strings.Cut(r.cfg.Registry, "/")
	reg, err := name.NewRegistry(host)
	if err != nil {
		return nil, fmt.Errorf("kube: registry: %w", err)
	}
	repos, err := remote.Catalog(ctx, reg, r.registry(ctx)...)
	if err != nil {
		return nil, r.pullTrouble(masu.ImageRef(r.cfg.Registry), err)
	}
	var out []masu.ImageRef
	for _, repo := range repos {
		rest, ours := strings.CutPrefix(repo, strings.TrimPrefix(prefix+"/", "/"))
		if !ours {
			continue
		}
		at := reg.Repo(repo)
		tags, err := remote.List(at, r.registry(ctx)...)
		if missing, ok := errors.AsType[*transport.Error](err); ok && missing.StatusCode == http.StatusNotFound {
			continue // its last image was removed
		}
		if err != nil {
			return nil, r.pullTrouble(masu.ImageRef(rest), err)
		}
		for _, t := range tags {
			out = append(out, masu.ImageRef(rest+":"+t))
		}
	}
	return out, nil
}

// Import makes an image of a root file system's tar. An error of the reader is returned as it is.
func (r *Runtime) Import(ctx context.Context, ref masu.ImageRef, rootfs io.Reader, labels map[string]string) error {
	at, err := r.at(ref)
	if err != nil {
		return err
	}
	src := &remembering{Reader: rootfs}
	img, err := mutate.ConfigFile(empty.Image, &v1.ConfigFile{OS: "linux", Architecture: goruntime.GOARCH, Created: v1.Time{Time: time.Now()},
		Config: v1.Config{Labels: labels, Env: []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}}})
	if err == nil {
		img, err = mutate.AppendLayers(img, stream.NewLayer(io.NopCloser(src)))
	}
	if err == nil {
		err = remote.Write(at, img, r.registry(ctx)...)
	}
	if src.err != nil {
		return src.err
	}
	if err != nil {
		return r.pullTrouble(ref, err)
	}
	return nil
}

// remembering keeps a reader's error, which the registry's client would bury. It is read once writing has ended.
type remembering struct {
	io.Reader
	err error
}

func (r *remembering) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	if err != nil && err != io.EOF {
		r.err = err
	}
	return n, err
}
