package recipe

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestTable holds the embedded table to what the code expects of it.
func TestTable(t *testing.T) {
	tab := versions()
	if len(tab.Torch) < 20 || len(tab.TensorFlow) < 10 || len(tab.CUDA) < 30 || len(tab.Distros) < 8 || len(tab.Images.CUDNN) < 20 {
		t.Fatal("the table lacks rows")
	}
	for _, wrong := range tab.check() {
		t.Error(wrong)
	}
	for key, row := range tab.Distros {
		if !dotted.MatchString(row.Python) || !dotted.MatchString(row.Glibc) || row.Version == "" {
			t.Errorf("%s: %+v", key, row)
		}
	}
	for _, base := range plainBases() {
		if s, err := systemOf(base); err != nil || s.key == "" {
			t.Errorf("the table does not know %s: %v", base, err)
		}
	}
}

// TestNotesHaveSentences reads the sources: every note's code has a sentence.
func TestNotesHaveSentences(t *testing.T) {
	b, err := os.ReadFile("../text/catalog/recipe.json")
	if err != nil {
		t.Fatal(err)
	}
	var catalog map[string]map[string]string
	if err := json.Unmarshal(b, &catalog); err != nil {
		t.Fatal(err)
	}
	call := regexp.MustCompile(`\.note\("([a-z_]+)"((?:, [^()]*(?:\(\))?)*)\)`)
	blank := regexp.MustCompile(`%\[(\d)\]s`)
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, f := range files {
		src, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range call.FindAllStringSubmatch(string(src), -1) {
			found++
			args := strings.Count(m[2], ", ")
			for _, b := range blank.FindAllStringSubmatch(catalog[m[1]]["en"], -1) {
				if int(b[1][0]-'0') > args {
					t.Errorf("%s: %s has %d arguments, its sentence asks for %s", f, m[1], args, b[0])
				}
			}
			if catalog[m[1]]["en"] == "" {
				t.Errorf("%s: %s has no sentence", f, m[1])
			}
		}
	}
	if found < 10 {
		t.Errorf("only %d notes were found in the sources", found)
	}
}
