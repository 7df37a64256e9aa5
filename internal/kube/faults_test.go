package kube

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/remotecommand"

	"github.com/masu-lab/masu"
)

// patience is far more than anything here takes on a busy machine.
const patience = 3 * time.Minute

// until polls: what a cluster does by itself is seldom told.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !ok(); time.Sleep(100 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain until %s", what)
		}
	}
}

// small is a box of the test's, removed when the test ends.
func small(t *testing.T, rt *Runtime, gpus ...masu.GPUID) masu.Box {
	t.Helper()
	img, err := rt.Image(t.Context(), testImage)
	if err != nil {
		t.Fatal(err)
	}
	b := testBox()
	b.ID, b.Image, b.GPUs, b.Mounts = masu.WorkspaceID(strings.ToLower(rand.Text()[:12])), img.ID, gpus, nil
	b.Limits = masu.Limits{Memory: 128 * masu.MiB}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := rt.Remove(ctx, b.ID); err != nil {
			t.Error(err)
		}
	})
	return b
}

func begin(t *testing.T, rt *Runtime, b masu.Box) {
	t.Helper()
	if err := rt.Start(t.Context(), b); err != nil {
		t.Fatal(err)
	}
}

func says(t *testing.T, rt *Runtime, id masu.WorkspaceID, script string) string {
	t.Helper()
	var out bytes.Buffer
	if _, err := rt.Exec(t.Context(), id, masu.Exec{Argv: []string{"sh", "-c", script}, Stdout: &out, Stderr: &out}); err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(out.String())
}

func stands(t *testing.T, rt *Runtime, id masu.WorkspaceID) masu.BoxStatus {
	t.Helper()
	s, err := rt.Box(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// cardOf is what the device plugin has given to a box.
func cardOf(t *testing.T, rt *Runtime, id masu.WorkspaceID) string {
	t.Helper()
	p, err := rt.live(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if _, err := rt.stream(t.Context(), p, []string{"printenv", "NVIDIA_VISIBLE_DEVICES"}, remotecommand.StreamOptions{Stdout: &out}); err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(out.String())
}

// part is a program of the cluster that the test ends and starts again.
type part struct{ state, name, within string }

func (p part) pid(t *testing.T, name string) int {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(p.state, "pid", name))
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		t.Fatal(err)
	}
	return pid
}

// kill ends it without a chance to tidy up; when the test ends it runs again.
func (p part) kill(t *testing.T) (start func()) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root may end a part of the cluster")
	}
	if err := syscall.Kill(p.pid(t, p.name), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	started := false
	start = func() {
		if started {
			return
		}
		started = true
		argv := []string{"bash", filepath.Join(p.state, "again", p.name+".sh")}
		if p.within != "" { // the mount namespace of its node
			argv = append([]string{"nsenter", "-m", "-t", strconv.Itoa(p.pid(t, p.within))}, argv...)
		}
		if out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput(); err != nil {
			t.Errorf("%v: %v: %s", argv, err, out)
		}
	}
	t.Cleanup(start)
	return start
}

// TestFifthWaits: on two nodes with two GPUs each, four boxes have a card of
// their own; a fifth waits, says for what, and runs once another has gone.
func TestFifthWaits(t *testing.T) {
	rt := open(t, testConfig(t))
	gpus, err := rt.GPUs(t.Context())
	if err != nil || len(gpus) != 4 {
		t.Fatalf("the nodes have %+v, %v; want 4 GPUs", gpus, err)
	}
	var boxes []masu.Box
	for _, g := range gpus {
		b := small(t, rt, g.ID)
		begin(t, rt, b)
		boxes = append(boxes, b)
	}
	cards := map[string]bool{}
	for i, b := range boxes {
		await(t, rt, b.ID)
		if s := stands(t, rt, b.ID); !slices.Equal(s.GPUs, b.GPUs) || s.Waits != nil {
			t.Errorf("lent %v, the box has %v, and waits: %v", b.GPUs, s.GPUs, s.Waits)
		}
		card := cardOf(t, rt, b.ID)
		if cards[card] || !strings.HasPrefix(card, "GPU-"+gpus[i].Node) {
			t.Errorf("a box on %s has the card %q; before it %v", gpus[i].Node, card, cards)
		}
		cards[card] = true
	}
	fifth := small(t, rt, gpus[0].ID)
	begin(t, rt, fifth)
	until(t, "the fifth says that it waits for a GPU", func() bool {
		s := stands(t, rt, fifth.ID)
		return s.State == masu.BoxCreated && s.Waits != nil && s.Waits.Code == "pod_no_gpu" && s.Waits.Args[0] == gpus[0].Node
	})
	if err := rt.Remove(t.Context(), boxes[0].ID); err != nil {
		t.Fatal(err)
	}
	await(t, rt, fifth.ID)
}

