package project

import (
	"maps"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/masu-lab/masu"
)

const (
	maxVars  = 1000
	maxNest  = 8        // of defaults in defaults
	maxValue = 16 << 10 // of what a variable or a value becomes
)

// variables stand for ${NAME} in a compose file.
type variables map[string]string

// dotEnv reads what a .env file sets: NAME=value, as compose reads it, with v
// and the lines above put in.
func (v variables) dotEnv(file, text string) (variables, error) {
	known, set := maps.Clone(v), variables{}
	n := 0
	for line := range strings.SplitSeq(text, "\n") {
		n++
		at := place{file, n, 1}
		line = strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(line), "export "))
		if line == "" || line[0] == '#' {
			continue
		}
		name, value, ok := strings.Cut(line, "=")
		name, value = strings.TrimSpace(name), strings.TrimSpace(value)
		if !ok || !variable.MatchString(name) || len(set) >= maxVars {
			return nil, masu.E(masu.Invalid, "dotenv_line", at, show(line))
		}
		literal := false
		switch {
		case value != "" && (value[0] == '\'' || value[0] == '"'):
			end := strings.LastIndexByte(value, value[0])
			if end == 0 {
				return nil, masu.E(masu.Invalid, "dotenv_line", at, show(line))
			}
			literal, value = value[0] == '\'', value[1:end]
		default:
			if i := comment.FindStringIndex(value); i != nil {
				value = value[:i[0]]
			}
		}
		if !literal {
			var err error
			if value, err = known.fill(at, value, 0); err != nil {
				return nil, err
			}
		}
		if !plain(value) {
			return nil, masu.E(masu.Invalid, "control_character", at, name)
		}
		known[name], set[name] = value, value
	}
	return set, nil
}

// fillAll fills in the scalars of a tree; a value that was plain gets the kind that it now reads as.
func (v variables) fillAll(d *document, n *yaml.Node) error {
	if n.Kind == yaml.ScalarNode && strings.Contains(n.Value, "$") {
		s, err := v.fill(d.at(n), n.Value, 0)
		if err != nil {
			return err
		}
		if n.Value = s; n.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle|yaml.LiteralStyle|yaml.FoldedStyle) == 0 {
			n.Tag = ""
		}
	}
	for i, c := range n.Content {
		if n.Kind == yaml.MappingNode && i%2 == 0 {
			continue // keys are as they stand
		}
		if err := v.fillAll(d, c); err != nil {
			return err
		}
	}
	return nil
}

// fill puts variables in: $NAME, ${NAME}, ${NAME:-default}, ${NAME-default},
// ${NAME:?why}, ${NAME?why}, ${NAME:+instead}, ${NAME+instead}, and $$ for a dollar.
func (v variables) fill(at place, s string, depth int) (string, error) {
	var out strings.Builder
	for s != "" {
		i := strings.IndexByte(s, '$')
		if i < 0 {
			out.WriteString(s)
			break
		}
		out.WriteString(s[:i])
		s = s[i+1:]
		if strings.HasPrefix(s, "$") {
			out.WriteByte('$')
			s = s[1:]
			continue
		}
		expr, rest, ok := expression(s)
		if !ok || depth == maxNest {
			return "", masu.E(masu.Invalid, "compose_variable", at, show("$"+s))
		}
		value, err := v.value(at, expr, depth)
		if err != nil {
			return "", err
		}
		out.WriteString(value)
		if out.Len() > maxValue {
			return "", masu.E(masu.Invalid, "compose_variable", at, show("$"+s))
		}
		s = rest
	}
	return out.String(), nil
}

// expression takes NAME or what stands in braces off the text after a dollar.
func expression(s string) (expr, rest string, ok bool) {
	if !strings.HasPrefix(s, "{") {
		n := nameLength(s)
		return s[:n], s[n:], n > 0
	}
	open := 0
	for i := range len(s) {
		switch s[i] {
		case '{':
			open++
		case '}':
			if open--; open == 0 {
				return s[1:i], s[i+1:], true
			}
		}
	}
	return "", "", false
}

func nameLength(s string) int {
	n := 0
	for n < len(s) && (s[n] == '_' || s[n] >= 'A' && s[n] <= 'Z' || s[n] >= 'a' && s[n] <= 'z' || n > 0 && s[n] >= '0' && s[n] <= '9') {
		n++
	}
	return n
}

func (v variables) value(at place, expr string, depth int) (string, error) {
	n := nameLength(expr)
	name, how := expr[:n], expr[n:]
	value, set := v[name]
	if name == "" {
		return "", masu.E(masu.Invalid, "compose_variable", at, show("${"+expr+"}"))
	}
	if strings.HasPrefix(how, ":") { // empty counts as not set
		set, how = set && value != "", how[1:]
		if how == "" {
			return "", masu.E(masu.Invalid, "compose_variable", at, show("${"+expr+"}"))
		}
	}
	switch {
	case how == "" && set, how != "" && set && (how[0] == '-' || how[0] == '?'):
		return value, nil
	case how != "" && how[0] == '-', how != "" && how[0] == '+' && set:
		return v.fill(at, how[1:], depth+1)
	case how != "" && how[0] == '+':
		return "", nil
	case how == "" || how[0] == '?':
		return "", masu.E(masu.Invalid, "compose_unset", at, name)
	}
	return "", masu.E(masu.Invalid, "compose_variable", at, show("${"+expr+"}"))
}
