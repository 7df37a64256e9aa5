package masutest

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/masu-lab/masu"
	"github.com/masu-lab/masu/internal/archive"
)

const recordFile = "/opt/recipe/packages.txt"

// record is what the recipe's record.sh notes: what was asked for in the version that
// the lock says, or else in the newest, which a test may change by Release.
func (b *fakeBuild) record() {
	locked := map[string]string{}
	for from, sign := range map[string]string{"apt": " ", "pip": "=="} {
		text, err := fs.ReadFile(b.r.Files, "setup/lock-"+from+".txt")
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(text)) {
			name, version, _ := strings.Cut(strings.TrimSpace(line), sign)
			locked[from+" "+name] = version
		}
	}
	b.f.mu.Lock()
	newest := b.f.newest
	b.f.mu.Unlock()
	l := masu.Lock{Arch: runtime.GOARCH, Python: "3.13.5", Packages: []masu.Package{{From: masu.FromBase, Name: "base-files", Version: "13"}}}
	for _, file := range slices.Sorted(keysOf(b.img.files)) {
		from, _, ok := strings.Cut(path.Base(file), "-")
		if !ok || from != "apt" && from != "pip" || path.Dir(file) != "/opt/recipe" {
			continue
		}
		for _, name := range strings.Fields(string(b.img.files[file])) {
			l.Packages = append(l.Packages, masu.Package{From: from, Name: name, Version: cmp.Or(locked[from+" "+name], newest)})
		}
	}
	b.img.files[recordFile] = []byte(l.Text())
}

func keysOf(m files) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

// imageOf resolves a name to an image that the fake actor uses.
func (s *fakeActor) imageOf(ctx context.Context, name string) (masu.Image, error) {
	if strings.HasPrefix(name, "/") {
		if err := folder(name); err != nil {
			return masu.Image{}, err
		}
		img, err := s.Runtime.Image(ctx, fakeRef("", name))
		if masu.KindOf(err) == masu.NotFound && err != nil {
			err = masu.E(masu.Conflict, "not_built", name)
		}
		return img, err
	}
	s.mu.Lock()
	r, err := s.find(name)
	ref := masu.ImageRef(name)
	if err == nil {
		ref = masu.ImageRef(r.Image)
	}
	owners, known := s.built[ref]
	s.mu.Unlock()
	switch {
	case err == nil:
		return s.Runtime.Image(ctx, ref)
	case !known:
		return masu.Image{}, masu.E(masu.NotFound, "image_unknown", name)
	case !slices.Contains(owners, s.actor.Name) && !s.actor.Admin:
		return masu.Image{}, masu.E(masu.Denied, "image_not_used", name)
	}
	return s.Runtime.Image(ctx, ref)
}

func fakeRef(preset, dir string) masu.ImageRef {
	return masu.ImageRef("masu/env:" + masu.Environment{Preset: preset, Digest: dir}.Key())
}

func (s *fakeActor) Contents(ctx context.Context, name string) (c masu.Contents, err error) {
	img, err := s.imageOf(ctx, name)
	if err != nil {
		return c, err
	}
	text, err := s.Runtime.ImageFile(ctx, masu.ImageRef(img.ID), recordFile)
	if err != nil {
		return c, err
	}
	c = masu.Contents{Name: name, Image: img.ID, Text: "preset: python\n"}
	if err := json.Unmarshal([]byte(img.Labels["masu.wish"]), &c.Env); err != nil {
		return c, masu.E(masu.NotFound, "image_no_record", name).Because(err)
	}
	c.Lock, err = masu.ParseLock(string(text))
	c.Lock.Environment = c.Env.Key()
	return c, err
}

func (s *fakeActor) Lock(ctx context.Context, q masu.BuildWish, progress func(masu.Progress)) (masu.Lock, error) {
	if _, err := s.Build(ctx, q, progress); err != nil {
		return masu.Lock{}, err
	}
	c, err := s.Contents(ctx, q.Dir)
	if err != nil {
		return c.Lock, err
	}
	return c.Lock, os.WriteFile(filepath.Join(q.Dir, "masu.lock"), []byte(c.Lock.Text()), 0o644)
}

func (s *fakeActor) SaveImage(ctx context.Context, name string, w io.Writer) error {
	img, err := s.imageOf(ctx, name)
	if err != nil {
		return err
	}
	return s.Runtime.Save(ctx, masu.ImageRef(img.ID), w)
}

// own is under which name the fake keeps what an actor has brought in.
func (s *fakeActor) own(labels map[string]string) (masu.ImageRef, error) {
	var env masu.Environment
	if json.Unmarshal([]byte(labels["masu.wish"]), &env) != nil {
		return "", masu.E(masu.Invalid, "image_foreign")
	}
	return masu.ImageRef(fmt.Sprintf("masu/of-%d:%s", s.actor.UID, env.Key())), nil
}

func (s *fakeActor) keepOwn(ctx context.Context, ref masu.ImageRef) (masu.Image, error) {
	s.mu.Lock()
	s.built[ref] = append(s.built[ref], s.actor.Name)
	s.mu.Unlock()
	img, err := s.Runtime.Image(ctx, ref)
	img.Refs = []masu.ImageRef{ref}
	return img, err
}

func (s *fakeActor) LoadImage(ctx context.Context, r io.Reader, _ func(masu.Progress)) (masu.Image, error) {
	out, in := io.Pipe()
	var ref masu.ImageRef
	passed := make(chan struct{})
	go func() {
		defer close(passed)
		in.CloseWithError(archive.Pass(r, in, func(c archive.Config) (_ masu.ImageRef, err error) {
			ref, err = s.own(c.Config.Labels)
			return ref, err
		}))
	}()
	err := s.Runtime.Load(ctx, out)
	out.CloseWithError(err)
	<-passed
	if err != nil {
		return masu.Image{}, err
	}
	return s.keepOwn(ctx, ref)
}

// atRegistry tells whether a name says at which registry.
func atRegistry(ref masu.ImageRef) bool {
	host, _, path := strings.Cut(string(ref), "/")
	return path && strings.ContainsAny(host, ".:")
}

func (s *fakeActor) PushImage(ctx context.Context, t masu.Transfer, progress func(masu.Progress)) error {
	if !atRegistry(t.Ref) {
		return masu.E(masu.Invalid, "registry_name", t.Ref)
	}
	img, err := s.imageOf(ctx, t.Name)
	if err != nil {
		return err
	}
	return s.Runtime.Push(ctx, masu.ImageRef(img.ID), t.Ref, t.Auth, progress)
}

func (s *fakeActor) PullImage(ctx context.Context, t masu.Transfer, progress func(masu.Progress)) (masu.Image, error) {
	if !atRegistry(t.Ref) {
		return masu.Image{}, masu.E(masu.Invalid, "registry_name", t.Ref)
	}
	const at = "masu/fetched:new"
	if err := s.Runtime.Fetch(ctx, t.Ref, at, t.Auth, progress); err != nil {
		return masu.Image{}, err
	}
	img, err := s.Runtime.Image(ctx, at)
	if err != nil {
		return img, err
	}
	ref, err := s.own(img.Labels)
	if err != nil {
		return img, err
	}
	if err := s.Runtime.Tag(ctx, at, ref); err != nil {
		return img, err
	}
	return s.keepOwn(ctx, ref)
}
