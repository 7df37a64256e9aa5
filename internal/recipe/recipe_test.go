package recipe

import (
	"encoding/json"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/masu-lab/masu"
)

func layer(apt, pip string) masu.Layer {
	return masu.Layer{Apt: strings.Fields(apt), Pip: strings.Fields(pip)}
}

func TestArrange(t *testing.T) {
	old := []masu.Layer{layer("git", "numpy"), layer("tree", "")}
	for _, c := range []struct {
		name     string
		old      []masu.Layer
		apt, pip string
		compact  bool
		want     []masu.Layer
	}{
		{"first", nil, "git vim", "numpy", false, []masu.Layer{layer("git vim", "numpy")}},
		{"nothing", nil, "", "", false, nil},
		{"unchanged", old, "git tree", "numpy", false, old},
		{"another order", old, "tree git", "numpy", false, old},
		{"added", old, "git htop tree", "pandas numpy", false, []masu.Layer{old[0], old[1], layer("htop", "pandas")}},
		{"removed", old, "git", "numpy", false, []masu.Layer{layer("git", "numpy")}},
		{"changed", old, "git tree", "numpy==2", false, []masu.Layer{layer("git tree", "numpy==2")}},
		{"compact", old, "git tree", "numpy", true, []masu.Layer{layer("git tree", "numpy")}},
		{"all removed", old, "", "", false, nil},
	} {
		got := arrange(c.old, strings.Fields(c.apt), strings.Fields(c.pip), c.compact)
		if len(got)+len(c.want) > 0 && !equalLayers(got, c.want) {
			t.Errorf("%s: %+v, want %+v", c.name, got, c.want)
		}
	}
}

func equalLayers(a, b []masu.Layer) bool {
	x, _ := json.Marshal(a)
	y, _ := json.Marshal(b)
	return string(x) == string(y)
}

// TestAdditionKeepsWhatIsBuilt: a package more leaves the beginning of the Dockerfile, and the files it copies, alone.
func TestAdditionKeepsWhatIsBuilt(t *testing.T) {
	e := masu.Environment{Preset: "python", Apt: []string{"git"}}
	first, err := Plan(Config{Environment: e, Host: noGPU})
	if err != nil {
		t.Fatal(err)
	}
	e.Apt = append(e.Apt, "htop")
	second, err := Plan(Config{Environment: e, Host: noGPU, Order: first.Order})
	if err != nil {
		t.Fatal(err)
	}
	before, ok := strings.CutSuffix(first.Files[0].Text, "RUN sh /opt/recipe/setup/record.sh\n") // always the last step
	if !ok || !strings.HasPrefix(second.Files[0].Text, before) || second.Ref == first.Ref {
		t.Error("the addition changed earlier steps, or nothing")
	}
	for i, f := range first.Files[1:] {
		if second.Files[i+1] != f {
			t.Errorf("%s changed", f.Path)
		}
	}
	again, err := Plan(Config{Environment: e, Host: noGPU, Order: second.Order})
	if err != nil || again.Ref != second.Ref {
		t.Errorf("the same again is %s, not %s: %v", again.Ref, second.Ref, err)
	}
}

// TestNamesAreNotCode: what members name reaches files only, never an instruction, and never changes their number.
func TestNamesAreNotCode(t *testing.T) {
	plan := func(word string) string {
		r, err := Plan(Config{Host: noGPU, Environment: masu.Environment{
			Preset: "python", Apt: []string{word}, Pip: []string{word}, Run: []string{"echo " + word},
		}})
		if err != nil {
			t.Fatal(err)
		}
		return r.Files[0].Text
	}
	if a, b := plan("vim"), plan("x\nUSER root\nRUN id"); a != b {
		t.Errorf("the Dockerfile depends on names:\n%s\n%s", a, b)
	}
}

// TestOldBuilders: nothing that the builder of Docker 20.10 lacks, and nothing that needs a registry besides the base's.
func TestOldBuilders(t *testing.T) {
	for _, e := range []masu.Environment{guide, {Preset: "pytorch"}, {Preset: "tensorflow"}, {Preset: "python", Run: []string{"true"}}} {
		r, err := Plan(Config{Environment: e, Host: rtx, CAs: []masu.File{{Text: "x"}}})
		if err != nil {
			t.Fatal(err)
		}
		d := r.Files[0].Text
		if m := regexp.MustCompile(`(?i)<<|--link|# *syntax|^USER|--mount=type=(secret|ssh)|ADD `).FindString(d); m != "" {
			t.Errorf("%q in\n%s", m, d)
		}
		if n := strings.Count("\n"+d, "\nFROM "); n != 1 {
			t.Errorf("%d FROM in\n%s", n, d)
		}
	}
}

