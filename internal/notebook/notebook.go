// Package notebook reads, fills and writes Jupyter's notebooks (nbformat 4).
// What it does not know of a notebook it keeps as it is. It is pure: no files,
// no kernels.
package notebook

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/masu-lab/masu"
)

// Code is the kind of cells that run; the others are for reading.
const Code = "code"

// Notebook is a notebook in memory.
type Notebook struct {
	Cells  []*Cell
	fields map[string]json.RawMessage // all but the cells
}

// Cell is one of its cells.
type Cell struct {
	Kind   string
	Source string
	Tags   []string

	fields  map[string]json.RawMessage
	fresh   bool // outputs and count are in the place of those in fields
	outputs []*Output
	count   int

	once sync.Once // for read: those in fields
	read []*Output
}

// Parse reads a notebook. One of another format than 4 is Invalid
// "notebook_format" (its format), one of too many parts Invalid "notebook_many"
// (the most cells, the most outputs), anything else Invalid "notebook_wrong" (what is wrong).
// The parts are counted before they are made.
func Parse(text []byte) (*Notebook, error) {
	if fields(text) > fieldsMost {
		return nil, many()
	}
	n := &Notebook{}
	if err := json.Unmarshal(text, &n.fields); err != nil {
		return nil, wrong(err)
	}
	var format int
	if err := json.Unmarshal(n.fields["nbformat"], &format); err != nil {
		return nil, wrong(fmt.Errorf("nbformat: %w", err))
	}
	if format != 4 {
		return nil, masu.E(masu.Invalid, "notebook_format", format)
	}
	if elements(n.fields["cells"]) > CellsMost {
		return nil, many()
	}
	var cells []map[string]json.RawMessage
	if err := json.Unmarshal(n.fields["cells"], &cells); err != nil {
		return nil, wrong(fmt.Errorf("cells: %w", err))
	}
	delete(n.fields, "cells")
	outputs := 0
	for i, fields := range cells {
		if outputs += elements(fields["outputs"]); outputs > OutputsMost {
			return nil, many()
		}
		c, err := newCell(fields)
		if err != nil {
			return nil, wrong(fmt.Errorf("cell %d: %w", i+1, err))
		}
		n.Cells = append(n.Cells, c)
	}
	return n, nil
}

func wrong(err error) error { return masu.E(masu.Invalid, "notebook_wrong", err).Because(err) }

func newCell(fields map[string]json.RawMessage) (*Cell, error) {
	c := &Cell{fields: fields}
	if err := json.Unmarshal(fields["cell_type"], &c.Kind); err != nil {
		return nil, fmt.Errorf("cell_type: %w", err)
	}
	var source lines
	if err := json.Unmarshal(fields["source"], &source); err != nil {
		return nil, fmt.Errorf("source: %w", err)
	}
	c.Source = string(source)
	var meta struct{ Tags few }
	_ = json.Unmarshal(fields["metadata"], &meta) // what is not understood is no tag
	c.Tags = meta.Tags
	return c, nil
}

// Kernel tells which kernel the notebook is for, and its language; "" where it does not say.
func (n *Notebook) Kernel() (name, language string) {
	var meta struct {
		Kernelspec struct{ Name, Language string }
		Language   struct{ Name string } `json:"language_info"`
	}
	_ = json.Unmarshal(n.fields["metadata"], &meta) // what is not understood is not said
	if language = meta.Kernelspec.Language; language == "" {
		language = meta.Language.Name
	}
	return meta.Kernelspec.Name, language
}

// MarshalJSON is the notebook as its file holds it, but for spaces.
func (n *Notebook) MarshalJSON() ([]byte, error) {
	all := map[string]any{"cells": append([]*Cell{}, n.Cells...)}
	for k, v := range n.fields {
		all[k] = v
	}
	return marshal(all)
}

// Bytes is the notebook's file, as Jupyter itself writes it.
func (n *Notebook) Bytes() ([]byte, error) {
	flat, err := n.MarshalJSON()
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	if err := json.Indent(&out, flat, "", " "); err != nil {
		return nil, err
	}
	out.WriteByte('\n')
	return out.Bytes(), nil
}

// marshal leaves <, > and & as they are, which json.Marshal would not.
func marshal(v any) ([]byte, error) {
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return bytes.TrimSuffix(out.Bytes(), []byte("\n")), err
}

