package host

import (
	"archive/tar"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/masu-lab/masu"
)

func TestBasesCan(t *testing.T) {
	b := newHost(t, Config{}).Bases()
	for ref, want := range map[masu.ImageRef]bool{
		"debian:trixie-slim": true, "debian:trixie": true, "debian:bookworm": true, "debian:13-slim": true, "debian:12": true,
		"debian": false, "debian:sid": false, "debian:": false, "debian:-slim": false, "ubuntu:24.04": false, "mydebian:trixie": false, "": false,
	} {
		if got := b.Can(ref); got != want {
			t.Errorf("Can(%q) = %v", ref, got)
		}
	}
	err := b.Make(t.Context(), "ubuntu:24.04", io.Discard, func(string) {})
	wantCode(t, err, masu.Invalid, "base_not_made")
	b.tool = "no-such-tool-of-masu"
	err = b.Make(t.Context(), "debian:trixie", io.Discard, func(string) {})
	wantCode(t, err, masu.Unreachable, "base_tool_missing")
}

func TestAptSources(t *testing.T) {
	for _, c := range []struct{ name, list, stanzas, main, security string }{
		{name: "none"},
		{name: "one line", list: "# deb http://old/debian bookworm main\ndeb [arch=amd64 signed-by=/x] http://m/debian/ bookworm main contrib # here\ndeb-src http://s/debian bookworm main\ndeb http://sec/debian-security bookworm-security main\n",
			main: "http://m/debian", security: "http://sec/debian-security"},
		{name: "stanzas", stanzas: "Types: deb deb-src\n# a remark\nURIs: https://m/debian\nSuites: trixie trixie-updates\nComponents: main\n\nTypes: deb\nURIs: https://m/debian-security\nSuites:\n trixie-security\nComponents: main\n",
			main: "https://m/debian", security: "https://m/debian-security"},
		{name: "off, source only, other components", stanzas: "Enabled: no\nTypes: deb\nURIs: http://a/debian\nSuites: trixie\nComponents: main\n\nTypes: deb-src\nURIs: http://b/debian\nSuites: trixie\nComponents: main\n\nTypes: deb\nURIs: http://c/debian\nSuites: trixie\nComponents: contrib\n"},
		{name: "another distribution", list: "deb http://m/ubuntu noble main\ndeb http://m/ubuntu noble-security main\n"},
		{name: "no network", list: "deb cdrom:[Debian]/ bookworm main\ndeb file:/srv/debian bookworm main\n"},
		{name: "backports first", list: "deb http://b/debian bookworm-backports main\ndeb http://m/debian bookworm main\n", main: "http://m/debian"},
	} {
		etc := t.TempDir()
		parts := filepath.Join(etc, "apt", "sources.list.d")
		if err := os.MkdirAll(parts, 0o755); err != nil {
			t.Fatal(err)
		}
		if c.list != "" {
			os.WriteFile(filepath.Join(etc, "apt", "sources.list"), []byte(c.list), 0o644)
		}
		if c.stanzas != "" {
			os.WriteFile(filepath.Join(parts, "x.sources"), []byte(c.stanzas), 0o644)
		}
		if main, security := hostArchives(etc); main != c.main || security != c.security {
			t.Errorf("%s: %q, %q", c.name, main, security)
		}
	}
}

// TestMirrorOfTheSite: security updates come from beside the mirror, if it has them.
func TestMirrorOfTheSite(t *testing.T) {
	mirror := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/debian-security/dists/trixie-security/Release" {
			http.NotFound(w, r)
		}
	}))
	defer mirror.Close()
	b := newHost(t, Config{Site: masu.Site{AptMirror: mirror.URL + "/debian/"}}).Bases()
	b.etc = t.TempDir()
	got := b.sources(t.Context(), "trixie")
	want := []string{"trixie", "-", "deb " + mirror.URL + "/debian trixie main", "deb " + mirror.URL + "/debian trixie-updates main", "deb " + mirror.URL + "/debian-security trixie-security main"}
	if !slices.Equal(got, want) {
		t.Errorf("sources %q", got)
	}
	if got := b.sources(t.Context(), "bookworm"); len(got) != 4 {
		t.Errorf("a release without security updates there: %q", got)
	}
}

