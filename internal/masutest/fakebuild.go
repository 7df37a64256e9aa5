package masutest

import (
	"archive/tar"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/masu-lab/masu"
)

// fakeImage is an image of the fake's engine.
type fakeImage struct {
	id      string
	refs    []masu.ImageRef
	labels  map[string]string
	files   files
	created time.Time
}

// tagged is a reference as an engine lists it.
func tagged(ref masu.ImageRef) masu.ImageRef {
	s := string(ref)
	if strings.HasPrefix(s, "sha256:") || strings.Contains(s, "@") || strings.LastIndexByte(s, ':') > strings.LastIndexByte(s, '/') {
		return ref
	}
	return ref + ":latest"
}

// image finds one by its ID or a name; it is called with the lock held.
func (f *FakeRuntime) image(ref masu.ImageRef) *fakeImage {
	if img, ok := f.images[string(ref)]; ok {
		return img
	}
	for _, img := range f.images {
		if slices.Contains(img.refs, tagged(ref)) {
			return img
		}
	}
	return nil
}

func (f *FakeRuntime) describe(img *fakeImage) masu.Image {
	inUse := false
	for _, b := range f.boxes {
		inUse = inUse || b.image == img.id
	}
	size := 100 * masu.MiB
	for _, text := range img.files {
		size += masu.Bytes(len(text))
	}
	return masu.Image{ID: img.id, Refs: slices.Clone(img.refs), Size: size, Created: img.created, Labels: maps.Clone(img.labels), InUse: inUse, Arch: runtime.GOARCH}
}

// Image is masu.Builder's.
func (f *FakeRuntime) Image(ctx context.Context, ref masu.ImageRef) (masu.Image, error) {
	leave, err := f.enter(ctx)
	if err != nil {
		return masu.Image{}, err
	}
	defer leave()
	img := f.image(ref)
	if img == nil {
		return masu.Image{}, masu.E(masu.NotFound, "no_image", ref)
	}
	return f.describe(img), nil
}

// Images is masu.Builder's.
func (f *FakeRuntime) Images(ctx context.Context) ([]masu.Image, error) {
	leave, err := f.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	var out []masu.Image
	for _, img := range f.images {
		if img.labels["masu.environment"] != "" || img.labels["masu.base"] != "" {
			out = append(out, f.describe(img))
		}
	}
	slices.SortFunc(out, func(a, b masu.Image) int {
		return cmp.Or(b.Created.Compare(a.Created), strings.Compare(a.ID, b.ID))
	})
	return out, nil
}

// RemoveImage is masu.Builder's.
func (f *FakeRuntime) RemoveImage(ctx context.Context, ref masu.ImageRef) error {
	leave, err := f.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	img := f.image(ref)
	if img == nil {
		return nil
	}
	if f.describe(img).InUse {
		return masu.E(masu.Conflict, "image_in_use", ref)
	}
	if string(ref) != img.id {
		img.refs = slices.DeleteFunc(img.refs, func(r masu.ImageRef) bool { return r == tagged(ref) })
	}
	if string(ref) == img.id || len(img.refs) == 0 {
		delete(f.images, img.id)
	}
	return nil
}

// keep puts an image on the engine under a name, which another one may lose.
func (f *FakeRuntime) keep(img *fakeImage, ref masu.ImageRef) {
	if old, ok := f.images[img.id]; ok {
		img = old
	}
	for _, other := range f.images {
		other.refs = slices.DeleteFunc(other.refs, func(r masu.ImageRef) bool { return r == tagged(ref) })
	}
	img.refs = append(img.refs, tagged(ref))
	f.images[img.id] = img
}

// Pull is masu.Builder's; it fetches what Publish has named.
func (f *FakeRuntime) Pull(ctx context.Context, ref masu.ImageRef, progress func(masu.Progress)) error {
	leave, err := f.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	if f.pullErr != nil {
		return f.pullErr
	}
	if !f.registry[tagged(ref)] {
		return masu.E(masu.NotFound, "no_image", ref)
	}
	if progress != nil {
		progress(masu.Progress{At: time.Now(), Step: string(ref), Name: string(ref), State: masu.StepDone, Current: masu.MiB, Total: masu.MiB})
	}
	f.keep(&fakeImage{id: imageID("pulled", string(ref)), files: files{"/etc/passwd": []byte("root:x:0:0::/root:/bin/sh\n")}, created: time.Now()}, ref)
	return nil
}