// MarshalJSON gives the cell with everything that it had.
func (c *Cell) MarshalJSON() ([]byte, error) {
	if !c.fresh {
		return marshal(c.fields)
	}
	all := map[string]any{}
	for k, v := range c.fields {
		all[k] = v
	}
	all["outputs"], all["execution_count"] = append([]*Output{}, c.outputs...), nil
	if c.count > 0 {
		all["execution_count"] = c.count
	}
	return marshal(all)
}

// Has tells whether the cell has a tag.
func (c *Cell) Has(tag string) bool { return slices.Contains(c.Tags, tag) }

// Runs tells whether there is something to run in the cell.
func (c *Cell) Runs() bool {
	return c.Kind == Code && strings.TrimSpace(c.Source) != "" && !c.Has("skip-execution")
}

// Clear takes the outputs of a code cell away, and when it ran.
func (c *Cell) Clear() {
	if c.Kind != Code {
		return
	}
	c.fresh, c.outputs, c.count = true, nil, 0
	c.setMeta("execution", nil)
}

// Count is the number of the cell's last execution; 0 for none.
func (c *Cell) Count() int {
	if c.fresh {
		return c.count
	}
	var n int
	_ = json.Unmarshal(c.fields["execution_count"], &n) // null, and what is not understood, is none
	return n
}

// Outputs gives the cell's; what is no output is left out. They are only looked at.
func (c *Cell) Outputs() []*Output {
	if c.fresh {
		return c.outputs
	}
	c.once.Do(func() {
		var all []json.RawMessage
		_ = json.Unmarshal(c.fields["outputs"], &all) // none, then
		for _, raw := range all {
			o := &Output{}
			if json.Unmarshal(raw, o) == nil && o.Kind != "" {
				c.read = append(c.read, o)
			}
		}
	})
	return c.read
}

// The moments of an execution, by the names that Jupyter gives them.
const (
	Began   = "iopub.status.busy"
	Replied = "shell.execute_reply"
	Ended   = "iopub.status.idle"
)

// Note writes down when something happened to the cell.
func (c *Cell) Note(moment string, at time.Time) {
	times := c.times()
	times[moment] = at.UTC().Format("2006-01-02T15:04:05.000000Z07:00")
	c.setMeta("execution", times)
}

func (c *Cell) times() map[string]string {
	var meta struct{ Execution map[string]string }
	if json.Unmarshal(c.fields["metadata"], &meta) != nil || meta.Execution == nil {
		return map[string]string{}
	}
	return meta.Execution
}

// When tells when something happened to the cell, if it is known.
func (c *Cell) When(moment string) (time.Time, bool) {
	at, err := time.Parse(time.RFC3339Nano, c.times()[moment])
	return at, err == nil
}

// setMeta sets a part of the cell's metadata, or with nil takes it away.
func (c *Cell) setMeta(name string, value any) {
	meta := map[string]json.RawMessage{}
	_ = json.Unmarshal(c.fields["metadata"], &meta) // what is not an object cannot be kept
	if meta == nil {
		meta = map[string]json.RawMessage{}
	}
	delete(meta, name)
	if raw, err := marshal(value); err == nil && value != nil {
		meta[name] = raw
	}
	if raw, err := marshal(meta); err == nil {
		c.fields["metadata"] = raw
	}
}

// lines is text that a notebook keeps as one string or as a list of lines.
type lines string

// UnmarshalJSON takes both.
func (l *lines) UnmarshalJSON(text []byte) error {
	if !bytes.HasPrefix(text, []byte("[")) {
		return json.Unmarshal(text, (*string)(l))
	}
	all := append(make([]byte, 0, len(text)), '"') // the lines as one: a list of millions is larger than its text
	for i := 1; i < len(text); i++ {
		switch c := text[i]; {
		case c == '"':
			from := i + 1
			for i = from; i < len(text) && text[i] != '"'; i++ {
				if text[i] == '\\' {
					i++
				}
			}
			all = append(all, text[from:min(i, len(text))]...)
		case c == 'n': // null is an empty line
			i += len("ull")
		case !strings.ContainsRune(", \t\r\n]", rune(c)):
			return errors.New("a line is no text")
		}
	}
	return json.Unmarshal(append(all, '"'), (*string)(l))
}

// MarshalJSON gives the list, which is kinder to version control.
func (l lines) MarshalJSON() ([]byte, error) {
	list := []string{}
	for line := range strings.Lines(string(l)) {
		list = append(list, line)
	}
	return marshal(list)
}
