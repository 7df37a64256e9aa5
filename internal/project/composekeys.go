package project

import (
	"maps"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/masu-lab/masu"
)

// serviceReader reads one service of a compose file.
type serviceReader struct {
	*composed
	s         *composeService
	own       document // what it says as a project would
	image     *yaml.Node
	built     bool
	variables map[string]string
}

// quiet are keys by which a service asks for what it gets anyway, or what means
// nothing here; told are those whose absence somebody may notice.
func quiet() []string {
	return []string{"init", "tty", "stdin_open", "labels", "annotations", "container_name", "depends_on", "expose", "pull_policy", "platform", "stop_grace_period", "stop_signal", "attach"}
}

func told() []string {
	return []string{"restart", "user", "hostname", "networks", "logging", "ulimits", "group_add", "runtime"}
}

func composeKeys() []string {
	return []string{"image", "build", "command", "entrypoint", "environment", "env_file", "volumes", "ports", "deploy", "gpus", "shm_size", "mem_limit", "cpus", "healthcheck", "working_dir"}
}

func (r *serviceReader) unknown(name, _ *yaml.Node) error {
	return masu.E(masu.Invalid, "compose_refused", r.at(name), show(name.Value), strings.Join(composeKeys(), ", "))
}

func (r *serviceReader) key(name, n *yaml.Node) (known bool, err error) {
	k := key{name: name.Value}
	switch name.Value {
	case "image":
		k.example, r.image = "image: redis:7", n
		err = readBase(&r.own, k, n)
	case "build":
		r.built = true
		err = r.build(n)
	case "command":
		k.example = "command: [redis-server]"
		r.s.side.Command, err = r.command(k, n, splitWords)
	case "entrypoint":
		k.example = "entrypoint: [/start.sh]"
		r.s.side.Entrypoint, err = r.command(k, n, splitWords)
	case "environment":
		err = r.environment(n)
	case "env_file":
		err = r.envFiles(n)
	case "volumes":
		err = r.volumeList(k, n)
	case "ports":
		err = r.ports(n)
	case "deploy":
		err = r.keys(n, r.deploy, r.unknown)
	case "gpus":
		err = r.gpus(n)
	case "shm_size":
		err = r.size(n, &r.s.own.Limits.Shm)
	case "mem_limit":
		err = r.size(n, &r.s.own.Limits.Memory)
	case "cpus":
		err = r.cpus(n)
	case "healthcheck":
		err = r.keys(n, r.health, r.unknown)
	case "working_dir":
		r.s.side.Dir, err = r.target(n, n.Value)
	default:
		if slices.Contains(told(), name.Value) {
			r.ignore(name.Value)
		}
		return slices.Contains(quiet(), name.Value) || slices.Contains(told(), name.Value) || strings.HasPrefix(name.Value, "x-"), nil
	}
	return true, err
}

// finish puts together what several keys say.
func (r *serviceReader) finish() error {
	if r.image == nil && !r.built {
		return masu.E(masu.Invalid, "service_image", r.at(r.s.at), r.s.side.Name)
	}
	if r.built { // image is then only what it is called
		r.s.own.Environment.Base = ""
	}
	all := map[string]string{}
	for _, file := range r.s.files {
		text, err := readText(r.folder, file)
		if err != nil {
			return err
		}
		set, err := r.vars.dotEnv(file, text)
		if err != nil {
			return err
		}
		maps.Copy(all, set)
	}
	maps.Copy(all, r.variables)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if reserved(name) {
			r.p.Notes = append(r.p.Notes, note("compose_reserved", r.s.side.Name, name))
			delete(all, name)
		}
	}
	if len(all) > 0 {
		r.s.own.Variables = all
	}
	return nil
}

func (r *serviceReader) build(n *yaml.Node) error {
	context, dockerfile, target := n.Value, "Dockerfile", ""
	args := map[string]string{}
	if n.Kind == yaml.MappingNode {
		context = "."
		err := r.keys(n, func(name, v *yaml.Node) (bool, error) {
			switch name.Value {
			case "context":
				context = v.Value
			case "dockerfile":
				dockerfile = v.Value
			case "target":
				target = v.Value
			case "args":
				return true, r.pairs(v, args)
			case "shm_size", "labels", "tags", "pull", "no_cache":
			default:
				return false, nil
			}
			return true, nil
		}, r.unknown)
		if err != nil {
			return err
		}
	} else if s, ok := asText(n); !ok || s == "" {
		return r.wrong(key{name: "build", example: "build: ."}, n)
	}
	dir, err := inside(r.at(n), path.Join(r.dir, context), context)
	if err != nil {
		return err
	}
	file, err := inside(r.at(n), path.Join(dir, dockerfile), dockerfile)
	if err != nil {
		return err
	}
	if err := setDockerfile(r.folder, r.own.p, file, dir); err != nil {
		return err
	}
	if r.own.p.Environment.Target = target; len(args) > 0 {
		r.own.p.Environment.BuildArgs = args
	}
	return nil
}

