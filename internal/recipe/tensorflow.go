package recipe

import (
	"strings"

	"github.com/masu-lab/masu"
)

// tfWheel is a TensorFlow: its version, and where its CUDA comes from.
type tfWheel struct {
	version string
	cuda    string // release, "12.5"; "" on the CPU
	image   bool   // CUDA must be in the base image (up to 2.13)
	fit     fit
	need    string
}

func (w tfWheel) String() string { return "TensorFlow " + w.version }

// tensorflow chooses the newest TensorFlow of the asked version that runs with this Python on this machine.
func (t *table) tensorflow(asked, python, tag string, m machine) (tfWheel, error) {
	var first error
	for _, v := range newestFirst(t.TensorFlow) {
		if !matches(v, asked) && !sameMinor(v, asked) {
			continue
		}
		w, bad := t.tfWheel(v, python, tag, m)
		if bad == nil {
			if strings.Count(asked, ".") == 2 {
				w.version = asked // a patch release of the same row
			}
			return w, nil
		}
		if first == nil {
			first = bad
		}
	}
	if first == nil {
		return tfWheel{}, masu.E(masu.Invalid, "tensorflow_unknown", asked, newestFirst(t.TensorFlow)[0])
	}
	return tfWheel{}, first
}

func (t *table) tfWheel(v, python, tag string, m machine) (tfWheel, *masu.Error) {
	row := t.TensorFlow[v]
	w := tfWheel{version: v}
	switch {
	case !within(python, row.Python):
		return w, masu.E(masu.Invalid, "tensorflow_needs_python", v, row.Python[0], row.Python[1], python)
	case row.Glibc != "" && m.glibc != "" && compare(m.glibc, row.Glibc) < 0:
		return w, masu.E(masu.Invalid, "base_glibc_too_old", w, row.Glibc, m.glibc)
	case tag == "cpu" || m.driver == "" && m.toolkit == "":
		return w, nil
	}
	w.cuda, w.image = row.CUDA, !strings.HasPrefix(row.CUDAFrom, "pip")
	if w.image && m.toolkit != w.cuda {
		return w, masu.E(masu.Invalid, "tensorflow_needs_cuda", v, w.cuda, t.cudnnImage(w.cuda))
	}
	if m.driver != "" {
		if w.fit, w.need = t.driverFit(m.driver, w.cuda); w.fit == fitNone {
			return w, masu.E(masu.Invalid, "tensorflow_needs_driver", v, w.need, m.driver)
		}
	}
	return w, nil
}

func sameMinor(v, asked string) bool {
	a, b := strings.Split(v, "."), strings.Split(asked, ".")
	return len(b) == 3 && a[0] == b[0] && a[1] == b[1]
}

// requirement is the line for pip. On the CPU it is the same package without
// its extra, and not tensorflow-cpu, because other packages ask for it by this name.
func (w tfWheel) requirement() string {
	if w.cuda != "" && !w.image {
		return "tensorflow[and-cuda]==" + w.version
	}
	return "tensorflow==" + w.version
}

// nearestTF names the TensorFlow that runs and is newest; on the CPU everything runs.
func (t *table) nearestTF(python string, m machine) string {
	for _, tag := range []string{"", "cpu"} {
		if w, err := t.tensorflow("latest", python, tag, m); err == nil {
			if tag == "cpu" {
				return w.String() + " (cpu)"
			}
			return w.String()
		}
	}
	v := newestFirst(t.TensorFlow)[0]
	return "TensorFlow " + v + ", Python " + t.TensorFlow[v].Python[1]
}

// cudnnImages lists the images that have a CUDA release and its cuDNN, newest
// first. They are taken from the list of what exists, never made by a pattern.
func (t *table) cudnnImages(cuda string) []masu.ImageRef {
	var out []masu.ImageRef
	for _, v := range newestFirst(t.Images.CUDNN) {
		if !strings.HasPrefix(v, cuda+".") {
			continue
		}
		tags := t.Images.CUDNN[v].Tags
		for i := range tags {
			out = append(out, masu.ImageRef(t.Images.Repository+":"+tags[len(tags)-1-i]))
		}
	}
	return out
}

func (t *table) cudnnImage(cuda string) masu.ImageRef {
	if all := t.cudnnImages(cuda); len(all) > 0 {
		return all[0]
	}
	return ""
}
