package kube

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/masu-lab/masu"
)

// Kueue are the names by which a cluster's Kueue knows the lab. Boxes with GPUs
// then become workloads of its queues, and begin when it admits them; boxes
// without are the scheduler's alone. The zero Kueue leaves it out.
type Kueue struct {
	Queue       string   // LocalQueue in the boxes' namespace
	Groups      []Queued // members of these groups of the host have another; the first that fits counts
	Priority    string   // WorkloadPriorityClass of workspaces; "" for none
	RunPriority string   // of runs
}

// Queued says which LocalQueue the members of a group have.
type Queued struct{ Group, Queue string }

// Labels by which Kueue knows what is its own, and whose a workload is.
const (
	labelQueue    = "kueue.x-k8s.io/queue-name"
	labelPriority = "kueue.x-k8s.io/priority-class"
	labelJob      = "kueue.x-k8s.io/job-uid"
	kueueAPI      = "/apis/kueue.x-k8s.io"
	kueueVersion  = kueueAPI + "/v1beta1"
)

// of gives the labels of a box.
func (k Kueue) of(b masu.Box) map[string]string {
	queue := k.Queue
	for _, q := range k.Groups {
		if slices.ContainsFunc(b.Owner.Groups, func(g masu.Group) bool { return g.Name == q.Group }) {
			queue = q.Queue
			break
		}
	}
	if queue == "" || len(b.GPUs) == 0 {
		return nil
	}
	labels := map[string]string{labelQueue: queue}
	priority := k.Priority
	if b.Run {
		priority = k.RunPriority
	}
	if priority != "" {
		labels[labelPriority] = priority
	}
	return labels
}

// Check holds the names against what can be a label's value.
func (k Kueue) Check() error {
	names := []string{k.Queue, k.Priority, k.RunPriority}
	for _, q := range k.Groups {
		names = append(names, q.Queue)
	}
	for _, name := range names {
		if wrong := validation.IsValidLabelValue(name); len(wrong) > 0 {
			return fmt.Errorf("%q: %s", name, wrong[0])
		}
	}
	return nil
}

// on tells whether Kueue is to be asked at all.
func (k Kueue) on() bool { return k.Queue != "" || len(k.Groups) > 0 }

// gated tells whether a pod waits for Kueue's word.
func gated(p *corev1.Pod) bool {
	return p.Labels[labelQueue] != "" && slices.ContainsFunc(p.Spec.SchedulingGates, func(g corev1.PodSchedulingGate) bool { return g.Name == "kueue.x-k8s.io/admission" })
}

// queued tells in plain words why Kueue lets a pod wait. Where it cannot be
// asked, that it waits is all that is known.
func (r *Runtime) queued(ctx context.Context, p *corev1.Pod) *masu.Error {
	queue := p.Labels[labelQueue]
	raw, err := r.core.Get().AbsPath(kueueVersion, "namespaces", p.Namespace, "workloads").Param("labelSelector", labelJob+"="+string(p.UID)).DoRaw(ctx)
	var l struct {
		Items []struct {
			Status struct {
				Conditions []metav1.Condition `json:"conditions"`
			} `json:"status"`
		} `json:"items"`
	}
	if err != nil || json.Unmarshal(raw, &l) != nil || len(l.Items) == 0 {
		return masu.E(masu.Full, "pod_queued", queue)
	}
	return whyQueued(queue, l.Items[0].Status.Conditions)
}

// unused is how Kueue says that a queue's GPUs are lent.
var unused = regexp.MustCompile(`insufficient unused quota for (\S+) in flavor \S+, (\S+) more needed`)

func whyQueued(queue string, conditions []metav1.Condition) *masu.Error {
	for _, c := range conditions {
		if c.Type != "QuotaReserved" || c.Status != metav1.ConditionFalse {
			continue
		}
		if m := unused.FindStringSubmatch(c.Message); m != nil {
			return masu.E(masu.Full, "pod_queued_quota", queue, m[2], m[1])
		}
		return masu.E(masu.Full, "pod_queued_why", queue, c.Message)
	}
	return masu.E(masu.Full, "pod_queued", queue)
}

// examineKueue looks whether the Kueue that the lab counts on is there: without it the boxes begin all the same, unqueued.
func (r *Runtime) examineKueue(ctx context.Context) []masu.Finding {
	if !r.cfg.Kueue.on() {
		return nil
	}
	err := r.core.Get().AbsPath(kueueAPI).Do(ctx).Error()
	switch {
	case apierrors.IsNotFound(err):
		return one(masu.Warn, "kube_kueue_missing")
	case err != nil:
		return one(masu.Warn, "kube_kueue_unseen", reason(err))
	}
	names := []string{r.cfg.Kueue.Queue}
	for _, q := range r.cfg.Kueue.Groups {
		names = append(names, q.Queue)
	}
	slices.Sort(names)
	var found []masu.Finding
	for _, name := range slices.Compact(names) {
		if name == "" {
			continue
		}
		err := r.core.Get().AbsPath(kueueVersion, "namespaces", r.cfg.Namespace, "localqueues", name).Do(ctx).Error()
		switch {
		case apierrors.IsNotFound(err):
			found = append(found, one(masu.Fail, "kube_queue_missing", name, r.cfg.Namespace)...)
		case err != nil:
			found = append(found, one(masu.Warn, "kube_kueue_unseen", reason(err))...)
		}
	}
	return found
}
