package project

import (
	"embed"
	"encoding/json"
	"strconv"
	"strings"
	"text/template"

	"github.com/masu-lab/masu"
)

//go:embed masu.schema.json
var schema []byte

// Schema is the JSON schema of masu.yaml, for editors. The parser refuses a
// little more than a schema can say: see the test that compares them.
func Schema() []byte { return append([]byte(nil), schema...) }

//go:embed template/*.tmpl
var templates embed.FS

// Template writes a masu.yaml with comments that explain it. What was said is put
// in as text, so that the file always is YAML; whether they are good ones, Read says.
func Template(a masu.Draft) string {
	name := "template/en.yaml.tmpl"
	if a.Lang == masu.Japanese {
		name = "template/ja.yaml.tmpl"
	}
	if a.Preset == "" {
		a.Preset = "python"
	}
	t := template.New("").Funcs(template.FuncMap{"quote": quote, "key": keyLine, "list": listLine, "gpus": gpusValue})
	t = template.Must(t.ParseFS(templates, name)) // embedded: a test reads both
	var b strings.Builder
	if err := t.ExecuteTemplate(&b, strings.TrimPrefix(name, "template/"), a); err != nil {
		panic(err) // a strings.Builder takes everything, and a test fills every field
	}
	return b.String()
}

// keyLine writes a key with its value, or an example as a comment.
func keyLine(name, value, example string) string {
	if value == "" {
		return "# " + name + ": " + quote(example)
	}
	return name + ": " + quote(value)
}

// gpusValue writes which GPUs a draft asks for, as readGPUs reads it.
func gpusValue(a masu.Draft) string {
	w := a.Want
	switch {
	case w.All:
		return "all"
	case w.Share > 0:
		return "{share: " + w.Share.String() + "}"
	case w.Memory == 0 && w.Model == "":
		return strconv.Itoa(max(a.GPUs, w.Count))
	}
	value := "{count: " + strconv.Itoa(max(1, w.Count))
	if w.Memory > 0 {
		value += ", memory: " + w.Memory.String()
	}
	if w.Model != "" {
		value += ", model: " + quote(w.Model)
	}
	return value + "}"
}

func listLine(name string, values []string, example string) string {
	if len(values) == 0 {
		return "# " + name + ": " + example
	}
	quoted := make([]string, len(values))
	for i, v := range values {
		quoted[i] = quote(v)
	}
	return name + ": [" + strings.Join(quoted, ", ") + "]"
}

// quote writes a YAML scalar: plain where it cannot be misread, else in double quotes.
func quote(s string) string {
	simple := s != "" && s[0] >= 'a' && s[0] <= 'z' && !strings.ContainsFunc(s, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("._/-=+", r))
	})
	if simple && s != "true" && s != "false" && s != "null" {
		return s
	}
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(s); err != nil {
		panic(err) // a string: cannot happen
	}
	return strings.TrimSuffix(b.String(), "\n")
}
