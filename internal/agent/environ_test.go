package agent

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/masu-lab/masu"
)

func TestVariables(t *testing.T) {
	t.Setenv("PATH", "/usr/local/bin:/usr/bin:/bin:/usr/bin")
	i := newImage(t, map[string]string{"/bin/bash": "", "/opt/masu/venv/bin/python": ""})
	env := i.variables(masu.AgentSpec{User: alice, Lang: masu.Japanese, Env: map[string]string{"HF_HOME": "/x", "HOME": "/evil", "PATH": "/evil", "TERM": "dumb"}},
		[]string{"FROM_IMAGE=1", "HOME=/root", "MASU_SPEC={}", "PWD=/", "LC_ALL=POSIX", "EMPTY=", "odd"})
	for name, want := range map[string]string{
		"FROM_IMAGE": "1", "EMPTY": "", "HF_HOME": "/x", "HOME": "/home/alice", "USER": "alice", "LOGNAME": "alice", "SHELL": "/bin/bash",
		"PATH": "/opt/masu/venv/bin:/home/alice/.local/bin:/usr/local/bin:/usr/bin:/bin", "VIRTUAL_ENV": "/opt/masu/venv",
		"TERM": "dumb", "LANG": "C.UTF-8", "MASU_LANG": "ja", "MASU_BOX": "1", "XDG_RUNTIME_DIR": "/run/user/30001",
	} {
		if got := lookup(env, name); got != want {
			t.Errorf("%s=%q, want %q", name, got, want)
		}
	}
	for _, kv := range env {
		for _, no := range []string{"MASU_SPEC", "PWD", "LC_ALL", "odd", "TZ"} {
			if strings.HasPrefix(kv, no) {
				t.Errorf("%s is passed on", kv)
			}
		}
	}
}

func TestLocale(t *testing.T) {
	with := map[string]string{"/usr/lib/locale/ja_JP.utf8/LC_CTYPE": ""}
	archive := map[string]string{"/usr/lib/locale/locale-archive": "\x09\x01\x02\xde\x00en_US.utf8\x00ja_JP.utf8\x00"}
	for _, c := range []struct {
		name, wish, lang, all, want string
		files                       map[string]string
	}{
		{"in a folder", "ja_JP.UTF-8", "C", "C", "ja_JP.UTF-8", with},
		{"in the archive", "ja_JP.UTF-8", "", "", "ja_JP.UTF-8", archive},
		{"only a part of a name in the archive", "JP.UTF-8", "", "", "C.UTF-8", archive},
		{"not in the image", "ja_JP.UTF-8", "", "", "C.UTF-8", nil},
		{"not in the image, which has its own", "ja_JP.UTF-8", "en_US.utf8", "", "en_US.utf8", nil},
		{"no wish", "", "POSIX", "", "C.UTF-8", with},
		{"no wish, and the image's own", "", "de_DE.UTF-8@euro", "", "de_DE.UTF-8@euro", with},
		{"a path", "../../etc", "", "", "C.UTF-8", with},
	} {
		env := map[string]string{"LANG": c.lang, "LC_ALL": c.all}
		newImage(t, c.files).locale(env, c.wish)
		if env["LANG"] != c.want || env["LC_ALL"] != "" {
			t.Errorf("%s: %v", c.name, env)
		}
	}
}

func TestTimezone(t *testing.T) {
	full := newImage(t, map[string]string{"/usr/share/zoneinfo/Asia/Tokyo": "TZif", "/usr/share/zoneinfo/UTC": "TZif"})
	for zone, want := range map[string]string{"Asia/Tokyo": "Asia/Tokyo", "UTC": "UTC", "Asia": "", "Mars/Base": "", "../zoneinfo/UTC": "", "/etc/passwd": "", "": ""} {
		if got := full.timezone(zone); got != want {
			t.Errorf("%q: %q, want %q", zone, got, want)
		}
	}
	if got := newImage(t, nil).timezone("Asia/Tokyo"); got != "JST-9" {
		t.Errorf("without the table of zones: %q", got)
	}
}

// TestProfile lets a shell read what was written.
func TestProfile(t *testing.T) {
	i := newImage(t, map[string]string{"/etc/bash.bashrc": "# the image's\n"})
	nasty := "it's $HOME `id` \"x\"\nsecond line"
	env := []string{"PATH=/a b:/bin:/usr/bin", "HOME=/home/alice", "NASTY=" + nasty, "bad-name=1", "TZ=UTC"}
	for range 2 {
		i.profile(env)
	}
	shell := func(own ...string) string {
		cmd := exec.Command("/bin/sh", "-c", `. "$0"; printf %s "$NASTY|$HOME|$PATH|$TZ"`, i.at(profile))
		cmd.Env = own
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		return string(out)
	}
	if got, want := shell("HOME=/root"), nasty+"|/root|/a b:/bin:/usr/bin|UTC"; got != want {
		t.Errorf("a new shell: %q, want %q", got, want)
	}
	if got, want := shell("MASU_BOX=1", "TZ=mine", "HOME=/x", "PATH=/reset"), "|/x|/a b:/bin:/usr/bin|mine"; got != want {
		t.Errorf("a shell in a shell: %q, want %q", got, want)
	}
	if rc := i.read(t, "/etc/bash.bashrc"); strings.Count(rc, profile) != 1 || !strings.HasPrefix(rc, "# the image's\n") {
		t.Errorf("bash.bashrc %q", rc)
	}
	if os.Getenv("NASTY") != "" {
		t.Error("the test's own environment has changed")
	}
}
