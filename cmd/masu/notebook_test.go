package main

import (
	"slices"
	"testing"
	"time"

	"github.com/masu-lab/masu"
)

// TestNotebookOf: what of a command is a notebook, and what belongs to it.
func TestNotebookOf(t *testing.T) {
	dir := t.TempDir()
	for _, c := range []struct {
		name   string
		before notebookOptions
		args   []string
		want   masu.Notebook
		code   string
	}{
		{name: "no notebook", args: []string{"python", "a.ipynb", "-p", "x"}},
		{name: "nothing", args: nil},
		{name: "parameters without one", before: notebookOptions{parameters: []string{"a=1"}}, args: []string{"python"}, code: "notebook_only"},
		{name: "output without one", before: notebookOptions{out: "x.ipynb"}, code: "notebook_only"},
		{name: "alone", args: []string{"./a.ipynb"}, want: masu.Notebook{Path: "a.ipynb"}},
		{name: "flags on both sides", before: notebookOptions{parameters: []string{"a=1"}}, args: []string{"sub/a.ipynb", "-p", "b=2", "-o", "out.ipynb"}, want: masu.Notebook{Path: "sub/a.ipynb", Out: "out.ipynb", Parameters: []string{"a=1", "b=2"}}},
		{name: "by its whole path", args: []string{dir + "/a.ipynb"}, want: masu.Notebook{Path: "a.ipynb"}},
		{name: "elsewhere", args: []string{"/etc/a.ipynb"}, code: "notebook_path"},
		{name: "onto itself", args: []string{"a.ipynb", "-o", "./a.ipynb"}, code: "notebook_same"},
		{name: "no value", args: []string{"a.ipynb", "-p", "import os"}, code: "parameter_wrong"},
		{name: "another flag", args: []string{"a.ipynb", "-x"}, code: "flag_unknown"},
		{name: "another word", args: []string{"a.ipynb", "b.ipynb"}, code: "args_many"},
	} {
		n, err := c.before.notebook(dir, c.args)
		if c.code != "" {
			if err == nil || masu.CodeOf(err) != c.code {
				t.Errorf("%s: %v, want %s", c.name, err, c.code)
			}
			continue
		}
		if n == nil {
			n = &masu.Notebook{}
		}
		if err != nil || n.Path != c.want.Path || n.Out != c.want.Out || !slices.Equal(n.Parameters, c.want.Parameters) {
			t.Errorf("%s: %+v, %v", c.name, n, err)
		}
	}
	at := time.Date(2026, 11, 28, 3, 4, 5, 0, time.UTC)
	if got := attached(masu.Notebook{Path: "sub/a.ipynb", Parameters: []string{"x=-1"}}, at); !slices.Equal(got, []string{masu.AgentPath, "notebook", "-p", "x=-1", "--", "sub/a.ipynb", "sub/a.run-20261128-030405.ipynb"}) {
		t.Errorf("attached: %q", got)
	}
}
