package agent

import (
	"archive/tar"
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

func packed(t testing.TB, entries ...tar.Header) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, h := range entries {
		h.Uid, h.Gid = os.Getuid(), os.Getgid()
		if h.Mode == 0 {
			h.Mode = 0o644
		}
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(bytes.Repeat([]byte("x"), int(h.Size))); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// What went into a volume is what comes out of it, and zeros take no room there.
func TestHaul(t *testing.T) {
	from, to := t.TempDir(), t.TempDir()
	for _, err := range []error{
		os.Mkdir(filepath.Join(from, "closed"), 0o700),
		os.WriteFile(filepath.Join(from, "closed", "kept"), []byte("mine\n"), 0o640),
		os.Link(filepath.Join(from, "closed", "kept"), filepath.Join(from, "second")),
		os.Symlink("closed/kept", filepath.Join(from, "link")),
		os.Symlink("/nowhere", filepath.Join(from, "dangling")),
		os.WriteFile(filepath.Join(from, "sparse"), []byte("head"), 0o600),
		os.Truncate(filepath.Join(from, "sparse"), 64<<20),
		syscall.Mkfifo(filepath.Join(from, "pipe"), 0o600),
		os.Chmod(filepath.Join(from, "closed"), 0o500),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { // else nobody but root could clear up
		for _, dir := range []string{from, to} {
			if err := os.Chmod(filepath.Join(dir, "closed"), 0o700); err != nil {
				t.Error(err)
			}
		}
	})
	var b bytes.Buffer
	if err := pack(from, &b); err != nil {
		t.Fatal(err)
	}
	if err := unpack(to, &b); err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(filepath.Join(to, "link")); err != nil || string(text) != "mine\n" {
		t.Errorf("through the link: %q, %v", text, err)
	}
	stat := func(dir, name string) (fs.FileInfo, *syscall.Stat_t) {
		info, err := os.Lstat(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return info, info.Sys().(*syscall.Stat_t)
	}
	for _, name := range []string{"closed", "closed/kept", "second", "sparse"} {
		was, _ := stat(from, name)
		is, _ := stat(to, name)
		if is.Mode() != was.Mode() || !is.ModTime().Equal(was.ModTime()) || !is.IsDir() && is.Size() != was.Size() {
			t.Errorf("%s is %v %v %d, was %v %v %d", name, is.Mode(), is.ModTime(), is.Size(), was.Mode(), was.ModTime(), was.Size())
		}
	}
	_, one := stat(to, "closed/kept")
	if _, two := stat(to, "second"); one.Ino != two.Ino {
		t.Error("a file of two names has become two files")
	}
	if _, s := stat(to, "sparse"); s.Blocks*512 > 1<<20 {
		t.Errorf("64 MiB of holes take %d bytes", s.Blocks*512)
	}
	if _, err := os.Lstat(filepath.Join(to, "pipe")); err == nil {
		t.Error("a pipe came along")
	}
}

// No name leads out of the folder, however it is written.
func TestUnpackStaysInside(t *testing.T) {
	for name, b := range map[string][]byte{
		"a way up":       packed(t, tar.Header{Name: "../evil", Typeflag: tar.TypeReg, Size: 1}),
		"absolute":       packed(t, tar.Header{Name: "/evil", Typeflag: tar.TypeReg, Size: 1}),
		"by a link":      packed(t, tar.Header{Name: "up", Typeflag: tar.TypeSymlink, Linkname: ".."}, tar.Header{Name: "up/evil", Typeflag: tar.TypeReg, Size: 1}),
		"by a hard link": packed(t, tar.Header{Name: "evil", Typeflag: tar.TypeLink, Linkname: "../kept"}),
	} {
		above := t.TempDir()
		dir := filepath.Join(above, "in")
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(above, "kept"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		_ = unpack(dir, bytes.NewReader(b)) // refused, or put inside
		if beside, err := os.ReadDir(above); err != nil || len(beside) != 2 {
			t.Errorf("%s: wrote outside: %v, %v", name, beside, err)
		}
		if info, err := os.Lstat(filepath.Join(above, "kept")); err != nil || info.Sys().(*syscall.Stat_t).Nlink != 1 {
			t.Errorf("%s: what is outside has a name inside", name)
		}
	}
	whole := packed(t, tar.Header{Name: "a", Typeflag: tar.TypeReg, Size: 4096})
	if err := unpack(t.TempDir(), bytes.NewReader(whole[:2048])); err == nil {
		t.Error("a tar that is cut off was taken for whole")
	}
}

func FuzzUnpack(f *testing.F) {
	f.Add(packed(f, tar.Header{Name: "./", Typeflag: tar.TypeDir, Mode: 0o755}, tar.Header{Name: "./a", Typeflag: tar.TypeReg, Size: 3}))
	f.Add(packed(f, tar.Header{Name: "up", Typeflag: tar.TypeSymlink, Linkname: "../.."}, tar.Header{Name: "up/x", Typeflag: tar.TypeReg, Size: 1}))
	f.Fuzz(func(t *testing.T, b []byte) {
		above := t.TempDir()
		dir := filepath.Join(above, "in")
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		_ = unpack(dir, bytes.NewReader(b))
		if err := os.Chmod(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if beside, _ := os.ReadDir(above); len(beside) != 1 {
			t.Errorf("wrote outside: %v", beside)
		}
	})
}
