package kube

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/masu-lab/masu"
)

// oldestMinor is the oldest Kubernetes 1.x that masu is made for, and skew how
// many a node may be behind the API server by Kubernetes' own rule.
const (
	oldestMinor = 30
	skew        = 3
)

// Examine tells what is wrong with a cluster, or with what masu may do there. It
// changes nothing, needs no rights beyond the driver's, and says what it may
// not see. Config.Lab and Config.Agent are not needed.
func Examine(ctx context.Context, cfg Config) []masu.Finding {
	c, err := cfg.reach()
	if err != nil {
		return one(masu.Fail, "kube_config_wrong", err.Error())
	}
	r, err := newRuntime(cfg, c)
	if err != nil {
		return one(masu.Fail, "kube_config_wrong", err.Error())
	}
	found, ok := r.examineVersion(ctx)
	if !ok {
		return found
	}
	nodes, seen := r.examineNodes(ctx, &found)
	found = append(found, r.examineRights(ctx)...)
	found = append(found, r.examineNamespace(ctx)...)
	found = append(found, r.examineKueue(ctx)...)
	found = append(found, r.examineStorage(ctx, len(nodes))...)
	if seen {
		found = append(found, examineFence(nodes)...)
	}
	found = append(found, r.examineBuilder(ctx)...)
	found = append(found, r.examineRegistry(ctx)...)
	return append(found, r.examinePending(ctx)...)
}

func one(s masu.Severity, code string, args ...string) []masu.Finding {
	return []masu.Finding{{Code: code, Severity: s, Args: args}}
}

// examineVersion asks the API server who it is; without an answer nothing else can be found out.
func (r *Runtime) examineVersion(ctx context.Context) (found []masu.Finding, ok bool) {
	info, err := r.Info(ctx)
	if masu.CodeOf(err) == "cluster_denied" {
		return one(masu.Fail, "kube_unknown_here", r.host), false
	}
	if err != nil {
		return one(masu.Fail, "kube_silent", r.host, err.Error()), false
	}
	if minor := minorOf(info.Version); minor >= 0 && minor < oldestMinor {
		return one(masu.Fail, "kube_old", info.Version, fmt.Sprintf("1.%d", oldestMinor)), true
	}
	if _, err := r.list(ctx); masu.CodeOf(err) == "cluster_denied" { // anybody may ask for the version
		return one(masu.Fail, "kube_unknown_here", r.host), false
	}
	return one(masu.Good, "kube_ok", info.Version, r.host), true
}

var version1 = regexp.MustCompile(`^v?1\.(\d+)`)

// minorOf is 30 for "v1.30.4+k3s1", and -1 for what is no version of Kubernetes 1.
func minorOf(version string) int {
	m := version1.FindStringSubmatch(version)
	if m == nil {
		return -1
	}
	n, err := strconv.Atoi(m[1])
	if err != nil {
		return -1
	}
	return n
}

// examineNodes looks for nodes that work, and for GPUs on them.
func (r *Runtime) examineNodes(ctx context.Context, found *[]masu.Finding) (nodes []corev1.Node, seen bool) {
	var l corev1.NodeList
	if err := r.core.Get().Resource("nodes").Do(ctx).Into(&l); err != nil {
		*found = append(*found, one(masu.Warn, "kube_nodes_unseen", reason(err))...)
		return nil, false
	}
	var down, old, bare []string
	gpus, with := 0, 0
	server := minorOf((*found)[0].Args[0])
	for i := range l.Items {
		n := &l.Items[i]
		if !healthy(n) {
			down = append(down, n.Name)
			continue
		}
		nodes = append(nodes, *n)
		if v := minorOf(n.Status.NodeInfo.KubeletVersion); v >= 0 && v+skew < server {
			old = append(old, n.Name+" "+n.Status.NodeInfo.KubeletVersion)
		}
		here := len(gpusOf(n))
		switch gpus += here; {
		case here > 0:
			with++
		case hasCards(n) && !n.Spec.Unschedulable:
			bare = append(bare, n.Name)
		}
	}
	if len(nodes) == 0 {
		*found = append(*found, one(masu.Fail, "kube_no_nodes")...)
	}
	for _, of := range []struct {
		code  string
		nodes []string
	}{{"kube_node_down", down}, {"kube_skew", old}, {"kube_plugin_missing", bare}} {
		if len(of.nodes) > 0 {
			*found = append(*found, one(masu.Warn, of.code, strings.Join(of.nodes, ", "))...)
		}
	}
	switch {
	case gpus > 0:
		*found = append(*found, one(masu.Good, "kube_gpus", strconv.Itoa(gpus), strconv.Itoa(with))...)
	case len(bare) == 0 && len(nodes) > 0:
		*found = append(*found, one(masu.Info, "kube_gpus_none")...)
	}
	return nodes, true
}

