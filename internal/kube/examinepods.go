package kube

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/masu-lab/masu"
)

// Network plugins leave their names on the nodes; who holds policies is written in their manuals.
var plugins = []struct {
	key, name string
	holds     bool
}{
	{"projectcalico.org/", "Calico", true},
	{"network.cilium.io/", "Cilium", true},
	{"io.cilium.", "Cilium", true},
	{"node.antrea.io/", "Antrea", true},
	{"k8s.ovn.org/", "OVN-Kubernetes", true},
	{"kube-router.io/", "kube-router", true},
	{"k3s.io/", "k3s", true}, // whose own controller holds them over flannel
	{"flannel.alpha.coreos.com/", "flannel", false},
}

// examineFence tells whether something holds the network policies that masu
// makes. A plugin that has left no trace is not guessed at.
func examineFence(nodes []corev1.Node) []masu.Finding {
	for _, p := range plugins {
		for _, n := range nodes {
			left := func(m map[string]string) bool {
				for k := range m {
					if strings.HasPrefix(k, p.key) {
						return true
					}
				}
				return false
			}
			switch {
			case !left(n.Annotations) && !left(n.Labels):
			case p.holds:
				return one(masu.Good, "kube_fence_ok", p.name)
			default:
				return one(masu.Warn, "kube_fence_none", p.name)
			}
		}
	}
	return one(masu.Info, "kube_fence_unknown")
}

// mostPending bounds how many pods that wait are told of by name.
const mostPending = 10

// examinePending says in plain words what the boxes wait for that do not run.
func (r *Runtime) examinePending(ctx context.Context) (found []masu.Finding) {
	var l corev1.PodList
	err := r.core.Get().Namespace(r.cfg.Namespace).Resource("pods").VersionedParams(&metav1.ListOptions{LabelSelector: labelWorkspace}, parameters).Do(ctx).Into(&l)
	if err != nil {
		return nil // told by the rights
	}
	slices.SortFunc(l.Items, func(a, b corev1.Pod) int { return cmp.Compare(a.Name, b.Name) })
	more := 0
	for i := range l.Items {
		p := &l.Items[i]
		code, words := waitsFor(p)
		switch {
		case code == "":
		case len(found) == mostPending:
			more++
		default:
			s := masu.Warn
			if code == "kube_pending_gpus" { // as it should be in a queue
				s = masu.Info
			}
			found = append(found, one(s, code, cmp.Or(p.Annotations[noteOwner], "?")+"/"+cmp.Or(p.Annotations[noteName], p.Name), words)...)
		}
	}
	if more > 0 {
		found = append(found, one(masu.Info, "kube_pending_more", fmt.Sprint(more))...)
	}
	return found
}

// waitsFor tells why a pod does not run, by a code and in the cluster's own words; "" for one that does, or has begun.
func waitsFor(p *corev1.Pod) (code, words string) {
	if p.Status.Phase != corev1.PodPending || p.DeletionTimestamp != nil {
		return "", ""
	}
	for _, c := range p.Status.Conditions {
		if c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse {
			return unscheduled(c.Message), c.Message
		}
	}
	for _, c := range slices.Concat(p.Status.InitContainerStatuses, p.Status.ContainerStatuses) {
		w := c.State.Waiting
		if w == nil {
			continue
		}
		switch w.Reason {
		case "ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull":
			return "kube_pending_image", cmp.Or(w.Message, w.Reason) + " (" + c.Image + ")"
		case "CreateContainerConfigError", "CreateContainerError", "RunContainerError":
			return "kube_pending_broken", cmp.Or(w.Message, w.Reason)
		}
	}
	return "", ""
}

// unscheduled reads the scheduler's sentence: "0/3 nodes are available: 3
// Insufficient nvidia.com/gpu. …". What lacks everywhere comes before what lacks somewhere.
func unscheduled(message string) string {
	for _, w := range []struct{ has, code string }{
		{"unbound immediate PersistentVolumeClaims", "kube_pending_volume"},
		{"persistentvolumeclaim", "kube_pending_volume"},
		{"volume node affinity", "kube_pending_volume"},
		{"Insufficient nvidia.com/", "kube_pending_gpus"},
		{"Insufficient amd.com/", "kube_pending_gpus"},
		{"Insufficient gpu.intel.com/", "kube_pending_gpus"},
		{"Insufficient memory", "kube_pending_room"},
		{"Insufficient cpu", "kube_pending_room"},
		{"Insufficient ephemeral-storage", "kube_pending_room"},
		{"Too many pods", "kube_pending_room"},
		{"untolerated taint", "kube_pending_taint"},
		{"node affinity/selector", "kube_pending_node"},
	} {
		if strings.Contains(message, w.has) {
			return w.code
		}
	}
	return "kube_pending_other"
}
