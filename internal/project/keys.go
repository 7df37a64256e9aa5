package project

import (
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/masu-lab/masu"
)

// keys lists what may stand in masu.yaml; masu.schema.json says the same to editors.
func keys() []key {
	return []key{
		{"base", "base: debian:trixie-slim", readBase},
		{"preset", "preset: pytorch", readPreset},
		{"dockerfile", "dockerfile: Dockerfile", readDockerfileKey},
		{"name", "name: bert-2", readName},
		{"python", `python: "3.11"`, into(pythonForm.MatchString, func(p *masu.Project) *string { return &p.Environment.Python })},
		{"torch", "torch: 2.5.1", into(validVersion, func(p *masu.Project) *string { return &p.Environment.Torch })},
		{"tensorflow", "tensorflow: 2.16.1", into(validVersion, func(p *masu.Project) *string { return &p.Environment.TensorFlow })},
		{"cuda", "cuda: cu124", readCUDA},
		{"apt", "apt: [git, vim]", readApt},
		{"pip", "pip: [requirements.txt, transformers]", readPip},
		{"run", "run: [git lfs install --system]", readRun},
		{"gpus", "gpus: 1", readGPUs},
		{"apps", "apps: [jupyter, tensorboard]", readApps},
		{"env", "env: {HF_HOME: ~/work/.hf}", readEnv},
		{"services", "services: {db: {image: postgres:17}}", readServices},
		{"cpus", "cpus: 4", readCPUs},
		{"memory", "memory: 32GiB", readSize(func(p *masu.Project) *masu.Bytes { return &p.Limits.Memory })},
		{"shm", "shm: 8GiB", readSize(func(p *masu.Project) *masu.Bytes { return &p.Limits.Shm })},
		{"locale", "locale: ja_JP.UTF-8", into(localeForm.MatchString, func(p *masu.Project) *string { return &p.Environment.Locale })},
		{"timezone", "timezone: Asia/Tokyo", into(zoneForm.MatchString, func(p *masu.Project) *string { return &p.Environment.Timezone })},
	}
}

type reader = func(*document, key, *yaml.Node) error

// into makes the reader of a key whose value is one word; a number counts as it is written.
func into(valid func(string) bool, field func(*masu.Project) *string) reader {
	return func(d *document, k key, n *yaml.Node) error {
		s, ok := asWritten(n)
		if !ok || !valid(s) {
			return d.wrong(k, n)
		}
		*field(d.p) = s
		return nil
	}
}

func validVersion(s string) bool { return s == "latest" || versionForm.MatchString(s) }

func readBase(d *document, k key, n *yaml.Node) error {
	s, ok := asText(n)
	if !ok {
		return d.wrong(k, n)
	}
	ref, ok := image(s)
	if !ok {
		return masu.E(masu.Invalid, "image_name", d.at(n), show(s))
	}
	d.p.Environment.Base = ref
	return nil
}

func readPreset(d *document, k key, n *yaml.Node) error {
	s, ok := asText(n)
	if !ok || !slices.Contains(Presets(), s) {
		return d.wrong(k, n)
	}
	d.p.Environment.Preset = s
	return nil
}

func readDockerfileKey(d *document, k key, n *yaml.Node) error {
	s, ok := asText(n)
	if !ok || s == "" {
		return d.wrong(k, n)
	}
	clean, err := inside(d.at(n), s, s)
	d.dockerfile = clean
	return err
}

func readName(d *document, k key, n *yaml.Node) error {
	s, ok := asText(n)
	if !ok || !masu.ValidWorkspaceName(s) {
		return masu.E(masu.Invalid, "project_name", d.at(n), show(n.Value))
	}
	d.p.Name = s
	return nil
}

func readCUDA(d *document, k key, n *yaml.Node) error {
	s, _ := asWritten(n)
	tag, ok := cudaTag(s)
	if !ok {
		return d.wrong(k, n)
	}
	d.p.Environment.CUDA = tag
	return nil
}

// items gives the texts of a list.
func (d *document) items(k key, n *yaml.Node) ([]*yaml.Node, error) {
	if n.Kind != yaml.SequenceNode {
		return nil, d.wrong(k, n)
	}
	for _, c := range n.Content {
		if _, ok := asText(c); !ok {
			return nil, d.wrong(k, c)
		}
	}
	if len(n.Content) > maxPackages {
		return nil, masu.E(masu.Invalid, "list_too_long", d.at(n), maxPackages)
	}
	return n.Content, nil
}

