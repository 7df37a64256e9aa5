package kube

import (
	"maps"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"sigs.k8s.io/yaml"
)

// TestManifests: what is printed can be read back, and gives nobody more than the driver says it needs.
func TestManifests(t *testing.T) {
	outside := testInside()
	outside.Inside = nil
	for name, c := range map[string]struct {
		Cluster
		kinds map[string]int
	}{
		"outside": {outside, map[string]int{"Namespace": 2, "ServiceAccount": 1, "Secret": 1, "Role": 2, "RoleBinding": 2, "ClusterRole": 1, "ClusterRoleBinding": 1, "Deployment": 1, "PodDisruptionBudget": 1}},
		"inside": {testInside(), map[string]int{"Namespace": 3, "ServiceAccount": 1, "Role": 3, "RoleBinding": 3, "ClusterRole": 1, "ClusterRoleBinding": 1, "Deployment": 2, "PodDisruptionBudget": 1,
			"PersistentVolumeClaim": 1, "Service": 1}},
	} {
		kinds := map[string]int{}
		for _, o := range printed(t, c.Cluster) {
			kinds[o.Kind]++
			checkRights(t, o)
			checkContainers(t, o)
		}
		if !maps.Equal(kinds, c.kinds) {
			t.Errorf("%s: %v, want %v", name, kinds, c.kinds)
		}
	}
}

// object is what of any object is looked at here.
type object struct {
	Kind     string
	Metadata struct{ Name, Namespace string }
	Rules    []rbacv1.PolicyRule
	Subjects []rbacv1.Subject
	Spec     struct{ Template corev1.PodTemplateSpec }
}

func printed(t *testing.T, c Cluster) (all []object) {
	t.Helper()
	var b strings.Builder
	if err := c.Manifests(&b); err != nil {
		t.Fatal(err)
	}
	for text := range strings.SplitSeq(strings.TrimPrefix(b.String(), "---\n"), "---\n") {
		var o object
		if err := yaml.Unmarshal([]byte(text), &o); err != nil {
			t.Fatalf("%v in\n%s", err, text)
		}
		all = append(all, o)
	}
	return all
}

func checkRights(t *testing.T, o object) {
	t.Helper()
	for _, r := range o.Rules {
		for _, word := range slices.Concat(r.Verbs, r.Resources, r.APIGroups) {
			if word == "*" || word == "secrets" || word == "bind" || word == "escalate" || word == "impersonate" {
				t.Errorf("%s %s gives %q", o.Kind, o.Metadata.Name, word)
			}
		}
	}
	if o.Kind == "ClusterRole" && (len(o.Rules) != 1 || strings.Join(o.Rules[0].Verbs, "") != "list") {
		t.Errorf("rights in the whole cluster: %+v", o.Rules)
	}
	for _, s := range o.Subjects {
		if s.Kind != "ServiceAccount" || s.Name != account || s.Namespace == "" {
			t.Errorf("%s %s is for %+v", o.Kind, o.Metadata.Name, s)
		}
	}
}

// checkContainers: nobody is privileged, and who is root, masu itself, has no more of it than it needs.
func checkContainers(t *testing.T, o object) {
	t.Helper()
	for _, c := range o.Spec.Template.Spec.Containers {
		s := c.SecurityContext
		if s.Privileged != nil || *s.RunAsUser == 0 && (*s.AllowPrivilegeEscalation || !*s.ReadOnlyRootFilesystem || s.Capabilities.Drop[0] != "ALL" || slices.Contains(s.Capabilities.Add, "SYS_ADMIN")) {
			t.Errorf("%s is too much of a root: %+v", c.Name, s)
		}
	}
}
