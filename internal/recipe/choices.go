package recipe

import "github.com/masu-lab/masu"

// Choices lists what will run on the host, the default first, then newest
// first. Of each minor release of torch and TensorFlow only the last is offered.
func Choices(h masu.Host, v *Versions) []masu.Choice {
	asked := []masu.Environment{{Preset: "python"}}
	for _, release := range lastOfMinor(v.rows().releases("latest")) {
		asked = append(asked, masu.Environment{Preset: "pytorch", Torch: release})
	}
	for _, release := range newestFirst(v.rows().TensorFlow) {
		asked = append(asked, masu.Environment{Preset: "tensorflow", TensorFlow: release})
	}
	var out []masu.Choice
	for _, e := range asked {
		p, err := pick(e, h, v, false)
		if err != nil {
			continue // it will not run here
		}
		c := masu.Choice{Preset: e.Preset, Python: p.python.version, Base: p.base, TensorFlow: e.TensorFlow}
		if p.torch != nil {
			c.Torch, c.CUDA = p.torch.version, p.torch.tag
		}
		if p.tf != nil {
			c.CUDA = p.tf.cuda
		}
		out = append(out, c)
	}
	for i, c := range out {
		if c.Preset == Default(h) {
			c.Default = true
			copy(out[1:i+1], out[:i])
			out[0] = c
			break
		}
	}
	return out
}

// lastOfMinor keeps the first of each minor release; the list has the newest first.
func lastOfMinor(list []string) []string {
	seen := map[string]bool{}
	return keep(list, func(v string) bool {
		m := minor(v)
		defer func() { seen[m] = true }()
		return !seen[m]
	})
}
