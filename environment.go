package masu

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"strings"
	"time"
)

// ImageRef names an image as an engine does: "debian:trixie-slim", "masu/env:1f2e…", or an ID "sha256:…".
type ImageRef string

// Environment says which software a workspace has. It is a value: two equal
// environments make the same image, and one image serves every member.
type Environment struct {
	Preset     string   `json:"preset,omitempty"` // pytorch, tensorflow, python; "" when Base or Dockerfile says
	Base       ImageRef `json:"base,omitempty"`
	Python     string   `json:"python,omitempty"` // "3.9"; "" means the base's own
	Torch      string   `json:"torch,omitempty"`  // "2.0.1", "latest"; "" means none
	TensorFlow string   `json:"tensorflow,omitempty"`
	CUDA       string   `json:"cuda,omitempty"` // a wheel tag such as "cu118", or "cpu"; "" means chosen for the host
	Apt        []string `json:"apt,omitempty"`  // validated package names, in the order they were asked for
	Pip        []string `json:"pip,omitempty"`  // validated requirement lines; requirements.txt files are already read into it
	Run        []string `json:"run,omitempty"`  // shell commands run as root at the end of the build
	Locale     string   `json:"locale,omitempty"`
	Timezone   string   `json:"timezone,omitempty"`

	// Dockerfile is the member's own, its path inside the project; the other
	// fields are then empty, Context is the build context's path inside the
	// project ("." if not said), and Digest is the digest of the context's files.
	Dockerfile string            `json:"dockerfile,omitempty"`
	Context    string            `json:"context,omitempty"`
	Target     string            `json:"target,omitempty"`
	BuildArgs  map[string]string `json:"build_args,omitempty"`
	Digest     string            `json:"digest,omitempty"`

	// Lock holds the build to exact versions; nil takes what is newest.
	Lock *Lock `json:"lock,omitempty"`
}

// Unlocked is the environment without its lock.
func (e Environment) Unlocked() Environment {
	e.Lock = nil
	return e
}

// Key is the environment's digest: 12 hexadecimal digits of the SHA-256 of its canonical form.
func (e Environment) Key() string {
	b, err := json.Marshal(e) // map keys are sorted, so the form is canonical
	if err != nil {
		panic(err) // strings only: cannot happen
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])[:12]
}

// Choice is a set of software that runs on the host, to be offered to a member.
type Choice struct {
	Preset     string   `json:"preset"`
	Torch      string   `json:"torch,omitempty"`
	TensorFlow string   `json:"tensorflow,omitempty"`
	CUDA       string   `json:"cuda,omitempty"` // wheel tag, "cu118" or "cpu"; CUDA release for TensorFlow
	Python     string   `json:"python,omitempty"`
	Base       ImageRef `json:"base"`
	Default    bool     `json:"default,omitempty"` // what a folder that says nothing gets
}

// String names a choice as people know its parts: "PyTorch 2.9.0 · CUDA 12.6 · Python 3.12".
func (c Choice) String() string {
	var parts []string
	add := func(name, version string) {
		if version != "" {
			parts = append(parts, name+" "+version)
		}
	}
	add("PyTorch", c.Torch)
	add("TensorFlow", c.TensorFlow)
	tag, wheel := strings.CutPrefix(c.CUDA, "cu")
	switch {
	case c.CUDA == "cpu":
		parts = append(parts, "CPU")
	case wheel && len(tag) > 1: // cu118 is 11.8
		add("CUDA", tag[:len(tag)-1]+"."+tag[len(tag)-1:])
	default:
		add("CUDA", c.CUDA)
	}
	if add("Python", c.Python); len(parts) == 0 {
		return c.Preset
	}
	return strings.Join(parts, " · ")
}

// Host is what the resolver must know of the machine that will run an environment.
type Host struct {
	Driver   string `json:"driver,omitempty"` // NVIDIA driver version, "570.86.10"; "" if there is none
	GPUs     []GPU  `json:"gpus,omitempty"`
	CPUs     int    `json:"cpus"`
	Memory   Bytes  `json:"memory"`
	Arch     string `json:"arch"`      // GOARCH
	PipIndex bool   `json:"pip_index"` // does the configured Python package index answer?
}

// Site is what a lab's network needs in builds and boxes: certificate
// authorities, mirrors and proxies. All are optional.
type Site struct {
	CAFiles    []string          `json:"ca_files,omitempty" yaml:"ca_files"`       // PEM bundles on the host
	AptMirror  string            `json:"apt_mirror,omitempty" yaml:"apt_mirror"`   // URL of a Debian/Ubuntu mirror
	PipIndex   string            `json:"pip_index,omitempty" yaml:"pip_index"`     // URL of a simple index
	TorchIndex string            `json:"torch_index,omitempty" yaml:"torch_index"` // URL that stands for the official wheel index
	Proxy      map[string]string `json:"proxy,omitempty" yaml:"proxy"`             // http_proxy, https_proxy, no_proxy
}

// Image is an environment, built, or a base image on the engine.
type Image struct {
	ID      string            `json:"id"`
	Refs    []ImageRef        `json:"refs,omitempty"`
	Size    Bytes             `json:"size"`
	Created time.Time         `json:"created"`
	Labels  map[string]string `json:"labels,omitempty"`
	Arch    string            `json:"arch,omitempty"`   // as Go calls it; Images does not tell
	InUse   bool              `json:"in_use,omitempty"` // some box, running or stopped, was made from it
}

// ProgressState is how a step of a build stands.
type ProgressState string

const (
	StepQueued  ProgressState = "queued"
	StepRunning ProgressState = "running"
	StepCached  ProgressState = "cached"
	StepDone    ProgressState = "done"
	StepFailed  ProgressState = "failed"
)

// Progress is one thing that happened while something long was done. Either
// Step is set (a step changed its state, moved its bytes, or said a Line), or
// Code is set (a sentence of internal/text: masu itself says what it does now).
type Progress struct {
	At      time.Time     `json:"at"`
	Step    string        `json:"step,omitempty"` // stable within one operation
	Name    string        `json:"name,omitempty"` // what the step does, as the engine calls it
	State   ProgressState `json:"state,omitempty"`
	Line    string        `json:"line,omitempty"` // output of the step, without its newline
	Current Bytes         `json:"current,omitempty"`
	Total   Bytes         `json:"total,omitempty"`
	Code    string        `json:"code,omitempty"`
	Args    []string      `json:"args,omitempty"`
}
