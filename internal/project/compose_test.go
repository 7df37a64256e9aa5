package project

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/masu-lab/masu"
	"github.com/masu-lab/masu/internal/recipe"
)

// guide is a folder as the guide has it: one service to work in, whose name and
// numbers come from the shell, and, as its text suggests, a data server beside it.
func guide() folder {
	return files("Dockerfile", "FROM nvidia/cuda:11.8.0-cudnn8-devel-ubuntu20.04\n", "work/test.ipynb", "{}", "scripts/set_passwd.sh", "",
		".env", "# settings\nIMAGE_NAME=lab\nexport IMAGE_TAG='latest'\nWORK_DIR=./work\nJUPYTER_PORTS=8888-8898 # a span\nTENSORBOARD_PORTS=\"6006-6016\"\n",
		"db.env", "REDIS_ARGS=--save 60 1\nLD_PRELOAD=x\n",
		"compose.yml", `version: "3.8"
services:
  lab:
    image: ${IMAGE_NAME}:${IMAGE_TAG}
    build:
      context: .
      args:
        USER_NAME: ${USER_NAME:-user}
        USER_UID: ${USER_UID:-1000}
    container_name: ${IMAGE_NAME}-$USER
    init: true
    tty: true
    shm_size: 8gb
    environment:
      - NVIDIA_VISIBLE_DEVICES=all
      - HF_HOME=/home/${USER_NAME}/work/.hf
    ports:
      - ${JUPYTER_PORTS}:${JUPYTER_PORTS}
      - ${TENSORBOARD_PORTS}:${TENSORBOARD_PORTS}
    volumes:
      - ${WORK_DIR}:/home/${USER_NAME:-user}/work
      - home:/home/${USER_NAME:-user}
    command: jupyter notebook
    depends_on: [db]
    deploy:
      resources:
        limits: {cpus: "4", memory: 16g}
        reservations:
          devices:
            - {driver: nvidia, count: 1, capabilities: [gpu]}
  db:
    image: redis:7
    command: redis-server --save "60 1"
    env_file: db.env
    ports: ["6379:6379"]
    volumes: ["data:/data", "./scripts:/scripts:ro"]
    restart: unless-stopped
    healthcheck: {test: [CMD, redis-cli, ping], interval: 5s}
    mem_limit: 512m
volumes:
  home:
  data: {driver: local}
`)
}

func compose(f folder) (masu.Project, error) {
	return Compose(f, "compose.yml", map[string]string{"USER": "alice", "USER_NAME": "alice", "USER_UID": "30001"})
}

func TestComposeOfTheGuide(t *testing.T) {
	p, err := compose(guide())
	if err != nil {
		t.Fatal(err)
	}
	if p.Environment.Digest == "" {
		t.Error("the build context has no digest")
	}
	p.Environment.Digest = ""
	if got := codes(p.Notes); strings.Contains(got, "UNKNOWN") || !strings.Contains(got, "compose_command") || !strings.Contains(got, "compose_reserved") || !strings.Contains(got, "compose_ignored") {
		t.Errorf("notes: %s", got)
	}
	p.Notes = nil
	want := masu.Project{
		Dir: "/home/alice/bert", Source: "compose.yml", Compose: "compose.yml", Name: "bert", Work: "work",
		Environment: masu.Environment{Dockerfile: "Dockerfile", Context: ".", BuildArgs: map[string]string{"USER_NAME": "alice", "USER_UID": "30001"}},
		Want:        masu.Want{Count: 1},
		Apps:        []string{"jupyter", "tensorboard"},
		Variables:   map[string]string{"HF_HOME": "/home/alice/work/.hf"},
		Limits:      masu.Limits{CPUs: 4, Memory: 16 * masu.GiB, Shm: 8 * masu.GiB},
		Sides: []masu.SideBox{{Name: "db", Image: "redis:7", Command: []string{"redis-server", "--save", "60 1"},
			Variables: map[string]string{"REDIS_ARGS": "--save 60 1"},
			Volumes:   []masu.SideVolume{{Name: "data", Target: "/data"}, {Folder: "scripts", Target: "/scripts", ReadOnly: true}},
			Health:    []string{"redis-cli", "ping"}, Limits: masu.Limits{Memory: 512 * masu.MiB}}},
	}
	if d := cmp.Diff(want, p); d != "" {
		t.Error(d)
	}
}

