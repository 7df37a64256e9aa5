package masutest

import (
	"context"
	"maps"
	"slices"

	"github.com/masu-lab/masu"
)

// makeVolumes is called with the lock held.
func (f *FakeRuntime) makeVolumes(id masu.WorkspaceID, mounts []masu.Mount) {
	for _, m := range mounts {
		if _, ok := f.volumes[m.Volume]; m.Volume != "" && !ok {
			f.volumes[m.Volume], f.volumeOf[m.Volume] = files{}, id
		}
	}
}

// Volumes is masu.Runner's.
func (f *FakeRuntime) Volumes(ctx context.Context, id masu.WorkspaceID) (names []string, err error) {
	leave, err := f.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	for name, of := range f.volumeOf {
		if of == id {
			names = append(names, name)
		}
	}
	return names, nil
}

// RemoveVolume is masu.Runner's.
func (f *FakeRuntime) RemoveVolume(ctx context.Context, name string) error {
	leave, err := f.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	for _, b := range f.boxes {
		if slices.ContainsFunc(b.box.Mounts, func(m masu.Mount) bool { return m.Volume == name }) {
			return masu.E(masu.Conflict, "volume_in_use", name)
		}
	}
	for _, s := range slices.Concat(slices.Collect(maps.Values(f.sides))...) {
		if slices.ContainsFunc(s.box.Mounts, func(m masu.Mount) bool { return m.Volume == name }) {
			return masu.E(masu.Conflict, "volume_in_use", name)
		}
	}
	delete(f.volumes, name)
	delete(f.volumeOf, name)
	delete(f.hauled, name)
	return nil
}
