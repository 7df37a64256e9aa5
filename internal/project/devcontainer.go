package project

import (
	"encoding/json"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/tailscale/hujson"

	"github.com/masu-lab/masu"
)

// maxDevcontainer bounds devcontainer.json, whose parser recurses.
const maxDevcontainer = 64 * masu.KiB

func devcontainers() []string {
	return []string{".devcontainer/devcontainer.json", ".devcontainer.json"}
}

func readDevcontainer(folder masu.Folder, p *masu.Project) (bool, error) {
	for _, name := range devcontainers() {
		yes, err := exists(folder, name)
		if err != nil {
			return false, err
		}
		if !yes {
			continue
		}
		text, err := readText(folder, name)
		if err != nil {
			return false, err
		}
		p.Source = name
		d := devcontainer{file: name, text: text, folder: folder, p: p}
		return true, d.parse()
	}
	return false, nil
}

// devcontainer is a devcontainer.json while it is being read. Only keys that
// say which software is wanted are followed; the others, above all those that
// run something on the host or open it to the box, are named in a note.
type devcontainer struct {
	file    string
	text    string
	folder  masu.Folder
	p       *masu.Project
	build   build
	ignored []string
}

// build is how the image is to be made; its paths are relative to the file's own folder.
type build struct {
	dockerfile, context, target string
	args                        map[string]string
	at                          place
}

func (d *devcontainer) parse() error {
	if masu.Bytes(len(d.text)) > maxDevcontainer {
		return masu.E(masu.Invalid, "file_too_big", d.file, maxDevcontainer)
	}
	root, err := hujson.Parse([]byte(d.text))
	if err != nil {
		return masu.E(masu.Invalid, "devcontainer_syntax", d.file, err.Error()).Because(err)
	}
	err = d.each("", &root, map[string]func(string, *hujson.Value) error{
		"image":        d.image,
		"name":         d.name,
		"build":        d.readBuild,
		"dockerFile":   d.word(&d.build.dockerfile),
		"context":      d.word(&d.build.context),
		"containerEnv": d.variables,
		"remoteEnv":    d.variables,
		"forwardPorts": func(string, *hujson.Value) error {
			d.p.Notes = append(d.p.Notes, note("devcontainer_ports", d.file))
			return nil
		},
		"hostRequirements": d.requirements,
		// These say how an editor looks; nobody misses them in a note.
		"$schema": skip, "customizations": skip, "portsAttributes": skip, "otherPortsAttributes": skip, "extensions": skip, "settings": skip,
	})
	if err != nil {
		return err
	}
	if len(d.ignored) > 0 {
		slices.Sort(d.ignored)
		d.p.Notes = append(d.p.Notes, note("devcontainer_ignored", d.file, strings.Join(slices.Compact(d.ignored), ", ")))
	}
	return d.finish()
}

func skip(string, *hujson.Value) error { return nil }

func (d *devcontainer) at(v *hujson.Value) place {
	before := d.text[:v.StartOffset]
	return place{d.file, 1 + strings.Count(before, "\n"), len(before) - strings.LastIndexByte(before, '\n')}
}

func (d *devcontainer) wrong(key string, v *hujson.Value) error {
	return masu.E(masu.Invalid, "devcontainer_value", d.at(v), show(key))
}

// each calls the reader of every member of an object; the others are ignored, and named.
func (d *devcontainer) each(of string, v *hujson.Value, readers map[string]func(string, *hujson.Value) error) error {
	o, ok := v.Value.(*hujson.Object)
	if !ok {
		return d.wrong(strings.TrimSuffix(of, "."), v)
	}
	seen := map[string]bool{}
	for i := range o.Members {
		m := &o.Members[i]
		key := m.Name.Value.(hujson.Literal).String()
		if seen[key] {
			return masu.E(masu.Invalid, "key_twice", d.at(&m.Name), show(key))
		}
		seen[key] = true
		read := readers[key]
		if read == nil {
			d.ignore(of + key)
			continue
		}
		if err := read(of+key, &m.Value); err != nil {
			return err
		}
	}
	return nil
}

func (d *devcontainer) ignore(key string) {
	if q := show(key); q != `"`+key+`"` {
		key = q
	}
	if len(d.ignored) < 50 {
		d.ignored = append(d.ignored, key)
	}
}

// str gives a text without characters that would end a line.
func str(v *hujson.Value) (string, bool) {
	l, ok := v.Value.(hujson.Literal)
	if !ok || l.Kind() != '"' {
		return "", false
	}
	return l.String(), plain(l.String())
}

func (d *devcontainer) word(field *string) func(string, *hujson.Value) error {
	return func(key string, v *hujson.Value) error {
		s, ok := str(v)
		if !ok || s == "" {
			return d.wrong(key, v)
		}
		*field, d.build.at = s, d.at(v)
		return nil
	}
}

