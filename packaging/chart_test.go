package main

import (
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/engine"
	"sigs.k8s.io/yaml"
)

// labConfig is the configuration of a lab whose masu is inside the cluster.
const labConfig = `host_name: masu.example.ac.jp
apps_domain: apps.masu.example.ac.jp
tls: {cert_file: /etc/masu/tls/tls.crt, key_file: /etc/masu/tls/tls.key}
ssh: {listen: "0.0.0.0:2222"}
kubernetes:
  registry: registry.example.ac.jp/masu
  namespace: lab
  pull_secrets: [pull]
  storage: {class: fast, folders: {/home: homes, /data: "data:sets/of 'all'"}}
`

// plainConfig is the least that can be inside.
const plainConfig = `host_name: masu.example.ac.jp
apps_domain: apps.masu.example.ac.jp
tls: {cert_file: /etc/masu/tls/tls.crt, key_file: /etc/masu/tls/tls.key}
kubernetes: {registry: registry.example.ac.jp/masu, sudo: true}
`

// TestChart: Helm makes of the chart exactly the manifests, with the values that
// the chart was written with and with another lab's.
func TestChart(t *testing.T) {
	masu := filepath.Join(t.TempDir(), "masu")
	if out, err := exec.Command("go", "build", "-C", "..", "-o", masu, "./cmd/masu").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	labs := [][]string{{labConfig, "--replicas", "2", "--service", "NodePort", "--state-size", "3Gi", "--image", "registry.example.ac.jp/masu/server@sha256:1"}, {plainConfig}}
	for i, lab := range labs {
		dir, manifests, values := writeLab(t, masu, lab)
		if got := rendered(t, dir, values); !reflect.DeepEqual(got, manifests) {
			t.Errorf("the chart of\n%s differs: %s", lab[0], difference(got, manifests))
		}
		_, others, theirs := writeLab(t, masu, labs[1-i])
		if got := rendered(t, dir, theirs); !reflect.DeepEqual(got, others) {
			t.Errorf("with the values of\n%s the chart differs: %s", labs[1-i][0], difference(got, others))
		}
	}
}

// writeLab has masu write a lab's chart and manifests.
func writeLab(t *testing.T, masu string, lab []string) (dir string, manifests map[string]any, values map[string]any) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "masu")
	config := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(config, []byte(lab[0]), 0o600); err != nil {
		t.Fatal(err)
	}
	run := func(args ...string) string {
		t.Helper()
		cmd := exec.Command(masu, append(append([]string{"kube"}, args...), lab[1:]...)...)
		cmd.Env = append(os.Environ(), "MASU_CONFIG="+config)
		var errs strings.Builder
		cmd.Stderr = &errs
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("%v\n%s", err, errs.String())
		}
		return string(out)
	}
	run("chart", dir)
	text, err := os.ReadFile(filepath.Join(dir, "values.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(text, &values); err != nil {
		t.Fatal(err)
	}
	return dir, parsed(t, run("manifests", "--inside")), values
}

func rendered(t *testing.T, dir string, values map[string]any) map[string]any {
	t.Helper()
	c, err := loader.Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	all, err := chartutil.ToRenderValues(c, values, chartutil.ReleaseOptions{Name: "masu", Namespace: "default"}, chartutil.DefaultCapabilities)
	if err != nil {
		t.Fatal(err)
	}
	out, err := engine.Engine{Strict: true}.Render(c, all)
	if err != nil {
		t.Fatal(err)
	}
	return parsed(t, out["masu/templates/masu.yaml"])
}

// parsed gives objects by kind, namespace and name, without what means nothing to a cluster.
func parsed(t *testing.T, text string) map[string]any {
	t.Helper()
	all := map[string]any{}
	for part := range strings.SplitSeq(text, "\n---\n") {
		var o map[string]any
		if err := yaml.Unmarshal([]byte(part), &o); err != nil {
			t.Fatalf("%v in\n%s", err, part)
		}
		about := o["metadata"].(map[string]any)
		namespace, _ := about["namespace"].(string)
		all[o["kind"].(string)+" "+namespace+"/"+about["name"].(string)] = without(o)
	}
	if len(all) < 10 {
		t.Errorf("only %d objects in\n%s", len(all), text)
	}
	return all
}

// without leaves out lists and texts that are empty.
func without(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k, e := range v {
			if e = without(e); e == nil || e == "" {
				delete(v, k)
			} else {
				v[k] = e
			}
		}
	case []any:
		for i := range v {
			v[i] = without(v[i])
		}
		if len(v) == 0 {
			return nil
		}
	}
	return v
}

// difference names the objects that are not alike, with the texts of the first.
func difference(got, want map[string]any) string {
	names := slices.Sorted(maps.Keys(want))
	for k := range got {
		if _, ok := want[k]; !ok {
			names = append(names, k)
		}
	}
	for _, k := range names {
		if !reflect.DeepEqual(got[k], want[k]) {
			a, _ := yaml.Marshal(got[k])
			b, _ := yaml.Marshal(want[k])
			return k + "\n" + string(a) + "\nwant\n" + string(b)
		}
	}
	return "nothing"
}