// Import is masu.Builder's.
func (f *FakeRuntime) Import(ctx context.Context, ref masu.ImageRef, rootfs io.Reader, labels map[string]string) error {
	all, err := io.ReadAll(rootfs)
	if err != nil {
		return err
	}
	img := &fakeImage{id: imageID("imported", string(all), fmt.Sprint(labels)), labels: maps.Clone(labels), files: files{}, created: time.Now()}
	for tr := tar.NewReader(bytes.NewReader(all)); ; {
		h, err := tr.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		text, err := io.ReadAll(tr)
		if err != nil {
			return err
		}
		if h.Typeflag == tar.TypeReg {
			img.files[path.Join("/", h.Name)] = text
		}
	}
	leave, err := f.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	f.keep(img, ref)
	return nil
}

// Extract is masu.Extractor's.
func (f *FakeRuntime) Extract(ctx context.Context, ref masu.ImageRef, folder string, to io.Writer) error {
	leave, err := f.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	img := f.image(ref)
	if img == nil {
		return masu.E(masu.NotFound, "no_image", ref)
	}
	w := tar.NewWriter(to)
	err = w.WriteHeader(&tar.Header{Name: path.Base(folder) + "/", Typeflag: tar.TypeDir, Mode: 0o755})
	for _, name := range slices.Sorted(maps.Keys(img.files)) {
		if rest, ok := strings.CutPrefix(name, folder+"/"); ok && err == nil {
			text := img.files[name]
			if err = w.WriteHeader(&tar.Header{Name: path.Join(path.Base(folder), rest), Typeflag: tar.TypeReg, Mode: 0o644, Size: int64(len(text))}); err == nil {
				_, err = w.Write(text)
			}
		}
	}
	return errors.Join(err, w.Close())
}

// Build is masu.Builder's. Of a Dockerfile it does FROM, COPY, LABEL and those
// RUN lines whose words a fake box understands; others succeed.
func (f *FakeRuntime) Build(ctx context.Context, r masu.BuildRequest, progress func(masu.Progress)) (string, error) {
	if progress == nil {
		progress = func(masu.Progress) {}
	}
	leave, err := f.enter(ctx)
	if err != nil {
		return "", stopped(ctx, err)
	}
	f.builds++
	gate, failure := f.buildGate, f.buildErr
	leave()
	if err := pass(ctx, gate); err != nil {
		return "", stopped(ctx, err)
	}
	if failure != nil {
		return "", failure
	}
	b := &fakeBuild{f: f, r: r, tell: progress, stages: map[string]*fakeImage{}}
	img, err := b.run(ctx)
	if err != nil {
		return "", stopped(ctx, err)
	}
	img.labels = maps.Clone(img.labels)
	maps.Copy(img.labels, r.Labels)
	img.id = imageID("built", img.id, fmt.Sprint(r.Labels))
	leave, err = f.enter(ctx)
	if err != nil {
		return "", stopped(ctx, err)
	}
	defer leave()
	f.keep(img, r.Ref)
	return img.id, nil
}

func stopped(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return masu.E(masu.Cancelled, "build_stopped").Because(context.Cause(ctx))
	}
	return err
}

// fakeBuild is one run through a Dockerfile.
type fakeBuild struct {
	f      *FakeRuntime
	r      masu.BuildRequest
	tell   func(masu.Progress)
	stages map[string]*fakeImage
	img    *fakeImage
	total  int
	step   int
}

var instructions = []string{"FROM", "RUN", "COPY", "ADD", "LABEL", "ENV", "ARG", "WORKDIR", "USER", "CMD", "ENTRYPOINT", "EXPOSE", "VOLUME", "SHELL", "STOPSIGNAL", "HEALTHCHECK"}