// TestComposeIsWhatMasuYAMLSays: the same services in both files are the same values.
func TestComposeIsWhatMasuYAMLSays(t *testing.T) {
	own := read(t, files("masu.yaml", "base: debian\nservices:\n  db:\n    image: redis:7\n    command: [redis-server]\n    env: {A: b}\n    volumes: [data:/data]\n    health: redis-cli ping\n    cpus: 1\n    memory: 1GiB\n"), "")
	other, err := Compose(files("c.yml", "services:\n  lab: {image: debian, ports: ['8888:8888']}\n  db:\n    image: redis:7\n    command: [redis-server]\n    environment: {A: b}\n    volumes: [data:/data]\n    healthcheck: {test: redis-cli ping}\n    cpus: '1'\n    mem_limit: 1g\n"), "c.yml", nil)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(own.Sides, other.Sides); d != "" || own.Environment.Base != other.Environment.Base {
		t.Error(d, other.Environment)
	}
}

// TestEjectedServices: what eject writes of a project's services reads as the same services.
func TestEjectedServices(t *testing.T) {
	p := read(t, files("masu.yaml", "base: debian:trixie-slim\nservices:\n  db:\n    image: redis:7\n    command: [redis-server, --requirepass, 'a$b \"c\"']\n    env: {A: '$B', C: true}\n    volumes: [data:/data, ./init:/in:ro]\n    health: redis-cli ping\n    cpus: 1.5\n    memory: 1GiB\n  web: {build: ./web}\n", "init/a", "", "web/Dockerfile", "FROM x"), "")
	written, err := recipe.Eject(recipe.EjectConfig{Project: p, Host: masu.Host{Arch: "amd64", CPUs: 2, Memory: 8 * masu.GiB}})
	if err != nil {
		t.Fatal(err)
	}
	folder := []string{"init/a", "", "web/Dockerfile", "FROM x"}
	for _, f := range written {
		folder = append(folder, f.Path, f.Text)
	}
	again, err := Compose(files(folder...), "compose.yml", map[string]string{"USER_NAME": "alice"})
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(p.Sides, again.Sides); d != "" {
		t.Error(d)
	}
	if again.Work != "" || again.Environment.Dockerfile != "Dockerfile" || again.Limits.Shm != 2*masu.GiB || len(again.Apps) != 2 {
		t.Errorf("%+v", again)
	}
}

func TestComposeChooses(t *testing.T) {
	for text, main := range map[string]string{
		"services: {app: {image: a}}": "a",
		"services: {app: {image: a, ports: ['8080:80']}, lab: {image: b, ports: ['127.0.0.1:9000:8888/tcp']}}":           "b",
		"services: {app: {image: a, volumes: ['.:/work']}, lab: {image: b}}":                                             "a",
		"services: {app: {image: a, gpus: 1}, lab: {image: b}}":                                                          "a",
		"services: {app: {image: a, ports: [8888]}, lab: {image: b, volumes: ['.:/work'], gpus: all}}\nx-masu-main: app": "",
		"x-masu-main: lab\nservices: {app: {image: a, ports: [8888]}, lab: {image: b}}":                                  "b",
		"services: {app: {image: a}, lab: {image: b}}":                                                                   "",
		"x-masu-main: no\nservices: {app: {image: a}}":                                                                   "",
	} {
		p, err := Compose(files("c.yml", text), "c.yml", nil)
		if string(p.Environment.Base) != main || (err != nil) != (main == "") {
			t.Errorf("%s: %q, %v", text, p.Environment.Base, err)
		}
	}
}

