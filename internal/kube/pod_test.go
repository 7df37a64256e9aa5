package kube

import (
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/masu-lab/masu"
	"github.com/masu-lab/masu/internal/buildkit"
)

func testRuntime() *Runtime {
	return &Runtime{cfg: Config{Namespace: "lab", Lab: "lab", Registry: "registry.example/masu", Agent: "registry.example/masu/agent:1",
		Storage: Storage{Folders: []Shared{{Prefix: "/home", Claim: "homes"}, {Prefix: "/home/shared", Claim: "shared", Path: "lab"}, {Prefix: "/data", Claim: "data", Path: "/"}}}}}
}

func testBox() masu.Box {
	alice := masu.User{Name: "alice", UID: 1234, GID: 1234, Home: "/home/alice", Groups: []masu.Group{{Name: "ml", GID: 2000}}}
	return masu.Box{ID: "abc", Name: "thesis", Owner: alice, Image: "registry.example/masu/env@sha256:" + strings.Repeat("0", 64),
		Mounts: []masu.Mount{{Volume: "masu-home-abc", Target: "/home/alice"}, {Folder: "/home/alice/thesis", Target: "/home/alice/work"}},
		Limits: masu.Limits{CPUs: 1.5, Memory: 8 * masu.GiB}, Agent: masu.AgentSpec{User: alice, Work: "/home/alice/work"},
		Variables: map[string]string{"COST": "$(HOME)"}}
}

// TestPodIsSafe holds what must be so for every box, whatever it asks for.
func TestPodIsSafe(t *testing.T) {
	for _, c := range []struct {
		name             string
		restricted, sudo bool
	}{{"restricted", true, false}, {"restricted, sudo wished", true, true}, {"plain", false, false}, {"sudo", false, true}} {
		t.Run(c.name, func(t *testing.T) {
			r, b := testRuntime(), testBox()
			r.cfg.Restricted, b.Agent.Sudo = c.restricted, c.sudo
			p, err := r.pod(b)
			if err != nil {
				t.Fatal(err)
			}
			s := p.Spec
			if s.HostNetwork || s.HostPID || s.HostIPC || s.RestartPolicy != corev1.RestartPolicyNever || *s.AutomountServiceAccountToken || *s.EnableServiceLinks {
				t.Errorf("the pod is part of the node, restarts, or knows of the cluster: %+v", s)
			}
			if s.SecurityContext.SeccompProfile == nil || s.SecurityContext.SeccompProfile.Type != corev1.SeccompProfileTypeRuntimeDefault {
				t.Error("no seccomp profile")
			}
			if c.restricted && (!*s.SecurityContext.RunAsNonRoot || *s.SecurityContext.RunAsUser != 1234 || !slices.Equal(s.SecurityContext.SupplementalGroups, []int64{2000})) {
				t.Errorf("a restricted pod runs as %+v", s.SecurityContext)
			}
			if got := hasSudo(p); got != (c.sudo && !c.restricted) {
				t.Errorf("its member may be root: %t", got)
			}
			for _, v := range s.Volumes {
				if v.HostPath != nil {
					t.Errorf("%s is a path of the node", v.Name)
				}
			}
			for _, k := range append(s.InitContainers, s.Containers...) {
				sc := k.SecurityContext
				if sc.Privileged != nil && *sc.Privileged || !slices.Contains(sc.Capabilities.Drop, "ALL") && !slices.Contains(sc.Capabilities.Drop, "MKNOD") {
					t.Errorf("%s keeps %+v", k.Name, sc)
				}
				if may := sc.AllowPrivilegeEscalation == nil; may != (c.sudo && !c.restricted && k.Name == boxContainer) {
					t.Errorf("%s may become more than it is: %t", k.Name, may)
				}
			}
		})
	}
}

