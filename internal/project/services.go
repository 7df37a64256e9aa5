package project

import (
	"errors"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/masu-lab/masu"
)

const (
	maxWords   = 200 // of a command
	maxVolumes = 16  // of a service
)

var volumeName = regexp.MustCompile(`^[a-z0-9](?:[_-]?[a-z0-9])*$`)

// readServices reads the side boxes of a project. Each is read as a small
// project of its own, so that what both may say is said alike.
func readServices(d *document, k key, n *yaml.Node) error {
	if n.Kind != yaml.MappingNode {
		return d.wrong(k, n)
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		name := n.Content[i]
		switch {
		case name.Kind != yaml.ScalarNode || !masu.ValidSideName(name.Value):
			return masu.E(masu.Invalid, "service_name", d.at(name), show(name.Value))
		case seen[name.Value]:
			return masu.E(masu.Invalid, "key_twice", d.at(name), show(name.Value))
		case len(seen) == masu.SidesMost:
			return masu.E(masu.Invalid, "services_many", d.at(name), masu.SidesMost)
		}
		seen[name.Value] = true
		s, err := d.service(name, n.Content[i+1])
		if err != nil {
			return err
		}
		d.addSide(s)
	}
	return nil
}

func (d *document) addSide(s masu.SideBox) {
	d.p.Sides = append(d.p.Sides, s)
	slices.SortFunc(d.p.Sides, func(a, b masu.SideBox) int { return strings.Compare(a.Name, b.Name) })
}

func (d *document) service(name, n *yaml.Node) (masu.SideBox, error) {
	s := masu.SideBox{Name: name.Value}
	own := document{file: d.file, folder: d.folder, p: &masu.Project{}}
	seen, err := own.mapping(n, "services", []key{
		{"image", "image: postgres:17", readBase},
		{"build", "build: ./db", readBuildFolder},
		{"command", "command: [redis-server, --save, '']", func(d *document, k key, n *yaml.Node) (err error) {
			s.Command, err = d.command(k, n, splitWords)
			return err
		}},
		{"env", "env: {POSTGRES_PASSWORD: secret}", readEnv},
		{"volumes", "volumes: [data:/var/lib/postgresql/data, ./init:/init:ro]", func(d *document, k key, n *yaml.Node) (err error) {
			s.Volumes, err = d.volumes(k, n)
			return err
		}},
		{"health", "health: pg_isready -U postgres", func(d *document, k key, n *yaml.Node) (err error) {
			s.Health, err = d.command(k, n, byShell)
			return err
		}},
		{"cpus", "cpus: 2", readCPUs},
		{"memory", "memory: 2GiB", readSize(func(p *masu.Project) *masu.Bytes { return &p.Limits.Memory })},
	})
	if err != nil {
		return s, err
	}
	switch {
	case seen["image"] != nil && seen["build"] != nil:
		return s, masu.E(masu.Invalid, "keys_exclude", d.at(seen["build"]), "build", "image")
	case seen["image"] == nil && seen["build"] == nil:
		return s, masu.E(masu.Invalid, "service_image", d.at(name), s.Name)
	}
	d.settle(&s, own.p)
	return s, nil
}

// settle gives a side box what was read as a project's.
func (d *document) settle(s *masu.SideBox, p *masu.Project) {
	s.Variables, s.Limits = p.Variables, p.Limits
	if p.Environment.Dockerfile != "" {
		s.Build = &p.Environment
	} else {
		s.Image = p.Environment.Base
	}
	d.p.Notes = append(d.p.Notes, p.Notes...)
}

// readBuildFolder reads a folder of the project that has a Dockerfile.
func readBuildFolder(d *document, k key, n *yaml.Node) error {
	s, ok := asText(n)
	if !ok || s == "" {
		return d.wrong(k, n)
	}
	dir, err := inside(d.at(n), s, s)
	if err != nil {
		return err
	}
	return setDockerfile(d.folder, d.p, path.Join(dir, "Dockerfile"), dir)
}

// command reads a list of words, or a text that whole makes words of.
func (d *document) command(k key, n *yaml.Node, whole func(string) ([]string, bool)) ([]string, error) {
	if s, ok := asText(n); ok {
		words, good := whole(s)
		if !good || !plainScript(s) || len(s) > 16<<10 {
			return nil, d.wrong(k, n)
		}
		return words, nil
	}
	if n.Kind != yaml.SequenceNode || len(n.Content) == 0 || len(n.Content) > maxWords {
		return nil, d.wrong(k, n)
	}
	var words []string
	for _, c := range n.Content {
		s, ok := asWritten(c)
		if !ok || len(s) > 16<<10 || !plainScript(s) {
			return nil, d.wrong(k, c)
		}
		words = append(words, s)
	}
	if words[0] == "" {
		return nil, d.wrong(k, n)
	}
	return words, nil
}

