package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/spf13/pflag"

	"github.com/masu-lab/masu"
)

func TestServeFlagOverVariableOverFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "config.yaml")
	text := "listen: 127.0.0.1:3\nhost_name: from-file\nengine: unix:///file.sock\nplain_http: true\nsite:\n  apt_mirror: http://mirror.example/debian\n  proxy: {http_proxy: 'http://proxy.example:3128'}\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := readConfig(file)
	if err != nil {
		t.Fatal(err)
	}
	env := map[string]string{"MASU_HOST_NAME": "from-variable", "MASU_LISTEN": "127.0.0.1:2"}
	var o serveOptions
	flags := pflag.NewFlagSet("serve", pflag.ContinueOnError)
	flags.StringVar(&o.listen, "listen", env["MASU_LISTEN"], "")
	flags.StringVar(&o.hostName, "host-name", env["MASU_HOST_NAME"], "")
	flags.StringVar(&o.engine, "engine", "", "")
	if err := flags.Parse([]string{"--listen", "127.0.0.1:1"}); err != nil {
		t.Fatal(err)
	}
	o.fill(flags, func(k string) string { return env[k] }, c)
	if o.listen != "127.0.0.1:1" || o.hostName != "from-variable" || o.engine != "unix:///file.sock" || !o.plainHTTP {
		t.Errorf("%+v", o)
	}
	if o.site.AptMirror != "http://mirror.example/debian" || o.site.Proxy["http_proxy"] != "http://proxy.example:3128" {
		t.Errorf("the site is %+v", o.site)
	}
}

func TestConfigIsStrict(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"unknown": "lisen: x", "type": "listen: [1]", "yaml": "a: b: c", "large": string(make([]byte, mostConfig+1))} {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if c, err := readConfig(file); masu.CodeOf(err) != "config_wrong" {
			t.Errorf("%s: %+v, %v", name, c, err)
		}
	}
	for _, text := range []string{"", "\n\n", "# nothing\n"} {
		file := filepath.Join(dir, "empty")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := readConfig(file); err != nil {
			t.Errorf("%q: %v", text, err)
		}
	}
	if _, err := readConfig(filepath.Join(dir, "absent")); err != nil {
		t.Errorf("a file that is not there: %v", err)
	}
}

func TestServeValidate(t *testing.T) {
	for listen, want := range map[string]string{
		"127.0.0.1:8888": "", "127.0.0.2:1": "", "localhost:0": "", "[::1]:8888": "",
		"0.0.0.0:8888": "listen_plain", ":8888": "listen_plain", "192.168.1.5:8888": "listen_plain", "[::]:8888": "listen_plain",
		"8888": "listen_wrong", "127.0.0.1": "listen_wrong", "127.0.0.1:http": "listen_wrong", "127.0.0.1:70000": "listen_wrong",
		"gpu.lab:8888": "listen_wrong", "127.1:8888": "listen_wrong", "0x7f000001:8888": "listen_wrong", "127.0.0.1.evil.example:1": "listen_wrong",
	} {
		o := serveOptions{listen: listen, appPorts: "8900-8999"}
		if err := o.validate(); err == nil && want != "" || err != nil && masu.CodeOf(err) != want {
			t.Errorf("%s: %v, want %q", listen, err, want)
		}
		o.plainHTTP = true
		if err := o.validate(); want == "listen_plain" && err != nil {
			t.Errorf("%s with --plain-http: %v", listen, err)
		}
	}
	for ports, good := range map[string]bool{"8900-8999": true, "8900-8900": true, "8900": false, "9-10": false, "8999-8900": false, "8900-99999": false, "a-b": false} {
		o := serveOptions{listen: "127.0.0.1:8888", appPorts: ports}
		if err := o.validate(); (err == nil) != good {
			t.Errorf("--app-ports %s: %v", ports, err)
		}
	}
}

// TestOpenState: the folder is the daemon's alone, and only one daemon's.
func TestOpenState(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "state")
	f, err := openState(dir, "socket")
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if _, err := openState(dir, "socket"); masu.CodeOf(err) != "serve_runs" {
		t.Errorf("a second daemon: %v", err)
	}
	f.Close()
	again, err := openState(dir, "socket")
	if err != nil {
		t.Fatalf("after the first has gone: %v", err)
	}
	again.Close()
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := openState(dir, "socket"); masu.CodeOf(err) != "state_wrong" {
		t.Errorf("a folder that others may enter: %v", err)
	}
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(t.TempDir(), link); err != nil {
		t.Fatal(err)
	}
	if _, err := openState(link, "socket"); masu.CodeOf(err) != "state_wrong" {
		t.Errorf("a link: %v", err)
	}
}

// One copy of the program is kept for boxes: that of the daemon that runs.
func TestAgentCopy(t *testing.T) {
	state := t.TempDir()
	old := filepath.Join(state, "agent", "0123456789abcdef")
	if err := os.MkdirAll(old, 0o755); err != nil {
		t.Fatal(err)
	}
	var paths []string
	for range 2 {
		path, err := agentCopy(state)
		if err != nil {
			t.Fatal(err)
		}
		paths = append(paths, path)
	}
	info, err := os.Stat(paths[0])
	if err != nil || info.Mode() != 0o755 || paths[0] != paths[1] {
		t.Errorf("%v, %v, %v", paths, info, err)
	}
	if _, err := os.Stat(old); err == nil {
		t.Error("the copy of another program is still there")
	}
}
