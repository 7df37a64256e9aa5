package project

import (
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/masu-lab/masu"
)

func TestTextBringsTheEnvironmentBack(t *testing.T) {
	for name, env := range map[string]masu.Environment{
		"preset": {Preset: "python"},
		"base":   {Base: "nvidia/cuda:11.8.0-cudnn8-devel-ubuntu20.04", Python: "3.10", Torch: "2.0.1", CUDA: "cu118"},
		"lists": {Preset: "pytorch", Apt: []string{"git", "vim"}, Pip: []string{"numpy==1.26.4", "uvicorn[standard]>=0.20", "torch>1; python_version < '3.12'"},
			Run: []string{"echo \"a: b\" # c\necho 'd'"}, Locale: "ja_JP.UTF-8", Timezone: "Asia/Tokyo"},
		"tensorflow": {Preset: "tensorflow", TensorFlow: "2.16.1"},
	} {
		t.Run(name, func(t *testing.T) {
			text, err := Text(env, "卒論 — 画像", "two\nlines: of comment")
			if err != nil {
				t.Fatal(err)
			}
			p, err := Read(alone{fstest.MapFS{"masu.yaml": {Data: []byte(text)}}}, "")
			if d := cmp.Diff(env, p.Environment); d != "" || err != nil {
				t.Errorf("%s\n%v %s", text, err, d)
			}
		})
	}
}

func TestTextWithoutWords(t *testing.T) {
	if text, err := Text(masu.Environment{Preset: "python"}, "演習", ""); text != "# 演習\npreset: python\n" || err != nil {
		t.Errorf("%q, %v", text, err)
	}
}

func TestTextRefusesWhatItCannotBringBack(t *testing.T) {
	for name, env := range map[string]masu.Environment{
		"Dockerfile":    {Dockerfile: "Dockerfile", Context: ".", Digest: "abc"},
		"local package": {Preset: "python", Pip: []string{"./mylib"}},
		"nothing":       {Preset: "no-such"},
	} {
		if text, err := Text(env); masu.CodeOf(err) != "share_dockerfile" {
			t.Errorf("%s: %q, %v", name, text, err)
		}
	}
}
