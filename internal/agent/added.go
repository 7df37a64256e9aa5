package agent

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/masu-lab/masu"
)

// broughtFile says which packages the image brought. It is written once, when a
// container first begins, into the container's own files: what it lacks later
// was added by hand.
const broughtFile = "/var/lib/masu/packages.json"

// packages are those that were asked for by name, and not only needed by another.
type packages struct {
	root string // "/"
	home string // the member's, which the image has not
}

// siteFolders are where Python keeps what pip installs.
var siteFolders = []string{"opt/masu/venv/lib/python3*/site-packages", "usr/local/lib/python3*/site-packages", "usr/local/lib/python3*/dist-packages"}

const homeSite = ".local/lib/python3*/site-packages"

// rememberBrought notes what is there, unless that was noted before.
func (p packages) rememberBrought() error {
	path := filepath.Join(p.root, broughtFile)
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	text, err := json.Marshal(masu.Layer{Apt: p.apt(), Pip: p.pip(p.root, siteFolders...)})
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, text, 0o644)
}

// added tells what has come since, by hand.
func (p packages) added() (masu.Layer, error) {
	var brought masu.Layer
	text, err := os.ReadFile(filepath.Join(p.root, broughtFile))
	if err == nil {
		err = json.Unmarshal(text, &brought)
	}
	if err != nil {
		return masu.Layer{}, err
	}
	now := masu.Layer{Apt: p.apt(), Pip: append(p.pip(p.root, siteFolders...), p.pip(p.home, homeSite)...)}
	return masu.Layer{Apt: without(now.Apt, brought.Apt, same), Pip: without(now.Pip, brought.Pip, pipName)}, nil
}

func same(s string) string { return s }

// pipName is a package without its version: a newer one of the same is not a package more.
func pipName(s string) string {
	name, _, _ := strings.Cut(s, "==")
	return strings.ToLower(strings.NewReplacer("_", "-", ".", "-").Replace(name))
}

// without gives what is in now and not in before, sorted, each once.
func without(now, before []string, key func(string) string) []string {
	known := map[string]bool{}
	for _, s := range before {
		known[key(s)] = true
	}
	var rest []string
	for _, s := range now {
		if !known[key(s)] {
			known[key(s)] = true
			rest = append(rest, s)
		}
	}
	slices.Sort(rest)
	return rest
}

var autoInstalled = regexp.MustCompile(`(?m)^Package: (\S+)\n(?:.+\n)*?Auto-Installed: 1$`)

// apt names the Debian packages that somebody asked for.
func (p packages) apt() []string {
	files, _ := filepath.Glob(filepath.Join(p.root, "var/lib/dpkg/info/*.list")) // the pattern is right
	states, _ := os.ReadFile(filepath.Join(p.root, "var/lib/apt/extended_states"))
	auto := map[string]bool{}
	for _, m := range autoInstalled.FindAllSubmatch(states, -1) {
		auto[string(m[1])] = true
	}
	var names []string
	for _, f := range files {
		name, _, _ := strings.Cut(strings.TrimSuffix(filepath.Base(f), ".list"), ":") // libc6:amd64
		if !auto[name] {
			names = append(names, name)
		}
	}
	return names
}

// pip names the Python packages that somebody asked for, as name==version. pip
// and uv mark them by a file REQUESTED (PEP 376).
func (p packages) pip(under string, folders ...string) []string {
	var names []string
	for _, folder := range folders {
		marks, _ := filepath.Glob(filepath.Join(under, folder, "*.dist-info/REQUESTED")) // the pattern is right
		for _, mark := range marks {
			info := strings.TrimSuffix(filepath.Base(filepath.Dir(mark)), ".dist-info")
			if i := strings.LastIndexByte(info, '-'); i > 0 {
				names = append(names, info[:i]+"=="+info[i+1:])
			}
		}
	}
	return names
}

// tellAdded prints it for the daemon, who asks as the member.
func tellAdded() int {
	home, err := os.UserHomeDir()
	if err == nil {
		var l masu.Layer
		if l, err = (packages{"/", home}).added(); err == nil {
			err = json.NewEncoder(os.Stdout).Encode(l)
		}
	}
	if err != nil {
		complain(err)
		return exitAgent
	}
	return 0
}
