package main

import (
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/masu-lab/masu"
)

// notebookOptions are those of a run whose command is a notebook.
type notebookOptions struct {
	parameters []string
	out        string
}

func (o *notebookOptions) flags(f *pflag.FlagSet) {
	f.StringArrayVarP(&o.parameters, "parameter", "p", nil, "")
	f.StringVarP(&o.out, "output", "o", "", "")
}

// notebook gives the notebook that a command stands for, with the flags before
// and after it; nil if it stands for none.
func (o *notebookOptions) notebook(dir string, args []string) (*masu.Notebook, error) {
	if len(args) == 0 || !masu.IsNotebook(args[0]) {
		if len(o.parameters) > 0 || o.out != "" {
			return nil, masu.E(masu.Invalid, "notebook_only")
		}
		return nil, nil
	}
	f := pflag.NewFlagSet("run", pflag.ContinueOnError)
	var after notebookOptions
	after.flags(f)
	if err := f.Parse(args[1:]); err != nil {
		return nil, flagError(err, "masu run")
	}
	if f.NArg() > 0 {
		return nil, masu.E(masu.Invalid, "args_many", "masu run", f.Arg(0), "masu run "+args[0])
	}
	n := &masu.Notebook{Path: inProject(dir, args[0]), Parameters: append(o.parameters, after.parameters...)}
	if out := o.out + after.out; out != "" {
		n.Out = inProject(dir, out)
	}
	return n, n.Validate()
}

// inProject makes a path begin at the project folder if it is in it.
func inProject(dir, path string) string {
	if !filepath.IsAbs(path) {
		return filepath.ToSlash(filepath.Clean(path))
	}
	if real, err := filepath.EvalSymlinks(filepath.Dir(path)); err == nil {
		path = filepath.Join(real, filepath.Base(path))
	}
	if rel, err := filepath.Rel(dir, path); err == nil {
		return filepath.ToSlash(rel)
	}
	return path
}

// attached is the command by which a notebook is executed while somebody watches.
func attached(n masu.Notebook, now time.Time) []string {
	if n.Out == "" {
		n.Out = strings.TrimSuffix(n.Path, filepath.Ext(n.Path)) + ".run-" + now.Format("20060102-150405") + filepath.Ext(n.Path)
	}
	return n.Argv()
}