// TestComposeRefused: what masu does not do is refused where it stands.
func TestComposeRefused(t *testing.T) {
	for _, c := range []struct{ text, code, at string }{
		{"services:\n  a:\n    image: x\n    privileged: true", "compose_refused", "4:5"},
		{"services:\n  a:\n    image: x\n    network_mode: host", "compose_refused", "4:5"},
		{"services: {a: {image: x, cap_add: [SYS_ADMIN]}}", "compose_refused", "1:26"},
		{"services: {a: {image: x, devices: [/dev/sda]}}", "compose_refused", "1:26"},
		{"services: {a: {image: x, pid: host}}", "compose_refused", "1:26"},
		{"services: {a: {image: x, ipc: host}}", "compose_refused", "1:26"},
		{"services: {a: {image: x, security_opt: ['seccomp:unconfined']}}", "compose_refused", "1:26"},
		{"services: {a: {image: x, extra_hosts: ['a:host-gateway']}}", "compose_refused", "1:26"},
		{"services: {a: {image: x, extends: {file: /etc/passwd}}}", "compose_refused", "1:26"},
		{"services: {a: {image: x, secrets: [s]}}", "compose_refused", "1:26"},
		{"services: {a: {image: x}}\nsecrets: {s: {file: /etc/shadow}}", "compose_refused", "2:1"},
		{"include: [/etc/x.yml]\nservices: {a: {image: x}}", "compose_refused", "1:1"},
		{"services: {a: {image: x}}\nvolumes: {v: {driver_opts: {type: none, o: bind, device: /}}}", "compose_refused", "2:15"},
		{"services: {a: {image: x}}\nvolumes: {v: {external: true}}", "compose_refused", "2:15"},
		{"services: {a: {image: x, volumes: ['/etc:/x']}}", "path_outside", "1:36"},
		{"services: {a: {image: x, volumes: ['../:/x']}}", "path_outside", "1:36"},
		{"services: {a: {image: x, volumes: ['/var/run/docker.sock:/s']}}", "path_outside", "1:36"},
		{"services: {a: {image: x, volumes: [{type: tmpfs, target: /x}]}}", "compose_refused", "1:37"},
		{"services: {a: {image: x, volumes: [{type: bind, source: /, target: /x}]}}", "path_outside", "1:36"},
		{"services: {a: {image: x, env_file: /etc/passwd}}", "path_outside", "1:36"},
		{"services: {a: {image: x, env_file: ../x}}", "path_outside", "1:36"},
		{"services: {a: {build: ..}}", "path_outside", "1:23"},
		{"services: {a: {build: {context: /}}}", "path_outside", "1:23"},
		{"services: {a: {build: {context: ., ssh: default}}}", "compose_refused", "1:36"},
		{"services: {a: {image: x, command: 'a \"b'}}", "value_wrong", "1:35"},
		{"services: {a: {image: x, ports: [x]}}", "value_wrong", "1:34"},
		{"services: {a: {image: x, ports: ['99999:99999']}}", "value_wrong", "1:34"},
		{"services: {a: {image: '${NO}'}}", "compose_unset", "1:23"},
		{"services: {a: {image: '${NO:?say}'}}", "compose_unset", "1:23"},
		{"services: {a: {image: '${'}}", "compose_variable", "1:23"},
		{"services: {a: {image: '${A^B}'}}", "compose_variable", "1:23"},
		{"services: {a: {image: x, environment: {A: }}}", "compose_unset", "1:43"},
		{"services: {a: {image: x, environment: [A]}}", "compose_unset", "1:40"},
		{"services: {a: {image: x, image: y}}", "key_twice", "1:26"},
		{"services: {a: {}}", "service_image", "1:12"},
		{"services: {A_B: {image: x}}", "service_name", "1:12"},
		{"services: {a: {image: x, ports: [8888]}, b: {image: y, gpus: 1}}", "compose_gpus", "1:42"},
		{"services: {a: {image: x, volumes: ['cache:/cache']}}", "compose_volume", "1:12"},
		{"services: {a: &x {image: x}, b: *x}", "yaml_fancy", "1:15"},
		{"services: {}", "compose_services", "1:1"}, {"[]", "compose_services", "1:1"}, {"", "compose_services", "1:1"}, {"services: [a]", "yaml_no_mapping", "1:11"},
	} {
		_, err := Compose(files("c.yml", c.text), "c.yml", nil)
		t.Run(c.text, func(t *testing.T) { refused(t, err, c.code, "c.yml:"+c.at) })
	}
	_, err := Compose(files("c.yml", ""), "../c.yml", nil)
	refused(t, err, "path_outside", "")
	_, err = Compose(files("c.yml", "services: {a: {image: x}}", ".env", "A B"), "c.yml", nil)
	refused(t, err, "dotenv_line", ".env:1:1")
}

