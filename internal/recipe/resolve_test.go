package recipe

import (
	"strings"
	"testing"

	"github.com/masu-lab/masu"
)

// hostWith makes a host with a driver and one GPU for each capability.
func hostWith(driver string, capabilities ...string) masu.Host {
	h := masu.Host{Arch: "amd64", PipIndex: true, Driver: driver}
	for _, c := range capabilities {
		h.GPUs = append(h.GPUs, masu.GPU{Model: "GPU " + c, Capability: c})
	}
	return h
}

// outcome is what a plan decided, in one line, or the code of its refusal and its arguments.
func outcome(e masu.Environment, h masu.Host) string {
	p, err := pick(e, h, nil, false)
	if err != nil {
		if m, ok := err.(*masu.Error); ok {
			return m.Code + " " + strings.Join(m.Args, " | ")
		}
		return err.Error()
	}
	s := string(p.base) + " " + p.python.version
	s += []string{"", " apt", " uv"}[p.python.from]
	if p.torch != nil {
		s += " torch " + p.torch.version + " " + p.torch.tag
	}
	if p.tf != nil {
		s += " " + strings.TrimSuffix(p.tf.requirement(), "\n")
	}
	for _, n := range p.notes {
		switch n.Code {
		case "base_chosen", "torch_chosen", "tensorflow_chosen", "python_from_apt", "python_from_uv":
		default:
			s += " !" + n.Code
		}
	}
	return s
}

