package masutest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"maps"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/masu-lab/masu"
)

// FakeRuntime is a masu.Runtime in memory that passes the suite. Its boxes
// understand a few words of shell, keep files, and answer at ports with the
// test's own handlers; at masu.AgentPort each answers as an agent whose apps
// are all ready. It starts out with the image "masu-test/base".
type FakeRuntime struct {
	mu       sync.Mutex
	boxes    map[masu.WorkspaceID]*fakeBox
	images   map[string]*fakeImage // by ID
	volumes  map[string]files
	volumeOf map[string]masu.WorkspaceID
	hauled   map[string][]hauledEntry // what of a volume came by UnpackVolume
	sides    map[masu.WorkspaceID][]*fakeSide
	handlers map[int]http.Handler
	watchers map[*watcher]bool
	cached   map[string]bool // steps of builds that were done once
	made     int             // containers so far
	builds   int

	cpu       float64 // cores that every box is measured to use
	down      bool
	startErr  error
	waits     *masu.Error
	buildErr  error
	pullErr   error
	startGate chan struct{} // nil, or closed when starts may go on
	buildGate chan struct{}
	registry  map[masu.ImageRef]bool // what Pull can fetch
	pushed    map[masu.ImageRef]*fakeImage
	newest    string // version of every package, where no lock says otherwise
}

var (
	_ masu.Runtime   = (*FakeRuntime)(nil)
	_ masu.Measurer  = (*FakeRuntime)(nil)
	_ masu.Extractor = (*FakeRuntime)(nil)
	_ masu.Hauler    = (*FakeRuntime)(nil)
)

// NewRuntime returns a fake with nothing in it but the image "masu-test/base".
func NewRuntime() *FakeRuntime {
	f := &FakeRuntime{
		boxes:    map[masu.WorkspaceID]*fakeBox{},
		images:   map[string]*fakeImage{},
		volumes:  map[string]files{},
		volumeOf: map[string]masu.WorkspaceID{},
		hauled:   map[string][]hauledEntry{},
		sides:    map[masu.WorkspaceID][]*fakeSide{},
		handlers: map[int]http.Handler{},
		watchers: map[*watcher]bool{},
		cached:   map[string]bool{},
		registry: map[masu.ImageRef]bool{}, pushed: map[masu.ImageRef]*fakeImage{}, newest: "1.0",
		cpu: 0.5,
	}
	f.AddImage("masu-test/base:latest", nil)
	return f
}

func (f *FakeRuntime) unreachable() error {
	return masu.E(masu.Unreachable, "engine_unreachable", "fake")
}

// enter locks the fake for a call, unless the engine is away or the caller is.
func (f *FakeRuntime) enter(ctx context.Context) (leave func(), err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	f.mu.Lock()
	if f.down {
		f.mu.Unlock()
		return nil, f.unreachable()
	}
	return f.mu.Unlock, nil
}

// pass waits at a gate.
func pass(ctx context.Context, gate chan struct{}) error {
	if gate == nil {
		return nil
	}
	select {
	case <-gate:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Info describes the fake.
func (f *FakeRuntime) Info(ctx context.Context) (masu.RuntimeInfo, error) {
	leave, err := f.enter(ctx)
	if err != nil {
		return masu.RuntimeInfo{}, err
	}
	defer leave()
	return masu.RuntimeInfo{Name: "fake", Version: "1", API: "1.41", LiveRestore: true, Root: "/fake", Cgroup: "2"}, nil
}

// Close ends all boxes, so that no goroutine is left.
func (f *FakeRuntime) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, b := range f.boxes {
		f.end(b, 143, false)
	}
	for id := range f.sides {
		f.endSides(id)
	}
	for w := range f.watchers {
		w.fail(f.unreachable())
	}
	return nil
}

// Start is masu.Runner's.
func (f *FakeRuntime) Start(ctx context.Context, b masu.Box) error {
	f.mu.Lock()
	gate := f.startGate
	f.mu.Unlock()
	if err := pass(ctx, gate); err != nil {
		return err
	}
	if err := f.failing(); err != nil {
		return err
	}
	if err := f.startSides(ctx, b); err != nil {
		return err
	}
	leave, err := f.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	img := f.image(masu.ImageRef(b.Image))
	if img == nil {
		return masu.E(masu.NotFound, "no_image", b.Image)
	}
	spec := boxDigest(b)
	old := f.boxes[b.ID]
	if old != nil && (old.spec != spec || old.image != img.id) {
		f.removeBox(b.ID)
		old = nil
	}
	if old == nil {
		f.made++
		old = &fakeBox{id: b.ID, box: b, spec: spec, image: img.id, files: maps.Clone(img.files),
			handle: imageID("container", fmt.Sprint(f.made))[len("sha256:"):], log: newFakeLog()}
		f.boxes[b.ID] = old
		f.makeVolumes(b.ID, b.Mounts)
	}
	if old.life == nil {
		old.life = newLife()
		old.started, old.ended, old.code, old.oom = time.Now(), time.Time{}, 0, false
		f.changed(b.ID)
		if len(b.Agent.Command) > 0 {
			go f.carryOut(old, old.life)
		}
	}
	return nil
}

func (f *FakeRuntime) failing() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.startErr
}

