package archive

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"testing"

	"github.com/masu-lab/masu"
)

// saved is an archive of one image, as engines write them, which calls itself something.
func saved(t testing.TB, config string) []byte {
	t.Helper()
	sum := sha256.Sum256([]byte(config))
	blob := "blobs/sha256/" + hex.EncodeToString(sum[:])
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, f := range [][2]string{
		{blob, config}, {"index.json", `{"manifests":[]}`}, {"oci-layout", `{}`}, {"repositories", `{"debian":{}}`},
		{"manifest.json", `[{"Config":"` + blob + `","RepoTags":["masu/env:1f2e3d4c5b6a"],"Layers":["` + blob + `"]}]`},
	} {
		if err := errors.Join(w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: f[0], Size: int64(len(f[1])), Mode: 0o644}), second(w.Write([]byte(f[1])))); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func second(_ int, err error) error { return err }

// TestPassLeavesNamesOut: an archive cannot say what its image is called here.
func TestPassLeavesNamesOut(t *testing.T) {
	in := saved(t, `{"architecture":"amd64","config":{"Labels":{"masu.wish":"{}"}}}`)
	var out bytes.Buffer
	err := Pass(bytes.NewReader(in), &out, func(c Config) (masu.ImageRef, error) {
		if c.Architecture != "amd64" || c.Config.Labels["masu.wish"] != "{}" {
			t.Errorf("described as %+v", c)
		}
		return "masu/of-1:x", nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, word := range []string{"masu/env:", "repositories", "index.json", "oci-layout"} {
		if strings.Contains(out.String(), word) {
			t.Errorf("%s came through", word)
		}
	}
	if !strings.Contains(out.String(), `"RepoTags":["masu/of-1:x"]`) {
		t.Error("the new name is missing")
	}
}

func TestPassRefuses(t *testing.T) {
	good := saved(t, `{"architecture":"amd64"}`)
	changed := bytes.Replace(good, []byte("amd64"), []byte("arm64"), 1)
	for _, c := range []struct {
		name, want string
		in         []byte
	}{
		{"nothing", "image_foreign", nil}, {"a few words", "image_foreign", []byte("preset: python\n")}, {"text", "image_foreign", bytes.Repeat([]byte("no image "), 200)},
		{"changed", "image_damaged", changed}, {"cut", "image_damaged", good[:600]}, {"cut between", "image_damaged", good[:1024]},
		{"holes", "image_foreign", holes(t)}, {"a link as manifest", "image_foreign", linkTar(t, "manifest.json")},
		{"another tar", "image_foreign", otherTar(t, "/etc/passwd")}, {"out of it", "image_foreign", otherTar(t, "../x")},
	} {
		err := Pass(bytes.NewReader(c.in), io.Discard, func(Config) (masu.ImageRef, error) { return "masu/of-1:x", nil })
		if masu.CodeOf(err) != c.want {
			t.Errorf("%s: %v, want %s", c.name, err, c.want)
		}
	}
}

// holes is an archive of a few bytes with a file of a gigabyte in it, all of it a hole.
func holes(t testing.TB) []byte {
	t.Helper()
	const size = 1 << 30
	sparse := fmt.Sprintf("1\n%d\n0\n", size) // one piece, at the end, of no bytes
	records := map[string]string{"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.name": "blobs/sha256/x", "GNU.sparse.realsize": strconv.Itoa(size)}
	var pax string
	for k, v := range records {
		pax += paxRecord(k, v)
	}
	var b bytes.Buffer
	block := func(kind byte, name, body string) {
		w := tar.NewWriter(&b)
		err := errors.Join(w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Size: int64(len(body)), Format: tar.FormatUSTAR}), second(w.Write([]byte(body))), w.Flush())
		if err != nil {
			t.Fatal(err)
		}
		h := b.Bytes()[b.Len()-(len(body)+511)/512*512-512:][:512]
		h[156] = kind
		copy(h[148:], "        ")
		sum := 0
		for _, c := range h {
			sum += int(c)
		}
		copy(h[148:], fmt.Sprintf("%06o\x00 ", sum))
	}
	block('x', "pax", pax)
	block('0', "x", sparse+strings.Repeat("\x00", 512-len(sparse)))
	b.Write(make([]byte, 1024))
	r := tar.NewReader(bytes.NewReader(b.Bytes()))
	if h, err := r.Next(); err != nil || h.Size != size {
		t.Fatalf("no file with holes: %+v, %v", h, err)
	}
	return b.Bytes()
}

func paxRecord(k, v string) string {
	n := len(k) + len(v) + 3
	for s := ""; ; n++ {
		if s = fmt.Sprintf("%d %s=%s\n", n, k, v); len(s) == n {
			return s
		}
	}
}

// linkTar has a link where older engines have none.
func linkTar(t testing.TB, name string) []byte {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	h := tar.Header{Typeflag: tar.TypeSymlink, Name: name, Linkname: "../" + strings.Repeat("a", 64) + "/layer.tar"}
	if err := errors.Join(w.WriteHeader(&h), w.Close()); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func otherTar(t testing.TB, name string) []byte {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	if err := errors.Join(w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name}), w.Close()); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func FuzzPass(f *testing.F) {
	f.Add(saved(f, `{"architecture":"amd64"}`))
	f.Fuzz(func(t *testing.T, in []byte) {
		var out bytes.Buffer
		if Pass(bytes.NewReader(in), &out, func(Config) (masu.ImageRef, error) { return "masu/of-1:x", nil }) == nil && strings.Count(out.String(), "manifest.json") == 0 {
			t.Error("passed without its manifest")
		}
	})
}
