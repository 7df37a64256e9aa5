package kube

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

func testInside() Cluster {
	return Cluster{Namespace: "lab", BuilderNamespace: "lab-build", Restricted: true, BuilderImage: "builder:1", Inside: &Inside{
		Namespace: "lab-system", Image: "registry.example/masu@sha256:1", Replicas: 2, SSHPort: 2222, Service: corev1.ServiceTypeLoadBalancer, State: resource.MustParse("5Gi"),
		Folders: []Shared{{Prefix: "/home", Claim: "homes"}, {Prefix: "/data", Claim: "data", Path: "sets"}}, PullSecrets: []string{"pull"}}}
}

// TestChart: nothing of one lab's stays in the template, and no mark. That Helm
// makes the manifests of it again is tested where Helm is (packaging).
func TestChart(t *testing.T) {
	dir := t.TempDir()
	if err := testInside().Chart(dir, "v1.2.3-4-g0a1b2c3"); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(filepath.Join(dir, "templates/masu.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{markOpen, markClose, "76543", "lab-system", "homes", "builder:1", "'{{"} {
		if strings.Contains(string(b), bad) {
			t.Errorf("the template has %q:\n%s", bad, b)
		}
	}
	if n := strings.Count(string(b), "{{- end }}"); n != 6 { // folders twice, ssh twice, class, pull secrets
		t.Errorf("%d conditions and loops:\n%s", n, b)
	}
	for version, want := range map[string]string{"v1.2.3-4-g0a1b2c3": "1.2.3-4-g0a1b2c3", "2.0.0": "2.0.0", "dev": "0.0.0", "0a1b2c3": "0.0.0"} {
		if got := chartVersion(version); got != want {
			t.Errorf("%s: %s", version, got)
		}
	}
}
