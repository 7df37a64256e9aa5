package project

import (
	"fmt"
	"io"
	"io/fs"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/masu-lab/masu"
)

func contents(t *testing.T, c fs.FS) []string {
	t.Helper()
	var names []string
	err := fs.WalkDir(c, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if !d.IsDir() {
			names = append(names, name)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// TestContextIsFiltered is row S18.
func TestContextIsFiltered(t *testing.T) {
	base := []string{
		"Dockerfile", "FROM x", "main.py", "1", "data/big.bin", "2", "data/keep.txt", "3", ".git/config", "4", ".ssh/id_rsa", "5", ".env", "6", "sub/.env", "7",
		"server.pem", "8", "sub/key.pem", "9", "sub/id_ed25519", "10", "sub/ok.py", "11", ".gitignore", "12",
	}
	for _, c := range []struct {
		ignore string
		want   []string
	}{
		{"", []string{".gitignore", "Dockerfile", "data/big.bin", "data/keep.txt", "main.py", "sub/ok.py"}},
		{"data\n", []string{".dockerignore", ".gitignore", "Dockerfile", "main.py", "sub/ok.py"}},
		{"data\n!data/keep.txt\n", []string{".dockerignore", ".gitignore", "Dockerfile", "data/keep.txt", "main.py", "sub/ok.py"}},
		{"*\n!*.py\n", []string{".dockerignore", "Dockerfile", "main.py"}},
		{"**\n!**/*.py\n", []string{".dockerignore", "Dockerfile", "main.py", "sub/ok.py"}},
		{"# all\n\n!.env\n", []string{".dockerignore", ".env", ".gitignore", "Dockerfile", "data/big.bin", "data/keep.txt", "main.py", "sub/ok.py"}},
	} {
		f := files(base...)
		if c.ignore != "" {
			f.MapFS[".dockerignore"] = &fstest.MapFile{Data: []byte(c.ignore), Mode: 0o644}
		}
		f.MapFS["link"] = &fstest.MapFile{Data: []byte("/etc/passwd"), Mode: fs.ModeSymlink | 0o777}
		f.MapFS["pipe"] = &fstest.MapFile{Mode: fs.ModeNamedPipe | 0o644}
		got, _, err := Context(f, "Dockerfile", ".")
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(c.want, contents(t, got)); d != "" {
			t.Errorf("%q: %s", c.ignore, d)
		}
		if err := fstest.TestFS(got, c.want...); err != nil {
			t.Errorf("%q: %v", c.ignore, err)
		}
	}
	f := files(base...)
	f.MapFS["link"] = &fstest.MapFile{Data: []byte("/etc/passwd"), Mode: fs.ModeSymlink | 0o777}
	want := "context_links(1|link) context_secrets(.env, .ssh, server.pem, sub/.env, sub/id_ed25519)"
	if got := codes(read(t, f, "").Notes); got != want {
		t.Errorf("notes %s", got)
	}
}

func TestContextOfASubfolder(t *testing.T) {
	f := files("app/Dockerfile", "FROM x", "app/a.py", "1", "app/Dockerfile.dockerignore", "b.py", "app/b.py", "2", "app/.dockerignore", "a.py", "other", "3")
	c, size, err := Context(f, "app/Dockerfile", "app")
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{".dockerignore", "Dockerfile", "Dockerfile.dockerignore", "a.py"}, contents(t, c)); d != "" || size != 6+4+4+1 {
		t.Errorf("size %d, %s", size, d)
	}
	if _, err := c.Open("../other"); err == nil {
		t.Error("the context leads out of itself")
	}
	if _, err := c.Open("b.py"); err == nil {
		t.Error("an ignored file can be opened")
	}
	if _, _, err := Context(f, "app/Dockerfile", "lib"); masu.CodeOf(err) != "dockerfile_outside" {
		t.Error(err)
	}
	_, _, err = Context(files("Dockerfile", "", ".dockerignore", "[a-\\"), "Dockerfile", ".")
	refused(t, err, "dockerignore_wrong", ".dockerignore")
}

func TestDigest(t *testing.T) {
	digest := func(f folder) string { return read(t, f, "").Environment.Digest }
	make2 := func() folder { return files("Dockerfile", "FROM x", "a", "1", "b/c", "2") }
	first := digest(make2())
	if first != digest(make2()) {
		t.Error("the same files give another digest")
	}
	for what, change := range map[string]func(folder){
		"contents":      func(f folder) { f.MapFS["a"].Data = []byte("9") },
		"another file":  func(f folder) { f.MapFS["b/d"] = &fstest.MapFile{} },
		"a lost file":   func(f folder) { delete(f.MapFS, "a") },
		"the mode":      func(f folder) { f.MapFS["a"].Mode = 0o755 },
		"the name":      func(f folder) { f.MapFS["z"] = f.MapFS["a"]; delete(f.MapFS, "a") },
		"what is there": func(f folder) { f.MapFS["a"].Data, f.MapFS["b/c"].Data = []byte("2"), []byte("1") },
	} {
		f := make2()
		change(f)
		if digest(f) == first {
			t.Errorf("%s does not change the digest", what)
		}
	}
	f := make2()
	f.MapFS[".git/HEAD"] = &fstest.MapFile{Data: []byte("x")}
	if digest(f) != first {
		t.Error("an ignored file changes the digest")
	}
}

// TestBuiltIsWhatWasRead is row S20: who changes a file after it was read does not get it built.
func TestBuiltIsWhatWasRead(t *testing.T) {
	for what, data := range map[string]string{"same length": "evil", "shorter": "x", "longer": "good and more", "empty": ""} {
		f := files("Dockerfile", "FROM x", "run.sh", "good")
		c, _, err := Context(f, "Dockerfile", ".")
		if err != nil {
			t.Fatal(err)
		}
		if b, err := fs.ReadFile(c, "run.sh"); err != nil || string(b) != "good" {
			t.Fatalf("%q, %v", b, err)
		}
		f.MapFS["run.sh"].Data = []byte(data)
		file, err := c.Open("run.sh")
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(file)
		if masu.CodeOf(err) != "context_changed" || len(b) >= len("good") {
			t.Errorf("%s: %q, %v", what, b, err)
		}
	}
}

// huge is a folder with one file that says it is large, and is all zeros.
type huge struct {
	folder
	size int64
}

type zeros struct {
	fs.File
	fs.FileInfo
	left int64
}

func (z *zeros) Stat() (fs.FileInfo, error) { return z, nil }
func (z *zeros) Size() int64                { return z.left }
func (z *zeros) Read(p []byte) (int, error) {
	if z.left == 0 {
		return 0, io.EOF
	}
	n := min(int64(len(p)), z.left)
	z.left -= n
	return int(n), nil
}

func (h huge) Open(name string) (fs.File, error) {
	f, err := h.folder.Open(name)
	if err != nil || name != "data.bin" {
		return f, err
	}
	info, err := f.Stat()
	return &zeros{f, info, h.size}, err
}

func TestBigContext(t *testing.T) {
	h := huge{files("Dockerfile", "FROM x", "data.bin", ""), int64(masu.GiB)}
	p, err := Read(h, "")
	if err != nil {
		t.Fatal(err)
	}
	if got := codes(p.Notes); got != "context_big(1 GiB|2)" {
		t.Errorf("notes %s", got)
	}
	h.size = int64(maxContext) + 1
	_, err = Read(h, "")
	refused(t, err, "context_too_big", "8 GiB")

	f := files("Dockerfile", "FROM x")
	for i := range maxFiles {
		f.MapFS[fmt.Sprintf("d/%06d", i)] = &fstest.MapFile{}
	}
	_, err = Read(f, "")
	refused(t, err, "context_many", fmt.Sprint(maxFiles))
	f.MapFS[".dockerignore"] = &fstest.MapFile{Data: []byte("d\n!*.md\n")}
	if got := codes(read(t, f, "").Notes); got != "" {
		t.Errorf("notes %s", got)
	}
}
