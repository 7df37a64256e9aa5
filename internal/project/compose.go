package project

import (
	"maps"
	"path"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/masu-lab/masu"
)

// composed is a compose file while it is being read. Its services are read into
// the same values as masu.yaml's; one of them is the workspace, the others are
// its side boxes. What masu does by itself, or does otherwise, becomes a note;
// what it cannot do is refused where it stands.
type composed struct {
	document
	dir      string // of the file, inside the folder
	vars     variables
	main     string // as the file itself says
	services []*composeService
	ignored  []string // keys, for one note
}

// composeService is one service of a compose file.
type composeService struct {
	side  masu.SideBox
	at    *yaml.Node
	own   masu.Project // what it says as a project would
	ports []int        // on its own side
	gpus  bool
	files []string // env_file
}

// ComposeFiles are the names under which a folder has a compose file.
func ComposeFiles() []string {
	return []string{"compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml"}
}

// Compose reads a compose file of the folder's. vars are what masu itself knows;
// those of the .env beside the file come before them.
func Compose(folder masu.Folder, file string, vars map[string]string) (masu.Project, error) {
	name, err := inside(place{"-f", 1, 1}, file, file)
	if err != nil {
		return masu.Project{}, err
	}
	text, err := readText(folder, name)
	if err != nil {
		return masu.Project{}, err
	}
	p := masu.Project{Dir: folder.Dir(), Source: name, Compose: name}
	c := composed{document: document{file: name, folder: folder, p: &p}, dir: path.Dir(name), vars: variables{}}
	maps.Copy(c.vars, vars)
	env := path.Join(c.dir, ".env")
	if yes, err := exists(folder, env); err != nil {
		return masu.Project{}, err
	} else if yes {
		said, err := readText(folder, env)
		if err != nil {
			return masu.Project{}, err
		}
		set, err := c.vars.dotEnv(env, said)
		if err != nil {
			return masu.Project{}, err
		}
		maps.Copy(c.vars, set)
	}
	if err := c.read(text); err != nil {
		return masu.Project{}, err
	}
	if p.Name == "" {
		p.Name = NameFor(p.Dir)
	}
	return p, nil
}

func (c *composed) read(text string) error {
	top, err := c.root(text)
	if err != nil {
		return err
	}
	if top == nil || top.Kind != yaml.MappingNode {
		return masu.E(masu.Invalid, "compose_services", place{c.file, 1, 1})
	}
	if err := c.vars.fillAll(&c.document, top); err != nil {
		return err
	}
	if err := c.keys(top, c.top, func(name, _ *yaml.Node) error {
		return masu.E(masu.Invalid, "compose_refused", c.at(name), show(name.Value), strings.Join(composeTop(), ", "))
	}); err != nil {
		return err
	}
	if len(c.services) == 0 {
		return masu.E(masu.Invalid, "compose_services", place{c.file, 1, 1})
	}
	main, err := c.choose()
	if err != nil {
		return err
	}
	return c.build(main)
}

func composeTop() []string { return []string{"name", "services", "volumes", "x-…"} }

