package recipe

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/masu-lab/masu"
)

const newTorch = `{"status": "released", "python": ["3.10", "3.14"], "cuda_tags": ["cu126", "cu130"], "pypi_default_cuda": "cu130",
	"index_url": "https://download.pytorch.org/whl/{tag}", "index_flag": "--index-url", "torchvision": "0.30.0", "torchaudio": "",
	"sm_by_tag": {"cu126": {"sm": ["8.0", "9.0"]}, "cu130": {"sm": ["8.0", "9.0", "12.0"], "ptx": "12.0"}},
	"glibc_min_by_tag": {"cu126": {"glibc": "2.28"}, "cu130": {"glibc": "2.28"}}, "source": "our own"}`

func adminFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "versions.json")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// An admin's rows are taken over the embedded ones, and the embedded table stays as it is.
func TestAdminTable(t *testing.T) {
	v, err := ReadVersions(adminFile(t, `{"schema": 1, "torch": {"2.99.0": `+newTorch+`, "2.9.0": null}}`))
	if err != nil {
		t.Fatal(err)
	}
	offered := func(v *Versions) string {
		var all []string
		for _, c := range Choices(rtx, v) {
			all = append(all, c.Torch)
		}
		return strings.Join(all, " ")
	}
	if all := offered(v); !strings.Contains(all, "2.99.0") {
		t.Errorf("offered with the row: %s", all)
	}
	if all := offered(nil); strings.Contains(all, "2.99.0") {
		t.Errorf("offered without: %s", all)
	}
	if _, err := Plan(Config{Environment: masu.Environment{Preset: "pytorch", Torch: "2.9.0"}, Host: rtx, Versions: v}); err == nil {
		t.Error("a row that the admin took away is still offered")
	}
	r, err := Plan(Config{Environment: masu.Environment{Preset: "pytorch", Torch: "2.99.0"}, Host: rtx, Versions: v})
	if err != nil {
		t.Fatal(err)
	}
	if i := slices.IndexFunc(r.Files, func(f masu.File) bool { return f.Path == "torch.txt" }); i < 0 || !strings.Contains(r.Files[i].Text, "torchvision==0.30.0") {
		t.Errorf("%+v", r.Files)
	}
}

func TestAdminTableRefusals(t *testing.T) {
	for text, say := range map[string]string{
		"":                                 "EOF",
		"{":                                "1:",
		`{"schema": 2}`:                    `"schema": 1`,
		"{\"schema\": 1,\n \"torhc\": {}}": "2:",
		`{"schema": 1, "torch": {"2.99.0": {"pyhton": ["3.9", "3.10"]}}}`:                                              "torch.2.99.0",
		`{"schema": 1, "torch": {"2.99.0": {}}}`:                                                                       "torch.2.99.0: python",
		`{"schema": 1, "torch": {"latest": ` + newTorch + `}}`:                                                         "torch.latest",
		`{"schema": 1, "torch": {"2.99.0": ` + strings.ReplaceAll(newTorch, "cu130", "13.0") + `}}`:                    `"13.0" (cuNNN)`,
		`{"schema": 1, "torch": {"2.99.0": ` + strings.ReplaceAll(newTorch, "https", "http") + `}}`:                    "index_url",
		`{"schema": 1, "torch": {"2.99.0": ` + strings.ReplaceAll(newTorch, `"0.30.0"`, `""`) + `}}`:                   "torchvision",
		`{"schema": 1, "cuda": {"13.9": {}}}`:                                                                          "cuda.13.9",
		`{"schema": 1, "tensorflow": {"3.0": {"python": ["3.12", "3.14"], "cuda": "99.9", "cuda_comes_from": "pip"}}}`: "tensorflow.3.0",
	} {
		path := adminFile(t, text)
		_, err := ReadVersions(path)
		if masu.CodeOf(err) != "versions_wrong" || !strings.Contains(err.Error(), say) || !strings.Contains(err.Error(), path) {
			t.Errorf("%.60s: %v", text, err)
		}
	}
	if _, err := ReadVersions("/no/such/file"); masu.CodeOf(err) != "versions_wrong" {
		t.Errorf("no file: %v", err)
	}
}

// A tag that was withdrawn has neighbours, and only real ones.
func TestNearest(t *testing.T) {
	tags := map[masu.ImageRef]bool{}
	for _, row := range versions().Images.CUDNN {
		for _, tag := range row.Tags {
			tags[masu.ImageRef("nvidia/cuda:"+tag)] = true
		}
	}
	for ref, first := range map[masu.ImageRef]masu.ImageRef{
		"nvidia/cuda:11.8.0-cudnn8-devel-ubuntu20.04":          "nvidia/cuda:11.8.0-cudnn8-devel-ubuntu20.04",
		"nvidia/cuda:11.8.0-cudnn8-runtime-ubuntu22.04":        "nvidia/cuda:11.8.0-cudnn8-devel-ubuntu22.04",
		"docker.io/nvidia/cuda:12.4.0-cudnn-devel-ubuntu22.04": "nvidia/cuda:12.4.1-cudnn-devel-ubuntu22.04",
		"debian:trixie": "", "lab/cuda:11.8.0-devel-ubuntu20.04": "", "nvidia/cuda:latest": "", "nvidia/cuda": "", "nvidia/cuda@sha256:0": "",
	} {
		got := Nearest(ref, nil)
		if first == "" {
			if len(got) > 0 {
				t.Errorf("%s: %v", ref, got)
			}
			continue
		}
		if len(got) == 0 || got[0] != first {
			t.Errorf("%s: %v, not %s first", ref, got, first)
		}
		for _, g := range got {
			if !tags[g] {
				t.Errorf("%s: there is no %s", ref, g)
			}
		}
	}
}
