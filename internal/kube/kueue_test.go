package kube

import (
	"crypto/rand"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/masu-lab/masu"
)

// TestKueueLabels: whose box it is, and what it is, decides the queue and the priority; one without GPUs has neither.
func TestKueueLabels(t *testing.T) {
	k := Kueue{Queue: "lab", Groups: []Queued{{"ml", "big"}, {"staff", "staff"}}, Priority: "people", RunPriority: "runs"}
	for _, c := range []struct {
		name  string
		kueue Kueue
		group string
		gpus  []masu.GPUID
		run   bool
		want  map[string]string
	}{
		{"everybody's", k, "other", []masu.GPUID{"n1/nvidia.com/gpu/0"}, false, map[string]string{labelQueue: "lab", labelPriority: "people"}},
		{"a group's", k, "staff", []masu.GPUID{"n1/nvidia.com/gpu/0"}, false, map[string]string{labelQueue: "staff", labelPriority: "people"}},
		{"a run", k, "ml", []masu.GPUID{"n1/nvidia.com/gpu/0"}, true, map[string]string{labelQueue: "big", labelPriority: "runs"}},
		{"no priority", Kueue{Queue: "lab"}, "ml", []masu.GPUID{"n1/nvidia.com/gpu/0"}, false, map[string]string{labelQueue: "lab"}},
		{"no GPU", k, "ml", nil, false, nil},
		{"no Kueue", Kueue{}, "ml", []masu.GPUID{"n1/nvidia.com/gpu/0"}, true, nil},
	} {
		b := testBox()
		b.Owner.Groups, b.GPUs, b.Run = []masu.Group{{Name: c.group}}, c.gpus, c.run
		if got := c.kueue.of(b); !maps.Equal(got, c.want) {
			t.Errorf("%s: %v", c.name, got)
		}
		r := testRuntime()
		r.cfg.Kueue = c.kueue
		p, err := r.pod(b)
		if err != nil || p.Labels[labelQueue] != c.want[labelQueue] || p.Labels[labelLab] != "lab" {
			t.Errorf("%s: the pod has %v, %v", c.name, p.Labels, err)
		}
	}
	if (Kueue{Queue: "a b"}).Check() == nil || (Kueue{Groups: []Queued{{"ml", "x/y"}}}).Check() == nil || k.Check() != nil {
		t.Error("names that are no label's value pass, or others do not")
	}
}

// TestWhyQueued: what Kueue says becomes a sentence where masu has one.
func TestWhyQueued(t *testing.T) {
	for _, c := range []struct {
		kind, message, code string
		args                []string
	}{
		{"QuotaReserved", "couldn't assign flavors to pod set main: insufficient unused quota for nvidia.com/gpu in flavor gpu, 2 more needed", "pod_queued_quota", []string{"lab", "2", "nvidia.com/gpu"}},
		{"QuotaReserved", "ClusterQueue lab is inactive", "pod_queued_why", []string{"lab", "ClusterQueue lab is inactive"}},
		{"Finished", "x", "pod_queued", []string{"lab"}},
	} {
		e := whyQueued("lab", []metav1.Condition{{Type: c.kind, Status: metav1.ConditionFalse, Message: c.message}})
		if e.Code != c.code || !slices.Equal(e.Args, c.args) || e.Kind != masu.Full {
			t.Errorf("%s %q: %v", c.kind, c.message, e)
		}
	}
}

// kueueConfig is for what test/kube/kueue.sh has made: a queue that may lend one GPU.
func kueueConfig(t *testing.T) Config {
	t.Helper()
	c := testConfig(t)
	c.Namespace, c.BuilderNamespace = "masu-kueue", "masu-test"
	c.Kueue = Kueue{Queue: "lab", RunPriority: "runs"}
	return c
}

// TestKueue: two boxes on free GPUs go to a queue that may lend one. One runs;
// the other waits, says for what, and runs when the first has ended. A run passes
// one that was there before it, by its priority class.
func TestKueue(t *testing.T) {
	rt := open(t, kueueConfig(t))
	if err := rt.core.Get().AbsPath(kueueAPI).Do(t.Context()).Error(); apierrors.IsNotFound(err) {
		t.Skip("the cluster has no Kueue; test/kube/kueue.sh makes one")
	}
	if found := rt.examineKueue(t.Context()); len(found) > 0 {
		t.Errorf("doctor finds %v", found)
	}
	first, second, run := small(t, rt, "n1/nvidia.com/gpu/0"), small(t, rt, "n2/nvidia.com/gpu/0"), small(t, rt, "n2/nvidia.com/gpu/1")
	run.Run = true
	begin(t, rt, first)
	await(t, rt, first.ID)
	begin(t, rt, second)
	waits := func(b masu.Box) {
		t.Helper()
		until(t, "it says what it waits for", func() bool {
			s := stands(t, rt, b.ID)
			return s.State == masu.BoxCreated && s.Waits != nil && s.Waits.Code == "pod_queued_quota" && slices.Equal(s.Waits.Args, []string{"lab", "1", "nvidia.com/gpu"})
		})
	}
	waits(second)
	begin(t, rt, run)
	waits(run)
	all, err := rt.Boxes(t.Context())
	if err != nil || len(all) != 3 || !slices.ContainsFunc(all, func(s masu.BoxStatus) bool {
		return s.ID == second.ID && s.Waits != nil && s.Waits.Code == "pod_queued"
	}) {
		t.Errorf("of all boxes: %+v, %v", all, err)
	}
	if err := rt.Stop(t.Context(), first.ID, 0); err != nil {
		t.Fatal(err)
	}
	await(t, rt, run.ID)
	waits(second)
	if err := rt.Remove(t.Context(), run.ID); err != nil {
		t.Fatal(err)
	}
	await(t, rt, second.ID)
	if s := stands(t, rt, second.ID); s.Waits != nil || s.State != masu.BoxRunning {
		t.Errorf("admitted, it is %+v", s)
	}
}

// TestKueueMissing: a queue of Kueue's that is not there, or a Kueue that is not, is found by doctor.
func TestKueueMissing(t *testing.T) {
	c := testConfig(t)
	c.Lab, c.Log = "kubetest"+strings.ToLower(rand.Text()[:6]), slog.New(slog.NewTextHandler(t.Output(), nil))
	rt := open(t, c)
	if found := rt.examineKueue(t.Context()); found != nil {
		t.Errorf("where no queue is named: %v", found)
	}
	rt.cfg.Kueue.Queue = "nobodys"
	want := "kube_queue_missing"
	if err := rt.core.Get().AbsPath(kueueAPI).Do(t.Context()).Error(); apierrors.IsNotFound(err) {
		want = "kube_kueue_missing"
	}
	if found := rt.examineKueue(t.Context()); len(found) != 1 || found[0].Code != want {
		t.Errorf("%v, want %s", found, want)
	}
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "masu-test", UID: "none", Labels: map[string]string{labelQueue: "lab"}}}
	if e := rt.queued(t.Context(), p); e.Code != "pod_queued" {
		t.Errorf("what is not known: %v", e)
	}
}
