package recipe

import (
	"regexp"
	"strings"

	"github.com/masu-lab/masu"
)

// plainLine is a requirement that any recent version satisfies: a name, extras, at most a lower bound.
var plainLine = regexp.MustCompile(`^([A-Za-z0-9._-]+) *(?:\[[^\]]*\])? *(?:>=? *[0-9.]+)?$`)

// layer gives the packages of one layer, from the distribution and for pip.
// Where no package index answers, Debian has the best-known Python packages too.
func (p *picked) layer(l masu.Layer) (apt, pip []string, err error) {
	if p.host.PipIndex {
		return l.Apt, l.Pip, nil
	}
	apt = append(apt, l.Apt...)
	var missing []string
	for _, line := range l.Pip {
		name := ""
		if m := plainLine.FindStringSubmatch(line); m != nil {
			name = debianName(m[1])
		}
		if name == "" {
			missing = append(missing, line)
			continue
		}
		apt = append(apt, name)
	}
	if len(missing) > 0 {
		return nil, nil, masu.E(masu.Invalid, "pip_needs_index", strings.Join(missing, ", "))
	}
	return apt, nil, nil
}

// debianName gives Debian's package of a Python package; "" for one that is not known here.
func debianName(name string) string {
	name = strings.ToLower(strings.NewReplacer("_", "-", ".", "-").Replace(name))
	switch name {
	case "scikit-learn":
		return "python3-sklearn"
	case "scikit-image":
		return "python3-skimage"
	case "pillow":
		return "python3-pil"
	case "opencv-python", "opencv-python-headless":
		return "python3-opencv"
	case "beautifulsoup4":
		return "python3-bs4"
	case "pyyaml":
		return "python3-yaml"
	case "python-dateutil":
		return "python3-dateutil"
	case "attrs":
		return "python3-attr"
	case "jupyter", "jupyterlab", "notebook", "ipykernel":
		return "python3-ipykernel" // they are there already
	case "numpy", "scipy", "pandas", "matplotlib", "seaborn", "sympy", "networkx", "statsmodels", "h5py", "numba",
		"requests", "tqdm", "lxml", "ipywidgets", "nltk", "pytest", "sqlalchemy", "flask", "psutil", "joblib",
		"openpyxl", "tabulate", "rich", "click", "jinja2", "regex", "cython", "bokeh", "xarray", "dask", "pyarrow":
		return "python3-" + name
	}
	return ""
}
