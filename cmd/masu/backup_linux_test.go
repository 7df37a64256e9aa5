package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// archive writes a tar.gz of what a test wants in it.
func archive(t testing.TB, files ...tar.Header) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	w := tar.NewWriter(z)
	for _, h := range files {
		text := h.PAXRecords["MASU.text"]
		h.PAXRecords, h.Size, h.Mode = nil, int64(len(text)), 0o600
		if h.Typeflag != tar.TypeReg {
			h.Size = 0
		}
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if h.Size > 0 {
			if _, err := w.Write([]byte(text)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func file(name, text string) tar.Header {
	return tar.Header{Name: name, Typeflag: tar.TypeReg, PAXRecords: map[string]string{"MASU.text": text}}
}

func manifestFor(form int, files map[string]string) tar.Header {
	b, _ := json.Marshal(manifest{Form: form, At: time.Unix(1, 0), Files: files})
	return file(manifestName, string(b))
}

// A backup is read as one or not at all; nothing is written outside the folder.
func TestUnpackRefuses(t *testing.T) {
	const sum = "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881" // of "x"
	good := map[string]string{"masu.db": sum}
	for name, b := range map[string][]byte{
		"nothing":         nil,
		"no archive":      []byte("hello"),
		"empty":           archive(t),
		"no manifest":     archive(t, file("masu.db", "x")),
		"another form":    archive(t, manifestFor(2, good), file("masu.db", "x")),
		"only a manifest": archive(t, manifestFor(1, good)),
		"a wrong sum":     archive(t, manifestFor(1, good), file("masu.db", "y")),
		"more than said":  archive(t, manifestFor(1, good), file("masu.db", "x"), file("config.yaml", "x")),
		"twice":           archive(t, manifestFor(1, good), file("masu.db", "x"), file("masu.db", "x")),
		"a way out":       archive(t, manifestFor(1, map[string]string{"masu.db": sum, "../evil": sum}), file("masu.db", "x"), file("../evil", "x")),
		"an absolute one": archive(t, manifestFor(1, map[string]string{"masu.db": sum, "/tmp/evil": sum}), file("masu.db", "x"), file("/tmp/evil", "x")),
		"a link":          archive(t, manifestFor(1, good), tar.Header{Name: "masu.db", Typeflag: tar.TypeSymlink, Linkname: "/etc/passwd"}),
		"a hard link":     archive(t, manifestFor(1, good), tar.Header{Name: "masu.db", Typeflag: tar.TypeLink, Linkname: "/etc/passwd"}),
		"a folder":        archive(t, manifestFor(1, good), tar.Header{Name: "masu.db", Typeflag: tar.TypeDir}),
	} {
		dir := filepath.Join(t.TempDir(), "in")
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if _, err := unpack(bytes.NewReader(b), dir); err == nil {
			t.Errorf("%s: taken", name)
		}
		if beside, _ := os.ReadDir(filepath.Dir(dir)); len(beside) != 1 {
			t.Errorf("%s: wrote outside: %v", name, beside)
		}
	}
	if _, err := unpack(bytes.NewReader(archive(t, manifestFor(1, good), file("masu.db", "x"))), t.TempDir()); err != nil {
		t.Errorf("a good one: %v", err)
	}
}

func FuzzUnpack(f *testing.F) {
	f.Add(archive(f, manifestFor(1, map[string]string{"masu.db": "0"}), file("masu.db", "x")))
	f.Add(archive(f, file("../x", "x")))
	f.Fuzz(func(t *testing.T, b []byte) {
		dir := filepath.Join(t.TempDir(), "in")
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		_, _ = unpack(bytes.NewReader(b), dir)
		if beside, _ := os.ReadDir(filepath.Dir(dir)); len(beside) != 1 {
			t.Errorf("wrote outside: %v", beside)
		}
	})
}