// keys goes through a mapping; what do does not know (false) is other's.
func (c *composed) keys(n *yaml.Node, do func(name, value *yaml.Node) (known bool, err error), other func(name, value *yaml.Node) error) error {
	if n.Kind != yaml.MappingNode {
		return masu.E(masu.Invalid, "yaml_no_mapping", c.at(n))
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		name, value := n.Content[i], n.Content[i+1]
		if name.Kind != yaml.ScalarNode {
			return masu.E(masu.Invalid, "yaml_no_mapping", c.at(name))
		}
		if seen[name.Value] {
			return masu.E(masu.Invalid, "key_twice", c.at(name), show(name.Value))
		}
		seen[name.Value] = true
		known, err := do(name, value)
		if err == nil && !known {
			err = other(name, value)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (c *composed) top(name, value *yaml.Node) (bool, error) {
	switch {
	case name.Value == "version":
		return true, nil // says nothing since compose is one
	case name.Value == "name":
		if s, ok := asText(value); ok && masu.ValidWorkspaceName(s) {
			c.p.Name = s
		}
		return true, nil
	case name.Value == "x-masu-main":
		c.main, _ = asText(value)
		return true, nil
	case strings.HasPrefix(name.Value, "x-"):
		return true, nil
	case name.Value == "networks":
		c.ignore("networks")
		return true, nil
	case name.Value == "volumes":
		return true, c.topVolumes(value)
	case name.Value == "services":
		return true, c.keys(value, c.service, func(_, _ *yaml.Node) error { return nil })
	}
	return false, nil
}

// topVolumes takes volumes that are the engine's plain own.
func (c *composed) topVolumes(n *yaml.Node) error {
	if n.ShortTag() == "!!null" {
		return nil
	}
	return c.keys(n, func(name, value *yaml.Node) (bool, error) {
		if value.ShortTag() == "!!null" {
			return true, nil
		}
		return true, c.keys(value, func(k, v *yaml.Node) (bool, error) {
			return k.Value == "name" || k.Value == "labels" || k.Value == "driver" && v.Value == "local", nil
		}, func(k, _ *yaml.Node) error {
			return masu.E(masu.Invalid, "compose_refused", c.at(k), show(k.Value), "driver: local")
		})
	}, nil)
}

func (c *composed) service(name, n *yaml.Node) (bool, error) {
	if !masu.ValidSideName(name.Value) {
		return false, masu.E(masu.Invalid, "service_name", c.at(name), show(name.Value))
	}
	if len(c.services) > masu.SidesMost {
		return false, masu.E(masu.Invalid, "services_many", c.at(name), masu.SidesMost)
	}
	s := &composeService{side: masu.SideBox{Name: name.Value}, at: name}
	r := &serviceReader{composed: c, s: s, own: document{file: c.file, folder: c.folder, p: &s.own}}
	if err := c.keys(n, r.key, r.unknown); err != nil {
		return false, err
	}
	if err := r.finish(); err != nil {
		return false, err
	}
	c.services = append(c.services, s)
	return true, nil
}

func (c *composed) ignore(key string) {
	if !slices.Contains(c.ignored, key) {
		c.ignored = append(c.ignored, key)
	}
}

// choose finds the service that is the workspace: what the file says, else the
// one with Jupyter's port, the project folder and the GPUs.
func (c *composed) choose() (*composeService, error) {
	var best *composeService
	most, tie := -1, false
	for _, s := range c.services {
		if s.side.Name == c.main {
			return s, nil
		}
		score := 0
		if slices.Contains(s.ports, jupyterPort) {
			score += 4
		}
		if slices.ContainsFunc(s.side.Volumes, func(v masu.SideVolume) bool {
			return v.Folder == "." || v.Folder != "" && path.Base(v.Target) == "work"
		}) {
			score += 2
		}
		if s.gpus {
			score++
		}
		switch {
		case score > most:
			best, most, tie = s, score, false
		case score == most:
			tie = true
		}
	}
	if c.main != "" || len(c.services) > 1 && (tie || most == 0) {
		return nil, masu.E(masu.Invalid, "compose_main", c.at(c.services[0].at), strings.Join(c.names(), ", "))
	}
	return best, nil
}

func (c *composed) names() (names []string) {
	for _, s := range c.services {
		names = append(names, s.side.Name)
	}
	return names
}

const (
	jupyterPort     = 8888
	tensorboardPort = 6006
)

// build makes the project of its services.
func (c *composed) build(main *composeService) error {
	p, own := c.p, main.own
	p.Environment, p.Want, p.Limits, p.Variables = own.Environment, own.Want, own.Limits, own.Variables
	p.Notes = append(p.Notes, own.Notes...)
	p.Apps = []string{"jupyter"}
	if slices.Contains(main.ports, tensorboardPort) {
		p.Apps = append(p.Apps, "tensorboard")
	}
	if len(main.side.Command) > 0 || len(main.side.Entrypoint) > 0 {
		p.Notes = append(p.Notes, note("compose_command", main.side.Name, shownList(append(main.side.Entrypoint, main.side.Command...))))
	}
	if len(main.side.Health) > 0 {
		c.ignore("healthcheck (" + main.side.Name + ")")
	}
	if err := c.mainVolumes(main); err != nil {
		return err
	}
	for _, s := range c.services {
		if s == main {
			continue
		}
		if s.gpus {
			return masu.E(masu.Invalid, "compose_gpus", c.at(s.at), s.side.Name)
		}
		c.settle(&s.side, &s.own)
		c.addSide(s.side)
	}
	if len(c.ignored) > 0 {
		p.Notes = append(p.Notes, note("compose_ignored", strings.Join(c.ignored, ", ")))
	}
	return nil
}

// mainVolumes finds which folder is ~/work. A workspace has its home and its
// project folder, and nothing else of the host.
func (c *composed) mainVolumes(main *composeService) error {
	var folders []masu.SideVolume
	for _, v := range main.side.Volumes {
		home := strings.HasPrefix(v.Target, "/home/") || v.Target == "/root" || strings.HasPrefix(v.Target, "/root/")
		switch {
		case v.Folder != "":
			folders = append(folders, v)
		case !home:
			return masu.E(masu.Invalid, "compose_volume", c.at(main.at), v.Name, v.Target)
		}
	}
	if len(folders) == 1 && folders[0].Folder != "." {
		c.p.Work = folders[0].Folder
	}
	for _, v := range folders {
		at := path.Join("~/work", strings.TrimPrefix(v.Folder, c.p.Work))
		if path.Base(v.Target) != "work" || at != "~/work" {
			c.p.Notes = append(c.p.Notes, note("compose_work", v.Folder, at, v.Target))
		}
	}
	return nil
}
