package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/masu-lab/masu"
	"github.com/masu-lab/masu/internal/lab"
)

func installer(t *testing.T) (*app, *bytes.Buffer) {
	t.Helper()
	var said bytes.Buffer
	return newApp(strings.NewReader(""), &said, &said, func(name string) string {
		return map[string]string{"MASU_LANG": "en", "MASU_SOCKET": "/none"}[name]
	}, nil), &said
}

// An installation is whole, can be done again, keeps the admin's configuration,
// and goes without taking what members have.
func TestInstall(t *testing.T) {
	root := t.TempDir()
	a, said := installer(t)
	if err := a.install(t.Context(), root, true); err != nil {
		t.Fatal(err)
	}
	for path, has := range map[string]string{
		installedBin: "\x7fELF", unitFile: "ExecStart=/usr/local/bin/masu serve\n", configFile: "# policy:", logrotateFile: "rotate",
		"/usr/share/bash-completion/completions/masu": "masu", manFolder + "/masu-up.1": "masu up",
	} {
		b, err := os.ReadFile(filepath.Join(root, path))
		if err != nil || !strings.Contains(string(b), has) {
			t.Errorf("%s: %v, without %q", path, err, has)
		}
	}
	if info, err := os.Stat(filepath.Join(root, installedBin)); err != nil || info.Mode() != 0o755 {
		t.Errorf("%v, %v", info, err)
	}
	config := filepath.Join(root, configFile)
	if err := os.WriteFile(config, []byte("host_name: mine\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	said.Reset()
	if err := a.install(t.Context(), root, true); err != nil || strings.Contains(said.String(), "Wrote") {
		t.Errorf("the second time changed something: %v\n%s", err, said)
	}
	records := filepath.Join(root, "var/lib/masu/masu.db")
	if err := os.MkdirAll(filepath.Dir(records), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(records, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := a.uninstall(t.Context(), root); err != nil {
		t.Fatal(err)
	}
	var left []string
	if err := filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			left = append(left, strings.TrimPrefix(path, root))
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if strings.Join(left, " ") != configFile+" /var/lib/masu/masu.db" {
		t.Errorf("left: %v", left)
	}
	if b, err := os.ReadFile(config); err != nil || string(b) != "host_name: mine\n" {
		t.Errorf("the admin's configuration: %q, %v", b, err)
	}
}

// The unit must not give masu a mount namespace of its own.
func TestUnit(t *testing.T) {
	b, err := installFiles.ReadFile("install/masu.service")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		key, _, _ := strings.Cut(line, "=")
		for _, bad := range []string{"Private", "Protect", "ReadOnlyPaths", "InaccessiblePaths", "RuntimeDirectory", "BindPaths", "RootDirectory", "DynamicUser", "User", "MountFlags", "TemporaryFileSystem"} {
			if strings.HasPrefix(key, bad) {
				t.Errorf("%s", line)
			}
		}
	}
	if !bytes.Contains(b, []byte("Type=notify")) || !bytes.Contains(b, []byte("KillMode=process")) {
		t.Error("it must tell when it is ready, and leave alone what it started")
	}
}

// The commented configuration has every key that there is, and says the defaults.
func TestCommentedConfig(t *testing.T) {
	b, err := installFiles.ReadFile("install/config.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var keys func(reflect.Type, string)
	keys = func(typ reflect.Type, below string) {
		for i := range typ.NumField() {
			f := typ.Field(i)
			key, _, _ := strings.Cut(f.Tag.Get("yaml"), ",")
			if !regexp.MustCompile(`(?m)^# ` + below + key + `:`).Match(b) {
				t.Errorf("%s%s is not in it", below, key)
			}
			if f.Type.Kind() == reflect.Struct {
				keys(f.Type, below+"  ")
			}
		}
	}
	keys(reflect.TypeFor[fileConfig](), "")
	file := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := readConfig(file); err != nil {
		t.Errorf("as it is: %v", err)
	}
	text := regexp.MustCompile(`(?m)^# ( *[a-z_]+:)`).ReplaceAll(b, []byte("$1"))
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := readConfig(file)
	if err != nil {
		t.Fatalf("with every key: %v", err)
	}
	p, err := c.Policy.policy(lab.Policy{})
	d := lab.DefaultPolicy(masu.Host{CPUs: 8})
	if fmt.Sprint(p.GPUs, p.HalfLife, p.HoldMost, p.Horizon, p.ReserveMost) != fmt.Sprint(d.GPUs, d.HalfLife, d.HoldMost, d.Horizon, d.ReserveMost) {
		t.Errorf("GPUs: %+v; the defaults are %+v", p.GPUs, d.GPUs)
	}
	if err != nil || p.WorkspacesPerMember != d.WorkspacesPerMember || p.BuildWithin != d.BuildWithin || p.SpareEngine != d.SpareEngine || p.Sudo != d.Sudo || p.SessionFor != d.SessionFor {
		t.Errorf("%+v, %v; the defaults are %+v", p, err, d)
	}
}
