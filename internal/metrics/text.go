// Package metrics counts what masu does, and writes it as Prometheus reads it.
package metrics

import (
	"fmt"
	"strconv"
	"strings"
)

// Sample is one value of a metric, with labels as Labels writes them.
type Sample struct {
	Labels string
	Value  float64
}

// Text is what Prometheus collects, in its text format.
type Text struct{ strings.Builder }

// Family writes a metric that has one value for each set of labels: a gauge or a counter.
func (t *Text) Family(name, kind, help string, samples ...Sample) {
	t.head(name, kind, help)
	for _, s := range samples {
		t.line(name, s.Labels, s.Value)
	}
}

func (t *Text) head(name, kind, help string) {
	fmt.Fprintf(t, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, kind)
}

func (t *Text) line(name, labels string, value float64) {
	fmt.Fprintf(t, "%s%s %s\n", name, labels, number(value))
}

func number(f float64) string { return strconv.FormatFloat(f, 'g', -1, 64) }

// escape writes a label's value: whatever a driver or a member calls things, a line stays a line.
var escape = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`)

// Labels writes labels from names and values in turn: {phase="running"}.
func Labels(pairs ...string) string {
	if len(pairs) == 0 {
		return ""
	}
	var list []string
	for i := 0; i+1 < len(pairs); i += 2 {
		list = append(list, pairs[i]+`="`+escape.Replace(strings.ToValidUTF8(pairs[i+1], "�"))+`"`)
	}
	return "{" + strings.Join(list, ",") + "}"
}
