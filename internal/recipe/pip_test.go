package recipe

import (
	"archive/zip"
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/masu-lab/masu"
)

// wheelFile makes a wheel with nothing in it but its version.
func wheelFile(t *testing.T, name, version string, requires ...string) (file string, body []byte) {
	t.Helper()
	module := strings.ReplaceAll(name, "-", "_")
	info := module + "-" + version + ".dist-info/"
	meta := fmt.Sprintf("Metadata-Version: 2.1\nName: %s\nVersion: %s\n", name, version)
	for _, r := range requires {
		meta += "Requires-Dist: " + r + "\n"
	}
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	record := ""
	for _, f := range [][2]string{
		{module + "/__init__.py", fmt.Sprintf("__version__ = %q\n", version)},
		{info + "METADATA", meta},
		{info + "WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"},
		{info + "RECORD", ""},
	} {
		record += f[0] + ",,\n"
		if f[1] == "" {
			f[1] = record
		}
		out, err := w.Create(f[0])
		if err != nil {
			t.Fatal(err)
		}
		if _, err := out.Write([]byte(f[1])); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return module + "-" + version + "-py3-none-any.whl", b.Bytes()
}

// indexOf serves wheels as a package index does, on loopback: /simple/ has
// everything, /whl/cpu/ the marked builds of torch only.
func indexOf(t *testing.T) string {
	t.Helper()
	files := map[string][]byte{}
	pages := map[string]string{}
	add := func(where, name, version string, requires ...string) {
		file, body := wheelFile(t, name, version, requires...)
		files["/files/"+file] = body
		pages[where+name+"/"] += fmt.Sprintf("<a href=\"/files/%s\">%[1]s</a>\n", strings.ReplaceAll(file, "+", "%2B"))
	}
	for _, name := range []string{"ipykernel", "jupyterlab", "jupyterlab-language-pack-ja-jp", "notebook"} {
		add("/simple/", name, "1.0")
	}
	add("/simple/", "torch", "2.99.0")
	add("/simple/", "torch", "2.0.1")
	add("/simple/", "numpy", "1.26.0")
	add("/simple/", "numpy", "2.1.0")
	add("/simple/", "needy", "1.0", "torch", "numpy")
	add("/simple/", "setuptools", "999.0") // newer than the distribution's, which pip must leave alone
	add("/simple/", "extra", "1.0")
	add("/simple/", "extra", "2.0")
	add("/whl/cpu/", "torch", "2.0.1+cpu")
	add("/whl/cpu/", "torchvision", "0.15.2+cpu", "torch==2.0.1")
	add("/whl/cpu/", "torchaudio", "2.0.2+cpu", "torch==2.0.1")
	add("/whl/cpu/", "numpy", "1.24.1")
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if page, ok := pages[r.URL.Path]; ok {
			w.Header().Set("Content-Type", "text/html")
			fmt.Fprint(w, page)
		} else if body, ok := files[r.URL.Path]; ok {
			w.Write(body)
		} else {
			http.NotFound(w, r)
		}
	}))
	t.Cleanup(s.Close)
	return s.URL
}

// TestPip builds with a package index of the site's, and installs as a member
// would in a terminal. The wheels are empty: what is tested is which of them get where.
func TestPip(t *testing.T) {
	e := realEngine(t)
	index := indexOf(t)
	c := Config{
		Environment: masu.Environment{Base: "masu-test/base", Torch: "2.0.1", Pip: []string{"needy", "extra==1.0", "setuptools>=900"}},
		Host:        masu.Host{Arch: "amd64", PipIndex: true},
		Site:        masu.Site{PipIndex: index + "/simple", TorchIndex: index + "/whl"},
	}
	r, err := Plan(c)
	if err != nil {
		t.Fatal(err)
	}
	e.build("recipe-test/pip", r.Files, "&networkmode=host") // the index is on this host's loopback
	box := e.start("--network", "host", "--user", "4321:4321", "-e", "HOME=/tmp/home", "-w", "/tmp", "recipe-test/pip", "sleep", "infinity")
	version := func(name string) string {
		return e.docker("exec", box, "bash", "-lc", "python -c 'import "+name+"; print("+name+".__version__, "+name+".__file__)'")
	}
	for name, want := range map[string]string{
		"torch": "2.0.1+cpu /usr/local/", "torchvision": "0.15.2+cpu /usr/local/", "torchaudio": "2.0.2+cpu /usr/local/",
		"numpy": "1.24.1 /usr/local/", "needy": "1.0 /usr/local/", "extra": "1.0 /usr/local/", "jupyterlab": "1.0 /usr/local/",
		"setuptools": "999.0 /usr/local/",
	} {
		if got := version(name); !strings.HasPrefix(got, want) {
			t.Errorf("%s is %s, not %s", name, got, want)
		}
	}
	// What a member installs is the member's, comes first, and stays in the home.
	e.docker("exec", box, "bash", "-lc", "pip install extra==2.0")
	if got := version("extra"); !strings.HasPrefix(got, "2.0 /tmp/home/.local/") {
		t.Errorf("after pip install it is %s", got)
	}
	e.docker("exec", box, "bash", "-lc", "pip uninstall -y extra")
	if got := version("extra"); !strings.HasPrefix(got, "1.0 /usr/local/") {
		t.Errorf("after pip uninstall it is %s", got)
	}
	// A later layer of packages leaves torch alone, whatever they ask for.
	c.Order, c.Environment.Pip = r.Order, append(c.Environment.Pip, "torch>=2.0")
	if r, err = Plan(c); err != nil {
		t.Fatal(err)
	}
	if len(r.Order) != 1 {
		t.Errorf("torch of the list is a package of its own: %+v", r.Order)
	}
}
