package project

import (
	"cmp"
	"errors"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
	"go.yaml.in/yaml/v4/plugin/loaderlimits"

	"github.com/masu-lab/masu"
)

// maxDepth bounds the nesting of masu.yaml; the deepest honest one needs 4.
const maxDepth = 16

func readMasuYAML(folder masu.Folder, p *masu.Project) (bool, error) {
	if yes, err := exists(folder, "masu.yaml"); err != nil || !yes {
		return false, err
	}
	text, err := readText(folder, "masu.yaml")
	if err != nil {
		return false, err
	}
	p.Source = "masu.yaml"
	d := document{file: "masu.yaml", folder: folder, p: p}
	return true, d.parse(text)
}

// document is masu.yaml while it is being read.
type document struct {
	file       string
	folder     masu.Folder
	p          *masu.Project
	dockerfile string
}

func (d *document) at(n *yaml.Node) place { return place{d.file, n.Line, n.Column} }

func (d *document) parse(text string) error {
	top, err := d.root(text)
	if err != nil || top == nil {
		return err
	}
	seen, err := d.mapping(top, "", keys())
	if err != nil {
		return err
	}
	return d.finish(seen)
}

// root gives what stands at the top of a YAML text; nil for nothing.
func (d *document) root(text string) (*yaml.Node, error) {
	line := 0
	for l := range strings.SplitSeq(text, "\n") {
		line++
		indent := l[:len(l)-len(strings.TrimLeft(l, " \t"))]
		if i := strings.IndexByte(indent, '\t'); i >= 0 && strings.TrimSpace(l) != "" {
			return nil, masu.E(masu.Invalid, "yaml_tab", place{d.file, line, i + 1})
		}
	}
	var root yaml.Node
	err := yaml.Load([]byte(text), &root, yaml.WithPlugin(loaderlimits.New(loaderlimits.DepthValue(maxDepth))))
	if empty(text) {
		return nil, nil
	}
	if err != nil {
		return nil, d.syntax(err)
	}
	if err := d.plainNodes(&root); err != nil {
		return nil, err
	}
	if len(root.Content) != 1 {
		return nil, masu.E(masu.Invalid, "yaml_syntax", place{d.file, 1, 1}, "")
	}
	if root.Content[0].ShortTag() == "!!null" {
		return nil, nil
	}
	return root.Content[0], nil
}

// empty tells whether nothing but comments stands in text.
func empty(text string) bool {
	for range entries("", text) {
		return false
	}
	return true
}

func (d *document) syntax(err error) error {
	at, words := place{d.file, 1, 1}, err.Error()
	if e, ok := errors.AsType[*yaml.LoadError](err); ok {
		at.line, at.col = max(1, e.Mark.Line), max(1, e.Mark.Column)
		words = e.Message
	}
	return masu.E(masu.Invalid, "yaml_syntax", at, words).Because(err)
}

// plainNodes refuses everything by which YAML lets a text mean something that does not stand there.
func (d *document) plainNodes(n *yaml.Node) error {
	if n.Anchor != "" || n.Kind == yaml.AliasNode || n.Style&yaml.TaggedStyle != 0 || n.ShortTag() == "!!merge" {
		return masu.E(masu.Invalid, "yaml_fancy", d.at(n))
	}
	for _, c := range n.Content {
		if err := d.plainNodes(c); err != nil {
			return err
		}
	}
	return nil
}

// key is one key that may stand in a mapping of masu.yaml.
type key struct {
	name    string
	example string
	read    func(d *document, k key, n *yaml.Node) error
}

// mapping reads a mapping by its keys and returns the nodes of those that were there.
func (d *document) mapping(n *yaml.Node, of string, keys []key) (map[string]*yaml.Node, error) {
	if n.Kind != yaml.MappingNode {
		return nil, masu.E(masu.Invalid, "yaml_no_mapping", d.at(n))
	}
	seen := map[string]*yaml.Node{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		name, value := n.Content[i], n.Content[i+1]
		if name.Kind != yaml.ScalarNode {
			return nil, masu.E(masu.Invalid, "yaml_no_mapping", d.at(name))
		}
		if seen[name.Value] != nil {
			return nil, masu.E(masu.Invalid, "key_twice", d.at(name), show(name.Value))
		}
		seen[name.Value] = name
		at := slices.IndexFunc(keys, func(k key) bool { return k.name == name.Value })
		if at < 0 {
			return nil, d.unknown(name, of, keys)
		}
		if err := keys[at].read(d, keys[at], value); err != nil {
			return nil, err
		}
	}
	return seen, nil
}

func (d *document) unknown(n *yaml.Node, of string, keys []key) error {
	names := make([]string, len(keys))
	for i, k := range keys {
		names[i] = k.name
	}
	slices.SortStableFunc(names, func(a, b string) int { return cmp.Compare(distance(n.Value, a), distance(n.Value, b)) })
	return masu.E(masu.Invalid, "unknown_key", d.at(n), show(n.Value), strings.Join(names, ", "))
}

// distance counts the letters to change, add or remove to come from a to b.
func distance(a, b string) int {
	if len(a) > 40 {
		return len(a)
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		corner := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := corner
			if a[i] != b[j] {
				cost++
			}
			corner = row[j+1]
			row[j+1] = min(cost, row[j]+1, corner+1)
		}
	}
	return row[len(b)]
}

// wrong says that a key does not take the value, and shows one that it takes.
func (d *document) wrong(k key, n *yaml.Node) error {
	value := n.Value
	switch n.Kind {
	case yaml.MappingNode:
		value = "{…}"
	case yaml.SequenceNode:
		value = "[…]"
	}
	return masu.E(masu.Invalid, "value_wrong", d.at(n), k.name, show(value), k.example)
}

// asText gives a scalar that is text; false for a number, a boolean or nothing.
func asText(n *yaml.Node) (string, bool) {
	return n.Value, n.Kind == yaml.ScalarNode && n.ShortTag() == "!!str"
}

// asWritten gives a scalar as it stands in the file, so that 3.10 stays 3.10.
func asWritten(n *yaml.Node) (string, bool) {
	return n.Value, n.Kind == yaml.ScalarNode && n.ShortTag() != "!!null"
}

// asNumber gives a scalar that is a number.
func asNumber(n *yaml.Node) (string, bool) {
	t := n.ShortTag()
	return n.Value, n.Kind == yaml.ScalarNode && (t == "!!int" || t == "!!float")
}
