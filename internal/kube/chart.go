package kube

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/resource"
	"sigs.k8s.io/yaml"
)

// The chart is the manifests of a Cluster whose every setting is a word of
// Helm's: one source, so that the two cannot differ.

// A mark stands where a piece of the template needs a condition or a loop
// around it. It becomes part of some text within that piece.
const (
	markOpen, markClose = "⟦", "⟧"
	anyReplicas         = 7654321 // numbers that stand for Helm's words where no text can
	anyPort             = 7654322
	anySize             = "7654323"
)

// templated is a Cluster in Helm's words.
func templated(w io.Writer) error {
	return Cluster{
		Namespace: "{{ .Values.namespace | quote }}", BuilderNamespace: "{{ .Values.builder.namespace | quote }}",
		BuilderImage: "{{ .Values.builder.image | quote }}", level: `{{ .Values.podSecurity | quote }}`,
		Inside: &Inside{chart: true,
			Namespace: "{{ .Values.masu.namespace | quote }}", Image: "{{ .Values.masu.image | quote }}", Replicas: anyReplicas,
			Service: "{{ .Values.masu.service | quote }}", SSHPort: anyPort, State: resource.MustParse(anySize),
			Class: `{{ .Values.masu.state.class | quote }}` + mark("line if .Values.masu.state.class"), access: `{{ include "masu.access" . | quote }}`,
			Folders:     []Shared{{Claim: "{{ $f.claim | quote }}", Prefix: "{{ $f.path | quote }}", Path: `{{ $f.within | default "" | quote }}`}},
			PullSecrets: []string{"{{ $s | quote }}" + mark("item range $s := .Values.masu.pullSecrets")},
		},
	}.Manifests(w)
}

func mark(what string) string { return markOpen + what + markClose }

var (
	marked  = regexp.MustCompile(markOpen + "(item|line) ([^" + markClose + "]*)" + markClose)
	inWords = regexp.MustCompile(`'(\{\{[^'\n]*\}\})'`)
)

// Chart writes a Helm chart into a folder, over one that is there. Its
// values are those of c, which has masu inside.
func (c Cluster) Chart(dir, version string) error {
	if err := os.MkdirAll(filepath.Join(dir, "templates"), 0o755); err != nil {
		return err
	}
	values, err := yaml.Marshal(c.values())
	if err != nil {
		return fmt.Errorf("kube: chart: %w", err)
	}
	var text strings.Builder
	if err := templated(&text); err != nil {
		return err
	}
	for name, content := range map[string]string{
		"Chart.yaml": fmt.Sprintf("apiVersion: v2\nname: masu\ndescription: A lab's notebooks and GPUs, on its cluster\ntype: application\nversion: %s\nappVersion: %q\nkubeVersion: \">=1.%d.0-0\"\n",
			chartVersion(version), version, oldestMinor),
		"values.yaml":            string(values),
		"templates/_helpers.tpl": "{{- define \"masu.access\" -}}{{ if gt (int .Values.masu.replicas) 1 }}ReadWriteMany{{ else }}ReadWriteOnce{{ end }}{{- end }}\n",
		"templates/masu.yaml":    template(text.String()),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// template turns the manifests of templated into what Helm reads.
func template(text string) string {
	text = strings.NewReplacer(fmt.Sprint(anyReplicas), "{{ .Values.masu.replicas | int }}", fmt.Sprint(anyPort), "{{ .Values.masu.sshPort | int }}",
		`"`+anySize+`"`, "{{ .Values.masu.state.size | quote }}").Replace(text)
	text = strings.ReplaceAll(text, `'{{ .Values.masu.namespace | quote }}/`+leaseName+`'`, `"{{ .Values.masu.namespace }}/`+leaseName+`"`)
	lines := strings.Split(text, "\n")
	for i := 0; i < len(lines); i++ {
		m := marked.FindStringSubmatch(lines[i])
		if m == nil {
			continue
		}
		lines[i] = strings.Replace(lines[i], m[0], "", 1)
		from, to := i, i+1
		if m[1] == "item" {
			from, to = item(lines, i)
		}
		lines = slices.Concat(lines[:from], []string{"{{- " + m[2] + " }}"}, lines[from:to], []string{"{{- end }}"}, lines[to:])
	}
	return inWords.ReplaceAllString(strings.Join(lines, "\n"), "$1")
}

// item finds the lines of the list's item that a line is part of.
func item(lines []string, at int) (from, to int) {
	deep := func(i int) int { return len(lines[i]) - len(strings.TrimLeft(lines[i], " ")) }
	for from = at; !strings.HasPrefix(strings.TrimSpace(lines[from]), "- ") || from != at && deep(from) >= deep(at); from-- {
	}
	for to = at + 1; to < len(lines) && deep(to) > deep(from); to++ {
	}
	return from, to
}

// chartVersion is a version as Helm takes it.
func chartVersion(version string) string {
	v := strings.TrimPrefix(version, "v")
	if regexp.MustCompile(`^\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?$`).MatchString(v) {
		return v
	}
	return "0.0.0"
}

// values are the settings of c by their names in the chart.
func (c Cluster) values() map[string]any {
	folders := []map[string]string{}
	for _, f := range c.Inside.Folders {
		folders = append(folders, map[string]string{"claim": f.Claim, "path": f.Prefix, "within": f.Path})
	}
	return map[string]any{
		"namespace": c.Namespace, "podSecurity": c.podSecurity(),
		"builder": map[string]any{"namespace": c.BuilderNamespace, "image": c.BuilderImage},
		"masu": map[string]any{
			"namespace": c.Inside.Namespace, "image": c.Inside.Image, "replicas": c.Inside.Replicas, "sshPort": c.Inside.SSHPort, "service": string(c.Inside.Service),
			"state":   map[string]any{"size": c.Inside.State.String(), "class": c.Inside.Class},
			"folders": folders, "pullSecrets": append([]string{}, c.Inside.PullSecrets...),
		},
	}
}
