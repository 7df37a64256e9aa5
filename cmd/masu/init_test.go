package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/masu-lab/masu"
)

// Three questions: a number, a name or Enter chooses; what is no answer is asked again.
func TestInitAsks(t *testing.T) {
	for _, c := range []struct {
		name, typed string
		want        masu.Draft
		said        string
	}{
		{"Enter", "\n\n\n", masu.Draft{Preset: "python"}, ""},
		{"a number", "3\n2\nnumpy transformers\n", masu.Draft{Preset: "pytorch", GPUs: 2, Pip: []string{"numpy", "transformers"}}, ""},
		{"a name", "tensorflow\n0\n\n", masu.Draft{Preset: "tensorflow"}, ""},
		{"again", "9\nfortran\n1\n-1\n1\n\n", masu.Draft{Preset: "python", GPUs: 1}, "“fortran”"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var out, errs bytes.Buffer
			dir := t.TempDir() // where no daemon answers
			a := newApp(strings.NewReader(c.typed), &out, &errs, func(name string) string {
				return map[string]string{"MASU_SOCKET": dir + "/none.sock", "MASU_LANG": "en"}[name]
			}, nil)
			var got masu.Draft
			if err := a.askProject(t.Context(), &got); err != nil {
				t.Fatal(err)
			}
			if got.Preset != c.want.Preset || got.GPUs != c.want.GPUs || strings.Join(got.Pip, " ") != strings.Join(c.want.Pip, " ") {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
			if !strings.Contains(errs.String(), c.said) || !strings.Contains(errs.String(), "1  python") {
				t.Errorf("said:\n%s", errs.String())
			}
		})
	}
}