// hasCards tells whether the features of a node that were found say that cards are in it.
func hasCards(n *corev1.Node) bool {
	for _, label := range []string{"nvidia.com/gpu.present", "feature.node.kubernetes.io/pci-10de.present", "feature.node.kubernetes.io/pci-1002.present",
		"feature.node.kubernetes.io/pci-0300_10de.present", "feature.node.kubernetes.io/pci-0302_10de.present"} {
		if n.Labels[label] == "true" {
			return true
		}
	}
	return false
}

// examineRights asks the API server for each right that the driver needs, and
// whether it has the very widest.
func (r *Runtime) examineRights(ctx context.Context) []masu.Finding {
	var missing []string
	for _, of := range []struct {
		namespace string
		rules     []rbacv1.PolicyRule
	}{{r.cfg.Namespace, Rights()}, {r.cfg.BuilderNamespace, BuilderRights()}} {
		for _, rule := range of.rules {
			for _, resource := range rule.Resources {
				for _, verb := range rule.Verbs {
					may, err := r.may(ctx, of.namespace, rule.APIGroups[0], resource, verb)
					if err != nil {
						return one(masu.Warn, "kube_rights_unseen", reason(err))
					}
					if !may {
						missing = append(missing, of.namespace+": "+verb+" "+resource)
					}
				}
			}
		}
	}
	if len(missing) > 0 {
		return one(masu.Fail, "kube_rights_missing", strings.Join(missing, ", "))
	}
	if wide, err := r.may(ctx, "", "", "secrets", "list"); err == nil && wide {
		return one(masu.Warn, "kube_rights_wide")
	}
	return one(masu.Good, "kube_rights_ok")
}

// may asks whether masu may do something; in all namespaces where namespace is "".
func (r *Runtime) may(ctx context.Context, namespace, group, resource, verb string) (bool, error) {
	resource, sub, _ := strings.Cut(resource, "/")
	body, err := json.Marshal(authorizationv1.SelfSubjectAccessReview{
		TypeMeta: kind("authorization.k8s.io/v1", "SelfSubjectAccessReview"),
		Spec: authorizationv1.SelfSubjectAccessReviewSpec{ResourceAttributes: &authorizationv1.ResourceAttributes{
			Namespace: namespace, Group: group, Resource: resource, Subresource: sub, Verb: verb}},
	})
	if err != nil {
		return false, err
	}
	raw, err := r.core.Post().AbsPath("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews").SetHeader("Content-Type", "application/json").Body(body).DoRaw(ctx)
	if err != nil {
		return false, err
	}
	var answer authorizationv1.SelfSubjectAccessReview
	err = json.NewDecoder(bytes.NewReader(raw)).Decode(&answer)
	return answer.Status.Allowed, err
}

// examineNamespace holds the namespace's own rule against what masu will do there.
func (r *Runtime) examineNamespace(ctx context.Context) []masu.Finding {
	var n corev1.Namespace
	err := r.core.Get().Resource("namespaces").Name(r.cfg.Namespace).Do(ctx).Into(&n)
	level := n.Labels["pod-security.kubernetes.io/enforce"]
	switch {
	case apierrors.IsNotFound(err):
		return one(masu.Fail, "kube_namespace_missing", r.cfg.Namespace)
	case err != nil:
		return one(masu.Info, "kube_namespace_unseen", r.cfg.Namespace)
	case !r.cfg.Restricted && level == "restricted":
		return one(masu.Fail, "kube_namespace_tight", r.cfg.Namespace)
	case r.cfg.Restricted && level != "restricted", level == "", level == "privileged":
		return one(masu.Warn, "kube_namespace_loose", r.cfg.Namespace)
	}
	return one(masu.Good, "kube_namespace_ok", r.cfg.Namespace, level)
}

