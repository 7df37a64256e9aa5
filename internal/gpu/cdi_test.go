package gpu

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/masu-lab/masu"
)

// TestSpecs reads specifications as makers' tools write them: testdata/cdi.
func TestSpecs(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	i, err := New(Config{Kinds: []string{"masu.test/gpu"}})
	if err != nil || i.command != "" {
		t.Skip("this host has nvidia-smi")
	}
	for name, want := range map[string][]masu.GPU{
		// "all" is left out; the same card by index and by UUID is one card, by its UUID.
		"nvidia.yaml": {
			{ID: "nvidia.com/gpu=GPU-5d5ba0d6-d33d-2b2c-524d-9e3d8d2b8a77", Model: "nvidia.com/gpu"},
			{ID: "nvidia.com/gpu=GPU-67a571b1-79ee-1016-8ea3-c1fff3f1c1d2", Model: "nvidia.com/gpu"},
		},
		"amd.json": {
			{ID: "amd.com/gpu=0", Model: "AMD Instinct MI300X", Memory: 192 * masu.GiB},
			{ID: "amd.com/gpu=2", Model: "AMD Instinct MI300X", Memory: 192 * masu.GiB},
			{ID: "amd.com/gpu=10", Model: "amd.com/gpu"},
		},
		"intel.yaml": {{ID: "intel.com/gpu=0000:03:00.0-0x56a0", Model: "intel.com/gpu"}},
		"test.json":  {{ID: "masu.test/gpu=0", Model: "masu.test/gpu"}, {ID: "masu.test/gpu=1", Model: "masu.test/gpu"}},
		"net.yaml":   nil, // a kind that nobody asked for
	} {
		b, err := os.ReadFile(filepath.Join("testdata/cdi", name))
		if err != nil {
			t.Fatal(err)
		}
		dir := t.TempDir()
		put(t, dir, name, string(b))
		got, wrong := i.Devices([]string{dir})
		if d := cmp.Diff(want, got); d != "" || wrong != nil {
			t.Errorf("%s: %v %s", name, wrong, d)
		}
	}
}

