package recipe

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/masu-lab/masu/internal/project"
)

type readable interface {
	fs.FS
	fs.StatFS
	fs.ReadDirFS
}

// plainFolder is a masu.Folder of files that everybody may read.
type plainFolder struct {
	readable
	dir string
}

func (plainFolder) Close() error  { return nil }
func (f plainFolder) Dir() string { return f.dir }

// TestGuideExample: the guide's own environment, from its folder to its Dockerfile.
func TestGuideExample(t *testing.T) {
	dir, err := filepath.Abs("../../examples/guide")
	if err != nil {
		t.Fatal(err)
	}
	files, ok := os.DirFS(dir).(readable)
	if !ok {
		t.Fatal("os.DirFS lacks something")
	}
	p, err := project.Read(plainFolder{files, dir}, "")
	if err != nil {
		t.Fatal(err)
	}
	r, err := Plan(Config{Environment: p.Environment, Host: rtx})
	if err != nil {
		t.Fatal(err)
	}
	if !r.GPU {
		t.Error("it is not tried on the GPU")
	}
	golden(t, "guide-example/Dockerfile", r.Files[0].Text)
	golden(t, "guide-example/rest.txt", written(r.Files[1:]))
	ejected, err := Eject(EjectConfig{Project: p, Host: rtx})
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "guide-example/eject.txt", written(ejected))
}
