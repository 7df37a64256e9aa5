package masutest

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing/fstest"

	"github.com/masu-lab/masu"
)

// story keeps the progress of a build.
type story []masu.Progress

func (s *story) tell(p masu.Progress) { *s = append(*s, p) }

func (s story) said(line string) bool {
	return slices.ContainsFunc(s, func(p masu.Progress) bool { return p.Line == line })
}

// last gives the state in which the step whose name contains part ended.
func (s story) last(part string) (state masu.ProgressState) {
	for _, p := range s {
		if strings.Contains(p.Name, part) && p.State != "" {
			state = p.State
		}
	}
	return state
}

func (r *rig) request(dockerfile string) masu.BuildRequest {
	return masu.BuildRequest{
		Ref:        r.newRef(),
		Files:      fstest.MapFS{"Dockerfile": {Data: []byte(dockerfile)}, "dir/greeting": {Data: []byte("hello\n"), Mode: 0o644}},
		Dockerfile: "Dockerfile",
		Labels:     map[string]string{"masu.environment": string(newID())},
	}
}

func testBuild(r *rig) {
	mark := string(newID()) // makes the build's steps new ones
	req := r.request("FROM " + string(r.base) + "\nCOPY dir/greeting /greeting\nRUN echo mark-" + mark + "\n")
	var s story
	id, err := r.rt.Build(r.ctx, req, s.tell)
	if err != nil {
		r.Fatalf("Build: %v", err)
	}
	if !s.said("mark-" + mark) {
		r.Errorf("the output of the step was not told: %+v", s)
	}
	if got := s.last("RUN echo mark-"); got != masu.StepDone {
		r.Errorf("the step ended %q, want done", got)
	}
	img, err := r.rt.Image(r.ctx, req.Ref)
	if err != nil {
		r.Fatal(err)
	}
	if img.ID != id || img.Labels["masu.environment"] != req.Labels["masu.environment"] || !slices.Contains(img.Refs, req.Ref) || img.Size <= 0 {
		r.Errorf("the image is %+v, built as %s", img, id)
	}
	all, err := r.rt.Images(r.ctx)
	if err != nil {
		r.Fatal(err)
	}
	if !slices.ContainsFunc(all, func(i masu.Image) bool { return i.ID == id && slices.Contains(i.Refs, req.Ref) }) {
		r.Errorf("the list of images does not have it: %+v", all)
	}

	s = nil
	again, err := r.rt.Build(r.ctx, req, s.tell)
	if err != nil {
		r.Fatalf("Build again: %v", err)
	}
	if got := s.last("RUN echo mark-"); got != masu.StepCached {
		r.Errorf("the second time the step was %q, want cached", got)
	}
	if again != id {
		r.Errorf("an equal build made another image: %s, it was %s", again, id)
	}

	b := r.box()
	b.Image = id
	r.up(b)
	if _, out := r.sh(b.ID, "cat /greeting"); out != "hello\n" {
		r.Errorf("the copied file says %q", out)
	}
	if img, err = r.rt.Image(r.ctx, req.Ref); err != nil || !img.InUse {
		r.Errorf("an image with a box is not in use: %+v, %v", img, err)
	}
}

func testExtract(r *rig) {
	e, ok := r.rt.(masu.Extractor)
	if !ok {
		r.Skip("the runtime takes nothing out of images")
	}
	req := r.request("FROM " + string(r.base) + " AS made\nCOPY dir/greeting /made/by/greeting\nFROM scratch\nCOPY --from=made /made /kept\n")
	if _, err := r.rt.Build(r.ctx, req, nil); err != nil {
		r.Fatalf("Build: %v", err)
	}
	var out bytes.Buffer
	if err := e.Extract(r.ctx, req.Ref, "/kept", &out); err != nil {
		r.Fatalf("Extract: %v", err)
	}
	found := map[string]string{}
	for tr := tar.NewReader(&out); ; {
		h, err := tr.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			r.Fatal(err)
		}
		text, err := io.ReadAll(tr)
		if err != nil {
			r.Fatal(err)
		}
		if found[h.Name] = string(text); !strings.HasPrefix(h.Name, "kept/") {
			r.Errorf("%s is not in the folder", h.Name)
		}
	}
	if found["kept/by/greeting"] != "hello\n" {
		r.Errorf("the folder has %q", found)
	}
	err := e.Extract(r.ctx, "masu-suite/is-not-there:1", "/kept", io.Discard)
	r.want("a folder of an image that is not there", err, masu.NotFound, "no_image")
}

