package masutest

import (
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

var (
	metricLine  = regexp.MustCompile(`^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)$`)
	metricLabel = regexp.MustCompile(`^([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\[\\"n])*)"(?:,|$)`)
)

// Metrics are what /metrics tells: the kind of each family, and the value of each series.
type Metrics struct {
	Kinds  map[string]string
	Values map[string]float64 // by name and labels, as they are written
}

// Told tells whether a query may ask for the name: a family, or a part of a histogram.
func (m Metrics) Told(name string) bool {
	for _, end := range []string{"_bucket", "_sum", "_count"} {
		if family, ok := strings.CutSuffix(name, end); ok && m.Kinds[family] == "histogram" {
			return true
		}
	}
	return m.Kinds[name] != "" && m.Kinds[name] != "histogram"
}

// ParseMetrics reads Prometheus' text format more strictly than Prometheus does:
// each family once, with its help and kind before its samples, no series twice,
// and histograms that add up.
func ParseMetrics(text string) (Metrics, error) {
	m := Metrics{map[string]string{}, map[string]float64{}}
	helped, family := "", ""
	buckets := map[string][]float64{}
	for line := range strings.SplitSeq(strings.TrimSuffix(text, "\n"), "\n") {
		if name, help, ok := cutMeta(line, "# HELP "); ok {
			if help == "" {
				return m, fmt.Errorf("%q helps nobody", line)
			}
			helped = name
			continue
		}
		if name, kind, ok := cutMeta(line, "# TYPE "); ok {
			if helped != name || m.Kinds[name] != "" || !slices.Contains([]string{"gauge", "counter", "histogram"}, kind) || kind == "counter" != strings.HasSuffix(name, "_total") {
				return m, fmt.Errorf("%q after help for %q", line, helped)
			}
			m.Kinds[name], family = kind, name
			continue
		}
		if err := m.sample(line, family, buckets); err != nil {
			return m, err
		}
	}
	for series, counts := range buckets {
		if !slices.IsSorted(counts) || counts[len(counts)-1] != m.Values[series] {
			return m, fmt.Errorf("%s does not add up: %v, %v", series, counts, m.Values[series])
		}
	}
	return m, nil
}

func cutMeta(line, prefix string) (name, rest string, ok bool) {
	if line, ok = strings.CutPrefix(line, prefix); ok {
		name, rest, ok = strings.Cut(line, " ")
	}
	return name, rest, ok
}

// sample reads a line with a value.
func (m Metrics) sample(line, family string, buckets map[string][]float64) error {
	f := metricLine.FindStringSubmatch(line)
	if f == nil {
		return fmt.Errorf("%q is no sample", line)
	}
	name, labels, le := f[1], f[2], ""
	var others []string
	for labels != "" {
		l := metricLabel.FindStringSubmatch(labels)
		if l == nil {
			return fmt.Errorf("%q has odd labels", line)
		}
		if labels = labels[len(l[0]):]; l[1] == "le" {
			le = l[2]
		} else {
			others = append(others, strings.TrimSuffix(l[0], ","))
		}
	}
	value, err := strconv.ParseFloat(f[3], 64)
	series := strings.TrimSuffix(line, " "+f[3])
	if _, twice := m.Values[series]; err != nil || twice || math.IsNaN(value) {
		return fmt.Errorf("%q is there twice, or is no number", line)
	}
	m.Values[series] = value
	part := strings.TrimPrefix(name, family)
	switch {
	case m.Kinds[family] == "histogram" && slices.Contains([]string{"_bucket", "_sum", "_count"}, part):
		if part == "_bucket" {
			total := family + "_count"
			if others != nil {
				total += "{" + strings.Join(others, ",") + "}"
			}
			buckets[total] = append(buckets[total], value)
		}
		if part == "_bucket" != (le != "") {
			return fmt.Errorf("%q has a bound that it should not have, or none", line)
		}
	case name != family || m.Kinds[family] == "histogram":
		return fmt.Errorf("%q stands under %s", line, family)
	}
	return nil
}
