package docker

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/mount"
	"github.com/moby/moby/client"

	"github.com/masu-lab/masu"
)

// Labels of a box. They are the driver's only memory.
const (
	labelLab       = "masu.lab"
	labelWorkspace = "masu.workspace"
	labelOwner     = "masu.owner"
	labelName      = "masu.name"
	labelRun       = "masu.run"
	labelGPUs      = "masu.gpus"
	labelSpec      = "masu.spec"    // digest of the Box
	labelForm      = "masu.form"    // digest of what the driver made of it
	labelStreams   = "masu.streams" // of a box whose agent takes the streams of commands from masu (streams.go)
	labelSides     = "masu.sides"   // of a box: the names of its side boxes
	labelSide      = "masu.side"    // of a side box: its name
	labelDev       = "devcontainer.metadata"
)

const (
	defaultPIDs = 4096
	maxShm      = 16 * masu.GiB
	runTarget   = "/masu/run" // folder of masu.AgentSocket
)

// plan is all that decides what container a box becomes.
type plan struct {
	box     masu.Box // with sudo only if its folders allow it
	wish    string   // digest of the Box as it was asked for
	lab     string
	agent   string   // the masu binary on the host
	sources []string // for each of box.Mounts where it is on the host; "" for a volume
	socket  string   // folder on the host for the agent's socket; "" unless rootless
	proxy   map[string]string
	imageID string
	image   []string // the image's variables
	engine  engine
}

// boxName is the container's name: deterministic, so that it is the lock.
func boxName(id masu.WorkspaceID) string { return "masu-" + string(id) }

// digest is that of a Box; two equal boxes have the same.
func digest(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // plain data: cannot happen
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])[:24]
}

// create translates the plan to the engine's words.
func (p plan) create() client.ContainerCreateOptions {
	o := client.ContainerCreateOptions{
		Name: boxName(p.box.ID),
		Config: &container.Config{
			Hostname:    hostname(p.box),
			User:        "0:0",
			Env:         p.variables(),
			Entrypoint:  []string{masu.AgentPath, "agent"},
			Cmd:         []string{},
			Image:       p.imageID,
			WorkingDir:  "/",
			Healthcheck: &container.HealthConfig{Test: []string{"NONE"}},
			StopSignal:  "SIGTERM", // the image may say otherwise
			Labels:      p.labels(),
		},
		HostConfig: p.hostConfig(),
	}
	o.Config.Labels[labelForm] = digest(o)
	return o
}

func (p plan) hostConfig() *container.HostConfig {
	own := false
	h := &container.HostConfig{
		NetworkMode:   container.NetworkMode(networkName(p.lab)),
		IpcMode:       container.IPCModePrivate,
		RestartPolicy: container.RestartPolicy{Name: container.RestartPolicyDisabled},
		LogConfig:     container.LogConfig{Type: "json-file", Config: map[string]string{"max-size": "10m", "max-file": "2"}},
		Mounts:        p.mounts(),
		Init:          &own, // the agent is PID 1, whatever the engine's default
		ShmSize:       int64(p.shm()),
		Resources:     p.resources(),
	}
	secure(h, p.box.Agent.Sudo)
	return h
}

const noNewPrivileges = "no-new-privileges"

// secure takes from the box what nobody in it needs. With sudo its root can do
// what a package needs to be installed; without, only the agent is root.
func secure(h *container.HostConfig, sudo bool) {
	if sudo {
		h.CapDrop = []string{"AUDIT_WRITE", "MKNOD", "NET_RAW", "SETFCAP", "SYS_CHROOT"}
		return
	}
	h.CapDrop = []string{"ALL"}
	h.CapAdd = []string{"CHOWN", "DAC_OVERRIDE", "FOWNER", "KILL", "SETGID", "SETUID"}
	h.SecurityOpt = []string{noNewPrivileges}
}

// hasSudo tells whether secure has left the box its sudo.
func hasSudo(h *container.HostConfig) bool {
	return h != nil && !slices.Contains(h.SecurityOpt, noNewPrivileges)
}

