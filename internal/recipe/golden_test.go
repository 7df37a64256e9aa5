package recipe

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/masu-lab/masu"
)

var update = flag.Bool("update", false, "write the golden files")

// written is a context in one text, for people to read in a review.
func written(files []masu.File) string {
	var b strings.Builder
	for _, f := range files {
		if strings.HasPrefix(f.Path, "setup/") && strings.HasSuffix(f.Path, ".sh") || strings.HasPrefix(f.Path, "setup/dpkg") || f.Path == "setup/system.txt" {
			continue // the same in every recipe
		}
		b.WriteString("--- " + f.Path + "\n" + f.Text)
	}
	return b.String()
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs; look at it with -update and git diff:\n%s", file, got)
	}
}

var (
	noGPU = masu.Host{CPUs: 4, Arch: "amd64", PipIndex: true}
	rtx   = masu.Host{CPUs: 32, Arch: "amd64", PipIndex: true, Driver: "570.86.10", GPUs: []masu.GPU{{Model: "RTX 3090", Capability: "8.6"}}}
	alone = masu.Host{CPUs: 4, Arch: "amd64"}
)

// guide is the environment of the guide that masu grew out of.
var guide = masu.Environment{
	Base: "nvidia/cuda:11.8.0-cudnn8-devel-ubuntu20.04", Python: "3.9", Torch: "2.0.1",
	Apt: []string{"git", "vim"}, Pip: []string{"transformers==4.31.0", "datasets", "accelerate"},
}

func TestGolden(t *testing.T) {
	for name, c := range map[string]Config{
		"guide":      {Environment: guide, Host: rtx},
		"default":    {Environment: masu.Environment{Preset: "python"}, Host: noGPU},
		"alone":      {Environment: masu.Environment{Preset: "python", Pip: []string{"numpy", "scikit-learn>=1.0"}, Apt: []string{"tree"}}, Host: alone, BaseFromPackages: true},
		"pytorch":    {Environment: masu.Environment{Preset: "pytorch"}, Host: rtx},
		"cpu":        {Environment: masu.Environment{Preset: "pytorch", Torch: "2.0.1"}, Host: noGPU},
		"uv":         {Environment: masu.Environment{Base: "debian:bookworm-slim", Python: "3.9", Locale: "ko_KR.UTF-8", Timezone: "Asia/Tokyo"}, Host: noGPU},
		"tensorflow": {Environment: masu.Environment{Preset: "tensorflow"}, Host: rtx},
		"old-tf":     {Environment: masu.Environment{Preset: "tensorflow", TensorFlow: "2.12.0"}, Host: rtx},
		"site": {
			Environment: masu.Environment{Preset: "pytorch", Run: []string{"git config --system core.pager less"}}, Host: rtx,
			Site: masu.Site{AptMirror: "http://mirror.lab/debian", PipIndex: "http://pypi.lab:8080/simple", TorchIndex: "https://mirror.lab/whl/"},
			CAs:  []masu.File{{Path: "/etc/lab/ca.pem", Text: "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----"}},
		},
		"layers": {
			Environment: masu.Environment{Preset: "python", Apt: []string{"git", "tree", "htop"}, Pip: []string{"numpy", "pandas"}}, Host: noGPU,
			Order: []masu.Layer{{Apt: []string{"git"}, Pip: []string{"numpy"}}, {Apt: []string{"tree"}}},
		},
	} {
		r, err := Plan(c)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		var notes strings.Builder
		for _, n := range r.Notes {
			notes.WriteString("note " + n.Code + " " + strings.Join(n.Args, " | ") + "\n")
		}
		golden(t, name+"/Dockerfile", r.Files[0].Text)
		golden(t, name+"/rest.txt", notes.String()+written(r.Files[1:]))
	}
}
