package recipe

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/masu-lab/masu"
)

// engine is the real one; the tests that use it say so by asking for it.
type engine struct {
	t    *testing.T
	host string
}

func realEngine(t *testing.T) engine {
	t.Helper()
	host := os.Getenv("MASU_TEST_ENGINE")
	if host == "" {
		t.Skip("MASU_TEST_ENGINE is not set")
	}
	if host == "default" {
		host = "unix:///var/run/docker.sock"
	}
	return engine{t, host}
}

// try runs the engine's own command line.
func (e engine) try(stdin string, args ...string) (string, error) {
	cmd := exec.CommandContext(e.t.Context(), "docker", args...)
	cmd.Env = append(os.Environ(), "DOCKER_HOST="+e.host)
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

func (e engine) docker(args ...string) string {
	e.t.Helper()
	out, err := e.try("", args...)
	if err != nil {
		e.t.Fatalf("docker %q: %v\n%s", args, err, out)
	}
	return out
}

// build sends a context to the engine's BuildKit, as masu does.
func (e engine) build(ref string, files []masu.File, query string) {
	e.t.Helper()
	var body bytes.Buffer
	w := tar.NewWriter(&body)
	for _, f := range files {
		mode := int64(f.Mode)
		if mode == 0 {
			mode = 0o644
		}
		if err := errors.Join(w.WriteHeader(&tar.Header{Name: f.Path, Mode: mode, Size: int64(len(f.Text))}), second(w.Write([]byte(f.Text)))); err != nil {
			e.t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		e.t.Fatal(err)
	}
	c := http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		network, address, _ := strings.Cut(e.host, "://")
		return new(net.Dialer).DialContext(ctx, network, address)
	}}}
	begin := time.Now()
	req, err := http.NewRequestWithContext(e.t.Context(), http.MethodPost, "http://engine/v1.41/build?version=2&t="+url.QueryEscape(ref)+query, &body)
	if err != nil {
		e.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-tar")
	resp, err := c.Do(req)
	if err != nil {
		e.t.Fatal(err)
	}
	defer resp.Body.Close()
	var log bytes.Buffer
	for dec := json.NewDecoder(resp.Body); ; {
		var m struct {
			Error string
			Aux   json.RawMessage
		}
		if err := dec.Decode(&m); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			e.t.Fatal(err)
		}
		var trace []byte
		if json.Unmarshal(m.Aux, &trace) == nil {
			log.Write(bytes.Map(printable, trace))
		}
		if m.Error != "" {
			e.t.Fatalf("build of %s: %s\n%s", ref, m.Error, log.Bytes()[max(0, log.Len()-3000):])
		}
	}
	e.t.Logf("built %s in %s", ref, time.Since(begin).Round(100*time.Millisecond))
	e.t.Cleanup(func() {
		if out, err := exec.Command("docker", "-H", e.host, "rmi", ref).CombinedOutput(); err != nil {
			e.t.Logf("%s stays: %s", ref, out)
		}
	})
}

func printable(r rune) rune {
	if r == '\n' || r >= ' ' && r <= '~' {
		return r
	}
	return -1
}

func second(_ int, err error) error { return err }

// layers are the digests of an image's layers.
func (e engine) layers(ref string) []string {
	e.t.Helper()
	var out []string
	if err := json.Unmarshal([]byte(e.docker("image", "inspect", "-f", "{{json .RootFS.Layers}}", ref)), &out); err != nil {
		e.t.Fatal(err)
	}
	return out
}

// start runs a container and removes it when the test ends.
func (e engine) start(args ...string) string {
	e.t.Helper()
	id := e.docker(append([]string{"run", "-d", "--init"}, args...)...)
	e.t.Cleanup(func() {
		if out, err := exec.Command("docker", "-H", e.host, "rm", "-f", "-v", id).CombinedOutput(); err != nil {
			e.t.Logf("container %s stays: %s", id, out)
		}
	})
	return id
}