func (p plan) resources() container.Resources {
	memory, pids := int64(p.memory()), int64(cmp.Or(p.box.Limits.PIDs, defaultPIDs))
	cpus := p.box.Limits.CPUs
	if p.engine.cpus > 0 {
		cpus = min(cpus, float64(p.engine.cpus)) // the engine refuses more than there are
	}
	return container.Resources{
		Memory:         memory,
		MemorySwap:     memory, // the sum of both: no swap
		NanoCPUs:       int64(cpus * 1e9),
		PidsLimit:      &pids,
		DeviceRequests: deviceRequests(p.box.GPUs),
	}
}

// memory leaves, unless said, a tenth of the host's to the host, in whole GiB
// so that a new kernel does not make every box another one.
func (p plan) memory() masu.Bytes {
	if m := p.box.Limits.Memory; m > 0 {
		return m
	}
	m := p.engine.memory / 10 * 9
	if m > masu.GiB {
		m -= m % masu.GiB
	}
	return m
}

func (p plan) shm() masu.Bytes {
	return cmp.Or(p.box.Limits.Shm, min(p.memory()/4, maxShm))
}

// mounts are given as Mounts and never as Binds: for a source that is not
// there the engine must refuse, not make an empty folder that is root's.
func (p plan) mounts() []mount.Mount {
	ms := []mount.Mount{{Type: mount.TypeBind, Source: p.agent, Target: masu.AgentPath, ReadOnly: true}}
	if p.socket != "" {
		ms = append(ms, mount.Mount{Type: mount.TypeBind, Source: p.socket, Target: runTarget})
	}
	// Without NoCopy the engine gives an empty volume the owner of the folder
	// that it covers, and undoes the agent's chown.
	return append(ms, p.asked(true)...)
}

// asked are the mounts that the box is to have.
func (p plan) asked(noCopy bool) (ms []mount.Mount) {
	for i, m := range p.box.Mounts {
		if m.Volume != "" {
			ms = append(ms, mount.Mount{Type: mount.TypeVolume, Source: m.Volume, Target: m.Target, ReadOnly: m.ReadOnly,
				VolumeOptions: &mount.VolumeOptions{NoCopy: noCopy, Labels: map[string]string{
					labelLab: p.lab, labelWorkspace: string(p.box.ID), labelOwner: string(p.box.Owner.Name)}}})
			continue
		}
		ms = append(ms, mount.Mount{Type: mount.TypeBind, Source: p.sources[i], Target: m.Target, ReadOnly: m.ReadOnly || m.Dataset || m.Program != ""})
	}
	return ms
}

// labels sets all of them always: an image may carry the same ones.
func (p plan) labels() map[string]string {
	b := p.box
	l := map[string]string{
		labelLab:       p.lab,
		labelWorkspace: string(b.ID),
		labelOwner:     string(b.Owner.Name),
		labelName:      b.Name,
		labelRun:       strconv.FormatBool(b.Run),
		labelGPUs:      join(b.GPUs),
		labelSpec:      p.wish,
		labelStreams:   "1",
		labelDev:       p.attach(),
	}
	if len(b.Sides) > 0 {
		l[labelSides] = strings.Join(sideNames(b.Sides), ",")
	}
	return l
}

// dangerous are the variables by which an image could take GPUs that were not
// lent, or make the host's own hooks load its code.
var dangerous = regexp.MustCompile(`^(NVIDIA_|CUDA_VISIBLE_DEVICES$|.*RESOURCE_GPU|LD_)`)

// variables are the container's own. A name without "=" removes the image's
// variable; an empty CUDA_VISIBLE_DEVICES would hide the lent GPUs too.
func (p plan) variables() []string {
	image := map[string]string{}
	for _, kv := range p.image {
		k, v, _ := strings.Cut(kv, "=")
		image[k] = v
	}
	var env []string
	for _, k := range slices.Sorted(maps.Keys(image)) {
		if dangerous.MatchString(k) && k != "NVIDIA_VISIBLE_DEVICES" && k != "NVIDIA_DRIVER_CAPABILITIES" {
			env = append(env, k)
		}
	}
	env = append(env, gpuVariables(p.box.GPUs, image["NVIDIA_DRIVER_CAPABILITIES"])...)
	spec, err := json.Marshal(p.spec(image["LD_LIBRARY_PATH"]))
	if err != nil {
		panic(err) // plain data: cannot happen
	}
	return append(env, "MASU_SPEC="+string(spec))
}

