package kube

import (
	"crypto/rand"
	"strings"
	"testing"

	"github.com/masu-lab/masu"
)

// TestCarryToAnotherRegistry: what is pushed to a registry of the member's is fetched from it, and comes under the lab's own name.
func TestCarryToAnotherRegistry(t *testing.T) {
	rt := open(t, testConfig(t))
	host, _, _ := strings.Cut(rt.cfg.Registry, "/")
	theirs := masu.ImageRef(host + "/theirs/" + strings.ToLower(rand.Text()[:6]) + ":1")
	as := masu.ImageRef("masu/of-1001:" + strings.ToLower(rand.Text()[:6]))
	var told []masu.Progress
	if err := rt.Push(t.Context(), testImage, theirs, masu.RegistryAuth{}, func(p masu.Progress) { told = append(told, p) }); err != nil {
		t.Fatal(err)
	}
	if len(told) == 0 || told[len(told)-1].Current != told[len(told)-1].Total {
		t.Errorf("a push that has ended told %+v", told)
	}
	if err := rt.Fetch(t.Context(), theirs, as, masu.RegistryAuth{}, nil); err != nil {
		t.Fatal(err)
	}
	img, err := rt.Image(t.Context(), as)
	if err != nil || len(img.Refs) != 1 || img.Refs[0] != as {
		t.Errorf("the fetched image: %+v, %v", img, err)
	}
	if err := rt.RemoveImage(t.Context(), as); err != nil {
		t.Error(err)
	}
	for ref, code := range map[masu.ImageRef]string{
		masu.ImageRef(host + "/theirs/none:1"): "no_image",
		"127.0.0.1:1/theirs/none:1":            "registry_unreachable",
		"Not A Name":                           "no_image",
	} {
		if err := rt.Fetch(t.Context(), ref, as, masu.RegistryAuth{}, nil); masu.CodeOf(err) != code {
			t.Errorf("fetching %s: %v, want %s", ref, err, code)
		}
	}
	if err := rt.Push(t.Context(), testImage, "127.0.0.1:1/theirs/none:1", masu.RegistryAuth{}, nil); masu.CodeOf(err) != "registry_unreachable" {
		t.Errorf("a push to nobody: %v", err)
	}
}

// TestOneNameLess: registries delete images and not names; a name goes without the image's other ones all the same.
func TestOneNameLess(t *testing.T) {
	rt := open(t, testConfig(t))
	first := masu.ImageRef("masu/names:" + strings.ToLower(rand.Text()[:6]))
	second := first + "-too"
	if err := rt.Import(t.Context(), first, agentTar(t), nil); err != nil {
		t.Fatal(err)
	}
	if err := rt.Tag(t.Context(), first, second); err != nil {
		t.Fatal(err)
	}
	if err := rt.RemoveImage(t.Context(), second); err != nil {
		t.Fatal(err)
	}
	if _, err := rt.Image(t.Context(), second); masu.CodeOf(err) != "no_image" {
		t.Errorf("the name that was taken away: %v", err)
	}
	if _, err := rt.ImageFile(t.Context(), first, "/masu"); masu.CodeOf(err) != "image_no_record" { // it is larger than what is asked for so
		t.Errorf("the image under its other name: %v", err)
	}
	if img, err := rt.Image(t.Context(), first); err != nil || img.Arch == "" {
		t.Errorf("the image under its other name: %+v, %v", img, err)
	}
	if err := rt.RemoveImage(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	if _, err := rt.Image(t.Context(), first); masu.CodeOf(err) != "no_image" {
		t.Errorf("its last name: %v", err)
	}
}