// fakeTool stands for mmdebstrap.
func fakeTool(t *testing.T, script string) *Bases {
	t.Helper()
	if _, err := os.Stat(debianKeys); err != nil {
		t.Skip("not a Debian: " + err.Error())
	}
	b := newHost(t, Config{}).Bases()
	b.tool = filepath.Join(t.TempDir(), "tool")
	if err := os.WriteFile(b.tool, []byte("#!/bin/sh\n"+script), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("TMPDIR", t.TempDir())
	return b
}

func leftovers(t *testing.T) []string {
	t.Helper()
	left, err := filepath.Glob(filepath.Join(os.Getenv("TMPDIR"), "*"))
	if err != nil {
		t.Fatal(err)
	}
	return left
}

func TestBaseFails(t *testing.T) {
	b := fakeTool(t, "touch $TMPDIR/left; echo 'I: begins' >&2; printf 'E: no archive' >&2; exit 3")
	var lines []string
	err := b.Make(t.Context(), "debian:trixie-slim", io.Discard, func(s string) { lines = append(lines, s) })
	wantCode(t, err, masu.Unreachable, "base_failed")
	if !slices.Equal(lines, []string{"I: begins", "E: no archive"}) || !strings.Contains(err.Error(), "E: no archive") {
		t.Errorf("lines %q, error %v", lines, err)
	}
	if left := leftovers(t); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestBaseCancelled(t *testing.T) {
	b := fakeTool(t, "touch $TMPDIR/left; sleep 1000 & echo $! >&2; wait")
	ctx, cancel := context.WithCancel(t.Context())
	var child string
	err := b.Make(ctx, "debian:trixie-slim", io.Discard, func(s string) {
		child = s
		cancel()
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	if _, err := os.Stat("/proc/" + child); err == nil {
		if s, _ := os.ReadFile("/proc/" + child + "/stat"); !strings.Contains(string(s), ") Z ") {
			t.Errorf("process %s lives on: %s", child, s)
		}
	}
	if left := leftovers(t); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// TestBaseIsMade makes the real thing.
func TestBaseIsMade(t *testing.T) {
	needRoot(t)
	if os.Getenv("MASU_TEST_ENGINE") == "" {
		t.Skip("MASU_TEST_ENGINE is not set: packages are not fetched")
	}
	b := newHost(t, Config{}).Bases()
	t.Setenv("TMPDIR", homes(t))
	r, w := io.Pipe()
	found := make(chan map[string]string, 1)
	go func() {
		files := map[string]string{}
		defer func() { found <- files }()
		for tr := tar.NewReader(r); ; {
			hdr, err := tr.Next()
			if err != nil {
				io.Copy(io.Discard, r)
				return
			}
			text := ""
			if strings.HasPrefix(hdr.Name, "./etc/apt/sources") && hdr.Typeflag == tar.TypeReg {
				b, _ := io.ReadAll(tr)
				text = string(b)
			}
			files[strings.TrimPrefix(hdr.Name, ".")] = text
		}
	}()
	err := b.Make(t.Context(), "debian:trixie-slim", w, func(s string) { t.Log(s) })
	w.CloseWithError(err)
	if err != nil {
		t.Fatal(err)
	}
	files := <-found
	for _, name := range []string{"/usr/bin/bash", "/usr/bin/apt-get", "/usr/share/doc/bash/copyright"} {
		if _, ok := files[name]; !ok {
			t.Errorf("%s is missing among %d files", name, len(files))
		}
	}
	if _, ok := files["/usr/share/man/man1/bash.1.gz"]; ok {
		t.Error("the slim form has manuals")
	}
	all := ""
	for _, text := range files {
		all += text
	}
	if _, security := hostArchives("/etc"); !strings.Contains(all, "trixie-security") && security != "" {
		t.Errorf("no security updates among the image's sources:\n%s", all)
	}
	if left := leftovers(t); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}