func (b *fakeBuild) run(ctx context.Context) (*fakeImage, error) {
	text, err := fs.ReadFile(b.r.Files, cmp.Or(b.r.Dockerfile, "Dockerfile"))
	if err != nil {
		return nil, masu.E(masu.Invalid, "build_refused", err.Error())
	}
	var lines []string
	joined := strings.ReplaceAll(string(text), "\\\n", " ")
	for i, line := range strings.Split(joined, "\n") {
		line = strings.TrimSpace(line)
		word, _, _ := strings.Cut(line, " ")
		switch {
		case line == "" || line[0] == '#':
		case !slices.Contains(instructions, strings.ToUpper(word)):
			return nil, masu.E(masu.Invalid, "dockerfile_invalid", i+1, "unknown instruction: "+word)
		default:
			lines = append(lines, line)
			if word == "RUN" || word == "COPY" || word == "FROM" || word == "ADD" {
				b.total++
			}
		}
	}
	for _, line := range lines {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if err := b.line(ctx, line); err != nil {
			return nil, err
		}
	}
	if b.img == nil {
		return nil, masu.E(masu.Invalid, "build_refused", "no build stage in current context")
	}
	return b.img, nil
}

func (b *fakeBuild) line(ctx context.Context, line string) error {
	word, rest, _ := strings.Cut(line, " ")
	rest = strings.TrimSpace(rest)
	switch strings.ToUpper(word) {
	case "FROM":
		return b.from(strings.Fields(rest))
	case "LABEL":
		if k, v, ok := strings.Cut(rest, "="); ok {
			b.img.labels[k] = strings.Trim(v, `"`)
		}
	case "COPY":
		return b.do(line, func(func(string)) (int, error) { return 0, b.copy(strings.Fields(rest)) })
	case "RUN":
		for strings.HasPrefix(rest, "--") {
			_, rest, _ = strings.Cut(rest, " ")
		}
		return b.do(line, func(say func(string)) (int, error) { return b.script(ctx, rest, say) })
	}
	b.img.id = imageID(b.img.id, line)
	return nil
}

func (b *fakeBuild) from(words []string) error {
	if len(words) == 0 {
		return masu.E(masu.Invalid, "build_refused", "FROM requires an argument")
	}
	b.f.mu.Lock()
	base := b.stages[words[0]]
	if base == nil {
		base = b.f.image(masu.ImageRef(words[0]))
	}
	b.f.mu.Unlock()
	if base == nil && words[0] != "scratch" {
		return masu.E(masu.NotFound, "no_image", words[0])
	}
	b.img = &fakeImage{labels: map[string]string{}, files: files{}, created: time.Now()}
	if base != nil {
		b.img.id, b.img.files = base.id, maps.Clone(base.files)
		maps.Copy(b.img.labels, base.labels)
	}
	if len(words) == 3 && strings.EqualFold(words[1], "as") {
		b.stages[words[2]] = b.img
	}
	return b.do("FROM "+words[0], func(func(string)) (int, error) { return 0, nil })
}

// do tells about a step while it is done. What was done before is told as
// cached; it is done again all the same, for its files.
func (b *fakeBuild) do(line string, f func(say func(string)) (int, error)) error {
	if b.img == nil {
		return masu.E(masu.Invalid, "build_refused", "no build stage in current context")
	}
	b.step++
	name := fmt.Sprintf("[%d/%d] %s", b.step, b.total, line)
	tell := func(p masu.Progress) {
		p.At, p.Step, p.Name = time.Now(), fmt.Sprint(b.step), name
		b.tell(p)
	}
	b.img.id = imageID(b.img.id, line, b.contextDigest(line))
	b.f.mu.Lock()
	cached := b.f.cached[b.img.id] && !b.r.NoCache
	b.f.mu.Unlock()
	if !cached {
		tell(masu.Progress{State: masu.StepRunning})
	}
	code, err := f(func(text string) {
		if !cached {
			tell(masu.Progress{State: masu.StepRunning, Line: text})
		}
	})
	if code != 0 && err == nil {
		err = masu.E(masu.Invalid, "build_failed", b.step, line, code)
	}
	if err != nil {
		tell(masu.Progress{State: masu.StepFailed})
		return err
	}
	b.f.mu.Lock()
	b.f.cached[b.img.id] = true
	b.f.mu.Unlock()
	if cached {
		tell(masu.Progress{State: masu.StepCached})
	} else {
		tell(masu.Progress{State: masu.StepDone})
	}
	return nil
}

