package gpu

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode"

	"go.yaml.in/yaml/v4"

	"github.com/masu-lab/masu"
)

const (
	mostSpec  = 1 << 20 // bytes of a specification
	mostSpecs = 256     // files of a folder
)

// nvidia is the kind that nvidia-smi knows more about.
const nvidia = "nvidia.com/gpu"

// makers are the kinds that are GPUs, by their makers' own tools.
var makers = []string{nvidia, "amd.com/gpu", "intel.com/gpu", "intel.com/gaudi"}

// The words of the Container Device Interface, cncf-tags/container-device-interface's SPEC.md.
var (
	kindForm   = regexp.MustCompile(`^[A-Za-z]([A-Za-z0-9_.-]*[A-Za-z0-9])?/[A-Za-z]([A-Za-z0-9_.-]*[A-Za-z0-9])?$`)
	deviceForm = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9_.:-]*[A-Za-z0-9])?$`)
	indexForm  = regexp.MustCompile(`^[0-9:]+$`)
	memoryForm = regexp.MustCompile(`^([1-9][0-9]{0,5})(MiB|GiB)$`)
)

// ValidKind tells whether a word is a kind of CDI devices, "vendor/class".
func ValidKind(s string) bool { return kindForm.MatchString(s) }

// spec is what masu reads of a specification; the engine reads the rest.
type spec struct {
	Version     string            `yaml:"cdiVersion"`
	Kind        string            `yaml:"kind"`
	Annotations map[string]string `yaml:"annotations"`
	Devices     []device          `yaml:"devices"`
}

type device struct {
	Name        string            `yaml:"name"`
	Annotations map[string]string `yaml:"annotations"`
	Edits       any               `yaml:"containerEdits"`
}

// shelf holds specifications that were read, each until its file changes.
type shelf struct {
	mu    sync.Mutex
	files map[string]specFile
}

// specFile is a file as it was read.
type specFile struct {
	size int64
	at   time.Time
	kind string
	gpus []masu.GPU
	err  error
}

// devices lists what the specifications of some folders describe, of the kinds
// that are asked for, and what is wrong with them. The later folder wins over
// the earlier, as with the engine.
func (h *shelf) devices(dirs, kinds []string) (gpus []masu.GPU, wrong []masu.Finding) {
	h.mu.Lock()
	defer h.mu.Unlock()
	all, files := map[masu.GPUID]masu.GPU{}, map[string]specFile{}
	for _, dir := range dirs {
		here := map[masu.GPUID]bool{}
		for _, path := range specPaths(dir) {
			r := h.read(path)
			if files[path] = r; r.err != nil {
				wrong = append(wrong, masu.Finding{Code: "cdi_spec_wrong", Severity: masu.Warn, Args: []string{path, r.err.Error()}})
				continue
			}
			if !slices.Contains(kinds, r.kind) {
				continue
			}
			for _, g := range r.gpus {
				if here[g.ID] { // the engine gives neither
					delete(all, g.ID)
					wrong = append(wrong, masu.Finding{Code: "cdi_spec_twice", Severity: masu.Warn, Args: []string{string(g.ID), path}})
					continue
				}
				here[g.ID], all[g.ID] = true, g
			}
		}
	}
	h.files = files
	for _, g := range all {
		gpus = append(gpus, g)
	}
	slices.SortFunc(gpus, func(a, b masu.GPU) int { return inOrder(string(a.ID), string(b.ID)) })
	return gpus, wrong
}

// specPaths lists the specifications of a folder. One that is not there has none.
func specPaths(dir string) (paths []string) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil
	}
	for _, e := range entries {
		if ext := filepath.Ext(e.Name()); (ext == ".json" || ext == ".yaml") && !strings.HasPrefix(e.Name(), ".") {
			paths = append(paths, filepath.Join(dir, e.Name()))
		}
	}
	return paths[:min(len(paths), mostSpecs)]
}

// read gives what a file says, from memory if it is the same file still.
func (h *shelf) read(path string) specFile {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return specFile{err: unwrapped(err)}
	case !info.Mode().IsRegular():
		return specFile{err: errors.New("not a file")} // a pipe would hold the reader
	case info.Size() > mostSpec:
		return specFile{err: errors.New("> 1 MiB")}
	}
	if r, ok := h.files[path]; ok && r.size == info.Size() && r.at.Equal(info.ModTime()) {
		return r
	}
	r := specFile{size: info.Size(), at: info.ModTime()}
	f, err := os.Open(path)
	if err != nil {
		return specFile{err: unwrapped(err)}
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, mostSpec+1))
	if err != nil {
		return specFile{err: unwrapped(err)}
	}
	s, err := parseSpec(b)
	r.kind, r.gpus, r.err = s.Kind, s.gpus(), err
	return r
}

// unwrapped leaves out the path, which is said already.
func unwrapped(err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return e.Err
	}
	return err
}

// parseSpec reads a specification; JSON is YAML.
func parseSpec(b []byte) (s spec, err error) {
	if len(b) > mostSpec {
		return s, errors.New("> 1 MiB")
	}
	if err := yaml.Load(b, &s); err != nil {
		return spec{}, errors.New(strings.ReplaceAll(err.Error(), "\n", "; "))
	}
	switch {
	case s.Version == "":
		return spec{}, errors.New("cdiVersion: missing")
	case !ValidKind(s.Kind):
		return spec{}, fmt.Errorf("kind: %.80q", s.Kind)
	}
	for _, d := range s.Devices {
		if !deviceForm.MatchString(d.Name) {
			return spec{}, fmt.Errorf("devices: %.80q", d.Name)
		}
	}
	return s, nil
}

// gpus lists the devices of a specification, each once. "all" is no device, and
// two names that change a container in the same way are the same device: lent
// under both, it would be lent twice.
func (s spec) gpus() (list []masu.GPU) {
	named := map[string]int{}
	for _, d := range s.Devices {
		if d.Name == "all" {
			continue
		}
		g := masu.GPU{ID: masu.GPUID(s.Kind + "=" + d.Name), Model: s.Kind}
		annotate(&g, s.Annotations)
		annotate(&g, d.Annotations)
		edits := fmt.Sprintf("%#v", d.Edits)
		if i, same := named[edits]; same {
			if before := list[i].ID; indexForm.MatchString(strings.TrimPrefix(string(before), s.Kind+"=")) {
				list[i] = g // an index may be another card's tomorrow
			}
			continue
		}
		named[edits] = len(list)
		list = append(list, g)
	}
	return list
}

// annotate takes from annotations what there are no other words for: "…/model", and "…/memory" with its unit.
func annotate(g *masu.GPU, notes map[string]string) {
	for _, key := range slices.Sorted(maps.Keys(notes)) {
		value := notes[key]
		switch word := key[strings.LastIndex(key, "/")+1:]; {
		case word == "model" && value != "" && len(value) <= 80:
			g.Model = strings.ToValidUTF8(strings.Map(printable, value), "")
		case word == "memory" && memoryForm.MatchString(value):
			m := memoryForm.FindStringSubmatch(value)
			n, _ := strconv.ParseInt(m[1], 10, 64)
			g.Memory = masu.Bytes(n) * masu.MiB
			if m[2] == "GiB" {
				g.Memory = masu.Bytes(n) * masu.GiB
			}
		}
	}
}

func printable(r rune) rune {
	if unicode.IsPrint(r) {
		return r
	}
	return -1
}

// inOrder compares names as people count: 2 before 10.
func inOrder(a, b string) int {
	for a != "" && b != "" {
		x, y := digits(a), digits(b)
		if x == "" || y == "" {
			if a[0] != b[0] {
				return cmp.Compare(a[0], b[0])
			}
			a, b = a[1:], b[1:]
			continue
		}
		n, m := strings.TrimLeft(x, "0"), strings.TrimLeft(y, "0")
		if c := cmp.Or(cmp.Compare(len(n), len(m)), cmp.Compare(n, m), cmp.Compare(len(x), len(y))); c != 0 {
			return c
		}
		a, b = a[len(x):], b[len(y):]
	}
	return cmp.Compare(len(a), len(b))
}

// digits gives those that a word begins with.
func digits(s string) string { return s[:len(s)-len(strings.TrimLeft(s, "0123456789"))] }
