package kube

import (
	"archive/tar"
	"bytes"
	"crypto/rand"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/masu-lab/masu"
	"github.com/masu-lab/masu/internal/masutest"
)

const (
	testImage = "masu-test/base" // in the registry
	testAgent = "masu-test/agent"
)

// testConfig is for the cluster of test/kube/up.sh and lab.sh, whose STATE MASU_TEST_KUBE names.
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

// prepare brings masu itself into the registry; all else that the tests need there lab.sh has made.
func prepare(t *testing.T, rt *Runtime) {
	t.Helper()
	if err := rt.Import(t.Context(), testAgent, agentTar(t), nil); err != nil {
		t.Fatalf("the agent's image: %v", err)
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
