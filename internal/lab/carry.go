package lab

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"

	"github.com/distribution/reference"

	"github.com/masu-lab/masu"
	"github.com/masu-lab/masu/internal/archive"
)

const (
	handedMost = 20        // images that one member has loaded
	roomEvery  = 256 << 20 // bytes of an archive between looks at the disk
)

// SaveImage writes an image that the actor uses.
func (s *service) SaveImage(ctx context.Context, name string, w io.Writer) (err error) {
	defer func() { s.l.record(ctx, s.actor, "images save", name, err) }()
	img, _, err := s.imageOf(ctx, name)
	if err == nil {
		err = mayLeave(img, name)
	}
	if err != nil {
		return err
	}
	return s.l.cfg.Runtime.Save(ctx, masu.ImageRef(img.ID), w)
}

// mayLeave refuses an image that nobody could use elsewhere.
func mayLeave(img masu.Image, name string) error {
	if img.Labels[labelWish] == "" {
		return masu.E(masu.NotFound, "image_no_record", name)
	}
	return nil
}

// LoadImage takes an image that masu made, under a name that serves the actor alone.
func (s *service) LoadImage(ctx context.Context, r io.Reader, progress func(masu.Progress)) (img masu.Image, err error) {
	defer func() { s.l.record(ctx, s.actor, "images load", string(img.ID), err) }()
	if err := s.mayLoadImages(ctx); err != nil {
		return img, err
	}
	var ref masu.ImageRef
	accept := func(c archive.Config) (masu.ImageRef, error) {
		if c.Architecture != s.l.cfg.Host(ctx).Arch {
			return "", masu.E(masu.Invalid, "image_arch", c.Architecture, s.l.cfg.Host(ctx).Arch)
		}
		name, err := s.nameFor(c.Config.Labels)
		ref = name
		return name, err
	}
	out, in := io.Pipe()
	passed := make(chan struct{})
	go func() {
		defer close(passed)
		in.CloseWithError(archive.Pass(&roomyReader{Reader: r, roomy: func() error { return s.l.roomy(ctx) }}, in, accept))
	}()
	err = s.l.cfg.Runtime.Load(ctx, out)
	out.CloseWithError(errors.New("the engine does not want more"))
	<-passed
	if err != nil {
		return img, err
	}
	return s.taken(ctx, ref, progress)
}

// nameFor is under which name an image with such labels is taken in.
func (s *service) nameFor(labels map[string]string) (masu.ImageRef, error) {
	var env masu.Environment
	if err := json.Unmarshal([]byte(labels[labelWish]), &env); err != nil {
		return "", masu.E(masu.Invalid, "image_foreign").Because(err)
	}
	return handedTo(s.actor.User, env.Unlocked().Key()), nil
}

// taken looks at an image that has come in: one in which no record stands is not kept.
func (s *service) taken(ctx context.Context, ref masu.ImageRef, progress func(masu.Progress)) (masu.Image, error) {
	img, err := s.l.cfg.Runtime.Image(ctx, ref)
	if err != nil {
		return img, err
	}
	if _, err := s.l.contentsOf(ctx, img); err != nil {
		rm := s.l.cfg.Runtime.RemoveImage(context.WithoutCancel(ctx), ref)
		return masu.Image{}, errors.Join(masu.E(masu.Invalid, "image_foreign").Because(err), rm)
	}
	if progress != nil {
		progress(masu.Progress{Code: "image_taken", Args: []string{string(ref)}})
	}
	img.Refs = []masu.ImageRef{ref} // under which names others have it is not the actor's to know
	return img, nil
}

// mayLoadImages tells whether the actor may bring in one image more.
func (s *service) mayLoadImages(ctx context.Context) error {
	if !s.l.policy().LoadImages && !s.actor.Admin {
		return masu.E(masu.Denied, "images_forbidden")
	}
	if err := s.mayBegin(ctx); err != nil {
		return err
	}
	all, err := s.l.cfg.Runtime.Images(ctx)
	if err != nil {
		return err
	}
	n := 0
	for _, i := range all {
		if loadedBy(s.actor.User, i) {
			n++
		}
	}
	if n >= handedMost {
		return masu.E(masu.Full, "images_full", handedMost)
	}
	return nil
}

