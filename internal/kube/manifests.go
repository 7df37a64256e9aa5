package kube

import (
	"cmp"
	"fmt"
	"io"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"
)

// Cluster is what the administrator of a cluster makes for a lab.
type Cluster struct {
	Namespace        string  // of the boxes
	BuilderNamespace string  // of buildkitd; building needs more than boxes may
	Restricted       bool    // nothing but what the Pod Security standard "restricted" allows gets into Namespace
	BuilderImage     string  // of a rootless buildkitd
	Inside           *Inside // nil where masu stays outside, with a kubeconfig

	level string // of Pod Security in Namespace; "" by Restricted
}

// account is the name of everything that masu has on a cluster.
const account = "masu"

// Manifests writes, as YAML for `kubectl apply`, all that a lab needs of a
// cluster: its namespaces, an account with the driver's rights and its token,
// a buildkitd and, where it is to be inside, masu.
func (c Cluster) Manifests(w io.Writer) error {
	for _, o := range c.objects() {
		text, err := plain(o)
		if err != nil {
			return fmt.Errorf("kube: manifests: %w", err)
		}
		if _, err := fmt.Fprintf(w, "---\n%s", text); err != nil {
			return err
		}
	}
	return nil
}

// plain is an object as people would have written it: without what only the
// cluster says of it.
func plain(o any) ([]byte, error) {
	text, err := yaml.Marshal(o)
	if err != nil {
		return nil, err
	}
	var m map[string]any
	if err := yaml.Unmarshal(text, &m); err != nil {
		return nil, err
	}
	delete(m, "status")
	delete(m["metadata"].(map[string]any), "creationTimestamp")
	return yaml.Marshal(m)
}

func (c Cluster) objects() []any {
	out := []any{
		namespace(c.Namespace, c.podSecurity()),
		namespace(c.BuilderNamespace, "privileged"), // a rootless buildkitd makes namespaces of its own, which the other levels forbid
	}
	if c.Inside != nil {
		out = append(out, namespace(c.Inside.Namespace, "baseline"))
	}
	out = append(out, corev1.ServiceAccount{TypeMeta: kind("v1", "ServiceAccount"), ObjectMeta: c.meta()})
	if c.Inside == nil { // a pod of the cluster gets tokens that end with it
		out = append(out, corev1.Secret{TypeMeta: kind("v1", "Secret"), Type: corev1.SecretTypeServiceAccountToken,
			ObjectMeta: metav1.ObjectMeta{Name: "masu-token", Namespace: c.Namespace, Labels: managed(), Annotations: map[string]string{corev1.ServiceAccountNameKey: account}}})
	}
	out = append(out, c.role(c.Namespace, slices.Concat(Rights(), KueueRights()))...)
	out = append(out, c.role(c.BuilderNamespace, BuilderRights())...)
	out = append(out,
		rbacv1.ClusterRole{TypeMeta: kind("rbac.authorization.k8s.io/v1", "ClusterRole"), ObjectMeta: metav1.ObjectMeta{Name: account, Labels: managed()}, Rules: NodeRights()},
		rbacv1.ClusterRoleBinding{TypeMeta: kind("rbac.authorization.k8s.io/v1", "ClusterRoleBinding"), ObjectMeta: metav1.ObjectMeta{Name: account, Labels: managed()},
			Subjects: c.subjects(), RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: account}},
		c.builder(), c.budget())
	if c.Inside != nil {
		out = append(out, c.role(c.Inside.Namespace, LeaseRights())...)
		out = append(out, c.Inside.objects()...)
	}
	return out
}

// podSecurity is the standard that boxes' namespace is held to.
func (c Cluster) podSecurity() string {
	if c.Restricted {
		return "restricted"
	}
	return cmp.Or(c.level, "baseline")
}

// home is the namespace of masu's account.
func (c Cluster) home() string {
	if c.Inside != nil {
		return c.Inside.Namespace
	}
	return c.Namespace
}

func kind(version, kind string) metav1.TypeMeta {
	return metav1.TypeMeta{APIVersion: version, Kind: kind}
}

func managed() map[string]string { return map[string]string{labelManaged: account} }

func (c Cluster) meta() metav1.ObjectMeta {
	return metav1.ObjectMeta{Name: account, Namespace: c.home(), Labels: managed()}
}

func (c Cluster) subjects() []rbacv1.Subject {
	return []rbacv1.Subject{{Kind: "ServiceAccount", Name: account, Namespace: c.home()}}
}

func namespace(name, level string) corev1.Namespace {
	labels := managed()
	labels["pod-security.kubernetes.io/enforce"] = level
	return corev1.Namespace{TypeMeta: kind("v1", "Namespace"), ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels}}
}

// role gives masu rights in a namespace.
func (c Cluster) role(namespace string, rules []rbacv1.PolicyRule) []any {
	const api = "rbac.authorization.k8s.io/v1"
	at := c.meta()
	at.Namespace = namespace
	return []any{
		rbacv1.Role{TypeMeta: kind(api, "Role"), ObjectMeta: at, Rules: rules},
		rbacv1.RoleBinding{TypeMeta: kind(api, "RoleBinding"), ObjectMeta: at, Subjects: c.subjects(), RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: account}},
	}
}

// builder is a buildkitd that is nobody's root, and keeps its cache in the pod.
func (c Cluster) builder() appsv1.Deployment {
	labels := map[string]string{"app": "masu-buildkit"}
	one, uid, no := int32(1), int64(1000), false
	return appsv1.Deployment{
		TypeMeta:   kind("apps/v1", "Deployment"),
		ObjectMeta: metav1.ObjectMeta{Name: "masu-buildkit", Namespace: c.BuilderNamespace, Labels: managed()},
		Spec: appsv1.DeploymentSpec{
			Replicas: &one,
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Strategy: appsv1.DeploymentStrategy{Type: appsv1.RecreateDeploymentStrategyType},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec: corev1.PodSpec{
					AutomountServiceAccountToken: &no,
					EnableServiceLinks:           &no,
					Containers: []corev1.Container{{
						Name: "buildkitd", Image: c.BuilderImage,
						Args: []string{"--oci-worker-no-process-sandbox"}, // a pod may not mount another /proc
						SecurityContext: &corev1.SecurityContext{RunAsUser: &uid, RunAsGroup: &uid,
							SeccompProfile:  &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeUnconfined},
							AppArmorProfile: &corev1.AppArmorProfile{Type: corev1.AppArmorProfileTypeUnconfined}},
						ReadinessProbe: &corev1.Probe{PeriodSeconds: 10, ProbeHandler: corev1.ProbeHandler{Exec: &corev1.ExecAction{Command: []string{"buildctl", "debug", "workers"}}}},
						VolumeMounts:   []corev1.VolumeMount{{Name: "cache", MountPath: "/home/user/.local/share/buildkit"}},
					}},
					Volumes: []corev1.Volume{{Name: "cache", VolumeSource: scratch()}},
				},
			},
		},
	}
}
