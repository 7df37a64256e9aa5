package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

// keysOf lists the keys of a part of the file, down to values.
func keysOf(t reflect.Type, prefix string) (keys []string) {
	for i := range t.NumField() {
		f := t.Field(i)
		key := prefix + f.Tag.Get("yaml")
		if f.Type.Kind() == reflect.Struct {
			keys = append(keys, keysOf(f.Type, key+".")...)
		} else {
			keys = append(keys, key)
		}
	}
	return keys
}

// TestConfigShow: every key is there once, with where it comes from, and no password.
func TestConfigShow(t *testing.T) {
	file := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(file, []byte("listen: 127.0.0.1:9\nadmins: boss\nsite: {proxy: {http_proxy: \"http://u:secret@proxy:3128\"}, pip_index: \"https://u:secret@pypi.example/simple\"}\n"+
		"policy: {memory: 24GiB, guests: false, gpus: {hold: 36h, classes: {paper: {head_start: 1d}}}}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	a := &app{out: &out, getenv: func(name string) string { return map[string]string{"MASU_ADMINS": "wheel"}[name] }}
	list, err := a.settings(file)
	if err != nil {
		t.Fatal(err)
	}
	var keys []string
	from := map[string]string{}
	for _, s := range list {
		keys = append(keys, s.Key)
		from[s.Key] = written(s.Value) + " " + s.From
	}
	want := keysOf(reflect.TypeFor[fileConfig](), "")
	slices.Sort(keys)
	slices.Sort(want)
	if !slices.Equal(keys, want) {
		t.Errorf("shown: %v\nthe file knows: %v", keys, want)
	}
	for key, want := range map[string]string{
		"listen": "127.0.0.1:9 file", "admins": "wheel MASU_ADMINS", "app_ports": "8900-8999 default", "policy.memory": "24 GiB file", "policy.guests": "false file", "policy.sudo": "true default",
		"policy.gpus.hold": "36h file", "policy.gpus.grace": "15m default", "policy.gpus.classes": `{"paper":{"groups":null,"head_start":"1d"}} file`,
		"site.proxy": `{"http_proxy":"http://***@proxy:3128"} file`, "site.pip_index": "https://***@pypi.example/simple file", "egress.lan": "true default",
	} {
		if from[key] != want {
			t.Errorf("%s: %q, not %q", key, from[key], want)
		}
	}
	if b, err := json.Marshal(list); err != nil || strings.Contains(string(b), "secret@") {
		t.Errorf("%s, %v", b, err)
	}
	if list, err := a.settings(filepath.Join(t.TempDir(), "none.yaml")); err != nil || len(list) != len(want) || list[0].From != "default" {
		t.Errorf("without a file: %v, %v", list, err)
	}
}

func TestSpanned(t *testing.T) {
	for d, want := range map[time.Duration]string{0: "0", 7 * 24 * time.Hour: "7d", 36 * time.Hour: "36h", 90 * time.Minute: "90m", 1500 * time.Millisecond: "1.5s"} {
		if got := spanned(d); got != want {
			t.Errorf("%v: %q, not %q", d, got, want)
		}
	}
}