func put(t *testing.T, dir, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// specOf describes devices, each with its own edits.
func specOf(kind string, names ...string) string {
	var b strings.Builder
	b.WriteString("cdiVersion: 0.5.0\nkind: " + kind + "\ndevices:\n")
	for _, n := range names {
		b.WriteString("- {name: '" + n + "', containerEdits: {env: ['X" + n + "=1']}}\n")
	}
	return b.String()
}

// ids are the names of GPUs.
func ids(gpus []masu.GPU) (all []string) {
	for _, g := range gpus {
		all = append(all, string(g.ID))
	}
	return all
}

// TestFolders: the later folder wins, a name that one folder has twice is
// nobody's, what cannot be read is told, and a change is noticed.
func TestFolders(t *testing.T) {
	first, second := t.TempDir(), t.TempDir()
	i, err := New(Config{Kinds: []string{"masu.test/gpu"}})
	if err != nil {
		t.Fatal(err)
	}
	see := func(want string, wrong ...string) {
		t.Helper()
		gpus, found := i.Devices([]string{first, second, "/not/there"})
		var codes []string
		for _, f := range found {
			codes = append(codes, f.Code+" "+filepath.Base(f.Args[len(f.Args)-min(len(f.Args), 2)]))
		}
		if got := strings.Join(ids(gpus), " "); got != want || strings.Join(codes, "; ") != strings.Join(wrong, "; ") {
			t.Errorf("%s; %q", got, codes)
		}
	}
	see("")
	put(t, first, "a.yaml", specOf("masu.test/gpu", "0", "1"))
	put(t, first, "notes.txt", "not: [a specification")
	put(t, first, ".hidden.yaml", "not: [a specification")
	see("masu.test/gpu=0 masu.test/gpu=1")
	put(t, second, "b.json", specOf("masu.test/gpu", "1", "2"))
	see("masu.test/gpu=0 masu.test/gpu=1 masu.test/gpu=2")
	put(t, first, "c.yaml", specOf("masu.test/gpu", "0", "4"))
	see("masu.test/gpu=1 masu.test/gpu=2 masu.test/gpu=4", "cdi_spec_twice gpu=0")
	if err := os.Remove(filepath.Join(first, "c.yaml")); err != nil {
		t.Fatal(err)
	}
	put(t, second, "b.json", "kind: [")
	see("masu.test/gpu=0 masu.test/gpu=1", "cdi_spec_wrong b.json")
	if err := os.Remove(filepath.Join(second, "b.json")); err != nil {
		t.Fatal(err)
	}
	put(t, second, "large.yaml", strings.Repeat("#", mostSpec+1))
	if err := syscall.Mkfifo(filepath.Join(second, "pipe.yaml"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("nowhere", filepath.Join(second, "z.yaml")); err != nil {
		t.Fatal(err)
	}
	see("masu.test/gpu=0 masu.test/gpu=1", "cdi_spec_wrong large.yaml", "cdi_spec_wrong pipe.yaml", "cdi_spec_wrong z.yaml")
}

func TestWrongSpecs(t *testing.T) {
	for text, want := range map[string]string{
		"":                                       "no documents",
		"kind: a.b/c":                            "cdiVersion: missing",
		"cdiVersion: 1\nkind: gpu":               `kind: "gpu"`,
		"cdiVersion: 1\nkind: ../../x":           `kind: "../../x"`,
		specOf("a.b/c", "a,b"):                   `devices: "a,b"`,
		specOf("a.b/c", "a b"):                   `devices: "a b"`,
		"cdiVersion: 1\nkind: a.b/c\ndevices: x": "gpu.device",
		"a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b]": "cdiVersion",
	} {
		if _, err := parseSpec([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60q: %v, want %s", text, err, want)
		}
	}
}

// TestBesideNvidiaSMI: nvidia-smi's cards are listed once, and others after them.
func TestBesideNvidiaSMI(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, "nvidia.yaml", specOf(nvidia, "0", "1"))
	put(t, dir, "amd.yaml", specOf("amd.com/gpu", "0"))
	i, err := New(Config{Command: "testdata/rtx4090/nvidia-smi", Folders: func(context.Context) ([]string, error) { return []string{dir}, nil }})
	if err != nil {
		t.Fatal(err)
	}
	gpus, err := i.GPUs(t.Context())
	if err != nil || len(gpus) != 3 || gpus[2].ID != "amd.com/gpu=0" || gpus[2].Index != 2 || gpus[2].Memory != 0 {
		t.Errorf("%+v, %v", gpus, err)
	}
}

// TestEngineAway: what the engine said holds while it does not answer; before it has answered, nothing is known.
func TestEngineAway(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	dir, away := t.TempDir(), errors.New("away")
	put(t, dir, "amd.yaml", specOf("amd.com/gpu", "0"))
	i, err := New(Config{Keep: 1, Folders: func(context.Context) ([]string, error) { return []string{dir}, away }})
	if err != nil || i.command != "" {
		t.Skip("this host has nvidia-smi")
	}
	if gpus, err := i.GPUs(t.Context()); err == nil {
		t.Errorf("before it has answered: %v", gpus)
	}
	away = nil
	if gpus, err := i.GPUs(t.Context()); len(gpus) != 1 || err != nil {
		t.Errorf("%v, %v", gpus, err)
	}
	away = errors.New("away again")
	if gpus, err := i.GPUs(t.Context()); len(gpus) != 1 || err != nil {
		t.Errorf("afterwards: %v, %v", gpus, err)
	}
}

func FuzzSpec(f *testing.F) {
	names, err := filepath.Glob("testdata/cdi/*")
	if err != nil || len(names) == 0 {
		f.Fatal(err)
	}
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := parseSpec(b)
		if err != nil {
			return
		}
		for _, g := range s.gpus() {
			if !g.ID.CDI() || strings.ContainsAny(string(g.ID), ", \n") || g.Memory < 0 || strings.ContainsAny(g.Model, "\n\x1b") {
				t.Errorf("%q gives %+v", b, g)
			}
		}
	})
}

func TestInOrder(t *testing.T) {
	for _, pair := range [][2]string{{"a=2", "a=10"}, {"a=0:1", "a=1"}, {"a", "a0"}, {"a=x", "b=0"}, {"a=1", "a=01"}} {
		if inOrder(pair[0], pair[1]) >= 0 || inOrder(pair[1], pair[0]) <= 0 || inOrder(pair[0], pair[0]) != 0 {
			t.Errorf("%q", pair)
		}
	}
}
