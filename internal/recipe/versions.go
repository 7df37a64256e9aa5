package recipe

import (
	_ "embed" // the table
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
)

//go:embed versions.json
var versionsJSON []byte

// versions is the embedded table of what goes together. It is read once.
var versions = sync.OnceValue(func() *table {
	var t table
	if err := json.Unmarshal(versionsJSON, &t); err != nil {
		panic(err) // embedded: a test reads it
	}
	return &t
})

// Versions is the table of what goes together: the embedded one, or that with
// an admin's rows over it. nil stands for the embedded one.
type Versions struct{ table *table }

func (v *Versions) rows() *table {
	if v == nil {
		return versions()
	}
	return v.table
}

type table struct {
	Torch      map[string]torchRow  `json:"torch"`
	TensorFlow map[string]tfRow     `json:"tensorflow"`
	CUDA       map[string]cudaRow   `json:"cuda"`
	Distros    map[string]distroRow `json:"distros"`
	Images     struct {
		Repository string `json:"repository"`
		CUDNN      map[string]struct {
			Tags []string `json:"tags"`
		} `json:"combinations_cudnn_devel"`
	} `json:"nvidia_cuda_images"`
}

type torchRow struct {
	Status      string    `json:"status"`
	Python      [2]string `json:"python"` // first and last
	Tags        []string  `json:"cuda_tags"`
	Default     string    `json:"pypi_default_cuda"`
	IndexURL    string    `json:"index_url"`
	IndexFlag   string    `json:"index_flag"`
	Torchvision string    `json:"torchvision"`
	Torchaudio  string    `json:"torchaudio"`
	SM          map[string]struct {
		SM  []string `json:"sm"`
		PTX string   `json:"ptx"`
	} `json:"sm_by_tag"`
	Glibc map[string]struct {
		Glibc string `json:"glibc"`
	} `json:"glibc_min_by_tag"`
}

type tfRow struct {
	Python   [2]string `json:"python"`
	CUDA     string    `json:"cuda"`
	CUDAFrom string    `json:"cuda_comes_from"`
	Glibc    string    `json:"glibc_min"`
}

type cudaRow struct {
	Full  string `json:"min_driver_linux"`
	Minor string `json:"min_driver_for_minor_compat"`
}

type distroRow struct {
	Version string `json:"version"`
	Python  string `json:"python"`
	Glibc   string `json:"glibc"`
}

// compare orders dotted versions by their numbers: 3.9 before 3.10. What is missing counts as 0.
func compare(a, b string) int {
	x, y := strings.Split(a, "."), strings.Split(b, ".")
	for i := range max(len(x), len(y)) {
		if d := part(x, i) - part(y, i); d != 0 {
			return d
		}
	}
	return 0
}

func part(s []string, i int) int {
	if i >= len(s) {
		return 0
	}
	n, _ := strconv.Atoi(s[i]) // the table and the parsers let digits through only; a driver's odd tail counts as 0
	return n
}

// newestFirst lists a map's versions.
func newestFirst[T any](m map[string]T) []string {
	return slices.SortedFunc(maps.Keys(m), func(a, b string) int { return compare(b, a) })
}

// within tells whether v lies between first and last. An unknown v does.
func within(v string, span [2]string) bool {
	return v == "" || compare(v, span[0]) >= 0 && compare(v, span[1]) <= 0
}

// matches tells whether version is what was asked for: "", "latest", the version itself or the beginning of it.
func matches(version, asked string) bool {
	return asked == "" || asked == "latest" || version == asked || strings.HasPrefix(version, asked+".")
}

// tagCUDA gives the CUDA release of a wheel tag: "cu118" is 11.8.
func tagCUDA(tag string) string {
	d := strings.TrimPrefix(tag, "cu")
	if len(d) < 3 || d == tag {
		return ""
	}
	return d[:len(d)-1] + "." + d[len(d)-1:]
}

// fit says how well a driver carries a CUDA runtime.
type fit int

const (
	fitNone  fit = iota // it does not
	fitMinor            // by NVIDIA's minor-version compatibility: it runs, without the newest features
	fitFull
)

// driverFit compares a driver with the CUDA release that a wheel brings. The
// wheel's CUDA counts, not the image's. Need is the driver of full support.
func (t *table) driverFit(driver, cuda string) (f fit, need string) {
	row, ok := t.release(cuda)
	if !ok {
		return fitNone, ""
	}
	minor := row.Minor
	if minor == "" {
		minor = row.Full
	}
	need = row.Full
	if need == "" { // not known yet: the major version's floor is
		need = minor
	}
	switch {
	case row.Full != "" && compare(driver, row.Full) >= 0:
		return fitFull, need
	case compare(driver, minor) >= 0:
		return fitMinor, need
	}
	return fitNone, minor
}

// release gives the row of the first patch of a CUDA release: later patches ask for later drivers, but the wheels do not.
func (t *table) release(cuda string) (cudaRow, bool) {
	all := newestFirst(t.CUDA)
	for _, v := range slices.Backward(all) {
		if strings.HasPrefix(v, cuda+".") || v == cuda {
			return t.CUDA[v], true
		}
	}
	return cudaRow{}, false
}

// major gives the 12 of 12.4.1.
func major(v string) string {
	m, _, _ := strings.Cut(v, ".")
	return m
}

// minor gives the 12.4 of 12.4.1.
func minor(v string) string {
	parts := strings.SplitN(v, ".", 3)
	return strings.Join(parts[:min(2, len(parts))], ".")
}
