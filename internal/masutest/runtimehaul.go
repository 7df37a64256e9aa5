package masutest

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"
	"time"

	"github.com/masu-lab/masu"
)

// testHaul fills a volume from a tar, uses it in a box, and reads it back.
func testHaul(r *rig) {
	h, ok := r.rt.(masu.Hauler)
	if !ok {
		r.Skip("the runtime carries no volumes")
	}
	r.want("PackVolume of none", h.PackVolume(r.ctx, masu.Volume{Name: "masu-suite-none"}, io.Discard), masu.NotFound, "no_volume")
	b := r.box()
	v := masu.Volume{Name: "masu-suite-" + string(b.ID), Of: b.ID, Owner: b.Owner}
	r.Cleanup(func() {
		r.tidy("box", func(ctx context.Context) error { return r.rt.Remove(ctx, b.ID) })
		r.tidy("volume", func(ctx context.Context) error { return r.rt.RemoveVolume(ctx, v.Name) })
	})
	broken := errors.New("the tar broke off")
	whole := homeTar(r)
	if err := h.UnpackVolume(r.ctx, v, io.MultiReader(bytes.NewReader(whole[:2048]), failingReader{broken})); !errors.Is(err, broken) {
		r.Errorf("UnpackVolume of a tar that broke off: %v", err)
	}
	if err := h.UnpackVolume(r.ctx, v, bytes.NewReader(whole)); err != nil { // the half that came before is no hindrance
		r.Fatalf("UnpackVolume: %v", err)
	}
	if names, err := r.rt.Volumes(r.ctx, b.ID); err != nil || len(names) != 1 || names[0] != v.Name {
		r.Errorf("Volumes = %q, %v", names, err)
	}
	r.same(h, v, whole)
	b.Mounts = []masu.Mount{{Volume: v.Name, Target: b.Agent.User.Home}}
	r.up(b)
	if _, out := r.sh(b.ID, "cat /home/suite/notes/kept"); out != "mine\n" {
		r.Errorf("the box sees %q in the home that came", out)
	}
	if code, _ := r.sh(b.ID, "echo more > /home/suite/notes/more"); code != 0 {
		r.Errorf("the member cannot write there: %d", code)
	}
	r.want("UnpackVolume under a box", h.UnpackVolume(r.ctx, v, bytes.NewReader(whole)), masu.Conflict, "volume_in_use")
}

// homeTar is a home with all that a home may have. The zeros of its large file are a hole wherever it has been unpacked.
func homeTar(r *rig) []byte {
	large := make([]byte, 1<<20)
	copy(large[len(large)-5:], "data\n")
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, e := range []struct {
		kind       byte
		mode       int64
		uid        int
		name, link string
		text       []byte
	}{
		{tar.TypeDir, 0o755, 30997, "./", "", nil},
		{tar.TypeDir, 0o750, 30997, "./notes/", "", nil},
		{tar.TypeReg, 0o640, 30997, "./notes/kept", "", []byte("mine\n")},
		{tar.TypeReg, 0o755, 30998, "./notes/of another", "", []byte("theirs\n")},
		{tar.TypeReg, 0o600, 30997, "./large", "", large},
		{tar.TypeSymlink, 0o777, 30997, "./link", "/etc/passwd", nil},
		{tar.TypeLink, 0o600, 30997, "./second name", "./large", nil},
		{tar.TypeReg, 0o644, 30997, "./名前", "", []byte("x")},
	} {
		head := &tar.Header{Typeflag: e.kind, Mode: e.mode, Uid: e.uid, Gid: e.uid, Name: e.name, Linkname: e.link, Size: int64(len(e.text)), ModTime: time.Unix(1_700_000_000, 0)}
		if err := w.WriteHeader(head); err != nil {
			r.Fatal(err)
		}
		if _, err := w.Write(e.text); err != nil {
			r.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		r.Fatal(err)
	}
	return out.Bytes()
}

// same fails the test unless a volume holds what a tar does. Whose its top is, the agent sees to when a box begins.
func (r *rig) same(h masu.Hauler, v masu.Volume, want []byte) {
	r.Helper()
	var got bytes.Buffer
	if err := h.PackVolume(r.ctx, v, &got); err != nil {
		r.Fatalf("PackVolume: %v", err)
	}
	there := r.entries(&got)
	for name, e := range r.entries(bytes.NewReader(want)) {
		if name != "/" && there[name] != e {
			r.Errorf("%s is %q, want %q", name, there[name], e)
		}
	}
}

// entries tells of a tar what must last. Which of a file's names comes first is the writer's choice.
func (r *rig) entries(in io.Reader) map[string]string {
	r.Helper()
	found, texts := map[string]string{}, map[string]string{}
	for t := tar.NewReader(in); ; {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			return found
		}
		if err != nil {
			r.Fatal(err)
		}
		text, err := io.ReadAll(t)
		if err != nil {
			r.Fatal(err)
		}
		name := path.Clean("/" + h.Name)
		switch h.Typeflag {
		case tar.TypeLink:
			found[name] = texts[path.Clean("/"+h.Linkname)]
			continue
		case tar.TypeSymlink:
			found[name] = fmt.Sprintf("-> %s, %d:%d", h.Linkname, h.Uid, h.Gid)
			continue
		}
		texts[name] = fmt.Sprintf("%c %o %d:%d %d %d %q", h.Typeflag, h.Mode&0o7777, h.Uid, h.Gid, h.ModTime.Unix(), len(text), strings.TrimLeft(string(text), "\x00"))
		found[name] = texts[name]
	}
}
