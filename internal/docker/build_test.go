package docker

import (
	"archive/tar"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/moby/moby/api/types/jsonstream"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/masu-lab/masu"
)

func message(fields map[protowire.Number]any) []byte {
	var b []byte
	for n, v := range fields {
		switch v := v.(type) {
		case string:
			b = protowire.AppendString(protowire.AppendTag(b, n, protowire.BytesType), v)
		case []byte:
			b = protowire.AppendBytes(protowire.AppendTag(b, n, protowire.BytesType), v)
		case int:
			b = protowire.AppendVarint(protowire.AppendTag(b, n, protowire.VarintType), uint64(v))
		}
	}
	return b
}

func part(n protowire.Number, m []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(nil, n, protowire.BytesType), m)
}

func traceLine(t *testing.T, parts ...[]byte) string {
	t.Helper()
	b, err := json.Marshal(slices.Concat(parts...))
	if err != nil {
		t.Fatal(err)
	}
	return `{"id":"moby.buildkit.trace","aux":` + string(b) + "}\n"
}

func TestFollow(t *testing.T) {
	const dgst = "sha256:aa"
	stamp := message(map[protowire.Number]any{1: 1})
	body := traceLine(t, part(1, message(map[protowire.Number]any{1: dgst, 3: "[2/3] RUN make"}))) +
		traceLine(t, part(1, message(map[protowire.Number]any{1: dgst, 3: "[2/3] RUN make", 5: stamp}))) +
		traceLine(t, part(3, message(map[protowire.Number]any{1: dgst, 3: 1, 4: "one\ntw"})),
			part(2, message(map[protowire.Number]any{1: "layer", 2: dgst, 4: 5, 5: 10}))) +
		traceLine(t, part(3, message(map[protowire.Number]any{1: dgst, 3: 2, 4: "o\r\n 10%\r 100%\nlast"}))) +
		traceLine(t, part(1, message(map[protowire.Number]any{1: dgst, 3: "[2/3] RUN make", 5: stamp, 6: stamp}))) +
		`{"id":"moby.image.id","aux":{"ID":"sha256:bb"}}` + "\n"
	var got []masu.Progress
	id, words, err := follow(strings.NewReader(body), newSteps(func(p masu.Progress) {
		if p.At.IsZero() {
			t.Error("progress without its time")
		}
		p.At = time.Time{}
		got = append(got, p)
	}))
	if id != "sha256:bb" || words != "" || err != nil {
		t.Fatalf("follow = %q, %q, %v", id, words, err)
	}
	const name = "[2/3] RUN make"
	want := []masu.Progress{
		{Step: "1", Name: name, State: masu.StepQueued},
		{Step: "1", Name: name, State: masu.StepRunning},
		{Step: "1", Name: name, State: masu.StepRunning, Line: "one"},
		{Step: "1", Name: name, State: masu.StepRunning, Current: 5, Total: 10},
		{Step: "1", Name: name, State: masu.StepRunning, Line: "two"},
		{Step: "1", Name: name, State: masu.StepRunning, Line: " 100%"},
		{Step: "1", Name: name, State: masu.StepRunning, Line: "last"},
		{Step: "1", Name: name, State: masu.StepDone},
	}
	if len(got) != len(want) {
		t.Fatalf("told %d things, want %d: %+v", len(got), len(want), got)
	}
	for i := range want {
		if g, w := got[i], want[i]; g.Step != w.Step || g.Name != w.Name || g.State != w.State || g.Line != w.Line || g.Current != w.Current || g.Total != w.Total {
			t.Errorf("%d: %+v, want %+v", i, g, w)
		}
	}
}