func TestResolve(t *testing.T) {
	torch := masu.Environment{Preset: "pytorch"}
	of := func(v string) masu.Environment { return masu.Environment{Preset: "pytorch", Torch: v} }
	on := func(base masu.ImageRef, torch, python string) masu.Environment {
		return masu.Environment{Base: base, Torch: torch, Python: python}
	}
	const guideBase = "nvidia/cuda:11.8.0-cudnn8-devel-ubuntu20.04"
	tf := func(v string) masu.Environment { return masu.Environment{Preset: "tensorflow", TensorFlow: v} }
	for _, c := range []struct {
		name string
		env  masu.Environment
		host masu.Host
		want string
	}{
		// Drivers: full support before the newest CUDA, minor compatibility with a word, else an older torch.
		{"470", torch, hostWith("470.256.02", "8.6"), "debian:trixie-slim 3.13 torch 2.7.1 cu118 !driver_minor"},
		{"525", torch, hostWith("525.147.05", "8.6"), "debian:trixie-slim 3.13 torch 2.13.0 cu126 !driver_minor"},
		{"550", torch, hostWith("550.54.14", "8.6"), "debian:trixie-slim 3.13 torch 2.13.0 cu126 !driver_minor"},
		{"570", torch, hostWith("570.124.06", "8.6"), "debian:trixie-slim 3.13 torch 2.13.0 cu126"},
		{"570 and 2.8", of("2.8.0"), hostWith("570.124.06", "8.6"), "debian:trixie-slim 3.13 torch 2.8.0 cu128"},
		{"580", torch, hostWith("580.65.06", "8.6"), "debian:trixie-slim 3.13 torch 2.13.0 cu130"},
		{"driver too old for a version", of("2.8.0"), hostWith("470.256.02", "8.6"), "torch_needs_driver 2.8.0 | 525.60.13 | 470.256.02 | torch 2.7.1 (cu118)"},
		{"driver too old for anything", torch, hostWith("390.157", "6.1"), "torch_needs_driver 2.13.0 | 525.60.13 | 390.157 | torch 2.13.0 (cpu)"},
		// GPUs: every one of the host must run it.
		{"Maxwell", torch, hostWith("580.65.06", "5.2"), "debian:trixie-slim 3.13 torch 2.13.0 cu126"},
		{"Pascal", of("2.8.0"), hostWith("580.65.06", "6.1"), "debian:trixie-slim 3.13 torch 2.8.0 cu126"},
		{"Volta", of("2.7.1"), hostWith("580.65.06", "7.0"), "debian:trixie-slim 3.13 torch 2.7.1 cu126"},
		{"Volta again in 2.8", of("2.8.0"), hostWith("580.65.06", "7.0"), "debian:trixie-slim 3.13 torch 2.8.0 cu129"},
		{"Ada", of("2.5.1"), hostWith("570.124.06", "8.9"), "debian:bookworm-slim 3.11 torch 2.5.1 cu124"},
		{"Hopper", torch, hostWith("580.65.06", "9.0"), "debian:trixie-slim 3.13 torch 2.13.0 cu130"},
		{"Blackwell", torch, hostWith("580.65.06", "12.0"), "debian:trixie-slim 3.13 torch 2.13.0 cu130"},
		{"Blackwell, older driver", torch, hostWith("570.124.06", "12.0"), "debian:trixie-slim 3.13 torch 2.11.0 cu128"},
		{"Blackwell, older torch", of("2.6.0"), hostWith("570.124.06", "12.0"), "torch_lacks_gpu 2.6.0 | GPU 12.0 | 12.0 | torch 2.7.0 (cu128)"},
		{"old and new together", torch, hostWith("580.65.06", "6.1", "12.0"), "torch_lacks_gpu 2.13.0 | GPU 6.1 | 6.1 | torch 2.13.0 (cpu)"},
		{"Pascal and Hopper together", torch, hostWith("580.65.06", "6.1", "9.0"), "debian:trixie-slim 3.13 torch 2.13.0 cu126"},
		{"nobody knows the capability", torch, hostWith("580.65.06", ""), "debian:trixie-slim 3.13 torch 2.13.0 cu130"},
		// Python: a base whose own fits, else another source.
		{"guide", guide, rtx, guideBase + " 3.9 apt torch 2.0.1 cu118"},
		{"guide, old driver", guide, hostWith("470.256.02", "8.6"), guideBase + " 3.9 apt torch 2.0.1 cu118 !driver_minor"},
		{"guide, no GPU", guide, noGPU, guideBase + " 3.9 apt torch 2.0.1 cu118 !cuda_unchecked"},
		{"3.8 of the base", on(guideBase, "2.0.1", ""), rtx, guideBase + " 3.8 torch 2.0.1 cu118"},
		{"3.8 of the base is too old", on(guideBase, "2.5.1", ""), rtx, guideBase + " 3.9 apt torch 2.5.1 cu118"},
		{"asked Python is too new", on("ubuntu:24.04", "2.0.1", "3.12"), rtx, "torch_needs_python 2.0.1 | 3.8 | 3.11 | 3.12 | torch 2.2.0 (cu121)"},
		{"base's Python is too new", on("ubuntu:24.04", "2.0.1", ""), rtx, "ubuntu:24.04 3.11 uv torch 2.0.1 cu118"},
		{"3.8", masu.Environment{Preset: "python", Python: "3.8"}, noGPU, "debian:trixie-slim 3.8 uv"},
		{"3.9", masu.Environment{Preset: "python", Python: "3.9"}, noGPU, "debian:trixie-slim 3.9 uv"},
		{"3.10", masu.Environment{Preset: "python", Python: "3.10"}, noGPU, "ubuntu:22.04 3.10"},
		{"3.11", masu.Environment{Preset: "python", Python: "3.11"}, noGPU, "debian:bookworm-slim 3.11"},
		{"3.12", masu.Environment{Preset: "python", Python: "3.12"}, noGPU, "ubuntu:24.04 3.12"},
		{"3.13", masu.Environment{Preset: "python", Python: "3.13"}, noGPU, "debian:trixie-slim 3.13"},
		{"3.7", masu.Environment{Preset: "python", Python: "3.7"}, noGPU, "python_not_here 3.7 | debian:trixie-slim | debian:trixie-slim"},
		{"official python image", on("python:3.11-slim-bookworm", "2.0.1", ""), rtx, "python:3.11-slim-bookworm 3.11 torch 2.0.1 cu118"},
		// The C library of the base.
		{"glibc", on("ubuntu:18.04", "2.7.1", "3.8"), rtx, "torch_needs_python 2.7.1 | 3.9 | 3.13 | 3.8 | torch 2.4.1 (cu124)"},
		{"glibc of buster is enough", on("debian:buster", "2.7.1", "3.11"), rtx, "debian:buster 3.11 uv torch 2.7.1 cu128"},
		// CUDA that the member or the base says.
		{"no driver", torch, noGPU, "debian:trixie-slim 3.13 torch 2.13.0 cpu !cpu_assumed"},
		{"cpu on purpose", masu.Environment{Preset: "pytorch", CUDA: "cpu"}, rtx, "debian:trixie-slim 3.13 torch 2.13.0 cpu"},
		{"cu118 asked for", masu.Environment{Preset: "pytorch", CUDA: "cu118"}, rtx, "debian:trixie-slim 3.13 torch 2.7.1 cu118"},
		{"not built for it", masu.Environment{Preset: "pytorch", Torch: "2.0.1", CUDA: "cu124"}, rtx, "torch_lacks_cuda 2.0.1 | cu124 | cu117, cu118 | torch 2.0.1 (cu118)"},
		{"toolkit of another major", on("nvidia/cuda:12.8.1-cudnn-devel-ubuntu22.04", "2.0.1", ""), rtx, "torch_cuda_differs 2.0.1 | 12.8 | cu117, cu118 | torch 2.1.0 (cu121)"},
		{"toolkit of another major, on purpose", masu.Environment{Base: "nvidia/cuda:12.8.1-cudnn-devel-ubuntu22.04", Torch: "2.0.1", CUDA: "cu118"}, rtx, "nvidia/cuda:12.8.1-cudnn-devel-ubuntu22.04 3.10 torch 2.0.1 cu118"},
		{"toolkit before the newest", on("nvidia/cuda:12.6.3-cudnn-devel-ubuntu22.04", "2.8.0", ""), hostWith("580.65.06", "8.6"), "nvidia/cuda:12.6.3-cudnn-devel-ubuntu22.04 3.10 torch 2.8.0 cu126"},
		// Versions.
		{"not out yet", of("2.14.0"), rtx, "torch_unknown 2.14.0 | 2.13.0 | torch 2.13.0 (cu126)"},
		{"minor release", of("2.5"), rtx, "debian:bookworm-slim 3.11 torch 2.5.1 cu124"},
		{"from a list", masu.Environment{Preset: "python", Pip: []string{"torch==2.0.1", "torchvision", "numpy"}}, rtx, "debian:bookworm-slim 3.11 torch 2.0.1 cu118 !torch_from_list"},
		{"arm64", torch, masu.Host{Arch: "arm64", PipIndex: true}, "debian:trixie-slim 3.13 torch 2.13.0 cpu !cpu_assumed"},
		// TensorFlow.
		{"TensorFlow", tf(""), rtx, "debian:trixie-slim 3.13 tensorflow[and-cuda]==2.21.0"},
		{"TensorFlow, no driver", tf(""), noGPU, "debian:trixie-slim 3.13 tensorflow==2.21.0 !cpu_assumed"},
		{"TensorFlow with CUDA in the image", tf("2.11.0"), rtx, "nvidia/cuda:11.2.2-cudnn8-devel-ubuntu20.04 3.8 tensorflow==2.11.0"},
		{"TensorFlow 2.13 on plain Debian", masu.Environment{Base: "debian:bookworm-slim", TensorFlow: "2.13.0"}, rtx, "tensorflow_needs_cuda 2.13.0 | 11.8 | nvidia/cuda:11.8.0-cudnn8-devel-ubuntu22.04 | TensorFlow 2.21.0"},
		{"TensorFlow, old driver", tf("2.18.0"), hostWith("470.256.02", "8.6"), "tensorflow_needs_driver 2.18.0 | 525.60.13 | 470.256.02 | TensorFlow 2.14.0"},
		{"TensorFlow patch release", tf("2.16.2"), rtx, "debian:bookworm-slim 3.11 tensorflow[and-cuda]==2.16.2"},
		{"TensorFlow on Blackwell", tf(""), hostWith("580.65.06", "12.0"), "debian:trixie-slim 3.13 tensorflow[and-cuda]==2.21.0 !tensorflow_new_gpu"},
		{"TensorFlow nobody knows", tf("1.15"), rtx, "tensorflow_unknown 1.15 | 2.21.0 | TensorFlow 2.21.0"},
		{"both with GPU", masu.Environment{Base: "debian:trixie-slim", Torch: "latest", TensorFlow: "latest"}, rtx, "torch_and_tensorflow "},
		{"both without", masu.Environment{Base: "debian:trixie-slim", Torch: "latest", TensorFlow: "latest"}, noGPU, "debian:trixie-slim 3.13 torch 2.13.0 cpu tensorflow==2.21.0 !cpu_assumed !cpu_assumed"},
		// No package index.
		{"alone", masu.Environment{Preset: "python"}, alone, "debian:trixie-slim 3.13 !jupyter_from_debian"},
		{"alone with torch", torch, alone, "wheels_need_index preset: python"},
		{"alone on Ubuntu", masu.Environment{Base: "ubuntu:22.04"}, alone, "jupyter_needs_index ubuntu:22.04 | debian:trixie-slim"},
		{"alone with another Python", masu.Environment{Base: "debian:trixie-slim", Python: "3.11"}, alone, "python_not_here 3.11 | debian:trixie-slim | debian:trixie-slim"},
		// Bases.
		{"unknown base", masu.Environment{Base: "lab/own:1"}, noGPU, "lab/own:1  !base_unknown"},
		{"no apt", masu.Environment{Base: "alpine:3.20"}, noGPU, "base_not_debian alpine:3.20 | debian:trixie-slim"},
		{"no apt in NVIDIA's", masu.Environment{Base: "nvidia/cuda:12.4.1-devel-rockylinux9"}, noGPU, "base_not_debian nvidia/cuda:12.4.1-devel-rockylinux9 | debian:trixie-slim"},
	} {
		if got := outcome(c.env, c.host); got != c.want {
			t.Errorf("%s:\n got %s\nwant %s", c.name, got, c.want)
		}
	}
}

