package project

import (
	"cmp"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/masu-lab/masu"
)

const appsMost = 32

var idleForm = regexp.MustCompile(`^([1-9][0-9]{0,2}h([1-9][0-9]?m)?|[1-9][0-9]{0,3}m)$`)

// readApps reads names of apps that masu knows, and apps by their command.
func readApps(d *document, k key, n *yaml.Node) error {
	if n.Kind != yaml.SequenceNode {
		return d.wrong(k, n)
	}
	if len(n.Content) > appsMost {
		return masu.E(masu.Invalid, "list_too_long", d.at(n), appsMost)
	}
	ports := map[int]string{}
	for _, c := range n.Content {
		a, err := d.app(k, c)
		if err != nil {
			return err
		}
		if d.p.HasApp(a.Name) {
			if a.Command == "" && c.Kind == yaml.ScalarNode {
				continue
			}
			return masu.E(masu.Invalid, "app_twice", d.at(c), a.Name)
		}
		port, known := masu.AppPort(a.Name)
		if port = cmp.Or(a.Port, port); port != 0 {
			if other := ports[port]; other != "" {
				return masu.E(masu.Invalid, "app_port_taken", d.at(c), port, other)
			}
			ports[port] = a.Name
		}
		if known && a.Command != "" {
			return masu.E(masu.Invalid, "app_known", d.at(c), a.Name)
		}
		d.p.Apps = append(d.p.Apps, a)
	}
	return nil
}

func validApp(name string) bool {
	return masu.ValidAppName(name) && !portApp.MatchString(name) // p8889 is a port that a member opened by hand
}

// app reads one of them.
func (d *document) app(k key, n *yaml.Node) (a masu.AppWish, err error) {
	if n.Kind != yaml.MappingNode {
		name, ok := asText(n)
		if !ok || !validApp(name) {
			return a, d.wrong(k, n)
		}
		return masu.AppWish{Name: name}, nil
	}
	text := func(to *string, valid func(string) bool) reader {
		return func(d *document, k key, n *yaml.Node) error {
			s, ok := asText(n)
			if !ok || !valid(s) {
				return d.wrong(k, n)
			}
			*to = s
			return nil
		}
	}
	seen, err := d.mapping(n, "apps", []key{
		{"name", "name: demo", text(&a.Name, validApp)},
		{"command", "command: streamlit run app.py", text(&a.Command, func(s string) bool { return strings.TrimSpace(s) != "" && len(s) <= 4<<10 && plainScript(s) })},
		{"port", "port: 8501", func(d *document, k key, n *yaml.Node) error {
			if a.Port, err = strconv.Atoi(n.Value); n.Tag != "!!int" || err != nil || a.Port < 1024 || a.Port > 65535 || a.Port == masu.AgentPort || masu.IsAppPort(a.Port) {
				return d.wrong(k, n)
			}
			return nil
		}},
		{"health", "health: /healthz", text(&a.Health, func(s string) bool {
			return len(s) <= 200 && strings.HasPrefix(s, "/") && plainScript(s) && !strings.ContainsAny(s, " \n")
		})},
		{"start", "start: visit", text(new(string), func(s string) bool { a.OnVisit = s == "visit"; return s == "visit" || s == "box" })},
		{"idle", "idle: 30m", func(d *document, k key, n *yaml.Node) error {
			v, ok := asWritten(n)
			if a.IdleFor, err = time.ParseDuration(v); !ok || err != nil || !idleForm.MatchString(v) {
				return d.wrong(k, n)
			}
			return nil
		}},
		{"logs", "logs: runs", text(&a.Logs, func(s string) bool {
			return len(s) <= 400 && plainScript(s) && path.IsAbs("/"+s) && !strings.HasPrefix(path.Clean(s), "..") && !path.IsAbs(s)
		})},
	})
	if err != nil {
		return a, err
	}
	return a, d.wholeApp(n, seen, a)
}

// wholeApp refuses what does not go together.
func (d *document) wholeApp(n *yaml.Node, seen map[string]*yaml.Node, a masu.AppWish) error {
	_, known := masu.AppPort(a.Name)
	switch {
	case a.Name == "":
		return masu.E(masu.Invalid, "app_needs", d.at(n), "name")
	case known && (a.Command != "" || a.Port != 0 || a.Health != ""):
		return masu.E(masu.Invalid, "app_known", d.at(n), a.Name)
	case !known && a.Command == "":
		return masu.E(masu.Invalid, "app_needs", d.at(n), "command")
	case !known && a.Port == 0:
		return masu.E(masu.Invalid, "app_needs", d.at(n), "port")
	case a.Logs != "" && a.Name != "tensorboard":
		return masu.E(masu.Invalid, "app_logs", d.at(seen["logs"]))
	case a.Name == "jupyter":
		return masu.E(masu.Invalid, "app_always", d.at(n), a.Name)
	}
	return nil
}

