package project

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/masu-lab/masu"
)

// full uses every key once.
const full = `# the guide's own environment
base: nvidia/cuda:11.8.0-cudnn8-devel-ubuntu20.04
name: bert-2
python: 3.10
torch: 2.0.1
tensorflow: 2.12
cuda: 11.8
apt: [git, vim, g++, "python3=3.11.2-1+b1", git]
pip: [requirements.txt, "transformers[torch]>=4.40", 'numpy<2; python_version < "3.9"']
run:
  - git lfs install --system
  - |
    set -e
    make install
gpus: {count: 2, memory: 24GiB, model: A100}
apps: [jupyter, tensorboard]
env: {HF_HOME: ~/work/.hf, EPOCHS: 010, DEBUG: yes, EMPTY: "", RATIO: 1.50}
cpus: 1.5
memory: 32GiB
shm: 512 MiB
locale: ja_JP.UTF-8
timezone: Asia/Tokyo
`

func TestEveryKey(t *testing.T) {
	got := read(t, files("masu.yaml", full, "requirements.txt", "pandas==2.2.0\n"), "python")
	want := masu.Project{
		Dir: "/home/alice/bert", Source: "masu.yaml", Name: "bert-2",
		Environment: masu.Environment{
			Base: "nvidia/cuda:11.8.0-cudnn8-devel-ubuntu20.04", Python: "3.10", Torch: "2.0.1", TensorFlow: "2.12", CUDA: "cu118",
			Apt:    []string{"git", "vim", "g++", "python3=3.11.2-1+b1"},
			Pip:    []string{"pandas==2.2.0", "transformers[torch]>=4.40", `numpy<2; python_version < "3.9"`},
			Run:    []string{"git lfs install --system", "set -e\nmake install"},
			Locale: "ja_JP.UTF-8", Timezone: "Asia/Tokyo",
		},
		Want:      masu.Want{Count: 2, Memory: 24 * masu.GiB, Model: "A100"},
		Apps:      masu.NamedApps("jupyter", "tensorboard"),
		Variables: map[string]string{"HF_HOME": "~/work/.hf", "EPOCHS": "010", "DEBUG": "yes", "EMPTY": "", "RATIO": "1.50"},
		Limits:    masu.Limits{CPUs: 1.5, Memory: 32 * masu.GiB, Shm: 512 * masu.MiB},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestOwnApps(t *testing.T) {
	got := read(t, files("masu.yaml", "apps:\n  - jupyter\n  - {name: tensorboard, logs: out/logs}\n  - {name: demo, command: serve -p $PORT, port: 8501, health: /ok, start: visit, idle: 2h}\n  - {name: b, command: b, port: 8502, start: box}\n"), "").Apps
	want := []masu.AppWish{
		{Name: "jupyter"},
		{Name: "tensorboard", Logs: "out/logs"},
		{Name: "demo", Command: "serve -p $PORT", Port: 8501, Health: "/ok", OnVisit: true, IdleFor: 2 * time.Hour},
		{Name: "b", Command: "b", Port: 8502},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

// TestSetApps: the key is replaced and nothing else, and what was written says the same when it is read.
func TestSetApps(t *testing.T) {
	apps := []masu.AppWish{{Name: "jupyter"}, {Name: "demo", Command: `echo "a: b" # c`, Port: 8501, OnVisit: true, IdleFor: 30 * time.Minute}}
	const written = "apps:\n  - jupyter\n  - {name: demo, command: \"echo \\\"a: b\\\" # c\", port: 8501, start: visit, idle: 30m}\n"
	for before, after := range map[string]string{
		"preset: python\n": "preset: python\n" + written,
		"# mine\napps: [jupyter, tensorboard] # both\n\n# cards\ngpus: 1\n":              "# mine\n" + written + "\n# cards\ngpus: 1\n",
		"gpus: 1\napps:\n- jupyter\n- {name: demo, command: old,\n   port: 8501}\n# end": "gpus: 1\n" + written + "# end\n",
	} {
		got, err := SetApps(files("masu.yaml", before), "", apps)
		if err != nil || len(got) != 1 || got[0].Text != after {
			t.Errorf("%q became %+v, %v", before, got, err)
			continue
		}
		if d := cmp.Diff(apps, read(t, files("masu.yaml", got[0].Text), "").Apps); d != "" {
			t.Error(d)
		}
	}
	for _, a := range []masu.AppWish{{Name: "demo", Command: "x", Port: 80}, {Name: "demo", Command: "x\x00", Port: 8501}, {Name: "p8889", Command: "x", Port: 8501},
		{Name: "true", Command: "x", Port: 8501}, {Name: "demo", Command: "x", Port: 8501, Health: "/a b"}, {Name: "tensorboard", Logs: "../other"}} {
		if got, err := SetApps(files("masu.yaml", ""), "", []masu.AppWish{a}); masu.KindOf(err) != masu.Invalid || err == nil || got != nil {
			t.Errorf("%+v was written down: %v, %v", a, got, err)
		}
	}
	if _, err := SetApps(files("Dockerfile", "FROM x\n"), "", apps); masu.CodeOf(err) != "keep_by_hand" {
		t.Error(err)
	}
	for code, bad := range map[string]masu.AppWish{
		"app_port_taken": {Name: "b", Command: "b", Port: 8501},
		"app_known":      {Name: "tensorboard", Command: "b", Port: 8502},
		"app_logs":       {Name: "b", Command: "b", Port: 8502, Logs: "x"},
	} {
		if _, err := SetApps(files("masu.yaml", "preset: python\n"), "", append(slices.Clone(apps), bad)); masu.CodeOf(err) != code {
			t.Errorf("%+v: %v", bad, err)
		}
	}
	for _, bad := range []masu.AppWish{
		{Name: "b", Command: "b", Port: 80}, {Name: "b", Command: "b", Port: masu.AgentPort}, {Name: "p1", Command: "b", Port: 8502}, {Name: "b", Command: "b\x1b", Port: 8502},
		{Name: "b", Command: "b", Port: 8502, Health: "ok"}, {Name: "b", Command: "b", Port: 8502, IdleFor: 90 * time.Second}, {Name: "b", Command: "b", Port: 8502, IdleFor: -time.Hour},
	} {
		if _, err := SetApps(files("masu.yaml", "preset: python\n"), "", append(slices.Clone(apps), bad)); masu.CodeOf(err) != "value_wrong" {
			t.Errorf("%+v: %v", bad, err)
		}
	}
}

func TestGPUs(t *testing.T) {
	for text, want := range map[string]masu.Want{
		"":                            {},
		"gpus: 0":                     {},
		"gpus: 3":                     {Count: 3},
		"gpus: all":                   {All: true},
		"gpus: {count: 2}":            {Count: 2},
		"gpus: {memory: 24GiB}":       {Count: 1, Memory: 24 * masu.GiB},
		"gpus: {model: RTX 4090}":     {Count: 1, Model: "RTX 4090"},
		"gpus: {share: 1.5GiB}":       {Share: 3 * masu.GiB / 2},
		"gpus:\n  model: 4090":        {Count: 1, Model: "4090"},
		"---\ngpus: 1\n# and so on\n": {Count: 1},
	} {
		if got := read(t, files("masu.yaml", text), "").Want; got != want {
			t.Errorf("%q gives %+v", text, got)
		}
	}
}

// TestRefusedYAML is class S of the security rules, as far as it is masu.yaml, and then some.
func TestRefusedYAML(t *testing.T) {
	for _, c := range []struct{ text, code, at string }{
		// S1, S5, S7: nothing passes through, because there is no key for it.
		{"mounts: [/etc]", "unknown_key", "1:1"},
		{"volumes: [/var/run/docker.sock:/s]", "unknown_key", "1:1"},
		{"preset: python\nprivileged: true", "unknown_key", "2:1"},
		{"cap_add: [SYS_ADMIN]", "unknown_key", "1:1"},
		{"security_opt: [seccomp=unconfined]", "unknown_key", "1:1"},
		{"devices: [/dev/sda]", "unknown_key", "1:1"},
		{"pid: host", "unknown_key", "1:1"},
		{"ipc: host", "unknown_key", "1:1"},
		{"uts: host", "unknown_key", "1:1"},
		{"network: container:masu-a", "unknown_key", "1:1"},
		{"network_mode: host", "unknown_key", "1:1"},
		{"userns: host", "unknown_key", "1:1"},
		{"runtime: nvidia", "unknown_key", "1:1"},
		{"cgroup_parent: /", "unknown_key", "1:1"},
		{"sysctls: {kernel.core_pattern: x}", "unknown_key", "1:1"},
		{"volumes_from: [b]", "unknown_key", "1:1"},
		{"run_args: [--gpus, all]", "unknown_key", "1:1"},
		{"gpus: {count: 1, device_ids: [0]}", "unknown_key", "1:18"},
		{"services: {db: {}}", "service_image", "1:12"}, {"services: {a_b: {image: x}}", "service_name", "1:12"}, {"services: {db: {image: x}, db: {image: x}}", "key_twice", "1:28"},
		{"services: {a: {image: x}, b: {image: x}, c: {image: x}, d: {image: x}, e: {image: x}, f: {image: x}, g: {image: x}, h: {image: x}, i: {image: x}}", "services_many", "1:132"},
		{"services:\n  db:\n    image: x\n    privileged: true", "unknown_key", "4:5"}, {"services: {db: {image: x, volumes: ['data:/proc/x']}}", "service_target", "1:37"},
		{"services: {db: {image: x, volumes: ['./no:/x']}}", "service_folder", "1:37"}, {"services: {db: {image: x, volumes: ['../x:/x']}}", "path_outside", "1:37"}, {"services: {db: {image: x, command: 'a \"b'}}", "value_wrong", "1:36"},
		{"Base: debian", "unknown_key", "1:1"},
		{"1: x", "unknown_key", "1:1"},
		{"? [a]\n: b", "yaml_no_mapping", "1:3"},
		{"- preset", "yaml_no_mapping", "1:1"},
		{"preset", "yaml_no_mapping", "1:1"},
		// S7: the shape of the text.
		{"name: a\nname: b", "key_twice", "2:1"},
		{"env: {A: 1, A: 2}", "key_twice", "1:13"},
		{"apt: &a [git]\npip: *a", "yaml_fancy", "1:6"},
		{"apt: *a", "yaml_syntax", "1:6"},
		{"<<: {name: a}", "yaml_fancy", "1:1"},
		{"name: !!str a", "yaml_fancy", "1:7"},
		{"a: &a [x,x]\nb: &b [*a,*a]\nc: &c [*b,*b]\nd: &d [*c,*c]", "yaml_fancy", "1:4"},
		{"apt: [git", "yaml_syntax", ""},
		{"name: a: b", "yaml_syntax", "1:8"},
		{"gpus:\n\tcount: 1", "yaml_tab", "2:1"},
		{"gpus:\n  \tcount: 1", "yaml_tab", "2:3"},
		{"name: a\n---\nname: b", "yaml_syntax", "1:1"},
		{strings.Repeat("[", 20000), "yaml_syntax", ""},
		{strings.Repeat("{a: ", 20000), "yaml_syntax", ""},
		{strings.Repeat("- ", 20000), "yaml_syntax", ""},
		{"name: 'a\x01b'", "yaml_syntax", ""},
		// Values.
		{"gpus: 0x10", "value_wrong", "1:7"},
		{"gpus: 0o7", "value_wrong", "1:7"},
		{"gpus: 010", "value_wrong", "1:7"},
		{"gpus: 1_0", "value_wrong", "1:7"},
		{"gpus: 1.0", "value_wrong", "1:7"},
		{"gpus: 1e1", "value_wrong", "1:7"},
		{"gpus: -1", "value_wrong", "1:7"},
		{"gpus: 65", "value_wrong", "1:7"},
		{"gpus: 99999999999999999999", "value_wrong", "1:7"},
		{`gpus: "1"`, "value_wrong", "1:7"},
		{"gpus: ALL", "value_wrong", "1:7"},
		{"gpus:", "value_wrong", "1:6"},
		{"gpus: [0]", "value_wrong", "1:7"},
		{"gpus: {}", "value_wrong", "1:7"},
		{"gpus: {count: 0}", "value_wrong", "1:15"},
		{"gpus: {count: all}", "value_wrong", "1:15"},
		{"gpus: {memory: 24GB}", "value_wrong", "1:16"},
		{"gpus: {memory: 24}", "value_wrong", "1:16"},
		{"gpus: {model: '; rm'}", "value_wrong", "1:15"},
		{"gpus: {share: 8GiB, count: 1}", "keys_exclude", "1:21"},
		{"python: 3.9.5", "value_wrong", "1:9"},
		{"python: 3", "value_wrong", "1:9"},
		{"python: 2.7", "value_wrong", "1:9"},
		{"python: [3.9]", "value_wrong", "1:9"},
		{"torch: 2.0.1+cu118", "value_wrong", "1:8"},
		{"torch: '>=2'", "value_wrong", "1:8"},
		{"tensorflow: yes", "value_wrong", "1:13"},
		{"cuda: cuda11", "value_wrong", "1:7"},
		{"cuda: 12", "value_wrong", "1:7"},
		{"preset: caffe", "value_wrong", "1:9"},
		{"apt: git", "value_wrong", "1:6"},
		{"apt: [1]", "value_wrong", "1:7"},
		{"apt: [[git]]", "value_wrong", "1:7"},
		{"apt: [" + strings.Repeat("git, ", 1001) + "]", "list_too_long", "1:6"},
		{"run: make", "value_wrong", "1:6"},
		{"run: ['']", "value_wrong", "1:7"},
		{`run: ["a\u2028b"]`, "control_character", "1:7"},
		{`run: ["a\eb"]`, "control_character", "1:7"},
		{"apps: [Jupyter]", "value_wrong", "1:8"},
		{"apps: [p8889]", "value_wrong", "1:8"},
		{"apps: [{name: demo, port: 8501}]", "app_needs", "1:8"},
		{"apps: [{name: demo, command: a}]", "app_needs", "1:8"},
		{"apps: [{command: a, port: 8501}]", "app_needs", "1:8"},
		{"apps: [{name: jupyter, command: a, port: 8501}]", "app_known", "1:8"},
		{"apps: [{name: jupyter, start: visit}]", "app_always", "1:8"},
		{"apps: [{name: a, command: a, port: 8888}, jupyter]", "value_wrong", "1:36"},
		{"apps:\n- {name: a, command: a, port: 8501}\n- {name: a, command: a, port: 8502}", "app_twice", "3:3"},
		{"apps:\n- {name: a, command: a, port: 8501}\n- {name: b, command: a, port: 8501}", "app_port_taken", "3:3"},
		{"apps: [{name: a, command: a, prt: 8501}]", "unknown_key", "1:30"},
		{"apps: [{name: a, command: a, port: 80}]", "value_wrong", "1:36"},
		{"apps: [{name: a, command: a, port: 8501, logs: x}]", "app_logs", "1:42"},
		{"apps: [{name: tensorboard, logs: ../x}]", "value_wrong", "1:34"},
		{"cpus: 0", "value_wrong", "1:7"},
		{"cpus: .inf", "value_wrong", "1:7"},
		{"cpus: 0x2", "value_wrong", "1:7"},
		{"cpus: 2000", "value_wrong", "1:7"},
		{"memory: 32g", "value_wrong", "1:9"},
		{"memory: 0GiB", "value_wrong", "1:9"},
		{"memory: 9999999TiB", "value_wrong", "1:9"},
		{"memory: -1GiB", "value_wrong", "1:9"},
		{"shm: 8", "value_wrong", "1:6"},
		{"locale: ja", "value_wrong", "1:9"},
		{"timezone: ../../etc/passwd", "value_wrong", "1:11"},
		{"name: 研究", "project_name", "1:7"},
		{"name: a--b", "project_name", "1:7"},
		// S2, S10: paths stay inside.
		{"dockerfile: /etc/passwd", "path_outside", "1:13"},
		{"dockerfile: ../Dockerfile", "path_outside", "1:13"},
		{"dockerfile: a/../../b", "path_outside", "1:13"},
		{"dockerfile: ~bob/Dockerfile", "path_outside", "1:13"},
		{"dockerfile: $HOME/Dockerfile", "path_outside", "1:13"},
		{"dockerfile: Containerfile", "file_missing", ""},
		{"pip: [/etc/passwd.txt]", "path_outside", "1:7"},
		{"pip: [../other.txt]", "path_outside", "1:7"},
		{"pip: [missing.txt]", "file_missing", ""},
		{"base: debian:12\npreset: python", "keys_exclude", "2:1"},
		{"preset: python\ndockerfile: requirements.txt", "keys_exclude", "2:1"},
		{"dockerfile: requirements.txt\napt: [git]", "keys_exclude", "2:1"},
	} {
		_, err := Read(files("masu.yaml", c.text, "requirements.txt", "numpy"), "")
		at := c.at
		if at != "" {
			at = "masu.yaml:" + at
		}
		t.Run(c.text[:min(40, len(c.text))], func(t *testing.T) { refused(t, err, c.code, at) })
	}
}

// TestVariables is row S14.
func TestVariables(t *testing.T) {
	for _, name := range []string{
		"LD_PRELOAD", "LD_LIBRARY_PATH", "NVIDIA_VISIBLE_DEVICES", "DOCKER_RESOURCE_GPU", "SWARM_RESOURCE_X", "MY_RESOURCE_GPU_1",
		"CUDA_VISIBLE_DEVICES", "PATH", "HOME", "MASU_SPEC", "JUPYTER_TOKEN", "BASH_ENV", "GLIBC_TUNABLES", "GODEBUG",
	} {
		_, err := Read(files("masu.yaml", "env: {"+name+": x}"), "")
		refused(t, err, "env_reserved", "masu.yaml:1:7")
	}
	for _, c := range []struct{ text, code string }{
		{`env: {"A=B": x}`, "env_name"}, {`env: {"A\nB": x}`, "env_name"}, {`env: {"": x}`, "env_name"}, {`env: {1A: x}`, "env_name"},
		{`env: {"環境": x}`, "env_name"}, {`env: {A B: x}`, "env_name"},
		{`env: {A: "x\ny"}`, "control_character"}, {`env: {A: "x\0"}`, "control_character"}, {`env: {A: "x\u2029"}`, "control_character"},
		{`env: {A: "\u202Ex"}`, "control_character"},
		{`env: {A: [x]}`, "value_wrong"}, {`env: {A: }`, "value_wrong"}, {`env: [A=1]`, "value_wrong"}, {`env: {A: {B: c}}`, "value_wrong"},
	} {
		_, err := Read(files("masu.yaml", c.text), "")
		refused(t, err, c.code, "")
	}
}

func TestTheNearestKeyComesFirst(t *testing.T) {
	for key, want := range map[string]string{"gpu": "gpus", "pyhton": "python", "Timezone": "timezone", "apps_": "apps", "requirements": ""} {
		_, err := Read(files("masu.yaml", key+": x"), "")
		refused(t, err, "unknown_key", "masu.yaml:1:1")
		e := err.(*masu.Error)
		if got, _, _ := strings.Cut(e.Args[2], ", "); want != "" && got != want {
			t.Errorf("for %s the first proposal is %s, want %s", key, got, want)
		}
	}
}

func TestMessagesDoNotCarryTerminalCodes(t *testing.T) {
	_, err := Read(files("masu.yaml", `name: "\e[2Jx"`), "")
	refused(t, err, "project_name", "masu.yaml:1:7")
	if e := err.(*masu.Error); strings.ContainsRune(strings.Join(e.Args, ""), 0x1b) {
		t.Errorf("%q", e.Args)
	}
}

// FuzzYAML: nothing crashes, nothing is slow, and what is accepted keeps the promises that the recipe builds on.
func FuzzYAML(f *testing.F) {
	for _, s := range []string{full, "gpus: 0x10", "apt: &a [git]\npip: *a", "a: [", "env: {LD_PRELOAD: x}", `pip: ["x\nUSER root"]`, "run: [a]", "dockerfile: Dockerfile", "",
		"apps: [jupyter, {name: tensorboard, logs: out/logs, idle: 2h30m}]", "apps: [{name: demo, command: 'serve $PORT; #', port: 8501, health: /ok, start: visit, idle: 30m}]", "apps: [{name: a, command: a, port: 0x2135}]", "apps: [{<<: *a}]", "apps:\n- {name: a, command: \"a\\nb\", port: 8501}"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		p, err := Read(files("masu.yaml", text, "requirements.txt", "numpy", "Dockerfile", "FROM x"), "")
		if err != nil {
			if masu.KindOf(err) != masu.Invalid {
				t.Fatalf("%q: %v", text, err)
			}
			return
		}
		for _, s := range append(append([]string{}, p.Environment.Apt...), p.Environment.Pip...) {
			if !plain(s) || s == "" || s[0] == '-' {
				t.Errorf("%q lets %q through", text, s)
			}
		}
		for k := range p.Variables {
			if reserved(k) || !variable.MatchString(k) {
				t.Errorf("%q lets the variable %q through", text, k)
			}
		}
		if len(p.Apps) > 0 { // what is written down for a command is read as the same
			written, err := SetApps(files("masu.yaml", ""), "", p.Apps)
			if err != nil {
				t.Fatalf("%q: %v", text, err)
			}
			again, err := Read(files("masu.yaml", written[0].Text), "")
			if err != nil || !slices.Equal(again.Apps, p.Apps) {
				t.Errorf("%q is written as %q: %v", text, written[0].Text, err)
			}
		}
		if !masu.ValidWorkspaceName(p.Name) {
			t.Errorf("%q gives the name %q", text, p.Name)
		}
	})
}