func readApt(d *document, k key, n *yaml.Node) error {
	list, err := d.items(k, n)
	if err != nil {
		return err
	}
	for _, c := range list {
		if d.p.Environment.Apt, err = addApt(d.p.Environment.Apt, d.at(c), c.Value); err != nil {
			return err
		}
	}
	return nil
}

func readPip(d *document, k key, n *yaml.Node) error {
	list, err := d.items(k, n)
	if err != nil {
		return err
	}
	r := reqs{folder: d.folder}
	for _, c := range list {
		if !strings.HasSuffix(c.Value, ".txt") || strings.HasPrefix(c.Value, "-") {
			err = r.line(d.at(c), c.Value)
		} else if file, bad := inside(d.at(c), c.Value, c.Value); bad != nil {
			err = bad
		} else {
			err = r.file(d.at(c), file)
		}
		if err != nil {
			return err
		}
	}
	d.p.Environment.Pip = r.lines
	return nil
}

func readRun(d *document, k key, n *yaml.Node) error {
	list, err := d.items(k, n)
	if err != nil {
		return err
	}
	for _, c := range list {
		s := strings.TrimSpace(c.Value)
		if s == "" || len(s) > 16<<10 {
			return d.wrong(k, c)
		}
		if !plainScript(c.Value) {
			return masu.E(masu.Invalid, "control_character", d.at(c), k.name)
		}
		d.p.Environment.Run = append(d.p.Environment.Run, s)
	}
	return nil
}

func readApps(d *document, k key, n *yaml.Node) error {
	list, err := d.items(k, n)
	if err != nil {
		return err
	}
	for _, c := range list {
		if !masu.ValidAppName(c.Value) || portApp.MatchString(c.Value) { // p8889 is a port that a member opened by hand
			return d.wrong(k, c)
		}
		if !slices.Contains(d.p.Apps, c.Value) {
			d.p.Apps = append(d.p.Apps, c.Value)
		}
	}
	return nil
}

func readEnv(d *document, k key, n *yaml.Node) error {
	if n.Kind != yaml.MappingNode || len(n.Content) > 2*maxPackages {
		return d.wrong(k, n)
	}
	vars := map[string]string{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		name, value := n.Content[i], n.Content[i+1]
		s, ok := asWritten(value)
		_, twice := vars[name.Value]
		switch {
		case name.Kind != yaml.ScalarNode || !variable.MatchString(name.Value):
			return masu.E(masu.Invalid, "env_name", d.at(name), show(name.Value))
		case twice:
			return masu.E(masu.Invalid, "key_twice", d.at(name), show(name.Value))
		case reserved(name.Value):
			return masu.E(masu.Invalid, "env_reserved", d.at(name), name.Value)
		case !ok || len(s) > 16<<10:
			return d.wrong(k, value)
		case !plain(s):
			return masu.E(masu.Invalid, "control_character", d.at(value), name.Value)
		}
		vars[name.Value] = s
	}
	d.p.Variables = vars
	return nil
}

func readCPUs(d *document, k key, n *yaml.Node) error {
	s, ok := asNumber(n)
	if !ok || !decimalForm.MatchString(s) {
		return d.wrong(k, n)
	}
	cpus, err := strconv.ParseFloat(s, 64)
	if err != nil || cpus <= 0 || cpus > 1024 {
		return d.wrong(k, n)
	}
	d.p.Limits.CPUs = cpus
	return nil
}

func readSize(field func(*masu.Project) *masu.Bytes) reader {
	return func(d *document, k key, n *yaml.Node) error {
		s, _ := asText(n)
		b, ok := size(s)
		if !ok {
			return d.wrong(k, n)
		}
		*field(d.p) = b
		return nil
	}
}

// finish checks what the keys mean together, and reads the Dockerfile.
func (d *document) finish(seen map[string]*yaml.Node) error {
	for _, pair := range [][2]string{
		{"base", "preset"}, {"base", "dockerfile"}, {"preset", "dockerfile"},
		{"dockerfile", "python"}, {"dockerfile", "torch"}, {"dockerfile", "tensorflow"}, {"dockerfile", "cuda"},
		{"dockerfile", "apt"}, {"dockerfile", "pip"}, {"dockerfile", "run"},
	} {
		if seen[pair[0]] != nil && seen[pair[1]] != nil {
			return masu.E(masu.Invalid, "keys_exclude", d.at(seen[pair[1]]), pair[1], pair[0])
		}
	}
	if d.dockerfile == "" {
		return nil
	}
	return setDockerfile(d.folder, d.p, d.dockerfile, ".")
}
