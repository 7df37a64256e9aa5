package project

import (
	"slices"
	"testing"
	"testing/fstest"

	"github.com/masu-lab/masu"
)

// TestKeep: what was installed by hand is written where the folder's own words
// stand, which stay as they are.
func TestKeep(t *testing.T) {
	l := masu.Layer{Apt: []string{"tree"}, Pip: []string{"requests==2.31.0"}}
	for name, c := range map[string]struct{ file, before, after string }{
		"nothing":       {"masu.yaml", "", "preset: python\napt:\n  - tree\npip:\n  - requests==2.31.0\n"},
		"no lists":      {"masu.yaml", "preset: python # 主\n# end", "preset: python # 主\n# end\napt:\n  - tree\npip:\n  - requests==2.31.0\n"},
		"only comments": {"masu.yaml", "# nothing yet\n", "# nothing yet\napt:\n  - tree\npip:\n  - requests==2.31.0\n"},
		"flow":          {"masu.yaml", "apt: [git, vim] # 道具\npip: []\n", "apt: [git, vim, tree] # 道具\npip: [requests==2.31.0]\n"},
		"flow on lines": {"masu.yaml", "apt: [git, # [a]\n  \"vim\", # end ]\n]\npip: ['numpy==1.26.4']", "apt: [git, # [a]\n  \"vim\", # end ]\ntree]\npip: ['numpy==1.26.4', requests==2.31.0]\n"},
		"block":         {"masu.yaml", "apt:\n- git # a\n# b\npreset: python\npip:\n    - numpy\n    - pandas # c\n", "apt:\n- git # a\n- tree\n# b\npreset: python\npip:\n    - numpy\n    - pandas # c\n    - requests==2.31.0\n"},
		"has one":       {"masu.yaml", "apt: [tree]\n", "apt: [tree]\npip:\n  - requests==2.31.0\n"},
		"requirements":  {"requirements.txt", "numpy", "numpy\nrequests==2.31.0\n"},
	} {
		t.Run(name, func(t *testing.T) {
			files := fstest.MapFS{}
			if c.before != "" {
				files[c.file] = &fstest.MapFile{Data: []byte(c.before), Mode: 0o644}
			}
			got, err := Keep(alone{files}, "python", l)
			if err != nil {
				t.Fatal(err)
			}
			i := slices.IndexFunc(got, func(f masu.File) bool { return f.Path == c.file })
			if i < 0 || got[i].Text != c.after {
				t.Fatalf("got %+v, want %q", got, c.after)
			}
			for _, f := range got {
				files[f.Path] = &fstest.MapFile{Data: []byte(f.Text), Mode: 0o644}
			}
			p, err := Read(alone{files}, "python")
			if err != nil || !slices.Contains(p.Environment.Apt, "tree") || !slices.Contains(p.Environment.Pip, "requests==2.31.0") {
				t.Errorf("read back: %+v, %v", p.Environment, err)
			}
		})
	}
	for name, files := range map[string]fstest.MapFS{
		"Dockerfile":      {"Dockerfile": {Data: []byte("FROM debian\n")}},
		"key dockerfile":  {"masu.yaml": {Data: []byte("dockerfile: Dockerfile\n")}, "Dockerfile": {Data: []byte("FROM debian\n")}},
		"a nested bullet": {"masu.yaml": {Data: []byte("apt: [[a]]\n")}},
	} {
		if got, err := Keep(alone{files}, "", l); masu.KindOf(err) != masu.Invalid {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

// FuzzAddItems: whatever stands in masu.yaml, an addition never loses or changes another word of it.
func FuzzAddItems(f *testing.F) {
	f.Add("apt: [git]\n")
	f.Add("apt:\n- git\n# x\npip: [a, 'b']\n")
	f.Add("apt: [\"a]\", b]")
	f.Fuzz(func(t *testing.T, text string) {
		read := func(text string) (masu.Project, error) {
			return Read(alone{fstest.MapFS{"masu.yaml": {Data: []byte(text)}}}, "")
		}
		before, err := read(text)
		if err != nil {
			return
		}
		changed, err := addItems(text, "apt", []string{"tree-of-test"})
		if err != nil {
			return
		}
		after, err := read(changed)
		if err != nil {
			return // Keep's caller reads it before it writes, and refuses
		}
		if want := append(slices.Clone(before.Environment.Apt), "tree-of-test"); !slices.Equal(after.Environment.Apt, want) || !slices.Equal(after.Environment.Pip, before.Environment.Pip) || after.Environment.Preset != before.Environment.Preset {
			t.Errorf("%q became %q", text, changed)
		}
	})
}