// examineStorage looks at the claims of folders, and at where homes will come from.
func (r *Runtime) examineStorage(ctx context.Context, nodes int) (found []masu.Finding) {
	for _, f := range r.cfg.Storage.Folders {
		var c corev1.PersistentVolumeClaim
		err := r.core.Get().Namespace(r.cfg.Namespace).Resource("persistentvolumeclaims").Name(f.Claim).Do(ctx).Into(&c)
		many := slices.Contains(c.Spec.AccessModes, corev1.ReadWriteMany)
		switch {
		case apierrors.IsNotFound(err):
			found = append(found, one(masu.Fail, "kube_claim_missing", f.Claim, r.cfg.Namespace, f.Prefix)...)
		case err != nil: // told by the rights
		case c.Status.Phase != corev1.ClaimBound:
			found = append(found, one(masu.Warn, "kube_claim_unbound", f.Claim, f.Prefix)...)
		case !many && nodes > 1:
			found = append(found, one(masu.Warn, "kube_claim_single", f.Claim, f.Prefix)...)
		default:
			found = append(found, one(masu.Good, "kube_claim_ok", f.Claim, f.Prefix)...)
		}
	}
	return append(found, r.examineClass(ctx)...)
}

// examineClass looks at the StorageClass of homes; the driver has no right to see it, and need not have.
func (r *Runtime) examineClass(ctx context.Context) []masu.Finding {
	raw, err := r.core.Get().AbsPath("/apis/storage.k8s.io/v1/storageclasses").DoRaw(ctx)
	if err != nil {
		return one(masu.Info, "kube_class_unseen")
	}
	var l metav1.PartialObjectMetadataList
	if err := json.Unmarshal(raw, &l); err != nil {
		return one(masu.Info, "kube_class_unseen")
	}
	i := slices.IndexFunc(l.Items, func(c metav1.PartialObjectMetadata) bool {
		return c.Name == r.cfg.Storage.Class || r.cfg.Storage.Class == "" && c.Annotations["storageclass.kubernetes.io/is-default-class"] == "true"
	})
	switch {
	case i >= 0:
		return one(masu.Good, "kube_class_ok", l.Items[i].Name)
	case r.cfg.Storage.Class == "":
		return one(masu.Fail, "kube_class_no_default")
	}
	return one(masu.Fail, "kube_class_missing", r.cfg.Storage.Class)
}

// examineBuilder looks for a buildkitd that is ready.
func (r *Runtime) examineBuilder(ctx context.Context) []masu.Finding {
	if _, err := r.builder(ctx); masu.CodeOf(err) == "builder_missing" {
		return one(masu.Fail, "kube_builder_missing", r.cfg.BuilderNamespace, r.cfg.Builder)
	} else if err != nil {
		return nil // told by the rights
	}
	return one(masu.Good, "kube_builder_ok")
}

// examineRegistry asks the registry for an image that need not be there.
func (r *Runtime) examineRegistry(ctx context.Context) []masu.Finding {
	ctx, cancel := context.WithTimeout(ctx, quick/2)
	defer cancel()
	at, err := r.at("masu/agent:doctor")
	if err != nil {
		return one(masu.Fail, "kube_registry_silent", r.cfg.Registry, err.Error())
	}
	_, err = remote.Head(at, r.registry(ctx)...)
	answer, answered := errors.AsType[*transport.Error](err)
	switch {
	case answered && (answer.StatusCode == http.StatusUnauthorized || answer.StatusCode == http.StatusForbidden):
		return one(masu.Fail, "kube_registry_denied", r.cfg.Registry)
	case err != nil && (!answered || answer.StatusCode != http.StatusNotFound):
		return one(masu.Fail, "kube_registry_silent", r.cfg.Registry, err.Error())
	}
	return one(masu.Good, "kube_registry_ok", r.cfg.Registry)
}
