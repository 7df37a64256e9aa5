package recipe

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/masu-lab/masu"
)

// defaultBase is the base of everything that does not ask for another one. A
// wheel of torch or TensorFlow brings its own CUDA, so a GPU needs no CUDA in
// the image, only the host's driver: plain Debian saves 5 to 9 GB and is the
// one base that can be made without a registry. Who compiles CUDA code says
// `base: nvidia/cuda:…-devel-…`.
const defaultBase masu.ImageRef = "debian:trixie-slim"

// plainBases are what presets build on: the first whose own Python fits.
func plainBases() []masu.ImageRef {
	return []masu.ImageRef{defaultBase, "debian:bookworm-slim", "ubuntu:24.04", "ubuntu:22.04"}
}

// picked is everything that had to be decided.
type picked struct {
	env    masu.Environment // with what a preset or a requirements list implies
	host   masu.Host
	table  *table
	base   masu.ImageRef
	system system
	python python
	torch  *wheel
	tf     *tfWheel
	notes  []masu.Note
}

func (p *picked) note(code string, args ...any) {
	n := masu.Note{Code: code}
	for _, a := range args {
		n.Args = append(n.Args, fmt.Sprint(a))
	}
	p.notes = append(p.notes, n)
}

// pick decides on base, Python and wheels: the first combination that runs,
// with a base's own Python before any other.
func pick(e masu.Environment, h masu.Host, v *Versions, fromPackages bool) (picked, error) {
	p := picked{env: e, host: h, table: v.rows()}
	if err := p.imply(); err != nil {
		return picked{}, err
	}
	bases := []masu.ImageRef{e.Base}
	if e.Base == "" {
		bases = p.bases()
	}
	var first error
	for _, own := range []bool{true, false} {
		for _, b := range bases {
			s, err := systemOf(b)
			if err != nil {
				return picked{}, err
			}
			if s.key == "" && fromPackages {
				s, _ = systemOf(defaultBase)
			}
			q, err := p.on(b, s, own)
			if err == nil {
				q.tell()
				return q, nil
			}
			first = telling(first, err)
		}
	}
	return picked{}, first
}

// telling gives the refusal that tells more: as long as another Python might
// be taken, one that only speaks of Python is no reason.
func telling(first, next error) error {
	weight := func(err error) int {
		switch masu.CodeOf(err) {
		case "python_not_here":
			return 1
		case "torch_needs_python", "tensorflow_needs_python":
			return 2
		}
		return 3
	}
	if first == nil || weight(next) > weight(first) {
		return next
	}
	return first
}

var (
	torchLine  = regexp.MustCompile(`(?i)^torch *(?:(?:==) *(\d+\.\d+(?:\.\d+)?)|>= *[\d.]+)?$`)
	familyLine = regexp.MustCompile(`(?i)^(torch|torchvision|torchaudio) *(?:(?:==|>=) *[\d.]+)?$`)
)

// imply fills in what a preset means, and takes torch out of a requirements
// list: from there it would come with whatever CUDA the index thinks newest.
func (p *picked) imply() error {
	e := &p.env
	if e.Preset == "pytorch" && e.Torch == "" {
		e.Torch = "latest"
	}
	if e.Preset == "tensorflow" && e.TensorFlow == "" {
		e.TensorFlow = "latest"
	}
	for _, line := range e.Pip {
		if m := torchLine.FindStringSubmatch(line); m != nil && e.Torch == "" {
			e.Torch = "latest"
			if m[1] != "" {
				e.Torch = m[1]
			}
			p.note("torch_from_list", line)
		}
	}
	if e.Torch != "" {
		e.Pip = keep(e.Pip, func(line string) bool { return !familyLine.MatchString(line) })
	}
	switch {
	case (e.Torch != "" || e.TensorFlow != "") && !p.host.PipIndex:
		return masu.E(masu.Invalid, "wheels_need_index", "preset: python")
	case e.Torch != "" && e.TensorFlow != "" && p.host.Driver != "" && e.CUDA != "cpu":
		return masu.E(masu.Invalid, "torch_and_tensorflow")
	}
	return nil
}

