package masu_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/masu-lab/masu"

// floors says what each package may import of this module. It is the
// architecture; change it, and docs/architecture.md, only on purpose.
var floors = map[string][]string{
	".":                 {},
	"internal/project":  {"."},
	"internal/recipe":   {"."},
	"internal/docker":   {".", "internal/host", "internal/gauge", "internal/buildkit"},
	"internal/kube":     {".", "internal/buildkit"},
	"internal/buildkit": {"."},
	"internal/host":     {".", "internal/chown", "internal/gauge"},
	"internal/gauge":    {"."},
	"internal/agent":    {".", "internal/chown", "internal/gauge"},
	"internal/chown":    {},
	"internal/archive":  {"."},
	"internal/move":     {".", "internal/archive"},
	"internal/sbom":     {"."},
	"internal/gpu":      {"."},
	"internal/sqlite":   {"."},
	"internal/sched":    {"."},
	"internal/metrics":  {"."},
	"internal/lab":      {".", "internal/archive", "internal/recipe", "internal/sched", "internal/notebook", "internal/metrics"},
	"internal/api":      {".", "internal/metrics"},
	"internal/kernel":   {"."},
	"internal/notebook": {"."},
	"internal/execute":  {".", "internal/kernel", "internal/notebook"},
	"internal/outputs":  {".", "internal/notebook"},
	"internal/sshd":     {"."},
	"internal/remote":   {"."},
	"internal/mirror":   {"."},
	"internal/oidc":     {"."},
	"internal/notify":   {"."},
	"internal/web":      {".", "internal/text", "internal/proxy", "internal/oidc", "internal/notebook", "internal/sbom", "internal/metrics"},
	"internal/proxy":    {"."},
	"internal/text":     {"."},
	"internal/doctor":   {"."},
	"internal/masutest": {".", "internal/archive"},
	"client":            {".", "internal/api"},
	"cmd/masu":          {"*"},
	"packaging":         {}, // a module of its own, as is pam
}

// outsiders are packages of others that must not come in: each has cost somebody dearly.
var outsiders = []string{"C", "k8s.io/client-go/kubernetes", "github.com/NVIDIA/go-nvml", "github.com/ebitengine/purego", "github.com/docker/docker"}

// TestFloors reads the sources itself, rather than ask the go command, so that
// the test cache notices when they change.
func TestFloors(t *testing.T) {
	docs := map[string]int{}
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && path != "." {
			if n := d.Name(); n == "testdata" || n == "test" || n == "pam" || n == "node_modules" || strings.HasPrefix(n, ".") || strings.HasPrefix(n, "_") {
				return filepath.SkipDir
			}
		}
		if d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly|parser.ParseComments)
		if err != nil {
			return err
		}
		dir := filepath.ToSlash(filepath.Dir(path))
		allowed, ok := floors[dir]
		if !ok {
			t.Errorf("%s stands on no floor; give it one on purpose", dir)
		}
		if f.Doc != nil {
			docs[dir]++
		}
		for _, spec := range f.Imports {
			checkImport(t, path, strings.Trim(spec.Path.Value, `"`), allowed)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for dir, n := range docs {
		if n != 1 {
			t.Errorf("%s has %d package comments, want 1", dir, n)
		}
	}
}

func checkImport(t *testing.T, path, dep string, allowed []string) {
	if slices.Contains(outsiders, dep) {
		t.Errorf("%s imports %s, which must stay out", path, dep)
	}
	rest, ours := strings.CutPrefix(dep, module)
	if !ours {
		return
	}
	if rest = strings.TrimPrefix(rest, "/"); rest == "" {
		rest = "."
	}
	if !slices.Contains(allowed, rest) && !slices.Contains(allowed, "*") {
		t.Errorf("%s imports %s, which is not below it", path, rest)
	}
}