// byShell has a text run by a shell.
func byShell(s string) ([]string, bool) {
	return []string{"/bin/sh", "-c", s}, strings.TrimSpace(s) != ""
}

// splitWords takes a command line apart as a shell would, without doing anything else that a shell does.
func splitWords(s string) (words []string, ok bool) {
	var word strings.Builder
	open, quote := false, byte(0)
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case quote != '\'' && c == '\\':
			if i++; i == len(s) {
				return nil, false
			}
			if quote == '"' && !strings.ContainsRune("\"\\$`", rune(s[i])) {
				word.WriteByte('\\')
			}
			word.WriteByte(s[i])
			open = true
		case c == quote:
			quote = 0
		case quote == 0 && (c == '"' || c == '\''):
			open, quote = true, c
		case quote == 0 && strings.IndexByte(" \t\n", c) >= 0:
			if open {
				words = append(words, word.String())
			}
			word.Reset()
			open = false
		default:
			word.WriteByte(c)
			open = true
		}
	}
	if open {
		words = append(words, word.String())
	}
	return words, quote == 0 && len(words) > 0 && len(words) <= maxWords && words[0] != ""
}

func (d *document) volumes(k key, n *yaml.Node) ([]masu.SideVolume, error) {
	list, err := d.items(k, n)
	if err != nil {
		return nil, err
	}
	var all []masu.SideVolume
	for _, c := range list {
		if len(all) == maxVolumes {
			return nil, masu.E(masu.Invalid, "list_too_long", d.at(c), maxVolumes)
		}
		v, err := d.volume(k, c, c.Value)
		if err != nil {
			return nil, err
		}
		if slices.ContainsFunc(all, func(o masu.SideVolume) bool { return o.Target == v.Target }) {
			return nil, masu.E(masu.Invalid, "key_twice", d.at(c), show(v.Target))
		}
		all = append(all, v)
	}
	return all, nil
}

// volume reads NAME:/path or ./folder:/path, each perhaps with :ro.
func (d *document) volume(k key, n *yaml.Node, text string) (v masu.SideVolume, err error) {
	parts := strings.Split(text, ":")
	if len(parts) == 3 && (parts[2] == "ro" || parts[2] == "rw") {
		v.ReadOnly = parts[2] == "ro"
		parts = parts[:2]
	}
	if len(parts) != 2 {
		return v, d.wrong(k, n)
	}
	if v.Target, err = d.target(n, parts[1]); err != nil {
		return v, err
	}
	if volumeName.MatchString(parts[0]) && len(parts[0]) <= 40 {
		v.Name = parts[0]
		return v, nil
	}
	v.Folder, err = d.subfolder(k, n, parts[0])
	return v, err
}

// subfolder reads a folder of the project's.
func (d *document) subfolder(k key, n *yaml.Node, s string) (string, error) {
	if !strings.HasPrefix(s, ".") && !strings.Contains(s, "/") {
		return "", d.wrong(k, n)
	}
	dir, err := inside(d.at(n), s, s)
	if err != nil {
		return "", err
	}
	info, err := d.folder.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", masu.E(masu.Invalid, "service_folder", d.at(n), show(dir))
	case err != nil:
		return "", unreadable(dir, err)
	case !info.IsDir():
		return "", masu.E(masu.Invalid, "service_folder", d.at(n), show(dir))
	}
	return dir, nil
}

// target reads where something is to be in a side box: nowhere that is the kernel's or the system's.
func (d *document) target(n *yaml.Node, s string) (string, error) {
	clean := path.Clean(s)
	first, _, _ := strings.Cut(strings.TrimPrefix(clean, "/"), "/")
	if !strings.HasPrefix(s, "/") || clean == "/" || len(s) > 400 || !plain(s) || strings.ContainsAny(s, `\$,`) ||
		slices.Contains([]string{"proc", "sys", "dev", "masu"}, first) || slices.Contains([]string{"/etc", "/usr", "/bin", "/lib", "/sbin"}, clean) {
		return "", masu.E(masu.Invalid, "service_target", d.at(n), show(s))
	}
	return clean, nil
}

// shownList writes words for a note.
func shownList(words []string) string {
	quoted := make([]string, len(words))
	for i, w := range words {
		quoted[i] = strconv.QuoteToGraphic(w)
	}
	return strings.Join(quoted, ", ")
}
