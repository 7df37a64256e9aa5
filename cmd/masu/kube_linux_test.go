package main

import (
	"archive/tar"
	"errors"
	"io"
	"log"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/crane"
	"github.com/google/go-containerregistry/pkg/registry"
)

// insideConfig is a configuration with which masu can be inside a cluster.
func insideConfig(t *testing.T, registry, more string) map[string]string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "config.yaml")
	text := "host_name: masu.example.ac.jp\napps_domain: apps.masu.example.ac.jp\ntls: {cert_file: /etc/masu/tls/tls.crt, key_file: /etc/masu/tls/tls.key}\n" +
		"kubernetes: {registry: " + registry + more + "}\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return map[string]string{"MASU_CONFIG": file}
}

// TestKubePush: what is pushed is masu and little else, and it is what the manifests name.
func TestKubePush(t *testing.T) {
	s := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	defer s.Close()
	at := strings.TrimPrefix(s.URL, "http://") + "/lab"
	env := insideConfig(t, at, "")
	code, id, errs := try(t, env, "kube", "push", "--lang", "en")
	if code != 0 {
		t.Fatalf("%d %s", code, errs)
	}
	id = strings.TrimSpace(id)
	img, err := crane.Pull(id)
	if err != nil || !strings.HasPrefix(id, at+"/masu/server@sha256:") {
		t.Fatalf("%s: %v", id, err)
	}
	pr, pw := io.Pipe()
	go func() { pw.CloseWithError(crane.Export(img, pw)) }()
	defer pr.Close()
	files := map[string]string{}
	for r := tar.NewReader(pr); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		files[h.Name] = h.Linkname
	}
	if _, ok := files["masu"]; !ok || files["etc/passwd"] != "masu/passwd" || files["etc/group"] != "masu/group" || len(files) > 12 {
		t.Errorf("%v", files)
	}
	code, out, errs := try(t, env, "kube", "manifests", "--inside", "--lang", "en")
	i := strings.Index(out, "image: "+at)
	if code != 0 || i < 0 {
		t.Fatalf("%d %s", code, errs)
	}
	name, _, _ := strings.Cut(out[i+len("image: "):], "\n")
	if digest, err := crane.Digest(name); err != nil || !strings.HasSuffix(id, digest) {
		t.Errorf("the manifests name %s: %v, %s", name, err, digest)
	}
}

// TestKubeInsideRefused: with what masu cannot be inside a cluster, and with which options.
func TestKubeInsideRefused(t *testing.T) {
	for name, c := range map[string]struct {
		more string
		args []string
		want string
	}{
		"a kubeconfig":     {", kubeconfig: /etc/masu/kubeconfig", []string{"manifests", "--inside"}, "Look at: kubernetes.kubeconfig"},
		"a queue's name":   {", kueue: {queue: a b}", []string{"manifests"}, "kubernetes.kueue: "},
		"a size of what":   {"", []string{"manifests", "--inside", "--state-size", "much"}, "--state-size cannot be much"},
		"no masu":          {"", []string{"manifests", "--inside", "--replicas", "0"}, "--replicas cannot be 0"},
		"another service":  {"", []string{"chart", "--service", "Carrier", "/tmp/x"}, "--service cannot be Carrier"},
		"a folder's place": {"", []string{"chart", "/proc/none/chart"}, "cannot be written to /proc/none/chart"},
	} {
		if code, _, errs := try(t, insideConfig(t, "registry.example/lab", c.more), append(append([]string{"kube"}, c.args...), "--lang", "en")...); code == 0 || !strings.Contains(errs, c.want) {
			t.Errorf("%s: %d %s", name, code, errs)
		}
	}
	file := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(file, []byte("host_name: x\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, _, errs := try(t, map[string]string{"MASU_CONFIG": file}, "kube", "manifests", "--inside", "--lang", "en")
	for _, key := range []string{"kubernetes.registry", "apps_domain", "tls.cert_file: /etc/masu/tls/tls.crt", "tls.key_file"} {
		if !strings.Contains(errs, key) {
			t.Errorf("%s is not named: %s", key, errs)
		}
	}
	if _, _, errs := try(t, map[string]string{"MASU_CONFIG": file}, "kube", "push", "--lang", "en"); !strings.Contains(errs, "does not name a cluster") {
		t.Errorf("push without a registry: %s", errs)
	}
}
