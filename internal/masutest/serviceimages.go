package masutest

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"

	"github.com/masu-lab/masu"
)

// testServiceImages: an environment is locked, saved and loaded, pushed and pulled; what is damaged, foreign or another's is refused.
func testServiceImages(g *guest) {
	dir, bob := g.folder(), g.other()
	if _, err := g.svc.Contents(g.ctx, dir); err != nil { // another test may have built an equal one
		wantError(g.T, err, masu.Conflict, "not_built")
	}
	lock, err := g.svc.Lock(g.ctx, masu.BuildWish{Dir: dir}, nil)
	if err != nil || lock.Environment == "" || lock.Arch == "" || lock.Python == "" || len(lock.Packages) == 0 {
		g.Fatalf("lock: %+v, %v", lock, err)
	}
	text, err := os.ReadFile(filepath.Join(dir, "masu.lock"))
	if read, perr := masu.ParseLock(string(text)); err != nil || perr != nil || !read.Holds(lock) {
		g.Errorf("masu.lock is %q: %v, %v", text, err, perr)
	}
	if c, err := g.svc.Contents(g.ctx, dir); err != nil || !c.Lock.Holds(lock) {
		g.Errorf("contents: %+v, %v", c, err)
	}
	var saved bytes.Buffer
	if err := g.svc.SaveImage(g.ctx, dir, &saved); err != nil {
		g.Fatal(err)
	}
	image, err := bob.LoadImage(g.ctx, bytes.NewReader(saved.Bytes()), nil)
	if err != nil || len(image.Refs) != 1 {
		g.Fatalf("load: %+v, %v", image, err)
	}
	if c, err := bob.Contents(g.ctx, image.ID); err == nil && !c.Lock.Holds(lock) {
		g.Errorf("what was loaded has %+v", c)
	}
	_, err = bob.LoadImage(g.ctx, bytes.NewReader(saved.Bytes()[:saved.Len()/3]), nil)
	wantError(g.T, err, masu.Invalid, "image_damaged")
	_, err = bob.LoadImage(g.ctx, strings.NewReader(strings.Repeat("no image ", 200)), nil)
	wantError(g.T, err, masu.Invalid, "image_foreign")
	wantError(g.T, bob.SaveImage(g.ctx, "suite-a/nothing", &saved), masu.NotFound, "image_unknown")
	wantError(g.T, g.svc.PushImage(g.ctx, masu.Transfer{Name: dir, Ref: "env:1"}, nil), masu.Invalid, "registry_name")
	_, err = bob.PullImage(g.ctx, masu.Transfer{Ref: "env:1"}, nil)
	wantError(g.T, err, masu.Invalid, "registry_name")
	to := masu.ImageRef("registry.invalid/suite/env:1")
	if err := g.svc.PushImage(g.ctx, masu.Transfer{Name: dir, Ref: to}, nil); err != nil {
		g.Fatal(err)
	}
	_, err = bob.PullImage(g.ctx, masu.Transfer{Ref: to, Auth: masu.RegistryAuth{Username: "suite-b", Password: "wrong"}}, nil)
	wantError(g.T, err, masu.Denied, "registry_denied")
	said := 0
	pulled, err := bob.PullImage(g.ctx, masu.Transfer{Ref: to}, func(masu.Progress) { said++ })
	if err != nil || said == 0 || len(pulled.Refs) != 1 {
		g.Errorf("pull: %+v, %d words, %v", pulled, said, err)
	}
}
