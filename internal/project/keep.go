package project

import (
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/masu-lab/masu"
)

// Keep adds packages to the file that speaks for a folder, and returns what the
// changed files then say. What stands there stays as it is, with its comments.
// A folder without any file gets a masu.yaml with preset. Whether the result is
// right, Read says. Invalid "keep_by_hand" where another file speaks.
func Keep(folder masu.Folder, preset string, l masu.Layer) ([]masu.File, error) {
	p, err := Read(folder, preset)
	if err != nil {
		return nil, err
	}
	env := p.Environment
	l = masu.Layer{Apt: missing(l.Apt, env.Apt), Pip: missing(l.Pip, env.Pip)}
	switch p.Source {
	case "":
		env.Apt, env.Pip = l.Apt, l.Pip
		text, err := Text(env)
		return []masu.File{{Path: "masu.yaml", Text: text}}, err
	case "masu.yaml":
		text, err := readText(folder, "masu.yaml")
		if err == nil && env.Dockerfile != "" {
			err = masu.E(masu.Invalid, "keep_by_hand", p.Source)
		}
		for _, k := range []struct {
			key    string
			values []string
		}{{"apt", l.Apt}, {"pip", l.Pip}} {
			if err == nil && len(k.values) > 0 {
				text, err = addItems(text, k.key, k.values)
			}
		}
		return []masu.File{{Path: "masu.yaml", Text: text}}, err
	case "requirements.txt", "apt.txt", "requirements.txt, apt.txt":
		return keepLists(folder, l)
	}
	return nil, masu.E(masu.Invalid, "keep_by_hand", p.Source)
}

func missing(want, have []string) []string {
	return slices.DeleteFunc(slices.Clone(want), func(s string) bool { return slices.Contains(have, s) })
}

// keepLists appends lines to requirements.txt and apt.txt.
func keepLists(folder masu.Folder, l masu.Layer) (files []masu.File, err error) {
	for _, f := range []struct {
		name  string
		lines []string
	}{{"requirements.txt", l.Pip}, {"apt.txt", l.Apt}} {
		if len(f.lines) == 0 {
			continue
		}
		text := ""
		if yes, err := exists(folder, f.name); err != nil {
			return nil, err
		} else if yes {
			if text, err = readText(folder, f.name); err != nil {
				return nil, err
			}
		}
		files = append(files, masu.File{Path: f.name, Text: ended(text) + strings.Join(f.lines, "\n") + "\n"})
	}
	return files, nil
}

// ended gives a text whose last line has its end.
func ended(text string) string {
	if text != "" && !strings.HasSuffix(text, "\n") {
		return text + "\n"
	}
	return text
}

// addItems adds values to the list of a top-level key, which may not be there yet.
func addItems(text, key string, values []string) (string, error) {
	values = slices.Clone(values)
	for i, v := range values {
		values[i] = quote(v)
	}
	var root yaml.Node
	if err := yaml.Load([]byte(text), &root); err != nil && !empty(text) {
		return "", masu.E(masu.Invalid, "keep_by_hand", "masu.yaml").Because(err)
	}
	var list *yaml.Node
	if len(root.Content) == 1 {
		top := root.Content[0].Content
		for i := 0; i+1 < len(top); i += 2 {
			if top[i].Value == key {
				list = top[i+1]
			}
		}
	}
	lines := strings.SplitAfter(ended(text), "\n")
	switch {
	case list == nil:
		return strings.Join(lines, "") + key + ":\n  - " + strings.Join(values, "\n  - ") + "\n", nil
	case list.Style&yaml.FlowStyle != 0:
		return addToFlow(lines, list, values)
	}
	last := list.Content[len(list.Content)-1]
	if last.Line >= len(lines) || strings.ContainsAny(last.Value, "\n") {
		return "", masu.E(masu.Invalid, "keep_by_hand", "masu.yaml")
	}
	indent := strings.Repeat(" ", list.Column-1)
	return strings.Join(slices.Insert(lines, last.Line, indent+"- "+strings.Join(values, "\n"+indent+"- ")+"\n"), ""), nil
}

// addToFlow adds values before the bracket that ends a list such as [git, vim].
func addToFlow(lines []string, list *yaml.Node, values []string) (string, error) {
	before := strings.Join(lines[:list.Line-1], "")
	rest := strings.Join(lines[list.Line-1:], "")
	runes := []rune(rest)
	end, last := flowEnd(runes, list.Column-1)
	if end < 0 {
		return "", masu.E(masu.Invalid, "keep_by_hand", "masu.yaml")
	}
	comma := ", "
	if last == '[' || last == ',' {
		comma = ""
	}
	return before + string(runes[:end]) + comma + strings.Join(values, ", ") + string(runes[end:]), nil
}

// flowEnd finds the bracket that ends the list which begins at open, and what
// stands last before it, comments apart; -1 if there is none.
func flowEnd(text []rune, open int) (end int, last rune) {
	quoted := rune(0)
	last = '['
	for i := open + 1; i < len(text); i++ {
		c := text[i]
		comment := quoted == 0 && c == '#' && strings.ContainsRune(" \t\n", text[i-1])
		switch {
		case comment:
			for i+1 < len(text) && text[i+1] != '\n' {
				i++
			}
			continue
		case quoted == '"' && c == '\\':
			i++
		case quoted != 0:
			if c == quoted {
				quoted = 0
			}
		case c == ']':
			return i, last
		case c == '[' || c == '{':
			return -1, 0
		case (c == '"' || c == '\'') && strings.ContainsRune(" \t\n[,", text[i-1]):
			quoted = c
		}
		if !strings.ContainsRune(" \t\n", c) {
			last = c
		}
	}
	return -1, 0
}