// pairs reads {NAME: value} or [NAME=value]; a name alone is a variable that masu knows.
func (r *serviceReader) pairs(n *yaml.Node, into map[string]string) error {
	put := func(at *yaml.Node, name, value string) error {
		if !variable.MatchString(name) || len(into) >= maxVars {
			return masu.E(masu.Invalid, "env_name", r.at(at), show(name))
		}
		if !plain(value) || len(value) > maxValue {
			return masu.E(masu.Invalid, "control_character", r.at(at), name)
		}
		into[name] = value
		return nil
	}
	if n.Kind == yaml.SequenceNode {
		for _, c := range n.Content {
			name, value, set := strings.Cut(c.Value, "=")
			if value, ok := r.vars[name]; c.Kind == yaml.ScalarNode && !set && ok {
				if err := put(c, name, value); err != nil {
					return err
				}
				continue
			}
			if c.Kind != yaml.ScalarNode || !set {
				return masu.E(masu.Invalid, "compose_unset", r.at(c), show(name))
			}
			if err := put(c, name, value); err != nil {
				return err
			}
		}
		return nil
	}
	return r.keys(n, func(name, v *yaml.Node) (bool, error) {
		value, ok := asWritten(v)
		if known, set := r.vars[name.Value]; !ok && v.ShortTag() == "!!null" && set {
			value, ok = known, true
		}
		if !ok {
			return true, masu.E(masu.Invalid, "compose_unset", r.at(v), show(name.Value))
		}
		return true, put(name, name.Value, value)
	}, nil)
}

func (r *serviceReader) environment(n *yaml.Node) error {
	r.variables = map[string]string{}
	return r.pairs(n, r.variables)
}

func (r *serviceReader) envFiles(n *yaml.Node) error {
	list := []*yaml.Node{n}
	if n.Kind == yaml.SequenceNode {
		list = n.Content
	}
	for _, c := range list {
		s, ok := asText(c)
		if !ok || len(r.s.files) >= maxVolumes {
			return r.wrong(key{name: "env_file", example: "env_file: db.env"}, c)
		}
		file, err := inside(r.at(c), path.Join(r.dir, s), s)
		if err != nil {
			return err
		}
		r.s.files = append(r.s.files, file)
	}
	return nil
}

// volumeList reads volumes in their short and their long form.
func (r *serviceReader) volumeList(k key, n *yaml.Node) error {
	k.example = "volumes: [data:/data, ./config:/config:ro]"
	if n.Kind != yaml.SequenceNode || len(n.Content) > maxVolumes {
		return r.wrong(k, n)
	}
	for _, c := range n.Content {
		text := c.Value
		if c.Kind == yaml.MappingNode {
			var source, target, mode string
			if err := r.keys(c, func(name, v *yaml.Node) (bool, error) {
				switch name.Value {
				case "source":
					source = v.Value
				case "target":
					target = v.Value
				case "read_only":
					if v.Value == "true" {
						mode = ":ro"
					}
				case "type":
					return v.Value == "bind" || v.Value == "volume", nil
				default:
					return false, nil
				}
				return true, nil
			}, r.unknown); err != nil {
				return err
			}
			text = source + ":" + target + mode
		}
		for _, flag := range []string{":cached", ":delegated", ":consistent", ":z", ":Z"} { // they are other systems' wishes
			text = strings.TrimSuffix(text, flag)
		}
		if strings.HasPrefix(text, ".") && r.dir != "." {
			text = "./" + path.Join(r.dir, text)
		}
		v, err := r.volume(k, c, text)
		if err != nil {
			return err
		}
		r.s.side.Volumes = append(r.s.side.Volumes, v)
	}
	return nil
}

var portForm = regexp.MustCompile(`^(?:(?:[0-9.]+|\[[0-9a-fA-F:]+\]):)?(?:[0-9-]*:)?([0-9]{1,5})(?:-([0-9]{1,5}))?(?:/(?:tcp|udp))?$`)

// ports reads which ports a service has on its own side. None is published.
func (r *serviceReader) ports(n *yaml.Node) error {
	wrong := key{name: "ports", example: `ports: ["8888:8888"]`}
	if n.Kind != yaml.SequenceNode || len(n.Content) > maxVolumes {
		return r.wrong(wrong, n)
	}
	for _, c := range n.Content {
		text := c.Value
		if c.Kind == yaml.MappingNode {
			text = ""
			if err := r.keys(c, func(name, v *yaml.Node) (bool, error) {
				if name.Value == "target" {
					text = v.Value
				}
				return slices.Contains([]string{"target", "published", "protocol", "mode", "host_ip", "name", "app_protocol"}, name.Value), nil
			}, r.unknown); err != nil {
				return err
			}
		}
		m := portForm.FindStringSubmatch(text)
		if m == nil {
			return r.wrong(wrong, c)
		}
		first, _ := strconv.Atoi(m[1])
		last := first
		if m[2] != "" {
			last, _ = strconv.Atoi(m[2])
		}
		if first < 1 || last > 65535 || last < first {
			return r.wrong(wrong, c)
		}
		for _, port := range []int{first, jupyterPort, tensorboardPort} {
			if port >= first && port <= last && !slices.Contains(r.s.ports, port) {
				r.s.ports = append(r.s.ports, port)
			}
		}
	}
	r.ignore("ports")
	return nil
}

