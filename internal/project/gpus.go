package project

import (
	"strconv"

	"go.yaml.in/yaml/v4"

	"github.com/masu-lab/masu"
)

// maxGPUs is more than any one host has.
const maxGPUs = 64

// readGPUs reads a number, "all", {count, memory, model} or {share}.
func readGPUs(d *document, k key, n *yaml.Node) error {
	if s, ok := asText(n); ok && s == "all" {
		d.p.Want = masu.Want{All: true}
		return nil
	}
	if n.Kind != yaml.MappingNode {
		count, ok := gpuCount(n)
		if !ok {
			return d.wrong(k, n)
		}
		d.p.Want = masu.Want{Count: count}
		return nil
	}
	seen, err := d.mapping(n, "gpus", []key{
		{"count", "gpus: {count: 2}", func(d *document, k key, n *yaml.Node) (err error) {
			count, ok := gpuCount(n)
			if !ok || count == 0 {
				return d.wrong(k, n)
			}
			d.p.Want.Count = count
			return nil
		}},
		{"memory", "gpus: {memory: 24GiB}", readSize(func(p *masu.Project) *masu.Bytes { return &p.Want.Memory })},
		{"model", "gpus: {model: A100}", into(modelForm.MatchString, func(p *masu.Project) *string { return &p.Want.Model })},
		{"share", "gpus: {share: 8GiB}", readSize(func(p *masu.Project) *masu.Bytes { return &p.Want.Share })},
	})
	switch {
	case err != nil:
		return err
	case len(seen) == 0:
		return d.wrong(k, n)
	case seen["share"] == nil:
		d.p.Want.Count = max(1, d.p.Want.Count)
	case len(seen) > 1:
		for _, name := range []string{"count", "memory", "model"} {
			if seen[name] != nil {
				return masu.E(masu.Invalid, "keys_exclude", d.at(seen[name]), name, "share")
			}
		}
	}
	return nil
}

func gpuCount(n *yaml.Node) (int, bool) {
	s, ok := asNumber(n)
	if !ok || !wholeForm.MatchString(s) {
		return 0, false
	}
	count, err := strconv.Atoi(s)
	return count, err == nil && count <= maxGPUs
}
