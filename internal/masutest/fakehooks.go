package masutest

import (
	"maps"
	"net/http"
	"sync"
	"time"

	"github.com/masu-lab/masu"
)

// What a test may do to a FakeRuntime that no runtime offers.

// AddImage puts an image on the fake's engine and returns its ID.
func (f *FakeRuntime) AddImage(ref masu.ImageRef, labels map[string]string) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	img := &fakeImage{
		id:      imageID("added", string(ref)),
		refs:    []masu.ImageRef{tagged(ref)},
		labels:  maps.Clone(labels),
		files:   files{"/etc/passwd": []byte("root:x:0:0::/root:/bin/sh\n")},
		created: time.Now(),
	}
	f.images[img.id] = img
	return img.id
}

// Publish makes Pull able to fetch ref.
func (f *FakeRuntime) Publish(ref masu.ImageRef) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.registry[tagged(ref)] = true
}

// Release makes version the newest of every package.
func (f *FakeRuntime) Release(version string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.newest = version
}

// Handle makes every box answer at port with h; BoxOf tells which box is asked.
func (f *FakeRuntime) Handle(port int, h http.Handler) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.handlers[port] = h
}

// Work sets how many cores every box is measured to use.
func (f *FakeRuntime) Work(cores float64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.cpu = cores
}

type boxKey struct{}

// BoxOf tells the box to which a request for a FakeRuntime's handler was sent.
func BoxOf(r *http.Request) masu.WorkspaceID {
	id, _ := r.Context().Value(boxKey{}).(masu.WorkspaceID)
	return id
}

// FailStart makes each Start fail with err, until it is called with nil.
func (f *FakeRuntime) FailStart(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.startErr = err
}

// FailBuild makes each Build fail with err, until it is called with nil.
func (f *FakeRuntime) FailBuild(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.buildErr = err
}

// FailPull makes each Pull fail with err, until it is called with nil.
func (f *FakeRuntime) FailPull(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.pullErr = err
}

// BlockStart makes each Start wait, until release is called or its context ends.
func (f *FakeRuntime) BlockStart() (release func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	gate := make(chan struct{})
	f.startGate = gate
	return sync.OnceFunc(func() { close(gate) })
}

// BlockBuild makes each Build wait before its first step, until release is called or its context ends.
func (f *FakeRuntime) BlockBuild() (release func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	gate := make(chan struct{})
	f.buildGate = gate
	return sync.OnceFunc(func() { close(gate) })
}

// Delay makes every box one that was started and is yet to run, for that reason, until it is called with nil.
func (f *FakeRuntime) Delay(why *masu.Error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.waits = why
}

// Unreachable makes the engine go away, or come back. Boxes run on meanwhile.
func (f *FakeRuntime) Unreachable(down bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.down = down
	if down {
		for w := range f.watchers {
			w.fail(f.unreachable())
		}
	}
}

// Die ends a box from inside with an exit code, as a crash does.
func (f *FakeRuntime) Die(id masu.WorkspaceID, code int, oom bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if b, ok := f.boxes[id]; ok {
		f.end(b, code, oom)
	}
}

// Vanish removes a box behind everybody's back.
func (f *FakeRuntime) Vanish(id masu.WorkspaceID) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.remove(id)
}

// Started gives the box as it was last started.
func (f *FakeRuntime) Started(id masu.WorkspaceID) (masu.Box, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	b, ok := f.boxes[id]
	if !ok {
		return masu.Box{}, false
	}
	return b.box, true
}

// Builds counts the builds that were begun.
func (f *FakeRuntime) Builds() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.builds
}

// HasVolume tells whether there is a volume of that name.
func (f *FakeRuntime) HasVolume(name string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	_, ok := f.volumes[name]
	return ok
}
