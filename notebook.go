package masu

import (
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// NotebookMost bounds the file of a notebook that is run or looked at.
const NotebookMost = 20 * MiB

// Notebook is a notebook that a run executes, cell by cell. Its paths begin at the project folder.
type Notebook struct {
	Path       string   `json:"path"`
	Out        string   `json:"out,omitempty"`        // where its outputs go; "" in a wish: beside Path, by the run's ID
	Parameters []string `json:"parameters,omitempty"` // NAME=VALUE, set after the cell that is tagged "parameters"
}

// What Runs.Notebooks looks at: a list to choose from, not a search.
const (
	NotebooksMost = 200
	NotebooksDeep = 3 // folders
)

const notebookSuffix = ".ipynb"

// Opening is what a box is told when a page is about to open a notebook.
type Opening struct {
	Path  string              `json:"path"`  // from Jupyter's root folder
	Pages map[string][]string `json:"pages"` // by kernel, the sessions of pages that are attached to it through masu
}

// IsNotebook tells whether a command's first word is a notebook.
func IsNotebook(word string) bool {
	return strings.HasSuffix(word, notebookSuffix) && len(word) > len(notebookSuffix)
}

var ranNotebook = regexp.MustCompile(`\.run-[a-z2-7]{12}\.ipynb$`)

// RanNotebook tells whether a notebook is one that a run was to put its outputs into.
func RanNotebook(name string) bool { return ranNotebook.MatchString(name) }

// Validate refuses what cannot be: Invalid "notebook_path", "notebook_same", "parameter_wrong".
func (n Notebook) Validate() error {
	for _, p := range []string{n.Path, n.Out} {
		if (p != "" || p == n.Path) && (!IsNotebook(path.Base(p)) || !filepath.IsLocal(p) || strings.ContainsRune(p, 0)) {
			return E(Invalid, "notebook_path", p)
		}
	}
	if n.Out != "" && path.Clean(n.Out) == path.Clean(n.Path) {
		return E(Invalid, "notebook_same", n.Path)
	}
	for _, p := range n.Parameters {
		if _, _, err := Parameter(p); err != nil {
			return err
		}
	}
	return nil
}

// For gives the notebook of one run: with a place for its outputs that is nobody else's.
func (n Notebook) For(r Run) *Notebook {
	n.Path = path.Clean(n.Path)
	switch {
	case n.Out == "":
		n.Out = strings.TrimSuffix(n.Path, notebookSuffix) + ".run-" + string(r.ID) + notebookSuffix
	case r.Series != "":
		n.Out = strings.TrimSuffix(n.Out, notebookSuffix) + "-" + strconv.Itoa(r.Index) + notebookSuffix
	}
	n.Out = path.Clean(n.Out)
	return &n
}

// Argv is the command that executes the notebook in a box.
func (n Notebook) Argv() []string {
	argv := []string{AgentPath, "notebook"}
	for _, p := range n.Parameters {
		argv = append(argv, "-p", p)
	}
	return append(argv, "--", n.Path, n.Out)
}

var (
	parameterName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
	// keywords are Python's, which no variable can be called.
	keywords = strings.Fields("False None True and as assert async await break class continue def del elif else except finally for from global if import in is lambda nonlocal not or pass raise return try while with yield")
)

// Parameter takes NAME=VALUE apart. A name that cannot be a variable's is Invalid "parameter_wrong".
func Parameter(p string) (name, value string, err error) {
	name, value, ok := strings.Cut(p, "=")
	if !ok || !parameterName.MatchString(name) || slices.Contains(keywords, name) {
		return "", "", E(Invalid, "parameter_wrong", p)
	}
	return name, value, nil
}
