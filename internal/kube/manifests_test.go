package kube

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"sigs.k8s.io/yaml"
)

// TestManifests: what is printed can be read back, and gives nobody more than the driver says it needs.
func TestManifests(t *testing.T) {
	var b strings.Builder
	if err := (Cluster{Namespace: "lab", BuilderNamespace: "lab-build", Restricted: true, BuilderImage: "builder:1"}).Manifests(&b); err != nil {
		t.Fatal(err)
	}
	kinds := map[string]int{}
	for text := range strings.SplitSeq(strings.TrimPrefix(b.String(), "---\n"), "---\n") {
		var o struct {
			Kind     string
			Metadata struct{ Name, Namespace string }
			Rules    []rbacv1.PolicyRule
			Spec     struct{ Template struct{ Spec corev1.PodSpec } }
		}
		if err := yaml.Unmarshal([]byte(text), &o); err != nil {
			t.Fatalf("%v in\n%s", err, text)
		}
		kinds[o.Kind]++
		for _, r := range o.Rules {
			for _, word := range append(append(r.Verbs, r.Resources...), r.APIGroups...) {
				if word == "*" || word == "secrets" || word == "bind" || word == "escalate" || word == "impersonate" {
					t.Errorf("%s %s gives %q", o.Kind, o.Metadata.Name, word)
				}
			}
		}
		if o.Kind == "ClusterRole" && (len(o.Rules) != 1 || strings.Join(o.Rules[0].Verbs, "") != "list") {
			t.Errorf("rights in the whole cluster: %+v", o.Rules)
		}
		for _, c := range o.Spec.Template.Spec.Containers {
			if c.SecurityContext.Privileged != nil || *c.SecurityContext.RunAsUser == 0 {
				t.Errorf("the builder is root: %+v", c.SecurityContext)
			}
		}
	}
	for kind, n := range map[string]int{"Namespace": 2, "ServiceAccount": 1, "Secret": 1, "Role": 2, "RoleBinding": 2, "ClusterRole": 1, "ClusterRoleBinding": 1, "Deployment": 1} {
		if kinds[kind] != n {
			t.Errorf("%d of kind %s, want %d", kinds[kind], kind, n)
		}
	}
}