func TestLabelsAndArguments(t *testing.T) {
	e := masu.Environment{Preset: "python", Apt: []string{"git"}}
	c := Config{Environment: e, Host: noGPU, Site: masu.Site{Proxy: map[string]string{"http_proxy": "http://u:secret@proxy.lab"}}}
	r, err := Plan(c)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"masu.environment": e.Key(), "masu.base": "debian:trixie-slim", "masu.layers": `[{"apt":["git"]}]`}
	if !reflect.DeepEqual(r.Labels, want) {
		t.Errorf("labels %v", r.Labels)
	}
	if !regexp.MustCompile(`^masu/env:[0-9a-f]{12}$`).MatchString(string(r.Ref)) {
		t.Errorf("ref %s", r.Ref)
	}
	if r.Args["http_proxy"] == "" || strings.Contains(written(r.Files), "secret") {
		t.Error("a proxy's password belongs into the build's arguments, not into a file")
	}
	if r.GPU || r.Smoke != nil {
		t.Error("a smoke test without a GPU")
	}
}

func TestSmoke(t *testing.T) {
	for _, c := range []struct {
		env  masu.Environment
		host masu.Host
		word string
	}{
		{masu.Environment{Preset: "pytorch"}, rtx, "torch.cuda"},
		{masu.Environment{Preset: "tensorflow"}, rtx, "tensorflow"},
		{masu.Environment{Preset: "pytorch", CUDA: "cpu"}, rtx, ""},
		{masu.Environment{Preset: "pytorch"}, noGPU, ""},
		{guide, noGPU, ""},
		{masu.Environment{Preset: "python"}, rtx, ""},
	} {
		r, err := Plan(Config{Environment: c.env, Host: c.host})
		if err != nil {
			t.Fatal(err)
		}
		if r.GPU != (c.word != "") || c.word != "" && !strings.Contains(r.Smoke[2], c.word) {
			t.Errorf("%+v: %v %q", c.env, r.GPU, r.Smoke)
		}
	}
	for exit, code := range map[int]string{smokeImport: "smoke_import", smokeNoGPU: "smoke_no_gpu", smokeKernel: "smoke_kernel", 137: "smoke_failed"} {
		if e := Explain(exit, "x"); e.Code != code {
			t.Errorf("exit %d: %s", exit, e.Code)
		}
	}
	if Explain(0, "") != nil {
		t.Error("a test that passed is no error")
	}
}

func TestRefusals(t *testing.T) {
	for name, c := range map[string]Config{
		"site_address":    {Environment: masu.Environment{Preset: "python"}, Host: noGPU, Site: masu.Site{AptMirror: "http://x/$(id)"}},
		"pip_needs_index": {Environment: masu.Environment{Preset: "python", Pip: []string{"numpy", "transformers", "pandas==1.0"}}, Host: alone},
	} {
		_, err := Plan(c)
		if masu.KindOf(err) != masu.Invalid || masu.CodeOf(err) != name {
			t.Errorf("%s: %v", name, err)
		}
		if name == "pip_needs_index" && !strings.HasSuffix(err.Error(), "transformers, pandas==1.0") {
			t.Errorf("it does not name what can't be had: %v", err)
		}
	}
}

func TestOwnDockerfile(t *testing.T) {
	e := masu.Environment{Dockerfile: "Dockerfile", Digest: "sha256:1"}
	r, err := Plan(Config{Environment: e, Host: noGPU})
	if err != nil || len(r.Files) != 0 || r.Ref != ref(e.Key()) {
		t.Errorf("%+v %v", r, err)
	}
	if b, _, err := Base(e, noGPU, nil); b != "" || err != nil {
		t.Errorf("base %q %v", b, err)
	}
	if _, err := Eject(EjectConfig{Project: masu.Project{Environment: e}}); masu.CodeOf(err) != "eject_dockerfile" {
		t.Errorf("eject: %v", err)
	}
}

func TestUnknownBaseFromPackages(t *testing.T) {
	r, err := Plan(Config{Environment: masu.Environment{Base: "lab/base"}, Host: alone, BaseFromPackages: true})
	if err != nil || !strings.Contains(r.Files[0].Text, "masu-apt-debian-trixie") {
		t.Errorf("%v", err)
	}
}
