package masu_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestWallsAreHeld: each test that docs/walls.md names is there.
func TestWallsAreHeld(t *testing.T) {
	table, err := os.ReadFile("docs/walls.md")
	if err != nil {
		t.Fatal(err)
	}
	var sources strings.Builder
	err = filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && (d.Name() == "node_modules" || d.Name() == ".git") {
			return filepath.SkipDir
		}
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		b, err := os.ReadFile(path)
		sources.Write(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	names := regexp.MustCompile("`((?:Test|Fuzz)[A-Za-z]+|[a-z]+/[a-z]+\\.txtar)`").FindAllSubmatch(table, -1)
	for _, m := range names {
		name := string(m[1])
		if strings.HasSuffix(name, ".txtar") {
			if _, err := os.Stat(filepath.Join("cmd/masu/testdata", name)); err != nil {
				t.Error(err)
			}
		} else if !strings.Contains(sources.String(), "\nfunc "+name+"(") {
			t.Errorf("there is no %s", name)
		}
	}
	if len(names) < 60 {
		t.Errorf("only %d tests are named", len(names))
	}
}