var capabilities = regexp.MustCompile(`^[a-z0-9]+(,[a-z0-9]+)*$`)

// gpuVariables say to the NVIDIA runtime which devices the box has, also when
// it has none: on hosts where that runtime is the default it would give all.
func gpuVariables(gpus []masu.GPUID, fromImage string) []string {
	uuids, _ := split(gpus)
	if len(uuids) == 0 { // none, or by CDI, which needs no help
		return []string{"NVIDIA_DRIVER_CAPABILITIES", "NVIDIA_VISIBLE_DEVICES=void"}
	}
	if !capabilities.MatchString(fromImage) {
		fromImage = "compute,utility"
	}
	return []string{"NVIDIA_DRIVER_CAPABILITIES=" + fromImage, "NVIDIA_VISIBLE_DEVICES=" + join(uuids)}
}

// spec is what the agent is told. The library path of the image was taken from
// the container, where the host's hooks would see it; the member's own
// programs may have it back.
func (p plan) spec(libraryPath string) masu.AgentSpec {
	s := p.box.Agent
	s.Socket = p.socket != ""
	env := map[string]string{}
	if libraryPath != "" {
		env["LD_LIBRARY_PATH"] = libraryPath
	}
	for k, v := range p.proxy {
		env[strings.ToLower(k)], env[strings.ToUpper(k)] = v, v
	}
	maps.Copy(env, p.box.Variables)
	maps.Copy(env, s.Env)
	s.Env = env
	return s
}

// deviceRequests names each device. A count is never used: it means the first N.
func deviceRequests(gpus []masu.GPUID) []container.DeviceRequest {
	uuids, cdi := split(gpus)
	var rs []container.DeviceRequest
	if len(uuids) > 0 {
		rs = append(rs, container.DeviceRequest{Driver: "nvidia", DeviceIDs: words(uuids), Capabilities: [][]string{{"gpu"}}})
	}
	if len(cdi) > 0 {
		rs = append(rs, container.DeviceRequest{Driver: "cdi", DeviceIDs: words(cdi)})
	}
	return rs
}

var cdiName = regexp.MustCompile(`^[A-Za-z0-9.-]+/[A-Za-z0-9._-]+=.+$`)

// split tells UUIDs from names of the Container Device Interface, "vendor/class=name".
func split(gpus []masu.GPUID) (uuids, cdi []masu.GPUID) {
	for _, g := range gpus {
		if cdiName.MatchString(string(g)) {
			cdi = append(cdi, g)
		} else {
			uuids = append(uuids, g)
		}
	}
	return uuids, cdi
}

func words(gpus []masu.GPUID) []string {
	out := make([]string, len(gpus))
	for i, g := range gpus {
		out[i] = string(g)
	}
	return out
}

func join(gpus []masu.GPUID) string { return strings.Join(words(gpus), ",") }

// hostname is what the prompt in the box shows.
func hostname(b masu.Box) string {
	if masu.ValidWorkspaceName(b.Name) && !slices.Contains(sideNames(b.Sides), b.Name) { // the name of a side box is that one's
		return b.Name
	}
	return string(b.ID)
}

// stagePath is where the n-th mount of a box is staged.
func (r *Runtime) stagePath(id masu.WorkspaceID, n int) string {
	return filepath.Join(r.stageDir(id), strconv.Itoa(n))
}

func (r *Runtime) stageDir(id masu.WorkspaceID) string {
	return filepath.Join(r.cfg.RunDir, "stage", string(id))
}

// socketDir is the host's side of masu.AgentSocket's folder.
func (r *Runtime) socketDir(id masu.WorkspaceID) string {
	return filepath.Join(r.cfg.RunDir, "box", string(id))
}