// deploy takes its resources; what else it says is for clusters.
func (r *serviceReader) deploy(name, n *yaml.Node) (bool, error) {
	switch name.Value {
	case "resources":
		return true, r.keys(n, r.deploy, r.unknown)
	case "limits", "reservations":
		return true, r.keys(n, func(k, v *yaml.Node) (bool, error) {
			limit := name.Value == "limits"
			switch {
			case k.Value == "cpus" && limit:
				return true, r.cpus(v)
			case k.Value == "memory" && limit:
				return true, r.size(v, &r.s.own.Limits.Memory)
			case k.Value == "devices" && !limit:
				return true, r.devices(v)
			}
			return slices.Contains([]string{"cpus", "memory", "pids"}, k.Value), nil
		}, r.unknown)
	case "restart_policy", "mode", "labels", "replicas":
		r.ignore("deploy." + name.Value)
		return true, nil
	}
	return false, nil
}

// devices reads how many GPUs are asked for. Which ones, masu says.
func (r *serviceReader) devices(n *yaml.Node) error {
	example := key{name: "devices", example: "devices: [{driver: nvidia, count: 1, capabilities: [gpu]}]"}
	if n.Kind != yaml.SequenceNode {
		return r.wrong(example, n)
	}
	for _, c := range n.Content {
		var count *yaml.Node
		ids := 0
		if err := r.keys(c, func(name, v *yaml.Node) (bool, error) {
			switch name.Value {
			case "count":
				count = v
			case "device_ids":
				ids = len(v.Content)
				r.ignore("device_ids")
			case "driver", "capabilities", "options":
			default:
				return false, nil
			}
			return true, nil
		}, r.unknown); err != nil {
			return err
		}
		want := masu.Want{All: count == nil && ids == 0, Count: ids}
		if count != nil {
			if err := r.gpus(count); err != nil {
				return err
			}
			continue
		}
		r.s.own.Want, r.s.gpus = want, true
	}
	return nil
}

// gpus reads a number or "all".
func (r *serviceReader) gpus(n *yaml.Node) error {
	if n.Kind == yaml.SequenceNode { // gpus: [{count: 1}]
		return r.devices(n)
	}
	count, number := gpuCount(n)
	switch {
	case n.Value == "all":
		r.s.own.Want = masu.Want{All: true}
	case number:
		r.s.own.Want = masu.Want{Count: count}
	default:
		return r.wrong(key{name: "gpus", example: "gpus: 1"}, n)
	}
	r.s.gpus = !r.s.own.Want.None()
	return nil
}

var bytesForm = regexp.MustCompile(`^([0-9]{1,12})(\.[0-9]{1,3})? ?(|b|k|kb|kib|m|mb|mib|g|gb|gib|t|tb|tib)$`)

// size reads an amount as compose writes it: 2g, 512mb, or bytes.
func (r *serviceReader) size(n *yaml.Node, into *masu.Bytes) error {
	m := bytesForm.FindStringSubmatch(strings.ToLower(n.Value))
	if n.Kind != yaml.ScalarNode || m == nil {
		return r.wrong(key{name: "memory", example: "mem_limit: 2g"}, n)
	}
	f, err := strconv.ParseFloat(m[1]+m[2], 64)
	unit := masu.Bytes(1)
	if m[3] != "" {
		unit = map[byte]masu.Bytes{'b': 1, 'k': masu.KiB, 'm': masu.MiB, 'g': masu.GiB, 't': 1024 * masu.GiB}[m[3][0]]
	}
	total := f * float64(unit)
	if err != nil || total < float64(masu.MiB) || total > 1<<50 {
		return r.wrong(key{name: "memory", example: "mem_limit: 2g"}, n)
	}
	*into = masu.Bytes(total)
	return nil
}

// cpus may stand in quotes in a compose file.
func (r *serviceReader) cpus(n *yaml.Node) error {
	f, err := strconv.ParseFloat(n.Value, 64)
	if n.Kind != yaml.ScalarNode || err != nil || !decimalForm.MatchString(n.Value) || f <= 0 || f > 1024 {
		return r.wrong(key{name: "cpus", example: "cpus: 2"}, n)
	}
	r.s.own.Limits.CPUs = f
	return nil
}

// health reads the test; how often it is made, masu says.
func (r *serviceReader) health(name, n *yaml.Node) (bool, error) {
	switch name.Value {
	case "test":
		words, err := r.command(key{name: "test", example: "test: [CMD, pg_isready]"}, n, byShell)
		switch {
		case err != nil:
			return true, err
		case n.Kind != yaml.SequenceNode:
		case words[0] == "CMD-SHELL" && len(words) == 2:
			words, _ = byShell(words[1])
		case words[0] == "CMD" && len(words) > 1:
			words = words[1:]
		case words[0] == "NONE":
			words = nil
		default:
			return true, r.wrong(key{name: "test", example: "test: [CMD, pg_isready]"}, n)
		}
		r.s.side.Health = words
		return true, nil
	case "disable", "interval", "timeout", "retries", "start_period", "start_interval":
		return true, nil
	}
	return false, nil
}
