package docker

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/moby/moby/api/types/jsonstream"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/masu-lab/masu"
	"github.com/masu-lab/masu/internal/buildkit"
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
	id, words, err := follow(strings.NewReader(body), buildkit.NewSteps(func(p masu.Progress) {
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

func FuzzDecodeTrace(f *testing.F) {
	f.Add(part(1, message(map[protowire.Number]any{1: "sha256:aa", 3: "name", 4: 1})))
	f.Add([]byte{0x0a, 0xff})
	f.Fuzz(func(t *testing.T, b []byte) {
		tr, err := buildkit.DecodeTrace(b)
		if err == nil {
			buildkit.NewSteps(nil).Take(tr)
		}
	})
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
