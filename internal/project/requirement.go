package project

import (
	"regexp"
	"slices"
	"strings"

	"github.com/masu-lab/masu"
)

var (
	pipName    = regexp.MustCompile(`^[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?`)
	pipExtras  = regexp.MustCompile(`^\[ *(?:[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?(?: *, *[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)*)? *\]`)
	pipClause  = regexp.MustCompile(`^(?:===|~=|==|!=|<=|>=|<|>) *[A-Za-z0-9._*+!-]+`)
	markerWord = regexp.MustCompile(`^(?:===|~=|==|!=|<=|>=|<|>|\(|\)|[A-Za-z_.]+|"[^"]*"|'[^']*')`)
)

// requirement checks one line of the PEP 508 grammar, without URLs: a name,
// extras, versions, a marker. It gives the line as pip shall see it. Options
// are refused, because one of them (an index, a file, a build setting) turns a
// list of names into somebody else's program.
func requirement(at place, line string) (string, error) {
	wrong := masu.E(masu.Invalid, "pip_line", at, show(line))
	for i := range len(line) {
		if line[i] < ' ' && line[i] != '\t' || line[i] > '~' {
			return "", wrong
		}
	}
	s := strings.TrimSpace(strings.ReplaceAll(line, "\t", " "))
	if len(s) > 1000 {
		return "", wrong
	}
	if strings.HasPrefix(s, "-") {
		return "", pipOption(at, s)
	}
	name := pipName.FindString(s)
	if name == "" {
		return "", addressOr(at, s, wrong)
	}
	rest := strings.TrimLeft(s[len(name):], " ")
	rest = strings.TrimLeft(rest[len(pipExtras.FindString(rest)):], " ")
	rest, ok := versions(rest)
	if i := strings.Index(rest, "--"); i == 0 {
		return "", pipOption(at, rest)
	}
	if marker, has := strings.CutPrefix(rest, ";"); ok && has {
		before, option, more := strings.Cut(marker, " --")
		if more {
			return "", pipOption(at, "--"+option)
		}
		ok = validMarker(before)
	} else if rest != "" {
		ok = false
	}
	if !ok {
		return "", addressOr(at, s, wrong)
	}
	return s, nil
}

// versions takes the version clauses, which may stand in parentheses, from the front of s.
func versions(s string) (rest string, ok bool) {
	inner, paren := strings.CutPrefix(s, "(")
	if paren {
		s = strings.TrimLeft(inner, " ")
	}
	for n := 0; ; n++ {
		c := pipClause.FindString(s)
		if c == "" {
			return s, n == 0 && !paren
		}
		s = strings.TrimLeft(s[len(c):], " ")
		next, comma := strings.CutPrefix(s, ",")
		if !comma {
			break
		}
		s = strings.TrimLeft(next, " ")
	}
	if paren {
		if s, ok = strings.CutPrefix(s, ")"); !ok {
			return s, false
		}
	}
	return strings.TrimLeft(s, " "), true
}

// addressOr tells apart what names a place (a URL, a path) from what is merely wrong.
func addressOr(at place, s string, wrong *masu.Error) error {
	if strings.Contains(s, "://") || strings.Contains(s, "@") || strings.HasPrefix(s, ".") || strings.HasPrefix(s, "/") ||
		strings.HasSuffix(s, ".whl") || strings.HasSuffix(s, ".tar.gz") {
		return masu.E(masu.Invalid, "pip_address", at, show(s))
	}
	return wrong
}

// pipOption refuses an option, and says what stands for it.
func pipOption(at place, s string) error {
	option := s
	if i := strings.IndexAny(s, " ="); i >= 0 {
		option = s[:i]
	}
	short := ""
	if len(option) > 1 && option[1] != '-' {
		short = option[:2] // -rfile, -ihttps://…
	}
	switch {
	case short == "-i" || short == "-f" || slices.Contains([]string{"--index-url", "--extra-index-url", "--find-links", "--trusted-host", "--no-index"}, option):
		return masu.E(masu.Invalid, "pip_option_index", at, show(option))
	case short == "-r" || short == "-c" || option == "--requirement" || option == "--constraint":
		return masu.E(masu.Invalid, "pip_option_file", at, show(option))
	case short == "-e" || option == "--editable":
		return masu.E(masu.Invalid, "pip_option_editable", at, show(option))
	case option == "--hash":
		return masu.E(masu.Invalid, "pip_option_hash", at)
	}
	return masu.E(masu.Invalid, "pip_option", at, show(option))
}

// marker is what is left of an environment marker while it is being checked.
type marker struct {
	words []string
	depth int
}

func validMarker(s string) bool {
	var m marker
	for s = strings.TrimLeft(s, " "); s != ""; s = strings.TrimLeft(s, " ") {
		w := markerWord.FindString(s)
		if w == "" {
			return false
		}
		m.words = append(m.words, w)
		s = s[len(w):]
	}
	return m.either() && len(m.words) == 0
}

func (m *marker) take(ok func(string) bool) bool {
	if len(m.words) == 0 || !ok(m.words[0]) {
		return false
	}
	m.words = m.words[1:]
	return true
}

func (m *marker) word(w string) bool { return m.take(func(s string) bool { return s == w }) }

// either reads comparisons that are joined by "and" and "or".
func (m *marker) either() bool {
	for {
		if !m.atom() {
			return false
		}
		if !m.word("and") && !m.word("or") {
			return true
		}
	}
}

func (m *marker) atom() bool {
	if m.word("(") {
		m.depth++
		return m.depth < 20 && m.either() && m.word(")")
	}
	return m.take(markerValue) && m.operator() && m.take(markerValue)
}

func (m *marker) operator() bool {
	if m.word("not") {
		return m.word("in")
	}
	return m.word("in") || m.take(func(s string) bool { return strings.ContainsAny(s[:1], "<>=!~") })
}

func markerValue(s string) bool {
	return s[0] == '"' || s[0] == '\'' || slices.Contains([]string{
		"python_version", "python_full_version", "os_name", "sys_platform", "platform_release", "platform_system",
		"platform_version", "platform_machine", "platform_python_implementation", "implementation_name",
		"implementation_version", "extra",
	}, s)
}