// SetApps writes the apps of a folder into its masu.yaml, whose other keys stay
// as they are, with their comments. A folder without any file gets a masu.yaml
// with preset. Invalid "keep_by_hand" where another file speaks, and what Read
// would say about apps that cannot be.
func SetApps(folder masu.Folder, preset string, apps []masu.AppWish) ([]masu.File, error) {
	p, err := Read(folder, preset)
	if err != nil {
		return nil, err
	}
	var text string
	switch p.Source {
	case "":
		text, err = Text(p.Environment)
	case "masu.yaml":
		text, err = readText(folder, "masu.yaml")
	default:
		err = masu.E(masu.Invalid, "keep_by_hand", p.Source)
	}
	if err == nil {
		text, err = replaceKey(text, "apps", appsText(apps))
	}
	if err == nil { // what would be refused when it is read is not written
		d := document{file: "masu.yaml", folder: folder, p: &masu.Project{Dir: folder.Dir()}}
		err = d.parse(text)
	}
	if err != nil {
		return nil, err
	}
	return []masu.File{{Path: "masu.yaml", Text: text}}, nil
}

// appsText is the key with its apps, one on each line.
func appsText(apps []masu.AppWish) string {
	var b strings.Builder
	b.WriteString("apps:\n")
	for _, a := range apps {
		if a == (masu.AppWish{Name: a.Name}) {
			b.WriteString("  - " + a.Name + "\n")
			continue
		}
		words := []string{"name: " + a.Name}
		add := func(key, value string) {
			if value != "" {
				words = append(words, key+": "+value)
			}
		}
		if a.Command != "" {
			add("command", doubleQuoted(a.Command))
			add("port", strconv.Itoa(a.Port))
		}
		if a.Health != "" {
			add("health", doubleQuoted(a.Health))
		}
		if a.OnVisit {
			add("start", "visit")
		}
		if a.IdleFor != 0 {
			add("idle", idleText(a.IdleFor))
		}
		if a.Logs != "" {
			add("logs", doubleQuoted(a.Logs))
		}
		b.WriteString("  - {" + strings.Join(words, ", ") + "}\n")
	}
	return b.String()
}

// idleText writes hours and minutes as idleForm reads them; other times as it refuses them.
func idleText(d time.Duration) string {
	h, m := int(d.Hours()), int(d.Minutes())%60
	switch {
	case d%time.Minute != 0:
		return d.String()
	case h == 0:
		return strconv.Itoa(m) + "m"
	case m == 0:
		return strconv.Itoa(h) + "h"
	}
	return fmt.Sprintf("%dh%dm", h, m)
}

// doubleQuoted writes text as YAML's double-quoted scalar, of which JSON's string is one.
func doubleQuoted(s string) string {
	return strconv.QuoteToGraphic(s)
}

// replaceKey puts a block in the place of a top-level key, or at the end.
func replaceKey(text, name, block string) (string, error) {
	var root yaml.Node
	if err := yaml.Load([]byte(text), &root); err != nil && !empty(text) {
		return "", masu.E(masu.Invalid, "keep_by_hand", "masu.yaml").Because(err)
	}
	lines := strings.SplitAfter(ended(text), "\n")
	if lines[len(lines)-1] == "" {
		lines = lines[:len(lines)-1]
	}
	if len(root.Content) == 1 {
		top := root.Content[0]
		if top.Style&yaml.FlowStyle != 0 {
			return "", masu.E(masu.Invalid, "keep_by_hand", "masu.yaml")
		}
		for i := 0; i+1 < len(top.Content); i += 2 {
			if top.Content[i].Value != name {
				continue
			}
			first, next := top.Content[i].Line-1, len(lines)
			if i+2 < len(top.Content) {
				next = top.Content[i+2].Line - 1
			}
			for next > first+1 && outside(lines[next-1]) { // a comment over the next key is that key's
				next--
			}
			return strings.Join(slices.Concat(lines[:first], []string{block}, lines[next:]), ""), nil
		}
	}
	return strings.Join(lines, "") + block, nil
}

// outside tells whether a line belongs to no key: it is empty, or a comment at the margin.
func outside(line string) bool {
	return strings.TrimSpace(line) == "" || line[0] == '#'
}