func TestBuildTrouble(t *testing.T) {
	for _, c := range []struct {
		name, step, err, words string
		kind                   masu.Kind
		code                   string
		args                   []string
	}{
		{"20.10", "[stage-1 3/5] RUN exit 3", "executor failed running [/bin/sh -c exit 3]: exit code: 3", "failed to solve with frontend dockerfile.v0: executor failed running [/bin/sh -c exit 3]: exit code: 3",
			masu.Invalid, "build_failed", []string{"3", "RUN exit 3", "3"}},
		{"newer", "[3/5] RUN make", `process "/bin/sh -c make" did not complete successfully: exit code: 2`, `failed to solve: process "/bin/sh -c make" did not complete successfully: exit code: 2`,
			masu.Invalid, "build_failed", []string{"3", "RUN make", "2"}},
		{"file missing", "[2/2] COPY a /a", `failed to walk /x: lstat /x/a: no such file or directory`, "failed to solve: failed to compute cache key",
			masu.Invalid, "build_step_refused", []string{"2", "COPY a /a", "failed to walk /x: lstat /x/a: no such file or directory"}},
		{"base missing", "[internal] load metadata for docker.io/library/nothing:1", "docker.io/library/nothing:1: not found", "failed to solve",
			masu.NotFound, "no_image", []string{"nothing:1"}},
		{"frontend", "resolve image config for docker.io/docker/dockerfile:1", "dial tcp: lookup", "failed to solve",
			masu.Invalid, "dockerfile_frontend", []string{"docker/dockerfile:1"}},
		{"parse, 20.10", "", "", "failed to solve with frontend dockerfile.v0: failed to create LLB definition: dockerfile parse error line 2: unknown instruction: FORM",
			masu.Invalid, "dockerfile_invalid", []string{"2", "unknown instruction: FORM"}},
		{"parse, newer", "", "", "failed to solve: dockerfile parse error on line 7: unknown instruction: FORM",
			masu.Invalid, "dockerfile_invalid", []string{"7", "unknown instruction: FORM"}},
		{"other", "", "", "failed to solve with frontend dockerfile.v0: failed to create LLB definition: target stage nope could not be found",
			masu.Invalid, "build_refused", []string{"target stage nope could not be found"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSteps(nil)
			if c.step != "" {
				s.take(trace{vertices: []vertex{{digest: "c", name: "[4/5] RUN other", err: "context canceled"}, {digest: "d", name: c.step, started: true, err: c.err}}})
			}
			e := s.buildTrouble(c.words)
			if e.Kind != c.kind || e.Code != c.code || !slices.Equal(e.Args, c.args) {
				t.Errorf("%s %s %q", e.Kind, e.Code, e.Args)
			}
		})
	}
}

func TestDiskFullInAStep(t *testing.T) {
	s := newSteps(nil)
	s.take(trace{vertices: []vertex{{digest: "d", name: "[2/2] RUN dd", started: true}}, outputs: []output{{"d", []byte("dd: writing: No space left on device\n")}}})
	if s.diskFull() {
		t.Error("a step that has not failed is no full disk")
	}
	s.take(trace{vertices: []vertex{{digest: "d", name: "[2/2] RUN dd", started: true, err: "exit code: 1"}}})
	if !s.diskFull() {
		t.Error("the step's complaint was not heard")
	}
}

func FuzzDecodeTrace(f *testing.F) {
	f.Add(part(1, message(map[protowire.Number]any{1: "sha256:aa", 3: "name", 4: 1})))
	f.Add([]byte{0x0a, 0xff})
	f.Fuzz(func(t *testing.T, b []byte) {
		tr, err := decodeTrace(b)
		if err == nil {
			newSteps(nil).take(tr)
		}
	})
}

func TestContext(t *testing.T) {
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "sub"), 0o750); err != nil {
		t.Fatal(err)
	}
	for name, mode := range map[string]os.FileMode{"Dockerfile": 0o644, "sub/run.sh": 0o755} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(name), mode); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("/etc/passwd", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	c := newContext(os.DirFS(dir))
	got := map[string]int64{}
	tr := tar.NewReader(c)
	for {
		h, err := tr.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if h.Uid != 0 || h.Gid != 0 || h.Uname != "" {
			t.Errorf("%s belongs to %d:%d %q", h.Name, h.Uid, h.Gid, h.Uname)
		}
		got[h.Name] = h.Mode
	}
	if err := c.close(); err != nil {
		t.Fatal(err)
	}
	if len(got) != 3 || got["Dockerfile"] != 0o644 || got["sub/run.sh"] != 0o755 || got["sub/"] != 0o750 {
		t.Errorf("the stream holds %v", got)
	}
	if c.left != 1 || c.first != "link" {
		t.Errorf("left out: %d, first %q", c.left, c.first)
	}
}