// carryOut runs the command that a box is for; the box ends with it.
func (f *FakeRuntime) carryOut(b *fakeBox, life *life) {
	sh := f.shell(b, life, masu.Exec{Argv: b.box.Agent.Command, Stdout: b.log, Stderr: b.log})
	ctx, _, end := life.begin(life.ctx)
	code := sh.command(ctx, b.box.Agent.Command)
	sh.back.Wait()
	end()
	f.mu.Lock()
	defer f.mu.Unlock()
	if b.life == life {
		f.end(b, code, false)
	}
}

// Stop is masu.Runner's; its boxes end at once when asked.
func (f *FakeRuntime) Stop(ctx context.Context, id masu.WorkspaceID, grace time.Duration) error {
	leave, err := f.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	if b, ok := f.boxes[id]; ok {
		code := 143
		if grace <= 0 {
			code = 137
		}
		f.end(b, code, false)
	}
	f.endSides(id)
	return nil
}

// Remove is masu.Runner's.
func (f *FakeRuntime) Remove(ctx context.Context, id masu.WorkspaceID) error {
	leave, err := f.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	f.remove(id)
	return nil
}

func (f *FakeRuntime) remove(id masu.WorkspaceID) {
	f.removeBox(id)
	f.endSides(id)
	delete(f.sides, id)
}

func (f *FakeRuntime) removeBox(id masu.WorkspaceID) {
	if b, ok := f.boxes[id]; ok {
		f.end(b, 137, false)
		delete(f.boxes, id)
		f.changed(id)
	}
}

// end is called with the lock held.
func (f *FakeRuntime) end(b *fakeBox, code int, oom bool) {
	if b.life == nil {
		return
	}
	b.life.end()
	b.life = nil
	b.ended, b.code, b.oom = time.Now(), code, oom
	b.log.wake()
	f.changed(b.id)
}

// Boxes is masu.Runner's.
func (f *FakeRuntime) Boxes(ctx context.Context) ([]masu.BoxStatus, error) {
	leave, err := f.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	var out []masu.BoxStatus
	for _, b := range f.boxes {
		out = append(out, f.status(b))
	}
	return out, nil
}

// Box is masu.Runner's.
func (f *FakeRuntime) Box(ctx context.Context, id masu.WorkspaceID) (masu.BoxStatus, error) {
	leave, err := f.enter(ctx)
	if err != nil {
		return masu.BoxStatus{}, err
	}
	defer leave()
	b := f.boxes[id]
	if b == nil {
		return masu.BoxStatus{}, masu.E(masu.NotFound, "no_box", id)
	}
	return f.status(b), nil
}

func (f *FakeRuntime) status(b *fakeBox) masu.BoxStatus {
	s := masu.BoxStatus{ID: b.id, Owner: b.box.Owner.Name, Name: b.box.Name, Run: b.box.Run, State: masu.BoxExited, Image: b.image,
		GPUs: slices.Clone(b.box.GPUs), StartedAt: b.started, EndedAt: b.ended, ExitCode: b.code, OOM: b.oom, Spec: b.spec, Handle: b.handle}
	if b.life != nil {
		s.State = masu.BoxRunning
		if f.waits != nil {
			s.State, s.Waits = masu.BoxCreated, f.waits
		}
	}
	for _, side := range f.sides[b.id] {
		s.Sides = append(s.Sides, side.standing())
	}
	return s
}

// watcher is one call of Changes.
type watcher struct {
	mu   sync.Mutex
	ids  []masu.WorkspaceID
	err  error
	news chan struct{} // has room for one
}

func (w *watcher) tell(id masu.WorkspaceID) {
	w.mu.Lock()
	w.ids = append(w.ids, id)
	w.mu.Unlock()
	w.nudge()
}

func (w *watcher) fail(err error) {
	w.mu.Lock()
	w.err = err
	w.mu.Unlock()
	w.nudge()
}

func (w *watcher) nudge() {
	select {
	case w.news <- struct{}{}:
	default:
	}
}

func (w *watcher) take() ([]masu.WorkspaceID, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	ids := w.ids
	w.ids = nil
	return ids, w.err
}