func TestPodMounts(t *testing.T) {
	r := testRuntime()
	for folder, want := range map[string]string{
		"/home/alice/thesis": "homes:alice/thesis",
		"/home":              "homes:",
		"/home/shared/x":     "shared:lab/x",
		"/data/imagenet":     "data:imagenet",
		"/homework":          "",
		"/srv":               "",
	} {
		b := testBox()
		b.Mounts = []masu.Mount{{Folder: folder, Target: "/home/alice/work"}}
		m, err := r.mounts(b)
		if want == "" {
			if masu.CodeOf(err) != "folder_not_shared" {
				t.Errorf("%s: %v", folder, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", folder, err)
			continue
		}
		last := m.mounts[len(m.mounts)-1]
		if got := strings.TrimPrefix(last.Name, "shared-") + ":" + last.SubPath; got != want {
			t.Errorf("%s is %s, want %s", folder, got, want)
		}
	}
}

func TestPodSpec(t *testing.T) {
	r, b := testRuntime(), testBox()
	p, err := r.pod(b)
	if err != nil {
		t.Fatal(err)
	}
	env := map[string]string{}
	for _, v := range p.Spec.Containers[0].Env {
		env[v.Name] = v.Value
	}
	if env["NVIDIA_VISIBLE_DEVICES"] != "void" {
		t.Error("a box without GPUs may see some")
	}
	if !strings.Contains(env["MASU_SPEC"], `"COST":"$$(HOME)"`) {
		t.Errorf("the cluster would read a variable into %s", env["MASU_SPEC"])
	}
	b.GPUs = []masu.GPUID{"n1/nvidia.com/gpu/0", "n1/nvidia.com/gpu/3"}
	if p, err = r.pod(b); err != nil {
		t.Fatal(err)
	}
	if n := p.Spec.Containers[0].Resources.Limits["nvidia.com/gpu"]; n.Value() != 2 || p.Spec.NodeSelector[corev1.LabelHostname] != "n1" {
		t.Errorf("the pod asks for %s GPUs at %v", n.String(), p.Spec.NodeSelector)
	}
	for _, v := range p.Spec.Containers[0].Env {
		if v.Name == "NVIDIA_VISIBLE_DEVICES" {
			t.Error("what the device plugin says would be overridden")
		}
	}
}

func TestImageNames(t *testing.T) {
	r := testRuntime()
	for ref, want := range map[masu.ImageRef]string{
		"masu/env:abc":                 "registry.example/masu/masu/env:abc",
		"masu-test/base":               "registry.example/masu/masu-test/base:latest",
		"debian":                       "registry.example/masu/debian:latest",
		"other.example/a/b:1":          "other.example/a/b:1",
		"localhost/x":                  "localhost/x:latest",
		"registry.example/masu/a:1":    "registry.example/masu/a:1",
		"sha256:00":                    "registry.example/masu/sha256:00",
		masu.ImageRef(testBox().Image): testBox().Image,
	} {
		at, err := r.at(ref)
		if err != nil {
			t.Errorf("%s: %v", ref, err)
		} else if at.String() != want && at.Name() != want {
			t.Errorf("%s is at %s, want %s", ref, at.Name(), want)
		}
	}
	if _, err := r.at("Not A Name"); masu.CodeOf(err) != "no_image" {
		t.Errorf("a name that is none: %v", err)
	}
}

func TestTraceWriter(t *testing.T) {
	w := &traceWriter{steps: buildkit.NewSteps(nil)}
	for _, part := range []string{`{"vertexes":[{"digest":"a","name":"[1/1] RUN`, ` false","started":"2026-11-28T01:02:03Z","error":"exit code: 1"}]}` + "\nbuildctl says\nerror: failed to solve: exit", " code: 1"} {
		if n, err := w.Write([]byte(part)); n != len(part) || err != nil {
			t.Fatal(n, err)
		}
	}
	if e := w.steps.Trouble(w.words()); e.Code != "build_failed" || !slices.Equal(e.Args, []string{"1", "RUN false", "1"}) {
		t.Errorf("the trouble is %s %q", e.Code, e.Args)
	}
}
