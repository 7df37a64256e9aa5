package kube

import (
	"context"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/masu-lab/masu"
)

// The cluster counts GPUs and never says which is which: a pod asks for so many
// of a kind, and the device plugin of its node picks them. masu lends places
// for them, "NODE/KIND/N", each of which is one card of that kind on that node.
// Thus the queue, the timetable and the accounting are the same as on one host.

// kinds are the resources that are GPUs, as the device plugins name them.
func isGPU(kind corev1.ResourceName) bool {
	k := string(kind)
	return k == "nvidia.com/gpu" || strings.HasPrefix(k, "nvidia.com/mig-") || k == "amd.com/gpu" || strings.HasPrefix(k, "gpu.intel.com/") && !strings.HasSuffix(k, "_monitoring")
}

// place tells where the GPUs of a box are; the lab lends none of two nodes or kinds together.
func place(gpus []masu.GPUID) (node string, kind corev1.ResourceName, n int) {
	for _, g := range gpus {
		var rest string
		node, rest, _ = strings.Cut(string(g), "/")
		kind, n = corev1.ResourceName(path.Dir(rest)), n+1
	}
	return node, kind, n
}

func join(gpus []masu.GPUID) string {
	s := make([]string, len(gpus))
	for i, g := range gpus {
		s[i] = string(g)
	}
	return strings.Join(s, ",")
}

func split(note string) (gpus []masu.GPUID) {
	for s := range strings.SplitSeq(note, ",") {
		if s != "" {
			gpus = append(gpus, masu.GPUID(s))
		}
	}
	return gpus
}

var _ masu.Inventory = (*Runtime)(nil)

// nodes are asked for every few seconds: what the API server has at hand will do.
func (r *Runtime) nodes(ctx context.Context) rest.Result {
	return r.core.Get().Resource("nodes").SetHeader("Accept", compact).VersionedParams(&metav1.ListOptions{ResourceVersion: "0"}, parameters).Do(ctx)
}

// GPUs lists the places for GPUs on the nodes that are in service.
func (r *Runtime) GPUs(ctx context.Context) ([]masu.GPU, error) {
	ctx, cancel := context.WithTimeout(ctx, quick)
	defer cancel()
	var l corev1.NodeList
	if err := r.nodes(ctx).Into(&l); err != nil {
		return nil, r.failed("nodes", err)
	}
	var out []masu.GPU
	for i := range l.Items {
		out = append(out, gpusOf(&l.Items[i])...)
	}
	return out, nil
}

func gpusOf(n *corev1.Node) (out []masu.GPU) {
	if n.Spec.Unschedulable || !healthy(n) {
		return nil
	}
	var kinds []corev1.ResourceName
	for kind := range n.Status.Allocatable {
		if isGPU(kind) {
			kinds = append(kinds, kind)
		}
	}
	slices.Sort(kinds)
	for _, kind := range kinds {
		count := n.Status.Allocatable[kind]
		for i := range int(count.Value()) {
			out = append(out, masu.GPU{ID: masu.GPUID(fmt.Sprintf("%s/%s/%d", n.Name, kind, i)), Index: len(out), Node: n.Name,
				Model: model(n, kind), Memory: memory(n, kind)})
		}
	}
	return out
}

func healthy(n *corev1.Node) bool {
	for _, c := range n.Status.Conditions {
		if c.Type == corev1.NodeReady {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}

// model is what the maker's feature discovery has labelled the node with, or else the kind.
func model(n *corev1.Node, kind corev1.ResourceName) string {
	name := n.Labels["nvidia.com/gpu.product"]
	if kind == "amd.com/gpu" {
		name = n.Labels["amd.com/gpu.product-name"]
	}
	slice, mig := strings.CutPrefix(string(kind), "nvidia.com/mig-")
	switch {
	case name == "":
		return string(kind)
	case mig:
		return strings.ReplaceAll(name, "-", " ") + " MIG " + slice
	}
	return strings.ReplaceAll(name, "-", " ")
}

// memory is that of one card, or of a MIG slice by its profile's name ("1g.10gb"); 0 where nobody says it.
func memory(n *corev1.Node, kind corev1.ResourceName) masu.Bytes {
	if slice, mig := strings.CutPrefix(string(kind), "nvidia.com/mig-"); mig {
		_, size, _ := strings.Cut(slice, ".")
		gb, _ := strconv.Atoi(strings.TrimSuffix(strings.TrimSuffix(size, ".me"), "gb"))
		return masu.Bytes(gb) * masu.GiB
	}
	mib, _ := strconv.Atoi(n.Labels["nvidia.com/gpu.memory"])
	return masu.Bytes(mib) * masu.MiB
}

// Driver gives the NVIDIA driver of the nodes that say theirs: the oldest, which images must suit.
func (r *Runtime) Driver(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, quick)
	defer cancel()
	var l corev1.NodeList
	if err := r.nodes(ctx).Into(&l); err != nil {
		return "", r.failed("nodes", err)
	}
	oldest := ""
	for _, n := range l.Items {
		v := n.Labels["nvidia.com/cuda.driver-version.full"]
		if v != "" && (oldest == "" || older(v, oldest)) {
			oldest = v
		}
	}
	return oldest, nil
}

// older compares versions of numbers and points.
func older(a, b string) bool {
	x, y := strings.Split(a, "."), strings.Split(b, ".")
	return slices.CompareFunc(x, y, func(p, q string) int {
		m, _ := strconv.Atoi(p)
		n, _ := strconv.Atoi(q)
		return m - n
	}) < 0
}