// contextDigest makes a COPY another step when a file has changed.
func (b *fakeBuild) contextDigest(line string) string {
	if !strings.HasPrefix(line, "COPY") {
		return ""
	}
	var all []string
	_ = fs.WalkDir(b.r.Files, ".", func(name string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			text, _ := fs.ReadFile(b.r.Files, name)
			all = append(all, name, string(text))
		}
		return err
	})
	return imageID(all...)
}

func (b *fakeBuild) copy(words []string) error {
	if name, ok := strings.CutPrefix(words[0], "--from="); ok && b.stages[name] != nil && len(words) == 3 {
		for file, text := range b.stages[name].files {
			if rest, ok := strings.CutPrefix(file, words[1]+"/"); ok {
				b.img.files[path.Join(words[2], rest)] = text
			}
		}
		return nil
	}
	words = slices.DeleteFunc(words, func(w string) bool { return strings.HasPrefix(w, "--") })
	if len(words) < 2 {
		return masu.E(masu.Invalid, "build_refused", "COPY requires at least two arguments")
	}
	dst := words[len(words)-1]
	for _, src := range words[:len(words)-1] {
		text, err := fs.ReadFile(b.r.Files, path.Clean(strings.TrimPrefix(src, "/")))
		if errors.Is(err, fs.ErrNotExist) {
			return masu.E(masu.Invalid, "build_step_refused", b.step, "COPY "+strings.Join(words, " "), "not found: "+src)
		}
		to := path.Join("/", dst)
		if strings.HasSuffix(dst, "/") {
			to = path.Join("/", dst, path.Base(src))
		}
		if err == nil { // otherwise a folder, whose files no test has needed yet
			b.img.files[to] = text
		}
	}
	return nil
}

// script runs what a fake box understands.
func (b *fakeBuild) script(ctx context.Context, text string, say func(string)) (int, error) {
	if text == "sh /opt/recipe/setup/record.sh" {
		b.record()
		return 0, nil
	}
	first, _, _ := strings.Cut(text, " ")
	if !slices.Contains([]string{"echo", "exit", "false", "true", "sleep", "cat", "sh"}, first) || strings.ContainsAny(text, "|") || strings.Contains(text, "&&") {
		say("(the fake did not run this)")
		return 0, nil
	}
	w := &lineSayer{say: say}
	sh := &shell{
		read: func(p string) ([]byte, error) {
			if t, ok := b.img.files[p]; ok {
				return t, nil
			}
			return nil, errors.New("No such file or directory")
		},
		write: func(p string, t []byte) error { b.img.files[p] = bytes.Clone(t); return nil },
		begin: func(parent context.Context) (context.Context, int, func()) {
			c, cancel := context.WithCancel(parent)
			return c, 2, cancel
		},
		env: map[string]string{}, dir: "/", stdin: strings.NewReader(""), stdout: w, stderr: w,
	}
	code := sh.script(ctx, text)
	sh.back.Wait()
	w.flush()
	return code, ctx.Err()
}

// lineSayer says each line that is written to it.
type lineSayer struct {
	say func(string)
	buf []byte
}

func (l *lineSayer) Write(p []byte) (int, error) {
	l.buf = append(l.buf, p...)
	for {
		i := bytes.IndexByte(l.buf, '\n')
		if i < 0 {
			return len(p), nil
		}
		l.say(string(l.buf[:i]))
		l.buf = l.buf[i+1:]
	}
}

func (l *lineSayer) flush() {
	if len(l.buf) > 0 {
		l.say(string(l.buf))
		l.buf = nil
	}
}