// getter asks for URLs until they answer, from inside a container, where Jupyter listens on loopback.
const getter = `import sys, time, urllib.request, urllib.error
for path in sys.argv[1:]:
    end = time.time() + 60
    while True:
        try:
            with urllib.request.urlopen("http://127.0.0.1:8888" + path) as r: print(path, r.status, len(r.read()) > 500); break
        except urllib.error.HTTPError as e: print(path, e.code); break
        except OSError:
            if time.time() > end: print(path, "does not answer"); break
            time.sleep(0.05)
`

// cell runs a computation in a kernel.
const cell = `import sys
from jupyter_client.manager import start_new_kernel
km, kc = start_new_kernel()
kc.execute_interactive("import os; print(6 * 7, os.getuid())", timeout=60)
km.shutdown_kernel(now=True)
del kc, km
`

// TestDebianJupyter builds what a host without a package index gets, and works in it.
func TestDebianJupyter(t *testing.T) {
	e := realEngine(t)
	c := Config{Environment: masu.Environment{Base: "masu-test/base", Apt: []string{"tree"}, Pip: []string{"requests"}}, Host: alone}
	r, err := Plan(c)
	if err != nil {
		t.Fatal(err)
	}
	e.build("recipe-test/debian", r.Files, "")
	var size int64
	fmt.Sscan(e.docker("image", "inspect", "-f", "{{.Size}}", "recipe-test/debian"), &size)
	if t.Logf("image: %d MB", size/1e6); size > 450e6 {
		t.Errorf("the image has %d MB", size/1e6)
	}
	box := e.start("--network", "none", "--user", "4321:4321", "-e", "HOME=/tmp/home", "-w", "/tmp", "recipe-test/debian",
		"jupyter", "lab", "--no-browser", "--IdentityProvider.token=")
	if got, want := e.docker("exec", box, "python3", "-c", getter, "/lab", "/tree", "/api/status"), "/lab 200 True\n/tree 200 True\n/api/status 200 False"; got != want {
		t.Errorf("Jupyter says %q", got)
	}
	if got := e.docker("exec", box, "python3", "-W", "ignore", "-c", cell); got != "42 4321" {
		t.Errorf("the cell printed %q", got)
	}
	for cmd, want := range map[string]string{
		"jupyter notebook --version":                   "6.",
		"LC_ALL=ja_JP.UTF-8 ls /nowhere || true":       "アクセスできません",
		"LC_ALL=en_US.UTF-8 locale charmap":            "UTF-8",
		"TZ=Asia/Tokyo date +%Z":                       "JST",
		"echo $PATH":                                   "/tmp/home/.local/bin:",
		"command -v python pip sudo git curl ps tree":  "/usr/bin/tree",
		"python -c 'import requests; print(requests)'": "dist-packages/requests",
	} {
		if got := e.docker("exec", box, "bash", "-lc", cmd); !strings.Contains(got, want) {
			t.Errorf("%s: %q", cmd, got)
		}
	}
	// Without compiled modules a start takes four times as long, and a member cannot write them.
	if got := e.docker("exec", box, "sh", "-c", "cd /usr/lib/python3/dist-packages; ls jupyter_server/*.py | wc -l; ls jupyter_server/__pycache__/*.pyc | wc -l"); len(strings.Fields(got)) != 2 || strings.Fields(got)[0] != strings.Fields(got)[1] {
		t.Errorf("modules and compiled modules: %q", got)
	}

	// One package more: everything that was there stays as it was, but for the last layer, which says what there is.
	c.Environment.Apt, c.Order = []string{"tree", "file"}, r.Order
	more, err := Plan(c)
	if err != nil {
		t.Fatal(err)
	}
	e.build("recipe-test/more", more.Files, "")
	before, after := e.layers("recipe-test/debian"), e.layers("recipe-test/more")
	same := len(before) - 1
	if len(after) <= len(before) || strings.Join(after[:same], " ") != strings.Join(before[:same], " ") {
		t.Errorf("the addition made layers anew:\n%v\n%v", before, after)
	}
}
