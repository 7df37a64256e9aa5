package agent

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/masu-lab/masu"
)

func TestAddedByHand(t *testing.T) {
	root, home := t.TempDir(), t.TempDir()
	write := func(under, name, text string) {
		t.Helper()
		path := filepath.Join(under, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write(root, "var/lib/dpkg/info/libc6:amd64.list", "")
	write(root, "var/lib/dpkg/info/git.list", "")
	write(root, "opt/masu/venv/lib/python3.13/site-packages/numpy-1.26.0.dist-info/REQUESTED", "")
	write(home, ".local/lib/python3.13/site-packages/old-1.dist-info/REQUESTED", "")
	p := packages{root, home}
	if _, err := p.added(); err == nil {
		t.Error("nothing was noted, and yet it knows")
	}
	if err := p.rememberBrought(); err != nil {
		t.Fatal(err)
	}
	check := func(want masu.Layer) {
		t.Helper()
		got, err := p.added()
		if d := cmp.Diff(want, got); d != "" || err != nil {
			t.Error(d, err)
		}
	}
	check(masu.Layer{Pip: []string{"old==1"}}) // what lies in the home was never the image's

	write(root, "var/lib/dpkg/info/tree.list", "")
	write(root, "var/lib/dpkg/info/libtree1:amd64.list", "")
	write(root, "var/lib/apt/extended_states", "Package: libtree1\nArchitecture: amd64\nAuto-Installed: 1\n\nPackage: tree\nArchitecture: amd64\nAuto-Installed: 0\n\n")
	write(root, "opt/masu/venv/lib/python3.13/site-packages/numpy-2.0.0.dist-info/REQUESTED", "")                // a newer one of the image's
	write(root, "usr/local/lib/python3.13/dist-packages/typing_extensions-4.9.0.dist-info/REQUESTED", "")        // by hand
	write(root, "usr/local/lib/python3.13/dist-packages/charset_normalizer-3.0.dist-info/METADATA", "Name: x\n") // needed by another
	write(home, ".local/lib/python3.13/site-packages/requests-2.31.0.dist-info/REQUESTED", "")
	if err := p.rememberBrought(); err != nil { // a container that begins again
		t.Fatal(err)
	}
	check(masu.Layer{Apt: []string{"tree"}, Pip: []string{"old==1", "requests==2.31.0", "typing_extensions==4.9.0"}})
}
