package recipe

import "slices"

// Where a Python comes from, in the order of preference:
//
//   - own: the base's own, which the distribution maintains;
//   - apt: another version of the distribution's archive. Only few are there;
//     Ubuntu 20.04 has 3.9 beside its 3.8, which is the guide's case;
//   - uv: a build that uv fetches and keeps in /opt/masu/python. It is the same
//     for every Debian and Ubuntu, and old versions stay available.
//
// The well-known PPA of old and new Pythons is not used: it serves Ubuntu
// only, drops a release when Ubuntu does (20.04 is gone), and needs a key and
// 100 MB of tools to be added.
//
// Whatever the source, packages go into that interpreter itself and not into a
// virtual environment: then what a member installs later with a plain
// `pip install X` goes to ~/.local, which Python looks at before the image's
// own packages, and which is kept in the home. In a virtual environment pip
// refuses exactly that.
type pythonSource int

const (
	pythonOwn pythonSource = iota
	pythonApt
	pythonUV
)

// python is a version and where to get it. Version "" is the unknown one of an unknown base.
type python struct {
	version string
	from    pythonSource
}

// aptPythons lists the versions beside the default one that a distribution's archive has in a finished state.
func aptPythons(key string) []string {
	switch key {
	case "ubuntu:focal":
		return []string{"3.9"}
	case "ubuntu:bionic":
		return []string{"3.8"}
	}
	return nil
}

// uvPythons lists what uv offers, the best choice first.
func uvPythons() []string {
	return []string{"3.12", "3.11", "3.13", "3.10", "3.9", "3.14", "3.8"}
}

// pythonsOf lists the Pythons that a base can have, best first. With asked it
// is that version or none. Without a package index there is neither uv nor a
// pip for another version, so only the own one is left.
func pythonsOf(s system, asked string, index bool) []python {
	all := []python{{s.python, pythonOwn}}
	if index && !s.inside {
		for _, v := range aptPythons(s.key) {
			all = append(all, python{v, pythonApt})
		}
	}
	if index && s.key != "ubuntu:bionic" { // uv itself needs a newer Python than the one there
		for _, v := range uvPythons() {
			all = append(all, python{v, pythonUV})
		}
	}
	if asked == "" {
		return all
	}
	all = slices.DeleteFunc(all, func(p python) bool { return p.version != asked })
	return all[:min(len(all), 1)]
}
