package recipe

import (
	"slices"
	"strings"

	"github.com/masu-lab/masu"
)

// machine is what a wheel must fit: the host, and the C library and CUDA toolkit of the base.
type machine struct {
	driver  string
	gpus    []masu.GPU
	arch    string
	glibc   string // "" is unknown
	toolkit string // CUDA release of the base image, "11.8"; "" if it has none
}

func machineOf(h masu.Host, s system) machine {
	return machine{driver: h.Driver, gpus: h.GPUs, arch: h.Arch, glibc: s.glibc, toolkit: minor(s.cuda)}
}

// wheel is a build of torch: its version, and the CUDA that it brings.
type wheel struct {
	version string
	tag     string // "cu118" or "cpu"
	fit     fit    // of the driver; fitNone when there is no driver to ask
	need    string // the driver that would carry it fully
}

func (w wheel) String() string { return "torch " + w.version + " (" + w.tag + ")" }

// releases lists the torch versions that asked means, newest first. A version that is not out yet is none.
func (t *table) releases(asked string) []string {
	return slices.DeleteFunc(newestFirst(t.Torch), func(v string) bool {
		return t.Torch[v].Status != "released" || !matches(v, asked)
	})
}

// torch chooses the newest wheel of the asked version (“latest”, "2.0", "2.0.1")
// that runs with this Python on this machine. Tag is what the member said
// about CUDA, "" for nothing.
func (t *table) torch(asked, python, tag string, m machine) (wheel, error) {
	all := t.releases(asked)
	if len(all) == 0 {
		return wheel{}, masu.E(masu.Invalid, "torch_unknown", asked, t.releases("latest")[0])
	}
	var first *masu.Error
	for _, v := range all {
		w, bad := t.wheel(v, python, tag, m)
		if bad == nil {
			return w, nil
		}
		if first == nil {
			first = bad
		}
	}
	return wheel{}, first
}

// wheel chooses the build of one version of torch.
func (t *table) wheel(v, python, tag string, m machine) (wheel, *masu.Error) {
	row := t.Torch[v]
	if !within(python, row.Python) {
		return wheel{}, masu.E(masu.Invalid, "torch_needs_python", v, row.Python[0], row.Python[1], python)
	}
	tags, bad := t.tags(v, tag, m)
	if bad != nil {
		return wheel{}, bad
	}
	if tags = t.forGPUs(row, tags, m); len(tags) == 0 {
		gpu := t.misfit(row, m)
		return wheel{}, masu.E(masu.Invalid, "torch_lacks_gpu", v, gpu.Model, gpu.Capability)
	}
	if tags = keep(tags, func(tag string) bool { return m.glibc == "" || compare(m.glibc, row.glibc(tag)) >= 0 }); len(tags) == 0 {
		return wheel{}, masu.E(masu.Invalid, "base_glibc_too_old", "torch "+v, row.glibc(row.Default), m.glibc)
	}
	return t.best(v, tags, m)
}

// tags lists the wheel tags of a version that may be considered, the best of several equally good ones first.
func (t *table) tags(v, asked string, m machine) ([]string, *masu.Error) {
	row := t.Torch[v]
	switch {
	case asked == "cpu" || asked == "" && m.driver == "" && m.toolkit == "":
		return []string{"cpu"}, nil
	case asked != "" && !slices.Contains(row.Tags, asked):
		return nil, masu.E(masu.Invalid, "torch_lacks_cuda", v, asked, strings.Join(row.Tags, ", "))
	case asked != "":
		return []string{asked}, nil
	case m.toolkit != "":
		// Code that the member compiles against the image's toolkit must find the same major version in torch.
		same := keep(row.Tags, func(tag string) bool { return major(tagCUDA(tag)) == major(m.toolkit) })
		if len(same) == 0 {
			return nil, masu.E(masu.Invalid, "torch_cuda_differs", v, m.toolkit, strings.Join(row.Tags, ", "))
		}
		return same, nil
	}
	return row.Tags, nil
}

// forGPUs keeps the tags whose kernels run on every GPU of the host. The table
// knows the x86-64 wheels only. Where a row of it is unverified, the project's
// release notes say the same about the only GPUs it would refuse (Blackwell needs 2.7).
func (t *table) forGPUs(row torchRow, tags []string, m machine) []string {
	return keep(tags, func(tag string) bool {
		return tag == "cpu" || m.driver == "" || m.arch == "arm64" ||
			!slices.ContainsFunc(m.gpus, func(g masu.GPU) bool { return !row.runs(tag, g.Capability) })
	})
}

// misfit gives a GPU for which the version has no kernels.
func (t *table) misfit(row torchRow, m machine) masu.GPU {
	for _, g := range m.gpus {
		if !slices.ContainsFunc(row.Tags, func(tag string) bool { return row.runs(tag, g.Capability) }) {
			return g
		}
	}
	return m.gpus[0] // each has some build, but no build has them all
}