// roomyReader ends what would fill the disk.
type roomyReader struct {
	io.Reader
	roomy func() error
	since int
}

// Read passes on, and looks at the disk now and then.
func (r *roomyReader) Read(p []byte) (int, error) {
	if r.since >= roomEvery {
		r.since = 0
		if err := r.roomy(); err != nil {
			return 0, err
		}
	}
	n, err := r.Reader.Read(p)
	r.since += n
	return n, err
}

// PushImage copies an image that the actor uses to a registry.
func (s *service) PushImage(ctx context.Context, t masu.Transfer, progress func(masu.Progress)) (err error) {
	defer func() { s.l.record(ctx, s.actor, "images push", t.Name+" "+string(t.Ref), err) }()
	ref, err := s.registry(t.Ref)
	if err != nil {
		return err
	}
	img, _, err := s.imageOf(ctx, t.Name)
	if err == nil {
		err = mayLeave(img, t.Name)
	}
	if err != nil {
		return err
	}
	return s.l.cfg.Runtime.Push(ctx, masu.ImageRef(img.ID), ref, t.Auth, progress)
}

// PullImage fetches an image that masu made, under a name that serves the actor alone.
func (s *service) PullImage(ctx context.Context, t masu.Transfer, progress func(masu.Progress)) (img masu.Image, err error) {
	defer func() { s.l.record(ctx, s.actor, "images pull", string(t.Ref), err) }()
	ref, err := s.registry(t.Ref)
	if err == nil {
		err = s.mayLoadImages(ctx)
	}
	if err != nil {
		return img, err
	}
	at := handedTo(s.actor.User, "new-"+string(newID()))
	if err := s.l.cfg.Runtime.Fetch(ctx, ref, at, t.Auth, progress); err != nil {
		return img, err
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), tidyFor)
		defer cancel()
		err = errors.Join(err, s.l.cfg.Runtime.RemoveImage(ctx, at))
	}()
	came, err := s.l.cfg.Runtime.Image(ctx, at)
	if err != nil {
		return img, err
	}
	if arch := s.l.cfg.Host(ctx).Arch; came.Arch != arch {
		return img, masu.E(masu.Invalid, "image_arch", came.Arch, arch)
	}
	name, err := s.nameFor(came.Labels)
	if err != nil {
		return img, err
	}
	if err := s.l.cfg.Runtime.Tag(ctx, at, name); err != nil {
		return img, err
	}
	return s.taken(ctx, name, progress)
}

// registry takes a name at a registry to which the house rules let the actor go.
func (s *service) registry(ref masu.ImageRef) (masu.ImageRef, error) {
	ref, err := registryName(ref)
	if err != nil {
		return "", err
	}
	host, _, _ := strings.Cut(string(ref), "/")
	open := s.l.policy().Registries
	if open == nil || s.actor.Admin || slices.ContainsFunc(open, func(r string) bool { return strings.EqualFold(r, host) }) {
		return ref, nil
	}
	return "", masu.E(masu.Denied, "registry_forbidden", host, strings.Join(open, ", "))
}

// registryName takes a name that says at which registry: what has none could
// mean an image of this host's, or anybody's.
func registryName(ref masu.ImageRef) (masu.ImageRef, error) {
	host, _, path := strings.Cut(string(ref), "/")
	named, err := reference.ParseNormalizedNamed(string(ref))
	if err != nil || !path || !strings.ContainsAny(host, ".:") && host != "localhost" {
		return "", masu.E(masu.Invalid, "registry_name", ref)
	}
	if _, digested := named.(reference.Digested); digested {
		return "", masu.E(masu.Invalid, "registry_name", ref)
	}
	return masu.ImageRef(reference.TagNameOnly(named).String()), nil
}
