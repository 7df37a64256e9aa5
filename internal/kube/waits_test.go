package kube

import (
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/masu-lab/masu"
)

// TestWaits: each way in which a pod may be yet to run has a sentence of its own.
func TestWaits(t *testing.T) {
	unplaced := func(why string) corev1.PodStatus {
		return corev1.PodStatus{Phase: corev1.PodPending, Conditions: []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: "Unschedulable", Message: why}}}
	}
	waiting := func(reason, message string) corev1.ContainerStatus {
		return corev1.ContainerStatus{Name: boxContainer, State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message}}}
	}
	const gpu = "0/2 nodes are available: 1 Insufficient nvidia.com/gpu, 1 node(s) didn't match Pod's node affinity/selector."
	for _, c := range []struct {
		name, node, gpus string
		status           corev1.PodStatus
		code             string
		args             []string
	}{
		{"a GPU", "", "n1/nvidia.com/gpu/0", unplaced(gpu), "pod_no_gpu", []string{"n1"}},
		{"memory, of a box with a GPU", "", "n1/nvidia.com/gpu/0", unplaced("0/2 nodes are available: 2 Insufficient memory."), "pod_no_room", []string{"0/2 nodes are available: 2 Insufficient memory."}},
		{"memory", "", "", unplaced("no"), "pod_no_room", []string{"no"}},
		{"the scheduler", "", "", corev1.PodStatus{Phase: corev1.PodPending}, "pod_placed", nil},
		{"its node", "n2", "", corev1.PodStatus{Phase: corev1.PodPending, ContainerStatuses: []corev1.ContainerStatus{waiting("PodInitializing", "")}}, "pod_prepares", []string{"n2"}},
		{"an image", "n2", "", corev1.PodStatus{Phase: corev1.PodPending, InitContainerStatuses: []corev1.ContainerStatus{waiting("ImagePullBackOff", "not there")}}, "pod_stuck", []string{"n2", "not there"}},
		{"something without a word", "n2", "", corev1.PodStatus{Phase: corev1.PodPending, ContainerStatuses: []corev1.ContainerStatus{waiting("CreateContainerError", "")}}, "pod_stuck", []string{"n2", "CreateContainerError"}},
	} {
		p := &corev1.Pod{Spec: corev1.PodSpec{NodeName: c.node}, Status: c.status}
		p.Annotations = map[string]string{noteGPUs: c.gpus}
		s := status(p)
		if s.State != masu.BoxCreated || s.Waits == nil || s.Waits.Code != c.code || !slices.Equal(s.Waits.Args, c.args) {
			t.Errorf("a pod that waits for %s is %+v, waits for %v", c.name, s, s.Waits)
		}
	}
	ended := &corev1.Pod{Status: corev1.PodStatus{Phase: corev1.PodFailed}}
	if s := status(ended); s.Waits != nil {
		t.Errorf("a pod that has ended waits for %v", s.Waits)
	}
}