// runs tells whether the kernels of a wheel run on a compute capability: built
// for the same major version and no later minor one, or kept as PTX of no
// later capability. An unknown capability is given the benefit of the doubt.
func (r torchRow) runs(tag, capability string) bool {
	sm, ok := r.SM[tag]
	if capability == "" || !ok {
		return true
	}
	return sm.PTX != "" && compare(sm.PTX, capability) <= 0 ||
		slices.ContainsFunc(sm.SM, func(c string) bool { return major(c) == major(capability) && compare(c, capability) <= 0 })
}

// glibc gives the C library that a wheel needs; the CPU's is built with the least demanding of the others.
func (r torchRow) glibc(tag string) string {
	if g, ok := r.Glibc[tag]; ok {
		return g.Glibc
	}
	least := ""
	for _, g := range r.Glibc {
		if least == "" || compare(g.Glibc, least) < 0 {
			least = g.Glibc
		}
	}
	return least
}

// best takes the tag of the toolkit, or else the highest that the driver
// carries fully, or else the highest that it carries at all.
func (t *table) best(v string, tags []string, m machine) (wheel, *masu.Error) {
	if m.driver == "" || slices.Equal(tags, []string{"cpu"}) {
		tag := tags[len(tags)-1]
		for _, c := range tags {
			if tagCUDA(c) == m.toolkit {
				tag = c
			}
		}
		return wheel{version: v, tag: tag}, nil
	}
	var found wheel
	lowest := ""
	for _, tag := range tags {
		f, need := t.driverFit(m.driver, tagCUDA(tag))
		if f == fitNone {
			if lowest == "" || compare(need, lowest) < 0 {
				lowest = need
			}
			continue
		}
		w := wheel{version: v, tag: tag, fit: f, need: need}
		if found.version == "" || tagCUDA(tag) == m.toolkit || tagCUDA(found.tag) != m.toolkit &&
			(f > found.fit || f == found.fit && compare(tagCUDA(tag), tagCUDA(found.tag)) > 0) {
			found = w
		}
	}
	if found.version == "" {
		return found, masu.E(masu.Invalid, "torch_needs_driver", v, lowest, m.driver)
	}
	return found, nil
}

// nearest names the wheel that runs and is closest to the one that was asked
// for, counted in releases and preferring newer ones; on the CPU everything runs.
func (t *table) nearest(asked, python, tag string, m machine) string {
	all := t.releases("latest")
	at := slices.IndexFunc(all, func(v string) bool { return matches(v, asked) })
	if at < 0 {
		at = 0
	}
	for d := range len(all) {
		for _, i := range []int{at - d, at + d} {
			if i < 0 || i >= len(all) {
				continue
			}
			if w, bad := t.wheel(all[i], python, "", m); bad == nil {
				return w.String()
			}
		}
	}
	if w, err := t.torch("latest", python, "cpu", m); err == nil {
		return w.String()
	}
	return t.releases("latest")[0] + ", Python " + t.Torch[t.releases("latest")[0]].Python[1]
}

// index gives pip's option for the index of a wheel. Where the site has a copy
// of the official index, its address stands for everything before the CUDA tag.
func (t *table) index(w wheel, site masu.Site) string {
	row := t.Torch[w.version]
	url := row.IndexURL
	if site.TorchIndex != "" {
		url = strings.TrimRight(site.TorchIndex, "/") + "/{tag}"
	}
	option := row.IndexFlag + " " + strings.ReplaceAll(url, "{tag}", w.tag)
	if host, plain := strings.CutPrefix(url, "http://"); plain {
		host, _, _ = strings.Cut(host, "/")
		option += " --trusted-host " + host
	}
	return option
}

// requirements is the requirements file of a wheel: torch, torchvision and
// torchaudio are built for each other and come as one triple, from the index of
// their CUDA. From 2.12 on torchaudio is no longer part of it.
func (t *table) requirements(w wheel, arch string) string {
	row := t.Torch[w.version]
	local := "+" + w.tag // the mark keeps pip from taking another index's build of the same version
	if arch == "arm64" {
		local = "" // these wheels do not carry it throughout
	}
	list := []string{"torch==" + w.version + local}
	if row.Torchvision != "" {
		list = append(list, "torchvision=="+row.Torchvision+local)
	}
	if row.Torchaudio != "" && compare(w.version, "2.12") < 0 {
		list = append(list, "torchaudio=="+row.Torchaudio+local)
	}
	if oldNumpy(w.version) {
		list = append(list, "numpy<2")
	}
	return lines(list)
}

// oldNumpy tells whether a torch was built against numpy 1 and fails with numpy 2.
func oldNumpy(torch string) bool { return compare(torch, "2.3") < 0 }

func keep(list []string, ok func(string) bool) []string {
	return slices.DeleteFunc(slices.Clone(list), func(s string) bool { return !ok(s) })
}