func (f *FakeRuntime) changed(id masu.WorkspaceID) {
	for w := range f.watchers {
		w.tell(id)
	}
}

// Changes is masu.Runner's. It begins with every box there is, for what
// happened before it listened.
func (f *FakeRuntime) Changes(ctx context.Context) iter.Seq2[masu.WorkspaceID, error] {
	return func(yield func(masu.WorkspaceID, error) bool) {
		w := &watcher{news: make(chan struct{}, 1)}
		leave, err := f.enter(ctx)
		if err != nil {
			if ctx.Err() == nil {
				yield("", err)
			}
			return
		}
		f.watchers[w] = true
		w.ids = slices.Collect(maps.Keys(f.boxes))
		leave()
		defer func() {
			f.mu.Lock()
			defer f.mu.Unlock()
			delete(f.watchers, w)
		}()
		for {
			ids, err := w.take()
			for _, id := range ids {
				if !yield(id, nil) {
					return
				}
			}
			if err != nil {
				yield("", err)
				return
			}
			select {
			case <-w.news:
			case <-ctx.Done():
				return
			}
		}
	}
}

// find gives a box and, when it must run, its life.
func (f *FakeRuntime) find(id masu.WorkspaceID, running bool) (*fakeBox, error) {
	b, ok := f.boxes[id]
	if !ok {
		return nil, masu.E(masu.NotFound, "no_box", id)
	}
	if running && b.life == nil {
		return nil, masu.E(masu.Conflict, "box_not_running", b.box.Name)
	}
	return b, nil
}

// Logs is masu.Runner's.
func (f *FakeRuntime) Logs(ctx context.Context, id masu.WorkspaceID, w io.Writer, follow bool) error {
	leave, err := f.enter(ctx)
	if err != nil {
		return err
	}
	b, err := f.find(id, false)
	leave()
	if err != nil {
		return err
	}
	return b.log.copy(ctx, w, func() bool {
		f.mu.Lock()
		defer f.mu.Unlock()
		return follow && b.life != nil
	})
}

// Print adds to what the box has printed.
func (f *FakeRuntime) Print(id masu.WorkspaceID, text string) {
	f.mu.Lock()
	b := f.boxes[id]
	f.mu.Unlock()
	if b != nil {
		_, _ = b.log.Write([]byte(text))
	}
}

// Dial is masu.Runner's.
func (f *FakeRuntime) Dial(ctx context.Context, id masu.WorkspaceID, port int) (net.Conn, error) {
	leave, err := f.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	b, err := f.find(id, true)
	if err != nil {
		return nil, err
	}
	h := f.handlers[port]
	if h == nil && port == masu.AgentPort {
		h = newFakeAgent(b.box.Agent)
	}
	if h == nil {
		return nil, masu.E(masu.Unreachable, "port_silent", port)
	}
	return b.life.dial(id, port, h), nil
}

// Disk is masu.Measurer's: the bytes of all files in the box's volumes.
func (f *FakeRuntime) Disk(ctx context.Context, id masu.WorkspaceID) (used, most masu.Bytes, err error) {
	leave, err := f.enter(ctx)
	if err != nil {
		return 0, 0, err
	}
	defer leave()
	b, err := f.find(id, true)
	if err != nil {
		return 0, 0, err
	}
	for _, m := range b.box.Mounts {
		for _, text := range f.volumes[m.Volume] {
			used += masu.Bytes(len(text))
		}
	}
	return used, b.box.Limits.Disk, nil
}

// Measure is masu.Measurer's.
func (f *FakeRuntime) Measure(ctx context.Context, id masu.WorkspaceID) (masu.Load, error) {
	leave, err := f.enter(ctx)
	if err != nil {
		return masu.Load{}, err
	}
	defer leave()
	b, err := f.find(id, true)
	if err != nil {
		return masu.Load{}, err
	}
	return masu.Load{CPU: f.cpu, Memory: 64 * masu.MiB, MemoryLimit: b.box.Limits.Memory, PIDs: 1 + b.life.count()}, nil
}

// Used is masu.Measurer's.
func (f *FakeRuntime) Used(ctx context.Context, id masu.WorkspaceID) (masu.Use, error) {
	l, err := f.Measure(ctx, id)
	return masu.Use{CPU: time.Second, Memory: l.Memory}, err
}

func boxDigest(b masu.Box) string {
	j, err := json.Marshal(b)
	if err != nil {
		panic(err) // plain data: cannot happen
	}
	return imageID(string(j))[len("sha256:"):][:24]
}

func imageID(parts ...string) string {
	h := sha256.New()
	for _, p := range parts {
		fmt.Fprintf(h, "%d:%s", len(p), p)
	}
	return "sha256:" + hex.EncodeToString(h.Sum(nil))
}
