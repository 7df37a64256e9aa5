package project

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/masu-lab/masu"
)

func TestDevcontainer(t *testing.T) {
	p := read(t, files(".devcontainer.json", `// for the lab
{
  "name": "PyTorch for everybody",
  "image": "mcr.example.com/devcontainers/python:3.11", /* pinned */
  "containerEnv": {"HF_HOME": "${containerWorkspaceFolder}/.hf", "A": "1",},
  "remoteEnv": {"PATH": "${containerEnv:PATH}:/x", "TOKEN": "${localEnv:TOKEN}", "LD_PRELOAD": "x", "B": null},
  "forwardPorts": [8888],
  "hostRequirements": {"gpu": {"cores": 1000, "memory": "8gb"}, "cpus": 4},
  "customizations": {"vscode": {"extensions": ["x"]}},
}`), "")
	want := masu.Project{
		Dir: "/home/alice/bert", Source: ".devcontainer.json", Name: "bert",
		Environment: masu.Environment{Base: "mcr.example.com/devcontainers/python:3.11"},
		Want:        masu.Want{Count: 1, Memory: 8 * masu.GiB},
		Variables:   map[string]string{"HF_HOME": "~/work/.hf", "A": "1"},
		Notes: []masu.Note{
			{Code: "devcontainer_ports", Args: []string{".devcontainer.json"}},
			{Code: "devcontainer_ignored", Args: []string{".devcontainer.json", "hostRequirements.cpus, remoteEnv.B, remoteEnv.LD_PRELOAD, remoteEnv.PATH, remoteEnv.TOKEN"}},
		},
	}
	if d := cmp.Diff(want, p); d != "" {
		t.Error(d)
	}
}

// TestDevcontainerRunsNothing is row S6: the keys that reach the host are named, and are all that they are.
func TestDevcontainerRunsNothing(t *testing.T) {
	p := read(t, files(".devcontainer/devcontainer.json", `{
  "initializeCommand": "touch /tmp/PWN", "postCreateCommand": {"a": ["b"]}, "runArgs": ["--privileged"], "mounts": ["source=/,target=/h,type=bind"],
  "privileged": true, "capAdd": ["SYS_ADMIN"], "securityOpt": ["seccomp=unconfined"], "features": {"ghcr.io/x/y:1": {}},
  "workspaceMount": "x", "dockerComposeFile": "c.yml", "\u001b[2J": 1
}`), "python")
	want := `devcontainer_ignored(.devcontainer/devcontainer.json|"\x1b[2J", capAdd, dockerComposeFile, features, initializeCommand, mounts, postCreateCommand, privileged, runArgs, securityOpt, workspaceMount)`
	if got := codes(p.Notes); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	p.Notes = nil
	empty := masu.Project{Dir: p.Dir, Name: "bert", Source: p.Source, Environment: masu.Environment{Preset: "python"}}
	if d := cmp.Diff(empty, p); d != "" {
		t.Error(d)
	}
}

func TestDevcontainerBuild(t *testing.T) {
	f := files(".devcontainer/devcontainer.json", `{"name": "bert-3", "build": {"dockerfile": "Dockerfile", "context": "..", "target": "dev", "args": {"V": "3", "H": "${localEnv:HOME}"}, "options": ["--network=host"]}, "hostRequirements": {"gpu": "optional"}}`,
		".devcontainer/Dockerfile", "FROM debian", "main.py", "x")
	p := read(t, f, "")
	e := p.Environment
	if e.Dockerfile != ".devcontainer/Dockerfile" || e.Context != "." || e.Target != "dev" || e.BuildArgs["V"] != "3" || len(e.BuildArgs) != 1 || len(e.Digest) != 64 || p.Name != "bert-3" || !p.Want.None() {
		t.Errorf("%+v", p)
	}
	if got, want := codes(p.Notes), "devcontainer_gpu_optional(.devcontainer/devcontainer.json) devcontainer_ignored(.devcontainer/devcontainer.json|build.args.H, build.options)"; got != want {
		t.Errorf("notes %s", got)
	}
	f.MapFS[".devcontainer/devcontainer.json"].Data = []byte(`{"dockerFile": "Dockerfile", "hostRequirements": {"gpu": true}}`)
	if p := read(t, f, ""); p.Environment.Context != ".devcontainer" || p.Environment.Dockerfile != ".devcontainer/Dockerfile" || p.Want.Count != 1 {
		t.Errorf("%+v", p)
	}
}

func TestDevcontainerRefused(t *testing.T) {
	for _, c := range []struct{ text, code, at string }{
		{`{`, "devcontainer_syntax", ".devcontainer.json"},
		{`{"image": debian}`, "devcontainer_syntax", ".devcontainer.json"},
		{`[]`, "devcontainer_value", ".devcontainer.json:1:1"},
		{"{\n  \"image\": 12\n}", "devcontainer_value", ".devcontainer.json:2:12"},
		{`{"image": "--privileged"}`, "image_name", ".devcontainer.json:1:11"},
		{`{"image": "x:${localEnv:TAG}"}`, "image_name", ".devcontainer.json:1:11"},
		{`{"image": "x", "image": "y"}`, "key_twice", ".devcontainer.json:1:16"},
		{`{"build": {"dockerfile": "../../etc/passwd"}}`, "path_outside", ".devcontainer.json:1:26"},
		{`{"build": {"dockerfile": "/etc/passwd"}}`, "path_outside", ".devcontainer.json:1:26"},
		{`{"build": {"dockerfile": "Own", "context": "../.."}}`, "path_outside", ".devcontainer.json:1:44"},
		{`{"build": {"dockerfile": "Own", "context": "sub"}}`, "dockerfile_outside", "Own"},
		{`{"build": {"dockerfile": "Nowhere"}}`, "file_missing", "Nowhere"},
		{`{"build": {"dockerfile": "Own"}, "image": "x"}`, "keys_exclude", ""},
		{`{"containerEnv": ["A=1"]}`, "devcontainer_value", ".devcontainer.json:1:18"},
		{`{"hostRequirements": {"gpu": "many"}}`, "devcontainer_value", ".devcontainer.json:1:30"},
		{`{"hostRequirements": {"gpu": {"memory": "8 TB"}}}`, "devcontainer_value", ".devcontainer.json:1:30"},
		{strings.Repeat("[", 70000), "file_too_big", ".devcontainer.json"},
		{strings.Repeat(`{"a":`, 12000), "devcontainer_syntax", ".devcontainer.json"},
	} {
		_, err := Read(files(".devcontainer.json", c.text, "sub/x", "", "Own", "FROM x"), "")
		t.Run(c.text[:min(50, len(c.text))], func(t *testing.T) { refused(t, err, c.code, c.at) })
	}
}

func FuzzDevcontainer(f *testing.F) {
	for _, s := range []string{`{"image": "debian"}`, `{"build": {"dockerfile": "../Dockerfile", "args": {"A": "b"}}}`, `{"remoteEnv": {"PATH": null}} // x`, "{\"\\ud800\": 1}", `{"hostRequirements": {"gpu": {"memory": "8gb"}}}`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		p, err := Read(files(".devcontainer/devcontainer.json", text, ".devcontainer/Dockerfile", "FROM x"), "")
		if err != nil {
			if masu.KindOf(err) != masu.Invalid {
				t.Fatalf("%q: %v", text, err)
			}
			return
		}
		for k, v := range p.Variables {
			if reserved(k) || !variable.MatchString(k) || !plain(v) {
				t.Errorf("%q lets %q=%q through", text, k, v)
			}
		}
	})
}
