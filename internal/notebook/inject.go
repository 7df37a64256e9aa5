package notebook

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/masu-lab/masu"
)

// Tags by which papermill knows the cell of parameters, and the one that sets others.
const (
	tagParameters = "parameters"
	tagInjected   = "injected-parameters"
)

// Assignments is Python that sets parameters, each given as NAME=VALUE. A value
// is a JSON scalar or else a string; it never becomes code. A name that cannot
// be a variable's is Invalid "parameter_wrong".
func Assignments(parameters []string) (string, error) {
	out := "# Parameters\n"
	for _, p := range parameters {
		name, value, err := masu.Parameter(p)
		if err != nil {
			return "", err
		}
		out += name + " = " + literal(value) + "\n"
	}
	return out, nil
}

// literal is a value in Python.
func literal(value string) string {
	text := strings.TrimSpace(value)
	switch text {
	case "true":
		return "True"
	case "false":
		return "False"
	case "null":
		return "None"
	}
	var number json.Number
	if text != "" && text[0] != '"' && json.Unmarshal([]byte(text), &number) == nil {
		return text
	}
	var s string
	if json.Unmarshal([]byte(text), &s) != nil {
		s = value
	}
	quoted, err := marshal(s) // a string of JSON is one of Python
	if err != nil {
		return `""`
	}
	return string(quoted)
}

// Inject puts code that sets parameters after the cell that is tagged
// "parameters", or before all others, in the place of what was injected before.
// Only Python is spoken: Invalid "parameters_language" (the notebook's).
func (n *Notebook) Inject(code string) error {
	if _, language := n.Kernel(); language != "" && !strings.EqualFold(language, "python") {
		return masu.E(masu.Invalid, "parameters_language", language)
	}
	n.Cells = slices.DeleteFunc(n.Cells, func(c *Cell) bool { return c.Has(tagInjected) })
	at := 1 + slices.IndexFunc(n.Cells, func(c *Cell) bool { return c.Kind == Code && c.Has(tagParameters) })
	fields := map[string]json.RawMessage{"cell_type": json.RawMessage(`"code"`)}
	for k, v := range map[string]any{"metadata": map[string]any{"tags": []string{tagInjected}}, "source": lines(code)} {
		raw, err := marshal(v)
		if err != nil {
			return err
		}
		fields[k] = raw
	}
	if n.needsIDs() {
		fields["id"] = json.RawMessage(`"masu-parameters"`)
	}
	n.Cells = slices.Insert(n.Cells, at, &Cell{Kind: Code, Source: code, Tags: []string{tagInjected}, fields: fields, fresh: true})
	return nil
}

// needsIDs tells whether every cell must have an id: since format 4.5.
func (n *Notebook) needsIDs() bool {
	var minor int
	return json.Unmarshal(n.fields["nbformat_minor"], &minor) == nil && minor >= 5
}
