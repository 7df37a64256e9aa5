package masutest

import (
	"archive/tar"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"path"
	"runtime"
	"strings"
	"time"

	"github.com/masu-lab/masu"
)

// savedImage is what the fake writes of an image: what an engine's description has, and the files.
type savedImage struct {
	Architecture string `json:"architecture"`
	OS           string `json:"os"`
	Config       struct {
		Labels map[string]string
	} `json:"config"`
	Files files     `json:"files"`
	At    time.Time `json:"created"`
}

// ImageFile is masu.Carrier's.
func (f *FakeRuntime) ImageFile(ctx context.Context, ref masu.ImageRef, path string) ([]byte, error) {
	leave, err := f.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	img := f.image(ref)
	if img == nil {
		return nil, masu.E(masu.NotFound, "no_image", ref)
	}
	if b, ok := img.files[path]; ok {
		return b, nil
	}
	return nil, masu.E(masu.NotFound, "image_no_record", ref)
}

// Tag is masu.Carrier's.
func (f *FakeRuntime) Tag(ctx context.Context, ref, name masu.ImageRef) error {
	leave, err := f.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	img := f.image(ref)
	if img == nil {
		return masu.E(masu.NotFound, "no_image", ref)
	}
	f.keep(img, name)
	return nil
}

// Save is masu.Carrier's; what it writes is laid out as an engine's.
func (f *FakeRuntime) Save(ctx context.Context, ref masu.ImageRef, w io.Writer) error {
	leave, err := f.enter(ctx)
	if err != nil {
		return err
	}
	img := f.image(ref)
	if img == nil {
		leave()
		return masu.E(masu.NotFound, "no_image", ref)
	}
	s := savedImage{Architecture: runtime.GOARCH, OS: "linux", Files: maps.Clone(img.files), At: img.created}
	s.Config.Labels = maps.Clone(img.labels)
	leave()
	text, err := json.Marshal(s)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(text)
	config := "blobs/sha256/" + hex.EncodeToString(sum[:])
	manifest, err := json.Marshal([]map[string]any{{"Config": config, "RepoTags": nil, "Layers": []string{config}}})
	if err != nil {
		return err
	}
	t := tar.NewWriter(w)
	for _, file := range []struct {
		name string
		text []byte
	}{{config, text}, {"manifest.json", manifest}} {
		if err := t.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: file.name, Mode: 0o644, Size: int64(len(file.text))}); err != nil {
			return err
		}
		if _, err := t.Write(file.text); err != nil {
			return err
		}
	}
	return t.Close()
}

// Load is masu.Carrier's.
func (f *FakeRuntime) Load(ctx context.Context, archive io.Reader) error {
	found := files{}
	for t := tar.NewReader(archive); ; {
		h, err := t.Next()
		if err == io.EOF {
			break
		}
		if err == nil {
			found[path.Clean(h.Name)], err = io.ReadAll(t)
		}
		if masu.CodeOf(err) != "internal" && err != nil {
			return err
		}
		if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, tar.ErrHeader) {
			return masu.E(masu.Invalid, "image_damaged").Because(err)
		}
		if err != nil {
			return err
		}
	}
	var manifest []struct {
		Config   string
		RepoTags []string
	}
	var s savedImage
	if json.Unmarshal(found["manifest.json"], &manifest) != nil || len(manifest) != 1 || json.Unmarshal(found[manifest[0].Config], &s) != nil {
		return masu.E(masu.Invalid, "image_damaged")
	}
	leave, err := f.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	id := "sha256:" + strings.TrimPrefix(manifest[0].Config, "blobs/sha256/")
	for _, ref := range manifest[0].RepoTags {
		f.keep(&fakeImage{id: id, labels: s.Config.Labels, files: s.Files, created: s.At}, masu.ImageRef(ref))
	}
	return nil
}

// Push is masu.Carrier's; Fetch finds what it pushed.
func (f *FakeRuntime) Push(ctx context.Context, ref, to masu.ImageRef, auth masu.RegistryAuth, progress func(masu.Progress)) error {
	leave, err := f.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	img := f.image(ref)
	switch {
	case img == nil:
		return masu.E(masu.NotFound, "no_image", ref)
	case auth.Password == "wrong":
		return masu.E(masu.Denied, "registry_denied", to)
	}
	copied := *img
	copied.refs, copied.labels, copied.files = nil, maps.Clone(img.labels), maps.Clone(img.files)
	f.pushed[tagged(to)] = &copied
	moved(to, progress)
	return nil
}

// Fetch is masu.Carrier's.
func (f *FakeRuntime) Fetch(ctx context.Context, ref, as masu.ImageRef, auth masu.RegistryAuth, progress func(masu.Progress)) error {
	leave, err := f.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	img := f.pushed[tagged(ref)]
	switch {
	case img == nil:
		return masu.E(masu.NotFound, "no_image", ref)
	case auth.Password == "wrong":
		return masu.E(masu.Denied, "registry_denied", ref)
	}
	copied := *img
	f.keep(&copied, as)
	moved(ref, progress)
	return nil
}

func moved(ref masu.ImageRef, progress func(masu.Progress)) {
	if progress != nil {
		progress(masu.Progress{At: time.Now(), Step: string(ref), Name: string(ref), State: masu.StepDone, Current: masu.MiB, Total: masu.MiB})
	}
}
