package kube

import (
	"archive/tar"
	"bytes"
	"testing"

	"github.com/masu-lab/masu"
)

// TestProgram: a program of masu's own comes out of an image of its own, which
// holds nothing that could run, and nobody in the box can change it.
func TestProgram(t *testing.T) {
	rt := open(t, testConfig(t))
	var files bytes.Buffer
	w := tar.NewWriter(&files)
	for _, h := range []tar.Header{
		{Name: "masu/code/", Typeflag: tar.TypeDir, Mode: 0o755},
		{Name: "masu/code/bin/", Typeflag: tar.TypeDir, Mode: 0o755},
		{Name: "masu/code/bin/hello", Typeflag: tar.TypeReg, Mode: 0o755, Size: int64(len(helloScript))},
		{Name: "masu/code/hi", Typeflag: tar.TypeSymlink, Linkname: "bin/hello"},
	} {
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if h.Size > 0 {
			if _, err := w.Write([]byte(helloScript)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	const image masu.ImageRef = "masu-test/program:1"
	if err := rt.Import(t.Context(), image, &files, nil); err != nil {
		t.Fatal(err)
	}
	for _, restricted := range []bool{false, true} {
		rt.cfg.Restricted = restricted
		b := small(t, rt)
		b.Mounts = []masu.Mount{{Program: string(image), Target: masu.EditorPath}}
		begin(t, rt, b)
		await(t, rt, b.ID)
		if got := says(t, rt, b.ID, masu.EditorPath+"/hi; touch "+masu.EditorPath+"/x 2>/dev/null || echo read-only"); got != "hello from a program\nread-only" {
			t.Errorf("restricted %t: the program says %q", restricted, got)
		}
	}
	b := small(t, rt)
	b.Mounts = []masu.Mount{{Program: "no name: at all", Target: masu.EditorPath}}
	if err := rt.Start(t.Context(), b); masu.CodeOf(err) != "no_image" {
		t.Errorf("a program that is no image: %v", err)
	}
}

const helloScript = "#!/bin/sh\necho hello from a program\n"
