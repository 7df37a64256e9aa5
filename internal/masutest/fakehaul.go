package masutest

import (
	"archive/tar"
	"context"
	"io"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/masu-lab/masu"
)

// hauledEntry is what came into a volume, as the tar had it.
type hauledEntry struct {
	head tar.Header
	path string
}

// PackVolume is masu.Hauler's. What boxes have written is the suite's member's.
func (f *FakeRuntime) PackVolume(ctx context.Context, v masu.Volume, to io.Writer) error {
	leave, err := f.enter(ctx)
	if err != nil {
		return err
	}
	text, there := f.volumes[v.Name]
	text, came := maps.Clone(text), slices.Clone(f.hauled[v.Name])
	leave()
	if !there {
		return masu.E(masu.NotFound, "no_volume", v.Name)
	}
	for _, key := range slices.Sorted(maps.Keys(text)) {
		if !slices.ContainsFunc(came, func(e hauledEntry) bool { return e.path == key }) {
			came = append(came, hauledEntry{tar.Header{Name: "." + key, Typeflag: tar.TypeReg, Mode: 0o644}, key})
		}
	}
	w := tar.NewWriter(to)
	for _, e := range came {
		if e.head.Typeflag == tar.TypeReg {
			e.head.Size = int64(len(text[e.path]))
		}
		if err := w.WriteHeader(&e.head); err != nil {
			return err
		}
		if _, err := w.Write(text[e.path]); err != nil {
			return err
		}
	}
	return w.Close()
}

// UnpackVolume is masu.Hauler's.
func (f *FakeRuntime) UnpackVolume(ctx context.Context, v masu.Volume, from io.Reader) error {
	if err := f.RemoveVolume(ctx, v.Name); err != nil {
		return err
	}
	for t := tar.NewReader(from); ; {
		h, err := t.Next()
		var text []byte
		if err == nil {
			text, err = io.ReadAll(t)
		}
		if err != nil && err != io.EOF {
			return err
		}
		leave, gone := f.enter(ctx)
		if gone != nil {
			return gone
		}
		if f.volumes[v.Name] == nil {
			f.volumes[v.Name], f.volumeOf[v.Name] = files{}, v.Of
		}
		if err == nil {
			key := path.Join("/", strings.TrimPrefix(h.Name, "."))
			f.hauled[v.Name] = append(f.hauled[v.Name], hauledEntry{*h, key})
			if h.Typeflag == tar.TypeReg {
				f.volumes[v.Name][key] = text
			}
		}
		leave()
		if err == io.EOF {
			return nil
		}
	}
}

// VolumeSize adds up the files of a volume.
func (f *FakeRuntime) VolumeSize(ctx context.Context, name string) (sum masu.Bytes, err error) {
	leave, err := f.enter(ctx)
	if err != nil {
		return 0, err
	}
	defer leave()
	if f.volumes[name] == nil {
		return 0, masu.E(masu.NotFound, "no_volume", name)
	}
	for _, text := range f.volumes[name] {
		sum += masu.Bytes(len(text))
	}
	return sum, nil
}
