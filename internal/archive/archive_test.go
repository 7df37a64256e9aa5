package archive

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
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
		{"another tar", "image_foreign", otherTar(t, "/etc/passwd")}, {"out of it", "image_foreign", otherTar(t, "../x")},
	} {
		err := Pass(bytes.NewReader(c.in), io.Discard, func(Config) (masu.ImageRef, error) { return "masu/of-1:x", nil })
		if masu.CodeOf(err) != c.want {
			t.Errorf("%s: %v, want %s", c.name, err, c.want)
		}
	}
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