// TestNodeLost: a node whose kubelet is killed takes nobody's work away: its
// boxes run on and are known, its GPUs are lent to nobody, and when it is back
// all is as it was. What is removed meanwhile leaves nothing on it.
func TestNodeLost(t *testing.T) {
	c := testConfig(t)
	rt := open(t, c)
	state := os.Getenv("MASU_TEST_KUBE")
	kubelet := part{state, "n2-kubelet", "n2-containerd"}
	kept, dropped := small(t, rt, "n2/nvidia.com/gpu/0"), small(t, rt, "n2/nvidia.com/gpu/1")
	begin(t, rt, kept)
	begin(t, rt, dropped)
	await(t, rt, kept.ID)
	await(t, rt, dropped.ID)
	says(t, rt, kept.ID, "nohup sleep 1000 >/dev/null 2>&1 & echo $! >/tmp/pid")
	before := stands(t, rt, kept.ID)

	start := kubelet.kill(t)
	until(t, "the GPUs of the lost node are not there to be lent", func() bool {
		gpus, err := rt.GPUs(t.Context())
		return err == nil && len(gpus) == 2 && !slices.ContainsFunc(gpus, func(g masu.GPU) bool { return g.Node == "n2" })
	})
	if s := stands(t, rt, kept.ID); s.State != masu.BoxRunning || s.Handle != before.Handle {
		t.Errorf("on a lost node the box is %+v", s)
	}
	if _, err := rt.Exec(t.Context(), kept.ID, masu.Exec{Argv: []string{"true"}}); masu.CodeOf(err) != "node_silent" {
		t.Errorf("a command on a lost node: %v", err)
	}
	if err := rt.Remove(t.Context(), dropped.ID); err != nil {
		t.Errorf("removing a box of a lost node: %v", err)
	}
	if _, err := rt.Box(t.Context(), dropped.ID); masu.CodeOf(err) != "no_box" {
		t.Errorf("the removed box: %v", err)
	}

	start()
	until(t, "the node lends its GPUs again", func() bool {
		gpus, err := rt.GPUs(t.Context())
		return err == nil && len(gpus) == 4
	})
	await(t, rt, kept.ID)
	if s := stands(t, rt, kept.ID); s.Handle != before.Handle || !s.StartedAt.Equal(before.StartedAt) {
		t.Errorf("the box was %+v and is %+v", before, s)
	}
	if got := says(t, rt, kept.ID, "kill -0 $(cat /tmp/pid) && echo works"); got != "works" {
		t.Errorf("its work has ended: %q", got)
	}
	until(t, "the node has nothing left of the box that was removed", func() bool {
		out, err := exec.Command("ctr", "-a", "/run/masu-k8s/n2/containerd.sock", "-n", "k8s.io", "containers", "ls", "-q", `labels."io.kubernetes.pod.name"==`+podName(dropped.ID)).CombinedOutput()
		return err == nil && len(bytes.TrimSpace(out)) == 0
	})
}

// TestAPIServerRestarts: while the API server is away that is what is said, and
// nothing is begun; boxes do not notice.
func TestAPIServerRestarts(t *testing.T) {
	rt := open(t, testConfig(t))
	api := part{os.Getenv("MASU_TEST_KUBE"), "apiserver", ""}
	b, late := small(t, rt), small(t, rt)
	begin(t, rt, b)
	await(t, rt, b.ID)
	before := stands(t, rt, b.ID)
	told := make(chan error, 1)
	go func() {
		for _, err := range rt.Changes(t.Context()) {
			if err != nil {
				told <- err
			}
		}
	}()

	start := api.kill(t)
	select {
	case err := <-told:
		if masu.CodeOf(err) != "cluster_unreachable" {
			t.Errorf("who watches is told %v", err)
		}
	case <-time.After(patience):
		t.Error("who watches is not told")
	}
	_, err := rt.Boxes(t.Context())
	for what, err := range map[string]error{"Boxes": err, "Start": rt.Start(t.Context(), late), "Stop": rt.Stop(t.Context(), b.ID, time.Second)} {
		if masu.CodeOf(err) != "cluster_unreachable" || masu.KindOf(err) != masu.Unreachable {
			t.Errorf("%s of a cluster that is away: %v", what, err)
		}
	}

	start()
	var all []masu.BoxStatus
	until(t, "the API server is back", func() bool { all, err = rt.Boxes(t.Context()); return err == nil })
	if len(all) != 1 || all[0].Handle != before.Handle || all[0].State != masu.BoxRunning || !all[0].StartedAt.Equal(before.StartedAt) {
		t.Errorf("before there was %+v, after it %+v", before, all)
	}
	until(t, "commands run again", func() bool {
		code, err := rt.Exec(t.Context(), b.ID, masu.Exec{Argv: []string{"true"}})
		return err == nil && code == 0
	})
}

