package recipe

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestTable holds the embedded table to what the code expects of it.
func TestTable(t *testing.T) {
	tab := versions()
	version := regexp.MustCompile(`^\d+\.\d+(\.\d+)*$`)
	if len(tab.Torch) < 20 || len(tab.TensorFlow) < 10 || len(tab.CUDA) < 30 || len(tab.Distros) < 8 || len(tab.Images.CUDNN) < 20 {
		t.Fatal("the table lacks rows")
	}
	for v, row := range tab.Torch {
		if !version.MatchString(v) || compare(row.Python[0], row.Python[1]) >= 0 || len(row.Tags) == 0 {
			t.Errorf("torch %s: %+v", v, row)
		}
		if !strings.HasPrefix(row.IndexURL, "https://") || !strings.HasSuffix(row.IndexURL, "/{tag}") || !strings.HasPrefix(row.IndexFlag, "--") {
			t.Errorf("torch %s: index %s %s", v, row.IndexFlag, row.IndexURL)
		}
		if row.Status == "released" && (row.Torchvision == "" || !slices.Contains(row.Tags, row.Default)) {
			t.Errorf("torch %s: %+v", v, row)
		}
		if !slices.IsSortedFunc(row.Tags, func(a, b string) int { return compare(tagCUDA(a), tagCUDA(b)) }) {
			t.Errorf("torch %s: tags %v are not in order", v, row.Tags)
		}
		for _, tag := range row.Tags {
			if _, ok := tab.release(tagCUDA(tag)); !ok {
				t.Errorf("torch %s: CUDA of %s is not in the table", v, tag)
			}
			if len(row.SM[tag].SM) == 0 || row.Glibc[tag].Glibc == "" {
				t.Errorf("torch %s: nothing is known about %s", v, tag)
			}
		}
	}
	for v, row := range tab.TensorFlow {
		if _, ok := tab.release(row.CUDA); !ok || compare(row.Python[0], row.Python[1]) >= 0 {
			t.Errorf("TensorFlow %s: %+v", v, row)
		}
		if w := (tfWheel{image: !strings.HasPrefix(row.CUDAFrom, "pip")}); w.image && tab.cudnnImage(row.CUDA) == "" {
			t.Errorf("TensorFlow %s: no image has CUDA %s", v, row.CUDA)
		}
	}
	for v, row := range tab.CUDA {
		if row.Full == "" && row.Minor == "" || row.Full != "" && row.Minor != "" && major(row.Minor) > major(row.Full) {
			t.Errorf("CUDA %s: %+v", v, row)
		}
	}
	for key, row := range tab.Distros {
		if !version.MatchString(row.Python) || !version.MatchString(row.Glibc) || row.Version == "" {
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
