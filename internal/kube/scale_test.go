package kube

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	goruntime "runtime"
	"sync/atomic"
	"testing"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"

	"github.com/masu-lab/masu"
)

// scaleNamespace is the benchmark's; its pods are records without kubelets,
// which is all that the driver ever sees of a pod.
const scaleNamespace = "masu-scale"

// BenchmarkScale measures what the driver costs on a large cluster: time,
// memory and calls. It wants a control plane of its own (make bench-kube).
func BenchmarkScale(b *testing.B) {
	state := os.Getenv("MASU_TEST_KUBE")
	if state == "" {
		b.Skip("MASU_TEST_KUBE is not set")
	}
	rt, err := New(b.Context(), Config{Kubeconfig: filepath.Join(state, "admin.kubeconfig"), Namespace: scaleNamespace, Lab: "scale",
		Agent: "x/agent", Registry: "x", Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	defer rt.Close()
	calls := &counted{}
	calls.count(b, rt)
	for _, size := range []struct{ nodes, pods int }{{100, 1000}, {1000, 10000}} {
		fill(b, rt, size.nodes, size.pods)
		name := fmt.Sprintf("pods=%d/", size.pods)
		b.Run(name+"Boxes", func(b *testing.B) {
			calls.measure(b, func() {
				boxes, err := rt.Boxes(b.Context())
				if err != nil || len(boxes) != size.pods {
					b.Fatalf("%d boxes, %v", len(boxes), err)
				}
			})
			b.ReportMetric(held(b, rt)/float64(size.pods), "held-B/pod")
		})
		b.Run(name+"GPUs", func(b *testing.B) {
			calls.measure(b, func() {
				gpus, err := rt.GPUs(b.Context())
				if err != nil || len(gpus) < size.nodes {
					b.Fatalf("%d GPUs, %v", len(gpus), err)
				}
			})
		})
		b.Run(name+"Box", func(b *testing.B) {
			calls.measure(b, func() {
				if _, err := rt.Box(b.Context(), "scale0"); err != nil {
					b.Fatal(err)
				}
			})
		})
		b.Run(name+"Changes", func(b *testing.B) { calls.measure(b, func() { beginChanges(b, rt, size.pods) }) })
	}
}

// held is the memory that a look at all boxes takes for as long as somebody has it.
func held(b *testing.B, rt *Runtime) float64 {
	b.Helper()
	heap := func() float64 {
		goruntime.GC()
		var m goruntime.MemStats
		goruntime.ReadMemStats(&m)
		return float64(m.HeapAlloc)
	}
	before := heap()
	boxes, err := rt.Boxes(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	after := heap()
	goruntime.KeepAlive(boxes)
	return after - before
}

// beginChanges follows until every box was told once, and one change besides.
func beginChanges(b *testing.B, rt *Runtime, pods int) {
	ctx, stop := context.WithCancel(b.Context())
	defer stop()
	told := 0
	for id, err := range rt.Changes(ctx) {
		if err != nil {
			b.Fatal(err)
		}
		told++
		if told == pods {
			touch(b, rt, "scale0")
		}
		if told > pods && id == "scale0" {
			return
		}
	}
}

// touches makes each change another one: an equal one is none.
var touches atomic.Int64

func touch(b *testing.B, rt *Runtime, id masu.WorkspaceID) {
	b.Helper()
	body := fmt.Appendf(nil, `{"metadata":{"annotations":{"masu.scale":"%d-%d"}}}`, os.Getpid(), touches.Add(1))
	if err := rt.core.Patch(types.MergePatchType).Namespace(scaleNamespace).Resource("pods").Name(podName(id)).Body(body).Do(b.Context()).Error(); err != nil {
		b.Fatal(err)
	}
}

// counted counts what goes to the API server and what comes back.
type counted struct{ calls, bytes atomic.Int64 }

func (c *counted) count(b *testing.B, rt *Runtime) {
	cfg := rest.CopyConfig(rt.rest)
	cfg.QPS, cfg.Burst = 5000, 5000
	cfg.Wrap(func(next http.RoundTripper) http.RoundTripper {
		return roundTripper(func(r *http.Request) (*http.Response, error) {
			c.calls.Add(1)
			res, err := next.RoundTrip(r)
			if err == nil {
				res.Body = countedBody{res.Body, &c.bytes}
			}
			return res, err
		})
	})
	var err error
	if rt.core, err = clientFor(cfg, "/api", corev1.SchemeGroupVersion); err != nil {
		b.Fatal(err)
	}
}

// measure reports calls and bytes beside time and allocations.
func (c *counted) measure(b *testing.B, do func()) {
	b.ReportAllocs()
	calls, bytes := c.calls.Load(), c.bytes.Load()
	for b.Loop() {
		do()
	}
	b.ReportMetric(float64(c.calls.Load()-calls)/float64(b.N), "calls/op")
	b.ReportMetric(float64(c.bytes.Load()-bytes)/float64(b.N), "wire-B/op")
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

type countedBody struct {
	io.ReadCloser
	n *atomic.Int64
}

func (c countedBody) Read(p []byte) (int, error) {
	n, err := c.ReadCloser.Read(p)
	c.n.Add(int64(n))
	return n, err
}

// fill makes nodes with four GPUs each, and pods that run on them.
func fill(b *testing.B, rt *Runtime, nodes, pods int) {
	b.Helper()
	several := func(n int, one func(ctx context.Context, i int) error) {
		g, ctx := errgroup.WithContext(b.Context())
		g.SetLimit(16)
		for i := range n {
			g.Go(func() error { return one(ctx, i) })
		}
		if err := g.Wait(); err != nil {
			b.Fatal(err)
		}
	}
	several(nodes, func(ctx context.Context, i int) error {
		n := node(i)
		return record(ctx, func(v *rest.Request) *rest.Request { return v.Resource("nodes") }, rt, n.Name, n)
	})
	several(pods, func(ctx context.Context, i int) error {
		p, err := scalePod(rt, i, nodes)
		if err != nil {
			return err
		}
		return record(ctx, func(v *rest.Request) *rest.Request { return v.Namespace(scaleNamespace).Resource("pods") }, rt, p.Name, p)
	})
}

// record makes an object with its status, unless it is there.
func record(ctx context.Context, at func(*rest.Request) *rest.Request, rt *Runtime, name string, object runtime.Object) error {
	err := at(rt.core.Post()).Body(object).Do(ctx).Error()
	if apierrors.IsAlreadyExists(err) {
		return nil
	}
	if err != nil {
		return err
	}
	return at(rt.core.Put()).Name(name).SubResource("status").Body(object).Do(ctx).Error()
}

func node(i int) *corev1.Node {
	four := resource.MustParse("4")
	list := corev1.ResourceList{"nvidia.com/gpu": four, corev1.ResourceCPU: resource.MustParse("64"), corev1.ResourceMemory: resource.MustParse("512Gi"), corev1.ResourcePods: resource.MustParse("110")}
	n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("scale-%d", i), Labels: map[string]string{"nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3", "nvidia.com/gpu.memory": "81559"}}}
	n.Status.Capacity, n.Status.Allocatable = list, list
	n.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue, Reason: "KubeletReady", Message: "kubelet is posting ready status"}}
	return n
}

func scalePod(rt *Runtime, i, nodes int) (*corev1.Pod, error) {
	box := testBox()
	box.ID, box.Mounts = masu.WorkspaceID(fmt.Sprintf("scale%d", i)), nil
	p, err := rt.pod(box)
	if err != nil {
		return nil, err
	}
	p.Spec.NodeName = fmt.Sprintf("scale-%d", i%nodes)
	now := metav1.Now()
	p.Status = corev1.PodStatus{Phase: corev1.PodRunning, StartTime: &now, PodIP: "10.1.2.3", HostIP: "10.0.0.1",
		Conditions:        []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue, LastTransitionTime: now}, {Type: corev1.PodScheduled, Status: corev1.ConditionTrue, LastTransitionTime: now}},
		ContainerStatuses: []corev1.ContainerStatus{{Name: boxContainer, Image: p.Spec.Containers[0].Image, ContainerID: "containerd://0123456789abcdef", State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: now}}}}}
	return p, nil
}
