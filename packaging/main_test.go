package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

// dist is what `make packages` has built.
func dist(t *testing.T) string {
	t.Helper()
	if os.Getenv("MASU_TEST_ENGINE") == "" {
		t.Skip("MASU_TEST_ENGINE is not set; make test sets it and builds the packages")
	}
	return "../dist"
}

// The Debian package, in a Debian that has never seen masu: installed, upgraded,
// removed, purged.
func TestDebianPackage(t *testing.T) {
	found, err := filepath.Glob(filepath.Join(dist(t), "masu_*_"+runtime.GOARCH+".deb"))
	if err != nil || len(found) != 1 {
		t.Fatalf("%v, %v", found, err)
	}
	folder, err := filepath.Abs(filepath.Dir(found[0]))
	if err != nil {
		t.Fatal(err)
	}
	script := `set -e
dpkg -i /dist/` + filepath.Base(found[0]) + `
masu version
masu config check
test -s /usr/share/bash-completion/completions/masu
test -s /usr/share/man/man1/masu-up.1.gz -o -s /usr/share/man/man1/masu-up.1
test -s /usr/share/doc/masu/copyright
grep -q '^ExecStart=/usr/bin/masu serve$' /usr/lib/systemd/system/masu.service
test "$(stat -c %a /usr/bin/masu)" = 755
echo 'host_name: mine' >> /etc/masu/config.yaml
mkdir -p /var/lib/masu && echo x > /var/lib/masu/masu.db
DEBIAN_FRONTEND=noninteractive dpkg -i /dist/` + filepath.Base(found[0]) + `
grep -q 'host_name: mine' /etc/masu/config.yaml
dpkg -r masu
test ! -e /usr/bin/masu
test -e /etc/masu/config.yaml
dpkg -P masu
test ! -e /etc/masu/config.yaml
test -e /var/lib/masu/masu.db
echo ALL WELL`
	out, err := exec.Command("docker", "run", "--rm", "--network", "none", "-v", folder+":/dist:ro", "masu-test/base", "bash", "-c", script).CombinedOutput()
	if err != nil || !strings.Contains(string(out), "ALL WELL") {
		t.Errorf("%v\n%s", err, out)
	}
}

// Two packages of the same files are the same, and each form can be read.
func TestReproducible(t *testing.T) {
	from := dist(t)
	at := time.Unix(1700000000, 0).UTC()
	for _, form := range []string{"deb", "rpm"} {
		var last []byte
		for range 2 {
			path, err := write(form, "1.2.3", runtime.GOARCH, from, at)
			if err != nil {
				t.Fatal(err)
			}
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
			if last != nil && !bytes.Equal(b, last) {
				t.Errorf("two %s of the same files differ", form)
			}
			last = b
		}
	}
}

func TestNumber(t *testing.T) {
	at := time.Date(2026, 4, 1, 9, 30, 0, 0, time.UTC)
	for in, want := range map[string]string{
		"v1.2.3": "1.2.3", "1.2.3": "1.2.3", "v1.2.3-4-g0a1b2c3": "1.2.3+4.g0a1b2c3", "v1.2.3-dirty": "1.2.3+dirty",
		"0a1b2c3": "0.0.0~20260401093000.0a1b2c3", "abc123-dirty": "0.0.0~20260401093000.abc123+dirty",
	} {
		if got := number(in, at); got != want {
			t.Errorf("%q: %q", in, got)
		}
	}
}

// TestLaterIsHigher asks Debian's own comparison.
func TestLaterIsHigher(t *testing.T) {
	if _, err := exec.LookPath("dpkg"); err != nil {
		t.Skip("dpkg is not here")
	}
	day := time.Date(2026, 4, 1, 0, 0, 0, 0, time.UTC)
	order := []string{number("ffff000", day), number("0000aaa", day.Add(time.Hour)), number("v0.0.0", day), number("v0.9.0", day), number("v1.0.0", day), number("v1.0.0-2-gabc", day), number("v1.0.0-10-g123", day), number("v1.0.1", day)}
	for i := range order[1:] {
		if err := exec.Command("dpkg", "--compare-versions", order[i], "lt", order[i+1]).Run(); err != nil {
			t.Errorf("%s is not below %s", order[i], order[i+1])
		}
	}
}
