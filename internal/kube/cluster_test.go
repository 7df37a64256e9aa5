package kube

import (
	"archive/tar"
	"bytes"
	"crypto/rand"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/masu-lab/masu"
	"github.com/masu-lab/masu/internal/masutest"
)

const (
	testImage   = "masu-test/base" // in the registry; made from the engine's image of that name
	testAgent   = "masu-test/agent"
	testBuilder = "masu-test/builder"
)

// testConfig is for the cluster of test/kube/up.sh, whose STATE MASU_TEST_KUBE names.
func testConfig(t *testing.T) Config {
	t.Helper()
	state := os.Getenv("MASU_TEST_KUBE")
	if state == "" {
		t.Skip("MASU_TEST_KUBE is not set")
	}
	registry, err := os.ReadFile(filepath.Join(state, "registry.address"))
	if err != nil {
		t.Fatal(err)
	}
	c := Config{
		Kubeconfig: filepath.Join(state, "admin.kubeconfig"),
		Namespace:  "masu-test",
		Builder:    "app=masu-buildkit",
		Lab:        "kubetest" + strings.ToLower(rand.Text()[:6]),
		Registry:   strings.TrimSpace(string(registry)) + "/masu",
		Log:        slog.New(slog.NewTextHandler(t.Output(), nil)),
	}
	c.Agent = c.Registry + "/" + testAgent + ":latest"
	return c
}

func open(t *testing.T, c Config) *Runtime {
	t.Helper()
	rt, err := New(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { rt.Close() })
	prepared.Do(func() { prepare(t, rt) })
	return rt
}

var prepared sync.Once

// prepare makes the namespace, brings the images of base, agent and builder
// into the registry, and starts the builder.
func prepare(t *testing.T, rt *Runtime) {
	t.Helper()
	post(t, rt, "/api/v1/namespaces", corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "masu-test"}}, nil)
	if err := rt.Import(t.Context(), testAgent, agentTar(t), nil); err != nil {
		t.Fatalf("the agent's image: %v", err)
	}
	bring(t, rt, testImage, testImage)
	build := exec.Command("docker", "build", "-q", "-t", testBuilder, "-f", "-", os.Getenv("MASU_TEST_KUBE_BIN"))
	build.Stdin = strings.NewReader("FROM " + testImage + `
RUN apt-get update -qq && apt-get install -y -qq --no-install-recommends runc procps ca-certificates >/dev/null && rm -rf /var/lib/apt/lists/*
COPY buildkitd buildctl /usr/local/bin/
RUN mkdir -p /etc/buildkit && printf '[registry."` + strings.Split(rt.cfg.Registry, "/")[0] + `"]\nhttp = true\n' >/etc/buildkit/buildkitd.toml
`)
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("the builder's image: %v\n%s", err, out)
	}
	bring(t, rt, testBuilder, testBuilder)
	img, err := rt.Image(t.Context(), testBuilder)
	if err != nil {
		t.Fatal(err)
	}
	yes := true
	post(t, rt, "/api/v1/namespaces/masu-test/pods", corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "buildkitd", Labels: map[string]string{"app": "masu-buildkit"}},
		Spec: corev1.PodSpec{HostNetwork: true, Containers: []corev1.Container{{Name: "buildkitd", Image: img.ID, Command: []string{"buildkitd"},
			SecurityContext: &corev1.SecurityContext{Privileged: &yes},
			ReadinessProbe:  &corev1.Probe{PeriodSeconds: 1, ProbeHandler: corev1.ProbeHandler{Exec: &corev1.ExecAction{Command: []string{"buildctl", "debug", "workers"}}}}}}},
	}, nil)
	for deadline := time.Now().Add(2 * time.Minute); ; time.Sleep(100 * time.Millisecond) {
		if _, err := rt.builder(t.Context()); err == nil {
			return
		} else if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}

// bring puts an image of the engine's into the registry.
func bring(t *testing.T, rt *Runtime, from string, to masu.ImageRef) {
	t.Helper()
	if _, err := rt.Image(t.Context(), to); err == nil {
		return
	}
	id, err := exec.Command("docker", "create", from).Output()
	if err != nil {
		t.Fatalf("docker create %s: %v", from, err)
	}
	container := strings.TrimSpace(string(id))
	defer exec.Command("docker", "rm", container).Run()
	export := exec.Command("docker", "export", container)
	out, err := export.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := export.Start(); err != nil {
		t.Fatal(err)
	}
	if err := rt.Import(t.Context(), to, out, nil); err != nil {
		t.Fatalf("%s: %v", to, err)
	}
	if err := export.Wait(); err != nil {
		t.Fatal(err)
	}
}

// agentTar is an image's tree that holds masu and nothing else.
func agentTar(t *testing.T) io.Reader {
	t.Helper()
	bin := os.Getenv("MASU_BIN")
	if bin == "" {
		t.Fatal("MASU_BIN is not set")
	}
	program, err := os.ReadFile(bin)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	if err := w.WriteHeader(&tar.Header{Name: "masu", Mode: 0o755, Size: int64(len(program)), Typeflag: tar.TypeReg}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(program); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return &b
}

func TestCluster(t *testing.T) {
	c := testConfig(t)
	masutest.Runtime(t, func(t *testing.T) (masu.Runtime, string) {
		c := c
		c.Lab = "kubetest" + strings.ToLower(rand.Text()[:6])
		c.Log = slog.New(slog.NewTextHandler(t.Output(), nil))
		return open(t, c), testImage
	})
}
