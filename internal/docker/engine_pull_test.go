package docker

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/masu-lab/masu"
)

// registry serves one image of one layer, as the distribution API says.
func registry(t *testing.T) (host string, size masu.Bytes) {
	t.Helper()
	var layer bytes.Buffer
	w := tar.NewWriter(&layer)
	blob := make([]byte, 3<<20)
	_, _ = rand.Read(blob)
	if err := w.WriteHeader(&tar.Header{Name: "blob", Typeflag: tar.TypeReg, Mode: 0o644, Size: int64(len(blob))}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(blob); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	blobs := map[string][]byte{}
	put := func(b []byte) string {
		sum := sha256.Sum256(b)
		d := "sha256:" + hex.EncodeToString(sum[:])
		blobs[d] = b
		return d
	}
	l := put(layer.Bytes())
	config := []byte(fmt.Sprintf(`{"architecture":"amd64","os":"linux","config":{},"rootfs":{"type":"layers","diff_ids":[%q]}}`, l))
	const kind = "application/vnd.docker.distribution.manifest.v2+json"
	manifest := []byte(fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"config":{"mediaType":"application/vnd.docker.container.image.v1+json","size":%d,"digest":%q},"layers":[{"mediaType":"application/vnd.docker.image.rootfs.diff.tar","size":%d,"digest":%q}]}`,
		kind, len(config), put(config), layer.Len(), l))
	put(manifest)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, last, _ := strings.Cut(r.URL.Path, "/v2/here/")
		what, ref, _ := strings.Cut(last, "/")
		switch {
		case r.URL.Path == "/v2/":
		case what == "manifests" && (ref == "1" || blobs[ref] != nil):
			sum := sha256.Sum256(manifest)
			w.Header().Set("Content-Type", kind)
			w.Header().Set("Docker-Content-Digest", "sha256:"+hex.EncodeToString(sum[:]))
			http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(manifest))
		case what == "blobs" && blobs[ref] != nil:
			w.Header().Set("Content-Type", "application/octet-stream")
			http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(blobs[ref]))
		default:
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusNotFound)
			fmt.Fprint(w, `{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}`)
		}
	}))
	t.Cleanup(srv.Close)
	return strings.TrimPrefix(srv.URL, "http://"), masu.Bytes(layer.Len())
}

func TestEnginePull(t *testing.T) {
	rt := openEngine(t, nil)
	host, size := registry(t)
	ref := masu.ImageRef(host + "/here:1")
	var last masu.Progress
	if err := rt.Pull(t.Context(), ref, func(p masu.Progress) { last = p }); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := rt.RemoveImage(context.Background(), ref); err != nil {
			t.Error(err)
		}
	})
	if last.State != masu.StepDone || last.Current != last.Total || last.Total > size {
		t.Errorf("the last progress is %+v, the layer has %d bytes", last, size)
	}
	if img, err := rt.Image(t.Context(), ref); err != nil || img.Size < 3*masu.MiB {
		t.Errorf("Image = %+v, %v", img, err)
	}
	for ref, want := range map[masu.ImageRef]string{
		masu.ImageRef(host + "/here:2"):          "no_image",
		masu.ImageRef(host + "/gone:1"):          "no_image",
		masu.ImageRef(closedPort(t) + "/here:1"): "registry_unreachable",
		"not a reference":                        "no_image",
	} {
		if err := rt.Pull(t.Context(), ref, nil); masu.CodeOf(err) != want {
			t.Errorf("Pull(%s) = %v, want %s", ref, err, want)
		}
	}
}

// closedPort is an address where nothing listens.
func closedPort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