func (d *devcontainer) image(key string, v *hujson.Value) error {
	s, ok := str(v)
	if !ok {
		return d.wrong(key, v)
	}
	ref, ok := image(s)
	if !ok {
		return masu.E(masu.Invalid, "image_name", d.at(v), show(s))
	}
	d.p.Environment.Base = ref
	return nil
}

// name is for people there; only one that can name a workspace is taken.
func (d *devcontainer) name(key string, v *hujson.Value) error {
	if s, ok := str(v); ok && masu.ValidWorkspaceName(s) {
		d.p.Name = s
	}
	return nil
}

func (d *devcontainer) readBuild(key string, v *hujson.Value) error {
	d.build.at = d.at(v)
	return d.each("build.", v, map[string]func(string, *hujson.Value) error{
		"dockerfile": d.word(&d.build.dockerfile),
		"context":    d.word(&d.build.context),
		"target":     d.word(&d.build.target),
		"args": func(key string, v *hujson.Value) (err error) {
			d.build.args, err = d.pairs(key, v, func(name string) bool { return !variable.MatchString(name) })
			return err
		},
	})
}

// variables takes the variables that a member may set; the others are ignored, and named.
func (d *devcontainer) variables(key string, v *hujson.Value) error {
	vars, err := d.pairs(key, v, func(name string) bool { return !variable.MatchString(name) || reserved(name) })
	for name, value := range vars {
		if d.p.Variables == nil {
			d.p.Variables = map[string]string{}
		}
		d.p.Variables[name] = value
	}
	return err
}

// pairs reads an object of texts. Values with ${…} are ignored, but for the
// folder in the container: the host's variables are nobody's business there.
func (d *devcontainer) pairs(key string, v *hujson.Value, refuse func(name string) bool) (map[string]string, error) {
	o, ok := v.Value.(*hujson.Object)
	if !ok || len(o.Members) > maxPackages {
		return nil, d.wrong(key, v)
	}
	out := map[string]string{}
	for i := range o.Members {
		m := &o.Members[i]
		name := m.Name.Value.(hujson.Literal).String()
		value, ok := str(&m.Value)
		if rest, in := strings.CutPrefix(value, "${containerWorkspaceFolder}"); in {
			value = "~/work" + rest
		}
		if !ok || refuse(name) || strings.Contains(value, "${") {
			d.ignore(key + "." + name)
			continue
		}
		out[name] = value
	}
	return out, nil
}

func (d *devcontainer) requirements(key string, v *hujson.Value) error {
	return d.each(key+".", v, map[string]func(string, *hujson.Value) error{"gpu": d.gpu})
}

// gpu reads true, "optional" or {"cores": …, "memory": "8gb"}.
func (d *devcontainer) gpu(key string, v *hujson.Value) error {
	var want any
	clone := v.Clone()
	clone.Standardize()
	if err := json.Unmarshal(clone.Pack(), &want); err != nil {
		return d.wrong(key, v)
	}
	switch w := want.(type) {
	case bool:
		if w {
			d.p.Want = masu.Want{Count: 1}
		}
		return nil
	case string:
		if w == "optional" {
			d.p.Notes = append(d.p.Notes, note("devcontainer_gpu_optional", d.file))
			return nil
		}
	case map[string]any:
		d.p.Want = masu.Want{Count: 1}
		memory, given := w["memory"].(string)
		var n masu.Bytes
		var unit string
		if given {
			if _, err := fmt.Sscanf(memory, "%d%s", &n, &unit); err != nil || unit != "gb" && unit != "mb" || n <= 0 || n > 1<<20 {
				return d.wrong(key, v)
			}
			d.p.Want.Memory = n * map[string]masu.Bytes{"gb": masu.GiB, "mb": masu.MiB}[unit]
		}
		return nil
	}
	return d.wrong(key, v)
}

// finish turns the build's paths into paths of the folder.
func (d *devcontainer) finish() error {
	b := d.build
	if b.dockerfile == "" {
		return nil
	}
	if d.p.Environment.Base != "" {
		return masu.E(masu.Invalid, "keys_exclude", b.at, "build", "image")
	}
	own := path.Dir(d.file)
	dockerfile, err := inside(b.at, path.Join(own, b.dockerfile), b.dockerfile)
	if err != nil {
		return err
	}
	context, err := inside(b.at, path.Join(own, b.context), b.context)
	if err != nil {
		return err
	}
	d.p.Environment.Target, d.p.Environment.BuildArgs = b.target, b.args
	return setDockerfile(d.folder, d.p, dockerfile, context)
}
