package sbom

import (
	"encoding/json"
	"regexp"
	"testing"

	"github.com/masu-lab/masu"
)

// TestBill: the bill has what the schema of CycloneDX 1.6 requires, in its forms.
func TestBill(t *testing.T) {
	c := masu.Contents{Name: "bert", Image: "sha256:1f", Lock: masu.Lock{Image: "debian:trixie-slim", Arch: "amd64", Python: "3.13.5", Packages: []masu.Package{
		{From: masu.FromBase, Name: "libstdc++6", Version: "1:14.2.0-19"},
		{From: masu.FromPip, Name: "numpy", Version: "2.1.0+cu124", Hash: "sha256:" + string(make([]byte, 0)) + "00"},
	}}}
	var got struct {
		BOMFormat, SpecVersion, SerialNumber string
		Version                              int
		Metadata                             struct{ Component map[string]any }
		Components                           []map[string]any
	}
	text := Of(c, "1.2").JSON()
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	serial := regexp.MustCompile(`^urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$`) // the schema's
	if got.BOMFormat != "CycloneDX" || got.SpecVersion != "1.6" || got.Version != 1 || !serial.MatchString(got.SerialNumber) {
		t.Errorf("head: %s", text)
	}
	types := map[any]bool{"application": true, "library": true, "container": true, "platform": true}
	refs := map[any]bool{}
	for _, part := range append(got.Components, got.Metadata.Component) {
		if !types[part["type"]] || part["name"] == "" || part["name"] == nil || refs[part["bom-ref"]] {
			t.Errorf("component %v", part)
		}
		refs[part["bom-ref"]] = true
	}
	for _, want := range []string{"pkg:deb/debian/libstdc%2B%2B6@1%3A14.2.0-19?arch=amd64", "pkg:pypi/numpy@2.1.0+cu124", "python"} {
		if !refs[want] {
			t.Errorf("%s is missing in %v", want, refs)
		}
	}
	if again := Of(c, "1.2").JSON(); string(again) != string(text) {
		t.Error("the same image has another bill")
	}
}