// TestBeside: while a box has side boxes a policy lets them, and nobody else, reach each other; it goes with them.
func TestBeside(t *testing.T) {
	rt := open(t, testConfig(t))
	b := small(t, rt)
	b.Sides = []masu.Side{{Name: "db", Image: b.Image, Command: []string{"sleep", "1000"}, Limits: masu.Limits{Memory: 64 * masu.MiB}},
		{Name: "cache", Image: b.Image, Command: []string{"sleep", "1000"}, Limits: masu.Limits{Memory: 64 * masu.MiB}}}
	policies := func() []networkingv1.NetworkPolicy {
		var l networkingv1.NetworkPolicyList
		err := rt.net.Get().Namespace(rt.cfg.Namespace).Resource("networkpolicies").
			VersionedParams(&metav1.ListOptions{LabelSelector: labelWorkspace + "=" + string(b.ID)}, parameters).Do(t.Context()).Into(&l)
		if err != nil {
			t.Fatal(err)
		}
		return l.Items
	}
	begin(t, rt, b)
	want := map[string]string{labelLab: rt.cfg.Lab, labelWorkspace: string(b.ID)}
	all := policies()
	if len(all) != 1 || !maps.Equal(all[0].Spec.PodSelector.MatchLabels, want) || len(all[0].Spec.Ingress) != 1 || !maps.Equal(all[0].Spec.Ingress[0].From[0].PodSelector.MatchLabels, want) {
		t.Errorf("beside a box there are the policies %+v", all)
	}
	if err := rt.Remove(t.Context(), b.ID); err != nil {
		t.Fatal(err)
	}
	until(t, "the policy has gone", func() bool { return len(policies()) == 0 })
}

// TestQuota: what a quota of the namespace refuses is said as its numbers, and
// nothing of the box stays, also not of what was to run beside it.
func TestQuota(t *testing.T) {
	c := testConfig(t)
	admin := open(t, c)
	c.Namespace = "masu-quota"
	at := "/api/v1/namespaces/masu-quota/"
	post(t, admin, "/api/v1/namespaces", corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: c.Namespace}}, nil)
	post(t, admin, at+"resourcequotas", corev1.ResourceQuota{ObjectMeta: metav1.ObjectMeta{Name: "lab"},
		Spec: corev1.ResourceQuotaSpec{Hard: corev1.ResourceList{corev1.ResourceRequestsMemory: resource.MustParse("200Mi")}}}, nil)
	rt := open(t, c)
	until(t, "the quota is in force", func() bool {
		var q corev1.ResourceQuota
		err := rt.core.Get().AbsPath(at + "resourcequotas/lab").Do(t.Context()).Into(&q)
		return err == nil && len(q.Status.Hard) > 0
	})
	first := small(t, rt)
	begin(t, rt, first)
	second := small(t, rt)
	second.Sides = []masu.Side{{Name: "db", Image: second.Image, Command: []string{"sleep", "1000"}, Limits: masu.Limits{Memory: 64 * masu.MiB}}}
	err := rt.Start(t.Context(), second)
	e, ok := errors.AsType[*masu.Error](err)
	if !ok || e.Code != "cluster_quota" || e.Kind != masu.Full || !slices.Equal(e.Args, []string{"lab", "memory 128Mi", "memory 192Mi", "memory 200Mi"}) {
		t.Errorf("a box that the quota has no room for: %v", err)
	}
	until(t, "only the first box is left", func() bool {
		l, err := rt.list(t.Context())
		return err == nil && len(l.Items) == 1 && l.Items[0].Name == podName(first.ID)
	})
}