func TestGlibcTooOld(t *testing.T) {
	_, err := versions().torch("2.7.1", "3.10", "", machine{driver: "570.124.06", glibc: "2.27"})
	if masu.CodeOf(err) != "base_glibc_too_old" {
		t.Errorf("torch 2.7.1 on glibc 2.27: %v", err)
	}
	w, err := versions().torch("2.6.0", "3.10", "", machine{driver: "570.124.06", glibc: "2.27"})
	if err != nil || w.tag != "cu124" { // cu126 of that release needs 2.28
		t.Errorf("torch 2.6.0 on glibc 2.27: %v %v", w, err)
	}
}

func TestRuns(t *testing.T) {
	row := versions().Torch["2.9.0"]
	for _, c := range []struct {
		tag, capability string
		want            bool
	}{
		{"cu126", "8.9", true}, {"cu126", "6.1", true}, {"cu126", "5.2", true}, {"cu126", "12.0", false}, {"cu126", "10.0", false},
		{"cu130", "12.1", true}, {"cu130", "7.0", false}, {"cu130", "6.1", false}, {"cu130", "", true},
	} {
		if got := row.runs(c.tag, c.capability); got != c.want {
			t.Errorf("%s on %s: %v", c.tag, c.capability, got)
		}
	}
}

func TestDefaultAndChoices(t *testing.T) {
	if d := Default(noGPU); d != "python" {
		t.Errorf("without a GPU: %s", d)
	}
	if d := Default(rtx); d != "pytorch" {
		t.Errorf("with a GPU: %s", d)
	}
	if d := Default(masu.Host{GPUs: rtx.GPUs}); d != "python" {
		t.Errorf("without a driver: %s", d)
	}
	for _, h := range []masu.Host{noGPU, rtx, alone, hostWith("470.256.02", "6.1")} {
		all := Choices(h, nil)
		if len(all) == 0 || !all[0].Default || all[0].Preset != Default(h) {
			t.Fatalf("%+v: the default is not first: %+v", h, all)
		}
		for i, c := range all {
			if i > 0 && c.Default {
				t.Errorf("two defaults: %+v", c)
			}
			e := masu.Environment{Preset: c.Preset, Torch: c.Torch, TensorFlow: c.TensorFlow}
			if _, err := Plan(Config{Environment: e, Host: h}); err != nil {
				t.Errorf("offered, but refused: %+v: %v", c, err)
			}
		}
	}
	if n := len(Choices(alone, nil)); n != 1 {
		t.Errorf("without an index there are %d choices", n)
	}
}

func TestSuite(t *testing.T) {
	for ref, want := range map[masu.ImageRef]string{
		"debian:trixie-slim": "trixie", "debian:trixie": "trixie", "debian": "trixie", "debian:13": "trixie", "debian:12.5-slim": "bookworm",
		"docker.io/library/debian:bookworm": "bookworm", "debian:bullseye-20240101-slim": "bullseye",
		"ubuntu:22.04": "", "lab/debian:trixie": "", "debian:sid": "", "debian@sha256:0": "", "nvidia/cuda:12.4.1-devel-ubuntu22.04": "", "debian:1": "",
	} {
		if got, ok := Suite(ref); got != want || ok != (want != "") {
			t.Errorf("%s: %q, %v", ref, got, ok)
		}
	}
}
