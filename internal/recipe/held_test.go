package recipe

import (
	"crypto/sha256"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/masu-lab/masu"
)

// sources are a package source for apt and one for pip, whose offer changes.
type sources struct {
	*httptest.Server
	t     *testing.T
	mu    sync.Mutex
	files map[string]string // by path
	asked map[string]bool
}

func newSources(t *testing.T) *sources {
	s := &sources{t: t, files: map[string]string{}, asked: map[string]bool{}}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		path := strings.ReplaceAll(r.URL.Path, "/./", "/") // as apt asks
		s.asked[path] = true
		body, ok := s.files[path]
		if !ok {
			http.NotFound(w, r)
			return
		}
		if strings.HasSuffix(path, "/") {
			w.Header().Set("Content-Type", "text/html")
		}
		_, _ = w.Write([]byte(body))
	}))
	t.Cleanup(s.Close)
	return s
}

// deb makes a package with one file that says its version, and gives its line in a list of packages.
func (s *sources) deb(version string) (entry string) {
	s.t.Helper()
	dir := s.t.TempDir()
	control := "Package: held-tool\nVersion: " + version + "\nArchitecture: all\nMaintainer: test <test@example.org>\nDescription: a test\n"
	for path, text := range map[string]string{"DEBIAN/control": control, "opt/held-tool": version + "\n"} {
		path = filepath.Join(dir, "tree", path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			s.t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			s.t.Fatal(err)
		}
	}
	file := "held-tool_" + version + "_all.deb"
	if out, err := exec.Command("dpkg-deb", "--root-owner-group", "-b", filepath.Join(dir, "tree"), filepath.Join(dir, file)).CombinedOutput(); err != nil {
		s.t.Fatalf("dpkg-deb: %v: %s", err, out)
	}
	b, err := os.ReadFile(filepath.Join(dir, file))
	if err != nil {
		s.t.Fatal(err)
	}
	return control + fmt.Sprintf("Filename: ./%s\nSize: %d\nSHA256: %x\n\n", file, len(b), sha256.Sum256(b)) + "\x00" + string(b)
}

// offer makes the apt source at a path have these versions, and the pip source too.
func (s *sources) offer(at string, debs map[string]string, wheels ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	maps.DeleteFunc(s.files, func(path, _ string) bool {
		return strings.HasPrefix(path, at) || strings.HasPrefix(path, "/simple/held/")
	})
	for version, deb := range debs {
		entry, body, _ := strings.Cut(deb, "\x00")
		s.files[at+"Packages"] += entry
		s.files[at+"held-tool_"+version+"_all.deb"] = body
	}
	for _, version := range wheels {
		s.wheel("held", version)
	}
}

func (s *sources) wheel(name, version string) {
	file, body := wheelFile(s.t, name, version)
	s.files["/files/"+file] = string(body)
	s.files["/simple/"+name+"/"] += fmt.Sprintf("<a href=\"/files/%s\">%[1]s</a>\n", file)
}

// TestLockHolds: who builds by a colleague's lock gets the same packages when
// there are newer ones, and is told by name what is not to be had any more.
func TestLockHolds(t *testing.T) {
	e := realEngine(t)
	s := newSources(t)
	for _, name := range []string{"ipykernel", "jupyterlab", "jupyterlab-language-pack-ja-jp", "notebook"} {
		s.wheel(name, "1.0")
	}
	debs := map[string]string{"1.0": s.deb("1.0"), "1.1": s.deb("1.1"), "2.0": s.deb("2.0")}
	only := func(versions ...string) map[string]string {
		some := map[string]string{}
		for _, v := range versions {
			some[v] = debs[v]
		}
		return some
	}
	const base = "recipe-test/held-base"
	build := func(name, at string, lock *masu.Lock) (has masu.Lock) {
		t.Helper()
		e.build(base, []masu.File{{Path: "Dockerfile", Text: "FROM masu-test/base\nCOPY held.list /etc/apt/sources.list.d/\n"},
			{Path: "held.list", Text: "deb [trusted=yes] " + s.URL + at + " ./\n"}}, "")
		r, err := Plan(Config{Environment: masu.Environment{Base: base, Apt: []string{"held-tool"}, Pip: []string{"held"}, Lock: lock},
			Host: masu.Host{Arch: "amd64", PipIndex: true}, Site: masu.Site{PipIndex: s.URL + "/simple"}})
		if err != nil {
			t.Fatal(err)
		}
		e.build(name, r.Files, "&networkmode=host")
		if has, err = masu.ParseLock(e.docker("run", "--rm", name, "cat", "/opt/recipe/packages.txt")); err != nil {
			t.Fatal(err)
		}
		return has
	}

	s.offer("/then/", only("1.0"), "1.0")
	hers := build("recipe-test/hers", "/then/", nil)
	s.offer("/now/", only("1.0", "1.1", "2.0"), "1.0", "2.0")
	his := build("recipe-test/his", "/now/", &hers)
	if d := masu.Compare(masu.Contents{Lock: hers}, masu.Contents{Lock: his}); len(d) > 0 {
		t.Errorf("his differs from hers: %+v", d)
	}
	for _, image := range []string{"recipe-test/hers", "recipe-test/his"} {
		if got := e.docker("run", "--rm", image, "sh", "-c", "cat /opt/held-tool; python3 -c 'import held; print(held.__version__)'"); got != "1.0\n1.0" {
			t.Errorf("%s has %q", image, got)
		}
	}
	s.mu.Lock()
	if !s.asked["/now/Packages"] || !s.asked["/simple/held/"] || s.asked["/now/held-tool_2.0_all.deb"] {
		t.Errorf("the newer ones were not there to be had, or were fetched: %v", s.asked)
	}
	s.mu.Unlock()

	// What a build runs, where the sources have less than they say or than the lock wants.
	box := e.start("--network", "host", "recipe-test/his", "sleep", "infinity")
	e.docker("exec", box, "sh", "-c", "find /etc/apt -name '*.sources' -delete; rm -f /etc/apt/sources.list; apt-get update; apt-get remove -y held-tool; python3 -m pip uninstall -y held; cd /opt/recipe/setup; echo 'held-tool 1.1' >lock-apt.txt; touch /var/lib/apt/lists/*_Packages*")
	s.offer("/now/", only("2.0"), "2.0")
	for _, c := range [][2]string{
		{"sh setup/apt.sh apt-1.txt", "lock: apt held-tool 1.1 is not to be had"},
		{"sh setup/pip.sh --no-cache-dir -r pip-1.txt", "held==1.0"},
	} {
		if out, err := e.try("", "exec", "-w", "/opt/recipe", box, "sh", "-c", c[0]); err == nil || !strings.Contains(out, c[1]) {
			t.Errorf("%s: %v: %s", c[0], err, out)
		}
	}
	if got := e.docker("exec", box, "sh", "-c", "ls /opt/held-tool 2>/dev/null; python3 -m pip freeze | grep held; true"); got != "" {
		t.Errorf("another version came instead: %s", got)
	}
	s.offer("/now/", nil, "1.0")
	e.docker("exec", box, "sh", "-c", "cd /opt/recipe/setup; sed -i 's/^held 1.0 .*/held 1.0 sha256:"+strings.Repeat("0", 64)+"/' lock-hashes.txt")
	if out, err := e.try("", "exec", "-w", "/opt/recipe", box, "sh", "setup/pip.sh", "--no-cache-dir", "-r", "pip-1.txt"); err == nil || !strings.Contains(out, "lock: pip held 1.0 is another file") {
		t.Errorf("another file of the same version: %v: %s", err, out)
	}
}