type brokenFS struct{ fstest.MapFS }

func (b brokenFS) Open(name string) (fs.File, error) {
	if name == "secret" {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrPermission}
	}
	return b.MapFS.Open(name)
}

func TestContextUnreadable(t *testing.T) {
	c := newContext(brokenFS{fstest.MapFS{"secret": {Data: []byte("x")}}})
	_, err := io.Copy(io.Discard, c)
	if err == nil {
		t.Error("the stream does not break off")
	}
	if err := c.close(); masu.CodeOf(err) != "context_unreadable" || !errors.Is(err, fs.ErrPermission) {
		t.Errorf("close = %v", err)
	}
}

func TestLayers(t *testing.T) {
	l := layers{}
	for i, c := range []struct {
		status, id              string
		current, total          int64
		wantCurrent, wantTotals masu.Bytes
	}{
		{"Pulling fs layer", "a", 0, 0, 0, 0},
		{"Downloading", "a", 10, 100, 10, 100},
		{"Downloading", "b", 1, 50, 11, 150},
		{"Download complete", "b", 0, 0, 60, 150},
		{"Extracting", "b", 20, 50, 60, 150},
		{"Already exists", "c", 0, 0, 60, 150},
		{"Pull complete", "a", 0, 0, 150, 150},
	} {
		current, total := l.take(jsonstream.Message{Status: c.status, ID: c.id, Progress: &jsonstream.Progress{Current: c.current, Total: c.total}})
		if current != c.wantCurrent || total != c.wantTotals {
			t.Errorf("%d %s: %d of %d, want %d of %d", i, c.status, current, total, c.wantCurrent, c.wantTotals)
		}
	}
}

func TestFetchTrouble(t *testing.T) {
	for text, want := range map[string]string{
		"Get https://registry.example/v2/: dial tcp: lookup registry.example on 127.0.0.1:53: no such host":                   "registry_unreachable",
		"Get https://registry.example/v2/: net/http: request canceled while waiting for connection (Client.Timeout exceeded)": "registry_unreachable",
		"Get https://registry.example/v2/: x509: certificate signed by unknown authority":                                     "registry_unreachable",
		"manifest for nvidia/cuda:0.0 not found: manifest unknown: manifest unknown":                                          "no_image",
		"pull access denied for nothing, repository does not exist or may require 'docker login'":                             "no_image",
		"no matching manifest for linux/amd64 in the manifest list entries":                                                   "no_image",
		"toomanyrequests: You have reached your pull rate limit":                                                              "registry_busy",
		"Error response from daemon: Get http://127.0.0.1:5000/v2/: dial tcp 127.0.0.1:5000: connect: connection refused":     "registry_unreachable",
		"error parsing HTTP 404 response body: invalid character 'p' after top-level value: \"404 page not found\\n\"":        "no_image",
	} {
		if e := fetchTrouble("x", text); e == nil || e.Code != want {
			t.Errorf("%q is %v, want %s", text, e, want)
		}
	}
	if e := fetchTrouble("x", "something else"); e != nil {
		t.Errorf("an unknown text is %v", e)
	}
}

func TestGPUTrouble(t *testing.T) {
	gpus := []masu.GPUID{"GPU-1"}
	for text, want := range map[string]string{
		`could not select device driver "nvidia" with capabilities: [[gpu]]`:                      "gpu_runtime_missing",
		`could not select device driver "cdi" with capabilities: []`:                              "gpu_runtime_missing",
		`CDI device injection failed: unresolvable CDI devices masu.test/gpu=9`:                   "gpu_missing",
		`nvidia-container-cli: device error: GPU-1: unknown device`:                               "gpu_missing",
		`nvidia-container-cli: initialization error: nvml error: driver/library version mismatch`: "gpu_driver_broken",
	} {
		if e := gpuTrouble(gpus, text); e == nil || e.Code != want {
			t.Errorf("%q is %v, want %s", text, e, want)
		}
		if e := gpuTrouble(nil, text); e != nil {
			t.Errorf("without GPUs %q is %v", text, e)
		}
	}
}
