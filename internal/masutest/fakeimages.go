package masutest

import (
	"context"
	"slices"
	"testing/fstest"

	"github.com/masu-lab/masu"
)

func (s *fakeActor) Build(ctx context.Context, q masu.BuildWish, progress func(masu.Progress)) (masu.Image, error) {
	if err := folder(q.Dir); err != nil {
		return masu.Image{}, err
	}
	ref := masu.ImageRef("masu/env:" + masu.Environment{Preset: q.Preset, Digest: q.Dir}.Key())
	_, err := s.Runtime.Build(ctx, masu.BuildRequest{
		Ref:        ref,
		Files:      fstest.MapFS{"Dockerfile": {Data: []byte("FROM masu-test/base\nRUN echo built\n")}},
		Dockerfile: "Dockerfile",
		Labels:     map[string]string{"masu.dir": q.Dir},
	}, progress)
	if err != nil {
		return masu.Image{}, err
	}
	s.mu.Lock()
	s.built[ref] = append(s.built[ref], s.actor.Name)
	s.mu.Unlock()
	return s.Runtime.Image(ctx, ref)
}

func (s *fakeActor) Images(ctx context.Context) ([]masu.ImageUse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []masu.ImageUse
	for ref, owners := range s.built {
		image, err := s.Runtime.Image(ctx, ref)
		if err != nil {
			return nil, err
		}
		out = append(out, masu.ImageUse{Image: image, Owners: slices.Clone(owners)})
	}
	return out, nil
}

func (s *fakeActor) RemoveImage(ctx context.Context, ref masu.ImageRef) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for known, owners := range s.built {
		image, err := s.Runtime.Image(ctx, known)
		if err != nil {
			return err
		}
		if (known == ref || image.ID == string(ref)) && (s.actor.Admin || slices.Contains(owners, s.actor.Name)) {
			delete(s.built, known)
			return s.Runtime.RemoveImage(ctx, known)
		}
	}
	return masu.E(masu.NotFound, "no_image", ref)
}

func (s *fakeActor) PruneImages(ctx context.Context, dry bool) ([]masu.ImageUse, error) {
	all, err := s.Images(ctx)
	if err != nil || dry {
		return all, err
	}
	for _, i := range all {
		if err := s.RemoveImage(ctx, masu.ImageRef(i.ID)); err != nil {
			return nil, err
		}
	}
	return all, nil
}
