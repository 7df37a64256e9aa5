package masutest

import (
	"bytes"
	"io"
	"runtime"
	"strings"

	"github.com/masu-lab/masu"
	"github.com/masu-lab/masu/internal/archive"
)

// testCarry: an image gives its small files, bears a second name, and comes
// back from an archive under the name that the archive is given on its way in.
func testCarry(r *rig) {
	req := r.request("FROM " + string(r.base) + "\nCOPY dir/greeting /greeting\n")
	id, err := r.rt.Build(r.ctx, req, nil)
	if err != nil {
		r.Fatalf("Build: %v", err)
	}
	carried := func(ref masu.ImageRef) {
		r.Helper()
		if b, err := r.rt.ImageFile(r.ctx, ref, "/greeting"); err != nil || string(b) != "hello\n" {
			r.Errorf("a file of %s: %q, %v", ref, b, err)
		}
		img, err := r.rt.Image(r.ctx, ref)
		if err != nil || img.Labels["masu.environment"] != req.Labels["masu.environment"] || img.Arch != runtime.GOARCH {
			r.Errorf("%s is %+v, %v", ref, img, err)
		}
	}
	carried(req.Ref)
	_, err = r.rt.ImageFile(r.ctx, req.Ref, "/is-not-there")
	r.want("a file that is not there", err, masu.NotFound, "image_no_record")
	_, err = r.rt.ImageFile(r.ctx, "masu-suite/is-not-there:1", "/greeting")
	r.want("a file of no image", err, masu.NotFound, "no_image")

	second := masu.ImageRef(strings.TrimSuffix(string(req.Ref), ":latest") + ":second")
	r.removeImage(second)
	if err := r.rt.Tag(r.ctx, req.Ref, second); err != nil {
		r.Fatalf("Tag: %v", err)
	}
	carried(second)
	if err := r.rt.RemoveImage(r.ctx, second); err != nil {
		r.Fatalf("RemoveImage of a second name: %v", err)
	}
	carried(req.Ref)
	r.want("Tag of no image", r.rt.Tag(r.ctx, "masu-suite/is-not-there:1", second), masu.NotFound, "no_image")

	var saved, named bytes.Buffer
	if err := r.rt.Save(r.ctx, masu.ImageRef(id), &saved); err != nil {
		r.Fatalf("Save: %v", err)
	}
	r.want("Save of no image", r.rt.Save(r.ctx, "masu-suite/is-not-there:1", io.Discard), masu.NotFound, "no_image")
	third := r.newRef()
	if err := archive.Pass(&saved, &named, func(archive.Config) (masu.ImageRef, error) { return third, nil }); err != nil {
		r.Fatalf("what Save wrote is no archive: %v", err)
	}
	half := named.Bytes()[:named.Len()/2]
	if err := r.rt.RemoveImage(r.ctx, req.Ref); err != nil { // what is loaded is then no image that was there
		r.Fatalf("RemoveImage: %v", err)
	}
	if err := r.rt.Load(r.ctx, bytes.NewReader(half)); err == nil {
		r.Error("half an archive was loaded")
	}
	if err := r.rt.Load(r.ctx, &named); err != nil {
		r.Fatalf("Load: %v", err)
	}
	carried(third)
}
