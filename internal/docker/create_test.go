package docker

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/masu-lab/masu"
)

var update = flag.Bool("update", false, "write the golden files anew")

func alice() masu.User {
	return masu.User{Name: "alice", UID: 30001, GID: 30001, Home: "/home/alice", Groups: []masu.Group{{Name: "lab", GID: 40000}}}
}

func examplePlan() plan {
	return plan{
		box: masu.Box{
			ID: "abcdefghijkl", Name: "thesis", Owner: alice(), Image: "sha256:1f2e",
			Mounts: []masu.Mount{
				{Volume: "masu-home-abcdefghijkl", Target: "/home/alice"},
				{Folder: "/home/alice/thesis", Target: "/home/alice/work"},
				{Folder: "/data/imagenet", Dataset: true, Target: "/data/imagenet"},
			},
			Limits:    masu.Limits{CPUs: 4, Memory: 8 * masu.GiB},
			Agent:     masu.AgentSpec{User: alice(), Work: "/home/alice/work", Sudo: true, Apps: masu.NamedApps("jupyter"), Env: map[string]string{"MASU": "1"}, Lang: masu.Japanese},
			Variables: map[string]string{"HF_HOME": "/home/alice/work/.hf"},
		},
		wish:    "digest-of-the-box",
		lab:     "lab000000001",
		agent:   "/usr/local/bin/masu",
		sources: []string{"", "/run/masu/stage/abcdefghijkl/1", "/run/masu/stage/abcdefghijkl/2"},
		imageID: "sha256:1f2e",
		image: []string{"PATH=/usr/bin:/bin", "NVIDIA_VISIBLE_DEVICES=all", "NVIDIA_DRIVER_CAPABILITIES=compute,utility,video", "NVIDIA_REQUIRE_CUDA=cuda>=11.8",
			"LD_LIBRARY_PATH=/usr/local/nvidia/lib64", "LD_PRELOAD=./x.so", "DOCKER_RESOURCE_GPU=all", "CUDA_VISIBLE_DEVICES=0,1", "CUDA_VERSION=11.8.0"},
		engine: engine{cpus: 16, memory: 64 * masu.GiB, root: "/var/lib/docker"},
	}
}

func TestCreate(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*plan)
	}{
		{"no-gpu", func(*plan) {}},
		{"gpu", func(p *plan) {
			p.box.GPUs = []masu.GPUID{"GPU-5f3c0000-0000-0000-0000-000000000001", "GPU-5f3c0000-0000-0000-0000-000000000002"}
		}},
		{"cdi", func(p *plan) { p.box.GPUs = []masu.GPUID{"nvidia.com/gpu=1"} }},
		{"no-sudo", func(p *plan) {
			p.box.Agent.Sudo, p.box.Agent.NoSudo = false, "the folder is on NFS"
			p.box.Limits = masu.Limits{}
			p.box.Run, p.box.Name = true, ""
		}},
		{"rootless", func(p *plan) {
			p.sources = []string{"", "/home/alice/thesis", "/data/imagenet"}
			p.socket = "/run/user/30001/masu/box/abcdefghijkl"
			p.proxy = map[string]string{"https_proxy": "http://proxy.example:3128"}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := examplePlan()
			c.change(&p)
			golden(t, c.name+".json", p.create())
		})
	}
}

// golden compares v, without what is zero in it, with a file.
func golden(t *testing.T, name string, v any) {
	t.Helper()
	got, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	var tree any
	if err := json.Unmarshal(got, &tree); err != nil {
		t.Fatal(err)
	}
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(prune(tree)); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, buf.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(buf.Bytes(), want) {
		t.Errorf("%s differs (go test -update writes it):\n%s", path, buf.String())
	}
}

func prune(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k, e := range v {
			switch e := prune(e).(type) {
			case nil:
				delete(v, k)
			default:
				v[k] = e
			}
		}
		if len(v) == 0 {
			return nil
		}
	case []any:
		if len(v) == 0 {
			return nil
		}
		if !slices.ContainsFunc(v, func(e any) bool { return e != 0.0 }) {
			return nil
		}
	case float64:
		if v == 0 {
			return nil
		}
	case string:
		if v == "" {
			return nil
		}
	}
	return v
}

// What must hold whatever is asked for; the golden files could be updated by mistake.
func TestCreateIsSafe(t *testing.T) {
	p := examplePlan()
	p.box.GPUs = []masu.GPUID{"GPU-1", "nvidia.com/gpu=1"}
	o := p.create()
	if len(o.HostConfig.Binds) > 0 || o.HostConfig.Privileged || o.HostConfig.AutoRemove || len(o.HostConfig.PortBindings) > 0 || o.HostConfig.PublishAllPorts {
		t.Errorf("binds, privileges or ports: %+v", o.HostConfig)
	}
	for _, r := range o.HostConfig.DeviceRequests {
		if r.Count != 0 || len(r.DeviceIDs) != 1 {
			t.Errorf("devices are not named one by one: %+v", r)
		}
	}
	seen := map[string]int{}
	for _, kv := range o.Config.Env {
		k, v, set := strings.Cut(kv, "=")
		seen[k]++
		if strings.HasPrefix(k, "LD_") && set {
			t.Errorf("%s=%s reaches the host's hooks", k, v)
		}
	}
	for k, n := range seen {
		if n != 1 {
			t.Errorf("%s stands %d times", k, n)
		}
	}
	if !slices.Contains(o.HostConfig.CapDrop, "MKNOD") || o.HostConfig.Memory != o.HostConfig.MemorySwap || o.HostConfig.Memory == 0 || *o.HostConfig.PidsLimit <= 0 {
		t.Errorf("limits: %+v", o.HostConfig)
	}
}

func TestFormChangesWithTheBox(t *testing.T) {
	form := func(change func(*plan)) string {
		p := examplePlan()
		change(&p)
		return p.create().Config.Labels[labelForm]
	}
	first := form(func(*plan) {})
	if form(func(*plan) {}) != first {
		t.Fatal("an equal plan has another digest")
	}
	for name, change := range map[string]func(*plan){
		"variable": func(p *plan) { p.box.Variables["HF_HOME"] = "/tmp" },
		"sudo":     func(p *plan) { p.box.Agent.Sudo = false },
		"memory":   func(p *plan) { p.box.Limits.Memory++ },
		"agent":    func(p *plan) { p.agent = "/opt/masu" },
		"source":   func(p *plan) { p.sources[1] = "/elsewhere" },
		"image":    func(p *plan) { p.imageID = "sha256:3d4c" },
		"gpu":      func(p *plan) { p.box.GPUs = []masu.GPUID{"GPU-1"} },
	} {
		if form(change) == first {
			t.Errorf("another %s has the same digest", name)
		}
	}
}

func TestDefaults(t *testing.T) {
	p := examplePlan()
	p.box.Limits = masu.Limits{CPUs: 99}
	if r := p.resources(); r.NanoCPUs != 16e9 {
		t.Errorf("more CPUs than the host has: %d", r.NanoCPUs)
	}
	if m := p.memory(); m != 57*masu.GiB {
		t.Errorf("memory = %s", m)
	}
	if s := p.shm(); s != 14*masu.GiB+256*masu.MiB {
		t.Errorf("shm = %s", s)
	}
	p.engine.memory = 512 * masu.GiB
	if s := p.shm(); s != maxShm {
		t.Errorf("shm of a large host = %s", s)
	}
	if n := len(bridgeName("lab000000001")); n > 15 {
		t.Errorf("the bridge's name has %d characters", n)
	}
}