func testBuildFails(r *rig) {
	req := r.request("FROM " + string(r.base) + "\nRUN echo fine\nRUN echo last-words; exit 3\n")
	var s story
	_, err := r.rt.Build(r.ctx, req, s.tell)
	r.want("a build whose step fails", err, masu.Invalid, "build_failed")
	if e, ok := errors.AsType[*masu.Error](err); ok && (len(e.Args) != 3 || e.Args[0] != "3" || !strings.Contains(e.Args[1], "exit 3") || e.Args[2] != "3") {
		r.Errorf("the error names step, name and exit code as %q", e.Args)
	}
	if !s.said("last-words") || s.last("exit 3") != masu.StepFailed {
		r.Errorf("the step's last words or its state were not told: %+v", s)
	}
	_, err = r.rt.Image(r.ctx, req.Ref)
	r.want("its image", err, masu.NotFound, "no_image")

	_, err = r.rt.Build(r.ctx, r.request("FROM "+string(r.base)+"\nNONSENSE\n"), nil)
	r.want("a Dockerfile that is none", err, masu.Invalid, "dockerfile_invalid")
}

func testBuildNoBase(r *rig) {
	_, err := r.rt.Build(r.ctx, r.request("FROM masu-suite/is-not-there:1\nRUN true\n"), nil)
	r.want("a build on a base that is not there", err, masu.NotFound, "no_image")
	if e, ok := errors.AsType[*masu.Error](err); ok && (len(e.Args) == 0 || e.Args[0] != "masu-suite/is-not-there:1") {
		r.Errorf("the error names the base as %q", e.Args)
	}
}

func testBuildCancelled(r *rig) {
	req := r.request("FROM " + string(r.base) + "\nRUN echo begun-" + string(newID()) + "; sleep 3600\n")
	ctx, cancel := context.WithCancel(r.ctx)
	defer cancel()
	_, err := r.rt.Build(ctx, req, func(p masu.Progress) {
		if strings.HasPrefix(p.Line, "begun-") {
			cancel()
		}
	})
	r.want("a cancelled build", err, masu.Cancelled, "build_stopped")
	_, err = r.rt.Image(r.ctx, req.Ref)
	r.want("its image", err, masu.NotFound, "no_image")
}

func testRemoveImage(r *rig) {
	req := r.request("FROM " + string(r.base) + "\nRUN echo " + string(newID()) + " > /only-here\n")
	id, err := r.rt.Build(r.ctx, req, nil)
	if err != nil {
		r.Fatal(err)
	}
	b := r.box()
	b.Image = id
	r.up(b)
	r.want("RemoveImage under a box", r.rt.RemoveImage(r.ctx, req.Ref), masu.Conflict, "image_in_use")
	if err := r.rt.Stop(r.ctx, b.ID, 0); err != nil {
		r.Fatal(err)
	}
	r.want("RemoveImage under a stopped box", r.rt.RemoveImage(r.ctx, req.Ref), masu.Conflict, "image_in_use")
	if err := r.rt.Remove(r.ctx, b.ID); err != nil {
		r.Fatal(err)
	}
	for range 2 {
		if err := r.rt.RemoveImage(r.ctx, masu.ImageRef(id)); err != nil {
			r.Fatalf("RemoveImage: %v", err)
		}
	}
	for _, ref := range []masu.ImageRef{req.Ref, masu.ImageRef(id)} {
		_, err := r.rt.Image(r.ctx, ref)
		r.want("the removed image", err, masu.NotFound, "no_image")
	}
}

func testImport(r *rig) {
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	if err := w.WriteHeader(&tar.Header{Name: "only-here", Typeflag: tar.TypeReg, Mode: 0o644, Size: 2}); err != nil {
		r.Fatal(err)
	}
	if _, err := io.WriteString(w, "x\n"); err != nil {
		r.Fatal(err)
	}
	if err := w.Close(); err != nil {
		r.Fatal(err)
	}
	ref := r.newRef()
	label := `a "quoted" $value`
	if err := r.rt.Import(r.ctx, ref, &buf, map[string]string{"masu.base": label}); err != nil {
		r.Fatalf("Import: %v", err)
	}
	img, err := r.rt.Image(r.ctx, ref)
	if err != nil {
		r.Fatal(err)
	}
	if img.Labels["masu.base"] != label || img.InUse {
		r.Errorf("the imported image is %+v", img)
	}
	broken := errors.New("the tar broke off")
	ref = r.newRef()
	if err := r.rt.Import(r.ctx, ref, io.MultiReader(strings.NewReader("no tar"), failingReader{broken}), nil); !errors.Is(err, broken) {
		r.Errorf("Import of a tar that broke off: %v", err)
	}
	_, err = r.rt.Image(r.ctx, ref)
	r.want("its image", err, masu.NotFound, "no_image")
}

type failingReader struct{ err error }

func (f failingReader) Read([]byte) (int, error) { return 0, f.err }
