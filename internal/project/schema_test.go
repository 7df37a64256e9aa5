package project

import (
	"bytes"
	"strconv"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v4"

	"github.com/masu-lab/masu"
)

func compile(t *testing.T) *jsonschema.Schema {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(Schema()))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("masu.schema.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("masu.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// asJSON gives a YAML node as an editor's schema check sees it.
func asJSON(t *testing.T, n *yaml.Node) any {
	t.Helper()
	switch n.Kind {
	case yaml.DocumentNode:
		return asJSON(t, n.Content[0])
	case yaml.MappingNode:
		m := map[string]any{}
		for i := 0; i < len(n.Content); i += 2 {
			m[n.Content[i].Value] = asJSON(t, n.Content[i+1])
		}
		return m
	case yaml.SequenceNode:
		l := []any{}
		for _, c := range n.Content {
			l = append(l, asJSON(t, c))
		}
		return l
	}
	switch n.ShortTag() {
	case "!!null":
		return nil
	case "!!bool":
		return n.Value == "true"
	case "!!int":
		i, err := strconv.ParseInt(n.Value, 0, 64)
		if err != nil {
			t.Fatal(err)
		}
		return i
	case "!!float":
		f, err := strconv.ParseFloat(n.Value, 64)
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	return n.Value
}

func accepts(t *testing.T, s *jsonschema.Schema, text string) bool {
	t.Helper()
	var n yaml.Node
	if empty(text) {
		return s.Validate(nil) == nil
	}
	if err := yaml.Load([]byte(text), &n); err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	return s.Validate(asJSON(t, &n)) == nil
}

// TestSchemaAndParserAgree holds the published schema to the parser, both ways.
func TestSchemaAndParserAgree(t *testing.T) {
	s := compile(t)
	for text, good := range map[string]bool{
		"": true, "# nothing\n": true, "---\n": true, full: true, "[]": false, "preset": false,
		"preset: pytorch": true, "preset: caffe": false, "preset: [python]": false,
		"base: debian:12": true, "base: nvidia/cuda:11.8.0-cudnn8-devel-ubuntu20.04": true, "base: --privileged": false, "base: a b": false, `base: "x\nRUN y"`: false, "base: 12": false,
		"base: debian\npreset: python": false, "base: debian\ndockerfile: Dockerfile": false, "dockerfile: Dockerfile\npython: '3.11'": false, "dockerfile: Dockerfile\nrun: [make]": false,
		"dockerfile: Dockerfile": true, "dockerfile: Dockerfile\ngpus: 1\nenv: {A: b}": true, "dockerfile: ../Dockerfile": false, "dockerfile: /etc/passwd": false, "dockerfile: ''": false,
		"name: bert-2": true, "name: Bert": false, "name: 研究": false, "name: a--b": false, "name: 12": false, "name: " + strings.Repeat("a", 31): false,
		"python: 3.10": true, "python: '3.9'": true, "python: 3.9.5": false, "python: 2.7": false, "python: 3": false, "python: three": false, "python:": false,
		"torch: 2.0.1": true, "torch: 2.0": true, "torch: latest": true, "torch: newest": false, "torch: 2.0.1+cu118": false, "torch: [2.0.1]": false,
		"tensorflow: 2.12": true, "tensorflow: true": false, "cuda: cu118": true, "cuda: 11.8": true, "cuda: cpu": true, "cuda: cuda11": false, "cuda: null": false,
		"apt: [git, g++, vim=2:9.0-1]": true, "apt: []": true, "apt: git": false, "apt: [vim+]": false, "apt: [vim-]": false, "apt: [-o]": false, "apt: [vim;id]": false, "apt: [1]": false, "apt:": false,
		"pip: [numpy, requirements.txt]": true, "pip: ['x[a]>=1; os_name == \"nt\"']": true, "pip: numpy": false, "pip: [--pre]": false, "pip: ['a @ http://x']": false, "pip: [../x.txt]": false, `pip: ["x\nRUN"]`: false, "pip: [1.0]": false, "pip: ['']": false, "pip: [x --hash=y]": false,
		"run: [make]": true, "run: make": false, "run: ['']": false,
		"gpus: 1": true, "gpus: 0": true, "gpus: all": true, "gpus: {count: 1, memory: 24GiB, model: A100}": true, "gpus: {share: 8GiB}": true, "gpus: -1": false, "gpus: 65": false, "gpus: some": false, "gpus: {}": false,
		"gpus: {count: 0}": false, "gpus: {share: 8GiB, count: 1}": false, "gpus: {memory: 24GB}": false, "gpus: {ids: [0]}": false, "gpus: [0]": false, "gpus: true": false, "gpus:": false, "gpus: 1.5": false,
		"apps: [jupyter]": true, "apps: [Jupyter]": false, "apps: [p8889]": false, "apps: jupyter": false,
		"apps: [jupyter, {name: demo, command: serve, port: 8501}]": true, "apps: [{name: demo, command: serve, port: 8501, health: /ok, start: visit, idle: 30m}]": true, "apps: [{name: demo, port: 8501}]": false, "apps: [{command: serve, port: 8501}]": false, "apps: [{name: demo, command: serve}]": false, "apps: [{name: jupyter, command: serve, port: 8501}]": false, "apps: [{name: p1, command: serve, port: 8501}]": false, "apps: [{name: demo, command: serve, port: 8501, user: root}]": false, "apps: [{name: demo, command: serve, port: 8501, start: never}]": false, "apps: [{name: demo, command: serve, port: 8501, idle: 0m}]": false, "apps: [{name: demo, command: serve, port: 8501, idle: 30}]": false, "apps: [{name: demo, command: serve, port: 8501, health: ok}]": false, "apps: [{name: demo, command: ' ', port: 8501}]": false, "apps: [[jupyter]]": false, "apps: [{}]": false, "apps: [{name: demo, command: serve, port: 80}]": false, "apps: [{name: demo, command: serve, port: 1023}]": false, "apps: [{name: demo, command: serve, port: 6006}]": false, "apps: [{name: demo, command: serve, port: 7625}]": false, "apps: [{name: demo, command: serve, port: 8888}]": false, "apps: [{name: demo, command: serve, port: 65536}]": false, "apps: [{name: demo, command: serve, port: '8501'}]": false,
		"env: {A: b, B: 1, C: true, D: ''}": true, "env: {LD_PRELOAD: x}": false, "env: {NVIDIA_X: x}": false, "env: {PATH: x}": false, "env: {PATHS: x}": true, "env: {A: }": false, "env: {A: [b]}": false, "env: {A-B: c}": false, `env: {A: "x\ny"}`: false, "env: [A=b]": false, "env: {MY_RESOURCE_GPU: 1}": false,
		"cpus: 4": true, "cpus: 1.5": true, "cpus: 0": false, "cpus: 2000": false, "cpus: '4'": false,
		"memory: 32GiB": true, "memory: 512 MiB": true, "memory: 1.5GiB": true, "memory: 32": false, "memory: 32G": false, "memory: 0GiB": false, "memory: 0.0 GiB": false, "shm: 8GiB": true, "shm: lots": false,
		"locale: ja_JP.UTF-8": true, "locale: C.UTF-8": true, "locale: ja": false, "timezone: Asia/Tokyo": true, "timezone: UTC": true, "timezone: ../x": false,
		"services: {}": true, "services: {db: {image: 'postgres:17'}}": true, "services: {db: {build: db}}": true, "services: {db: {build: ../db}}": false, "services: {db: {}}": false, "services: {db: {image: a, build: db}}": false,
		"services: {DB: {image: a}}": false, "services: {my_db: {image: a}}": false, "services: {localhost: {image: a}}": false, "services: [db]": false, "services:": false, "services: {db: postgres}": false,
		"services: {db: {image: --privileged}}": false, "services: {db: {image: a, privileged: true}}": false, "services: {db: {image: a, ports: ['5432:5432']}}": false, "services: {db: {image: a, network_mode: host}}": false,
		"services: {db: {image: a, command: redis-server --port 1}}": true, "services: {db: {image: a, command: [x, 1, true]}}": true, "services: {db: {image: a, command: ''}}": false, "services: {db: {image: a, command: []}}": false, "services: {db: {image: a, command: [[a]]}}": false,
		"services: {db: {image: a, health: pg_isready}}": true, "services: {db: {image: a, health: [pg_isready]}}": true, "services: {db: {image: a, health: ' '}}": false, "services: {db: {image: a, env: {A: b}, cpus: 1, memory: 1GiB}}": true, "services: {db: {image: a, env: {LD_PRELOAD: b}}}": false, "services: {db: {image: a, memory: 1G}}": false,
		"services: {db: {image: a, volumes: ['data:/var/lib/x', './db:/in:ro', 'db/init:/i:rw']}}": true, "services: {db: {image: a, volumes: ['/etc:/x']}}": false, "services: {db: {image: a, volumes: ['../x:/x']}}": false, "services: {db: {image: a, volumes: ['~/x:/x']}}": false,
		"services: {db: {image: a, volumes: ['data:x']}}": false, "services: {db: {image: a, volumes: ['data:/']}}": false, "services: {db: {image: a, volumes: ['data:/proc/x']}}": false, "services: {db: {image: a, volumes: ['data:/x:exec']}}": false, "services: {db: {image: a, volumes: ['/var/run/docker.sock:/s']}}": false, "services: {db: {image: a, volumes: [data]}}": false, "services: {db: {image: a, volumes: ['Data:/x']}}": false,
		"privileged: true": false, "volumes: [/:/h]": false, "Preset: python": false,
	} {
		_, err := Read(files("masu.yaml", text, "requirements.txt", "numpy", "db/init/x.sql", "", "db/Dockerfile", "FROM x"), "")
		if masu.CodeOf(err) == "file_missing" {
			err = nil // the schema does not know the folder
		}
		if (err == nil) != good {
			t.Errorf("the parser on %q: %v", text, err)
		}
		if got := accepts(t, s, text); got != good {
			t.Errorf("the schema on %q: %v", text, got)
		}
	}
}

// TestWhereTheSchemaIsLooser pins what a schema cannot say: how a number is written, and grammars.
func TestWhereTheSchemaIsLooser(t *testing.T) {
	s := compile(t)
	for _, text := range []string{"gpus: 0x10", "gpus: 1_0", "gpus: 1.0", "cpus: 0x2", "python: 3.123", "base: a//b", "pip: [numpy==]", "memory: 9999999TiB", `run: ["a\u2028"]`} {
		if _, err := Read(files("masu.yaml", text), ""); err == nil {
			t.Errorf("the parser accepts %q", text)
		}
		if !accepts(t, s, text) {
			t.Errorf("the schema refuses %q, which belongs into the other table", text)
		}
	}
}

func TestEveryKeyHasItsPlaceAndExample(t *testing.T) {
	s := compile(t)
	for _, k := range keys() {
		if s.Properties[k.name] == nil {
			t.Errorf("the schema lacks %s", k.name)
		}
		if _, err := Read(files("masu.yaml", k.example, "requirements.txt", "", "Dockerfile", "FROM x"), ""); err != nil {
			t.Errorf("the example of %s is wrong: %v", k.name, err)
		}
	}
	if len(s.Properties) != len(keys()) {
		t.Errorf("the schema has %d keys, the parser %d", len(s.Properties), len(keys()))
	}
}

func TestTemplate(t *testing.T) {
	for _, lang := range []masu.Lang{masu.Japanese, masu.English} {
		for name, c := range map[string]struct {
			a     masu.Draft
			check func(masu.Project) bool
		}{
			"nothing": {masu.Draft{}, func(p masu.Project) bool {
				return p.Environment.Preset == "python" && p.Want.None() && p.Environment.Apt == nil && p.Environment.Python == ""
			}},
			"preset": {masu.Draft{Preset: "pytorch", Python: "3.10", Torch: "2.10", GPUs: 1, Apt: []string{"git"}, Pip: []string{"requirements.txt", `x; os_name == "nt"`}, Apps: []string{"jupyter", "tensorboard"}},
				func(p masu.Project) bool {
					e := p.Environment
					return e.Preset == "pytorch" && e.Python == "3.10" && e.Torch == "2.10" && p.Want.Count == 1 && len(e.Apt) == 1 && len(e.Pip) == 2 && len(p.Apps) == 2
				}},
			"all GPUs": {masu.Draft{Want: masu.Want{All: true}}, func(p masu.Project) bool { return p.Want == masu.Want{All: true} }},
			"a part":   {masu.Draft{Want: masu.Want{Share: 8 * masu.GiB}}, func(p masu.Project) bool { return p.Want == masu.Want{Share: 8 * masu.GiB} }},
			"which": {masu.Draft{Want: masu.Want{Count: 2, Memory: 24 * masu.GiB, Model: "RTX A6000"}}, func(p masu.Project) bool {
				return p.Want == masu.Want{Count: 2, Memory: 24 * masu.GiB, Model: "RTX A6000"}
			}},
			"base":       {masu.Draft{Base: "nvidia/cuda:11.8.0-cudnn8-devel-ubuntu20.04"}, func(p masu.Project) bool { return p.Environment.Base != "" && p.Environment.Preset == "" }},
			"dockerfile": {masu.Draft{Dockerfile: "Dockerfile", Python: "3.11"}, func(p masu.Project) bool { return p.Environment.Dockerfile == "Dockerfile" }},
		} {
			c.a.Lang = lang
			text := Template(c.a)
			p, err := Read(files("masu.yaml", text, "requirements.txt", "numpy", "Dockerfile", "FROM x"), "")
			if err != nil || !c.check(p) {
				t.Errorf("%s, %s: %v, %+v\n%s", lang, name, err, p, text)
			}
			if strings.Contains(text, "フォルダ") != (lang == masu.Japanese) || strings.Contains(text, "\n\n\n") || !strings.HasSuffix(text, "\n") {
				t.Errorf("%s, %s:\n%s", lang, name, text)
			}
		}
	}
	// The lines that are only examples are good ones, too.
	uncommented := strings.NewReplacer("# env:", "env:", "# cpus:", "cpus:", "# memory:", "memory:", "# shm:", "shm:", "# python:", "python:", "# torch:", "torch:", "# apt:", "apt:", "# pip:", "pip:", "# apps:", "apps:").Replace(Template(masu.Draft{}))
	if p, err := Read(files("masu.yaml", uncommented, "requirements.txt", "numpy"), ""); err != nil || p.Limits.CPUs != 8 || len(p.Environment.Pip) != 2 {
		t.Errorf("%v, %+v\n%s", err, p, uncommented)
	}
	// What is no good answer is still YAML, and the parser says what is wrong with it.
	_, err := Read(files("masu.yaml", Template(masu.Draft{Python: "\"\n# x: \u2028", Base: "*a"})), "")
	refused(t, err, "image_name", "")
}