// bases lists the candidates where the member named none.
func (p *picked) bases() []masu.ImageRef {
	t := p.table
	if p.env.TensorFlow == "" || p.env.CUDA == "cpu" || p.host.Driver == "" {
		return plainBases()
	}
	for _, v := range newestFirst(t.TensorFlow) {
		row := t.TensorFlow[v]
		if !matches(v, p.env.TensorFlow) && !sameMinor(v, p.env.TensorFlow) {
			continue
		}
		if !strings.HasPrefix(row.CUDAFrom, "pip") {
			return t.cudnnImages(row.CUDA) // CUDA has to be in the image
		}
		break
	}
	return plainBases()
}

// on tries one base, with its own Python or with the others.
func (p picked) on(base masu.ImageRef, s system, own bool) (picked, error) {
	p.base, p.system, p.notes = base, s, slices.Clone(p.notes)
	if !p.host.PipIndex && s.key != "" && s.key != "debian:trixie" {
		return p, masu.E(masu.Invalid, "jupyter_needs_index", base, defaultBase)
	}
	err := error(masu.E(masu.Invalid, "python_not_here", p.env.Python, base, defaultBase))
	for _, py := range pythonsOf(s, p.env.Python, p.host.PipIndex) {
		if (py.from == pythonOwn) != own {
			continue
		}
		p.python = py
		bad := p.wheels()
		if bad == nil {
			return p, nil
		}
		err = telling(err, bad)
	}
	return p, err
}

// wheels chooses torch and TensorFlow; a refusal is given the nearest set that runs as its last argument.
func (p *picked) wheels() error {
	t, m := p.table, machineOf(p.host, p.system)
	if p.env.Torch != "" {
		w, err := t.torch(p.env.Torch, p.python.version, p.env.CUDA, m)
		if err != nil {
			return with(err, t.nearest(p.env.Torch, p.python.version, p.env.CUDA, m))
		}
		p.torch = &w
	}
	if p.env.TensorFlow != "" {
		w, err := t.tensorflow(p.env.TensorFlow, p.python.version, p.env.CUDA, m)
		if err != nil {
			return with(err, t.nearestTF(p.python.version, m))
		}
		p.tf = &w
	}
	return nil
}

// with gives an error one more argument.
func with(err error, arg string) error {
	if e, ok := errors.AsType[*masu.Error](err); ok {
		e.Args = append(e.Args, arg)
	}
	return err
}

// tell notes what was decided for the member.
func (p *picked) tell() {
	if p.env.Base == "" {
		p.note("base_chosen", p.base)
	}
	if p.system.key == "" {
		p.note("base_unknown", p.base)
	}
	if !p.host.PipIndex {
		p.note("jupyter_from_debian")
	}
	switch p.python.from {
	case pythonApt:
		p.note("python_from_apt", p.python.version, p.base)
	case pythonUV:
		p.note("python_from_uv", p.python.version, p.base)
	}
	if w := p.torch; w != nil {
		p.note("torch_chosen", w.version, w.tag)
		p.tellCUDA(w.tag != "cpu", w.String(), w.fit, w.need)
	}
	if w := p.tf; w != nil {
		p.note("tensorflow_chosen", w.version)
		p.tellCUDA(w.cuda != "", w.String(), w.fit, w.need)
		if w.cuda != "" && slices.ContainsFunc(p.host.GPUs, func(g masu.GPU) bool { return compare(g.Capability, "12.0") >= 0 }) {
			p.note("tensorflow_new_gpu", w.version)
		}
	}
}

func (p *picked) tellCUDA(cuda bool, what string, f fit, need string) {
	switch {
	case !cuda && p.host.Driver == "" && p.env.CUDA == "":
		p.note("cpu_assumed", what)
	case cuda && p.host.Driver == "":
		p.note("cuda_unchecked", what)
	case cuda && f == fitMinor:
		p.note("driver_minor", what, p.host.Driver, need)
	}
}