func TestFill(t *testing.T) {
	v := variables{"A": "a", "E": "", "AB": "ab"}
	for text, want := range map[string]string{
		"": "", "x": "x", "$A": "a", "${A}b": "ab", "$AB": "ab", "$$A": "$A", "${E}": "", "${E:-d}": "d", "${E-d}": "", "${N-d}": "d", "${N:-${A}}": "a", "${N:-${M:-$A}}!": "a!",
		"${A:+y}": "y", "${E:+y}": "", "${E+y}": "y", "${N+y}": "", "${A:?w}": "a", "$": "refused", "${": "refused", "${}": "refused", "${N}": "refused", "$1": "refused", "${A:}": "refused", "${N?}": "refused",
		"${N:-" + strings.Repeat("${N:-", 20) + strings.Repeat("}", 21): "refused",
	} {
		got, err := v.fill(place{"c", 1, 1}, text, 0)
		if err != nil {
			got = "refused"
		}
		if got != want {
			t.Errorf("%s: %q (%v), want %q", text, got, err, want)
		}
	}
}

func TestSplitWords(t *testing.T) {
	for text, want := range map[string]string{
		"a b": "a|b", ` a  'b c' "d e"f `: "a|b c|d ef", `a ''`: "a|", `a\ b`: "a b", `"a\"b\c"`: `a"b\c`, `'a\'`: `a\`, "": "refused", "'": "refused", `a\`: "refused", "''": "refused", "$(id) `x`": "$(id)|`x`",
	} {
		words, ok := splitWords(text)
		got := strings.Join(words, "|")
		if !ok {
			got = "refused"
		}
		if got != want {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
}

// FuzzCompose: whatever a compose file says, what comes of it could stand in a
// masu.yaml: it names nothing outside the folder and no option of the engine's.
func FuzzCompose(f *testing.F) {
	compose, env := guide().MapFS["compose.yml"].Data, guide().MapFS[".env"].Data
	f.Add(string(compose), string(env))
	f.Add("services: {a: {image: x, volumes: ['${A}:/x']}}", "A=../..")
	f.Add("services: {a: {image: x, ports: [8888]}, b: {image: y, volumes: [{source: data, target: /d}], healthcheck: {test: [CMD-SHELL, x]}}}", "")
	f.Fuzz(func(t *testing.T, text, env string) {
		p, err := Compose(files("compose.yml", text, ".env", env, "Dockerfile", "FROM x", "work/x", "", "scripts/x", "", "db.env", "A=b"), "compose.yml", map[string]string{"USER": "alice"})
		if err != nil {
			if masu.KindOf(err) != masu.Invalid {
				t.Fatalf("%q: %v", text, err)
			}
			return
		}
		if len(p.Sides) > masu.SidesMost || strings.HasPrefix(p.Work, "/") || strings.Contains(p.Work, "..") {
			t.Errorf("%q: %+v", text, p)
		}
		for _, s := range p.Sides {
			if !masu.ValidSideName(s.Name) || (s.Image == "") == (s.Build == nil) {
				t.Errorf("%q: %+v", text, s)
			}
			for _, v := range s.Volumes {
				if (v.Name == "") == (v.Folder == "") || strings.HasPrefix(v.Folder, "/") || strings.HasPrefix(v.Folder, "..") || !strings.HasPrefix(v.Target, "/") || v.Target == "/" {
					t.Errorf("%q: %+v", text, v)
				}
			}
			for name := range s.Variables {
				if reserved(name) {
					t.Errorf("%q: %s", text, name)
				}
			}
		}
	})
}
