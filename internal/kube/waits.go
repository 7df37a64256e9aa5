package kube

import (
	"cmp"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/masu-lab/masu"
)

// stuck are the reasons for which a node does not get on with a container, though it tries again.
var stuck = []string{"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "RegistryUnavailable", "CreateContainerConfigError", "CreateContainerError", "RunContainerError"}

// waits tells in masu's words why a pod's box does not run yet.
func waits(p *corev1.Pod) *masu.Error {
	if gated(p) {
		return masu.E(masu.Full, "pod_queued", p.Labels[labelQueue])
	}
	for _, c := range p.Status.Conditions {
		if c.Type != corev1.PodScheduled || c.Status != corev1.ConditionFalse {
			continue
		}
		if node, kind, n := place(split(p.Annotations[noteGPUs])); n > 0 && strings.Contains(c.Message, "Insufficient "+string(kind)) {
			return masu.E(masu.Full, "pod_no_gpu", node)
		}
		return masu.E(masu.Full, "pod_no_room", c.Message)
	}
	if p.Spec.NodeName == "" {
		return masu.E(masu.Unreachable, "pod_placed")
	}
	for _, c := range slices.Concat(p.Status.InitContainerStatuses, p.Status.ContainerStatuses) {
		if w := c.State.Waiting; w != nil && slices.Contains(stuck, w.Reason) {
			return masu.E(masu.Unreachable, "pod_stuck", p.Spec.NodeName, cmp.Or(w.Message, w.Reason))
		}
	}
	return masu.E(masu.Unreachable, "pod_prepares", p.Spec.NodeName)
}
