package mirror

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pkg/sftp"
)

// served gives a folder as an sftp server has it.
func served(t *testing.T, dir string) *SFTP {
	t.Helper()
	near, far := net.Pipe()
	s, err := sftp.NewServer(far)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { defer close(ended); _ = s.Serve() }()
	c, err := sftp.NewClientPipe(near, near, sftp.UseConcurrentWrites(true))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = c.Close(), s.Close(); <-ended })
	return NewSFTP(c, dir)
}

// TestOverSFTP: the same stories with a side behind an sftp server, whose times
// are whole seconds.
func TestOverSFTP(t *testing.T) {
	for _, script := range []string{
		"\x00\x01\x00\x01\x01\x03\xff\x00\x00\x00\x01\x00\x01\x01\x00\xff\x00\x00\x00\x03\x03", // a conflict, and a removal
		"\x00\x04\x02\x01\x05\x03\xff\x00\x00\x00\x01\x01\x02\xff\x00\x00\x01\x07\x02\xff\x00\x00\x00\x03\x02",
		"\x01\x02\x07\x01\x02\x01\xff\x00\x00\x00\x06\x07\x01\x07\x01\xff\x00\x00\x01\x00\x07",
	} {
		p := newPair(t)
		p.tree[1] = served(t, p.dir[1])
		p.sync.Far = p.tree[1]
		p.play([]byte(script))
	}
}

// TestCopy: a folder goes there and comes back as it was.
func TestCopy(t *testing.T) {
	from, far, back := t.TempDir(), t.TempDir(), t.TempDir()
	write(t, from, "p/deep/big", strings.Repeat("0123456789abcdef", 100_000))
	write(t, from, "p/run.sh", "#!/bin/sh\n")
	at := time.Date(2020, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, err := range []error{
		os.Chmod(filepath.Join(from, "p/run.sh"), 0o750), os.Chtimes(filepath.Join(from, "p/run.sh"), at, at), os.Symlink("/etc/passwd", filepath.Join(from, "p/link")),
		os.Chmod(filepath.Join(from, "p/deep"), 0o700), os.Chtimes(filepath.Join(from, "p/deep"), at, at),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	a, err := OpenLocal(from)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	z, err := OpenLocal(back)
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	b := served(t, far)
	if c, err := Copy(t.Context(), a, b, "p", "q", nil); err != nil || c.Files != 3 || c.Bytes != 1_600_000+10 {
		t.Fatalf("there: %+v, %v", c, err)
	}
	var last, total int64
	if _, err := Copy(t.Context(), b, z, "q", "p", func(_ string, n, of int64) { last, total = n, of }); err != nil || last != total || last != 1_600_010 {
		t.Fatalf("back: %v, %d of %d", err, last, total)
	}
	if out, err := exec.Command("diff", "-r", "--no-dereference", from, back).CombinedOutput(); err != nil {
		t.Errorf("what comes back: %v: %s", err, out)
	}
	for _, name := range []string{"p/run.sh", "p/deep"} {
		one, err1 := os.Lstat(filepath.Join(from, name))
		two, err2 := os.Lstat(filepath.Join(back, name))
		if err1 != nil || err2 != nil || one.Mode() != two.Mode() || !one.ModTime().Equal(two.ModTime()) {
			t.Errorf("%s: %v, %v", name, one, two)
		}
	}
	if target, err := os.Readlink(filepath.Join(back, "p/link")); err != nil || target != "/etc/passwd" {
		t.Errorf("the link: %q, %v", target, err)
	}
}

// full is a tree whose disk has room for small files only.
type full struct {
	Tree
	room int // for each
}

type fullFile struct {
	io.WriteCloser
	room int
}

var errFull = errors.New("no space left on device")

func (f *full) Create(p string) (io.WriteCloser, error) {
	w, err := f.Tree.Create(p)
	return &fullFile{w, f.room}, err
}

func (w *fullFile) Write(p []byte) (int, error) {
	if w.room -= len(p); w.room < 0 {
		return 0, errFull
	}
	return w.WriteCloser.Write(p)
}

// TestFull: a disk that is full leaves what was there, whole, and no halves; with
// room again all comes.
func TestFull(t *testing.T) {
	p := newPair(t)
	write(t, p.dir[0], "a", "old")
	p.round()
	f := &full{p.tree[1], 100}
	p.sync.Far = f
	write(t, p.dir[0], "a", strings.Repeat("new ", 100))
	write(t, p.dir[0], "small", "fits")
	p.told = nil
	if _, err := p.sync.Round(t.Context()); err != nil {
		t.Fatal(err)
	}
	told := false
	for _, d := range p.told {
		told = told || d.Path == "a" && errors.Is(d.Err, errFull)
	}
	if got := p.contents(1); !told || got["a"] != "old" || got["small"] != "fits" || len(got) != 2 {
		t.Errorf("with a full disk: %v, told %+v", got, p.told)
	}
	f.room = 1 << 20
	if p.round(); p.contents(1)["a"] != strings.Repeat("new ", 100) {
		t.Error("with room again it does not come")
	}
}

// TestCutOff: a copy that is given up leaves nothing behind.
func TestCutOff(t *testing.T) {
	from, to := t.TempDir(), t.TempDir()
	write(t, from, "big", strings.Repeat("x", 1<<20))
	write(t, to, "big", "old")
	a, err := OpenLocal(from)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	ctx, cancel := context.WithCancel(t.Context())
	if _, err := Copy(ctx, a, served(t, to), "big", "big", func(string, int64, int64) { cancel() }); !errors.Is(err, context.Canceled) {
		t.Errorf("it ends with %v", err)
	}
	entries, err := os.ReadDir(to)
	if b, _ := os.ReadFile(filepath.Join(to, "big")); err != nil || len(entries) != 1 || string(b) != "old" {
		t.Errorf("what is left: %v, %q", entries, b)
	}
}
