package buildkit

import (
	"archive/tar"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"testing/fstest"

	"github.com/masu-lab/masu"
)

func TestContext(t *testing.T) {
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "sub"), 0o750); err != nil {
		t.Fatal(err)
	}
	for name, mode := range map[string]os.FileMode{"Dockerfile": 0o644, "sub/run.sh": 0o755} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(name), mode); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("/etc/passwd", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	c := NewContext(os.DirFS(dir))
	got := map[string]int64{}
	tr := tar.NewReader(c)
	for {
		h, err := tr.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if h.Uid != 0 || h.Gid != 0 || h.Uname != "" {
			t.Errorf("%s belongs to %d:%d %q", h.Name, h.Uid, h.Gid, h.Uname)
		}
		got[h.Name] = h.Mode
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if len(got) != 3 || got["Dockerfile"] != 0o644 || got["sub/run.sh"] != 0o755 || got["sub/"] != 0o750 {
		t.Errorf("the stream holds %v", got)
	}
	if c.left != 1 || c.first != "link" {
		t.Errorf("left out: %d, first %q", c.left, c.first)
	}
}

type brokenFS struct{ fstest.MapFS }

func (b brokenFS) Open(name string) (fs.File, error) {
	if name == "secret" {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrPermission}
	}
	return b.MapFS.Open(name)
}

func TestContextUnreadable(t *testing.T) {
	c := NewContext(brokenFS{fstest.MapFS{"secret": {Data: []byte("x")}}})
	_, err := io.Copy(io.Discard, c)
	if err == nil {
		t.Error("the stream does not break off")
	}
	if err := c.Close(); masu.CodeOf(err) != "context_unreadable" || !errors.Is(err, fs.ErrPermission) {
		t.Errorf("close = %v", err)
	}
}
