package host

import (
	"archive/tar"
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

// archive makes a tar of headers; what is a file holds its own name.
func archive(t *testing.T, headers ...tar.Header) *bytes.Buffer {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, h := range headers {
		if h.Typeflag == tar.TypeReg {
			h.Size = int64(len(h.Name))
		}
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if h.Typeflag == tar.TypeReg {
			if _, err := w.Write([]byte(h.Name)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return &b
}

func TestShelf(t *testing.T) {
	s := NewShelf(filepath.Join(t.TempDir(), "programs"))
	if dir := s.Find("editor-1"); dir != "" {
		t.Errorf("it has %s", dir)
	}
	good := archive(t, tar.Header{Name: "code/", Typeflag: tar.TypeDir, Mode: 0o700}, tar.Header{Name: "code/lib/", Typeflag: tar.TypeDir, Mode: 0o755},
		tar.Header{Name: "code/lib/node", Typeflag: tar.TypeReg, Mode: 0o4711}, tar.Header{Name: "code/lib/text", Typeflag: tar.TypeReg, Mode: 0o600},
		tar.Header{Name: "code/modules", Typeflag: tar.TypeSymlink, Linkname: "lib"}, tar.Header{Name: "code/again", Typeflag: tar.TypeLink, Linkname: "code/lib/text"})
	if err := s.Put(t.Context(), "editor-1", good); err != nil {
		t.Fatal(err)
	}
	dir := s.Find("editor-1")
	for path, mode := range map[string]os.FileMode{"": os.ModeDir | 0o755, "lib": os.ModeDir | 0o755, "modules/node": 0o755, "again": 0o644} {
		if fi, err := os.Stat(filepath.Join(dir, path)); err != nil || fi.Mode() != mode {
			t.Errorf("%s: %v, %v, want %v", path, fi, err, mode)
		}
	}
	if text, err := os.ReadFile(filepath.Join(dir, "modules", "node")); err != nil || string(text) != "code/lib/node" {
		t.Errorf("%q, %v", text, err)
	}
}

// What is not in order leaves nothing on the shelf, and nothing outside of it.
func TestShelfRefuses(t *testing.T) {
	outside := t.TempDir()
	out := tar.Header{Name: "code/out", Typeflag: tar.TypeSymlink, Linkname: outside}
	file := tar.Header{Name: "code/x", Typeflag: tar.TypeReg, Mode: 0o644}
	for name, b := range map[string]*bytes.Buffer{
		"through a link":  archive(t, out, tar.Header{Name: "code/out/x", Typeflag: tar.TypeReg}),
		"a device":        archive(t, tar.Header{Name: "code/null", Typeflag: tar.TypeChar}),
		"a link to a far": archive(t, tar.Header{Name: "code/passwd", Typeflag: tar.TypeLink, Linkname: "../../etc/passwd"}),
		"twice":           archive(t, file, file),
		"too large":       nil,
		"cut off":         bytes.NewBuffer(archive(t, file, file).Bytes()[:515]),
	} {
		s := NewShelf(t.TempDir())
		if name == "too large" {
			big := tar.Header{Name: "code/big", Typeflag: tar.TypeReg, Size: mostUnpacked + 1}
			b = &bytes.Buffer{}
			if err := tar.NewWriter(b).WriteHeader(&big); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.Put(t.Context(), "editor-1", b); err == nil {
			t.Errorf("%s: taken", name)
		}
		if left, _ := os.ReadDir(s.dir); len(left) > 0 {
			t.Errorf("%s: left %v", name, left)
		}
	}
	if left, _ := os.ReadDir(outside); len(left) > 0 {
		t.Errorf("outside: %v", left)
	}
	// Dots cannot lead out of the folder.
	s := NewShelf(filepath.Join(outside, "a", "b"))
	if err := s.Put(t.Context(), "editor-1", archive(t, tar.Header{Name: "code/../../../../up/x", Typeflag: tar.TypeReg})); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(s.Find("editor-1"), "x")); err != nil {
		t.Error(err)
	}
	for _, name := range []string{"", "..", "a/b", "/etc"} {
		if err := s.Put(t.Context(), name, archive(t)); err == nil {
			t.Errorf("the name %q was taken", name)
		}
	}
}
