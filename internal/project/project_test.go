package project

import (
	"errors"
	"io/fs"
	"strings"
	"syscall"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/masu-lab/masu"
	"github.com/masu-lab/masu/internal/text"
)

// folder is a masu.Folder in memory.
type folder struct {
	fstest.MapFS
	dir string
}

func (f folder) Dir() string  { return f.dir }
func (f folder) Close() error { return nil }

// Stat and Open follow no links, as the real one.
func (f folder) Stat(name string) (fs.FileInfo, error) { return f.Lstat(name) }

func (f folder) Open(name string) (fs.File, error) {
	if info, err := f.Lstat(name); err == nil && info.Mode()&fs.ModeSymlink != 0 {
		return nil, &fs.PathError{Op: "open", Path: name, Err: syscall.ELOOP}
	}
	return f.MapFS.Open(name)
}

// files makes a folder from names and contents.
func files(pairs ...string) folder {
	m := fstest.MapFS{}
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i]] = &fstest.MapFile{Data: []byte(pairs[i+1]), Mode: 0o644}
	}
	return folder{m, "/home/alice/bert"}
}

// read reads a folder that must be good.
func read(t *testing.T, f folder, preset string) masu.Project {
	t.Helper()
	p, err := Read(f, preset)
	if err != nil {
		t.Fatalf("Read: %v", err)
	}
	return p
}

// refused checks an error that a member is shown: its kind, its code, its
// first argument, and that both languages have a sentence and a fix for it.
func refused(t *testing.T, err error, code, at string) {
	t.Helper()
	e, ok := errors.AsType[*masu.Error](err)
	if !ok {
		t.Fatalf("got %v, want %s at %s", err, code, at)
	}
	first := ""
	if len(e.Args) > 0 {
		first = e.Args[0]
	}
	if e.Kind != masu.Invalid || e.Code != code || at != "" && first != at {
		t.Errorf("got %v %s at %q (%v), want invalid %s at %q", e.Kind, e.Code, first, e.Args, code, at)
	}
	for _, lang := range []masu.Lang{masu.Japanese, masu.English} {
		message, fix := text.Error(lang, err)
		if fix == "" || strings.Contains(message+fix, "%!") || strings.HasPrefix(message, e.Code) {
			t.Errorf("%s in %s: %q, %q", e.Code, lang, message, fix)
		}
	}
}

func codes(notes []masu.Note) string {
	var s []string
	for _, n := range notes {
		if !text.Has(n.Code) {
			s = append(s, "UNKNOWN")
		}
		s = append(s, n.Code+"("+strings.Join(n.Args, "|")+")")
	}
	return strings.Join(s, " ")
}

func TestTheFirstFileSpeaks(t *testing.T) {
	all := []string{
		"masu.yaml", "preset: pytorch\n",
		"Dockerfile", "FROM debian:trixie-slim\n",
		".devcontainer/devcontainer.json", `{"image": "debian:12"}`,
		"requirements.txt", "numpy\n",
		"apt.txt", "git\n",
	}
	for _, c := range []struct {
		from   int
		source string
		check  func(masu.Environment) bool
		notes  string
	}{
		{0, "masu.yaml", func(e masu.Environment) bool { return e.Preset == "pytorch" }, "files_not_read(masu.yaml|Dockerfile, .devcontainer/devcontainer.json, requirements.txt, apt.txt)"},
		{2, "Dockerfile", func(e masu.Environment) bool {
			return e.Dockerfile == "Dockerfile" && e.Context == "." && e.Preset == ""
		}, ""},
		{4, ".devcontainer/devcontainer.json", func(e masu.Environment) bool { return e.Base == "debian:12" }, "files_not_read(.devcontainer/devcontainer.json|requirements.txt, apt.txt)"},
		{6, "requirements.txt, apt.txt", func(e masu.Environment) bool {
			return e.Preset == "python" && cmp.Equal(e.Pip, []string{"numpy"}) && cmp.Equal(e.Apt, []string{"git"})
		}, ""},
		{8, "apt.txt", func(e masu.Environment) bool { return e.Preset == "python" && e.Pip == nil }, ""},
		{10, "", func(e masu.Environment) bool { return e.Preset == "python" && e.Apt == nil }, ""},
	} {
		p := read(t, files(all[c.from:]...), "python")
		if p.Source != c.source || !c.check(p.Environment) || codes(p.Notes) != c.notes {
			t.Errorf("without the first %d files: source %q, %+v, notes %q", c.from/2, p.Source, p.Environment, codes(p.Notes))
		}
		if p.Name != "bert" || p.Dir != "/home/alice/bert" {
			t.Errorf("name %q, dir %q", p.Name, p.Dir)
		}
	}
	if p := read(t, files(), ""); p.Environment.Preset != "" {
		t.Errorf("an empty folder chose %q itself", p.Environment.Preset)
	}
	_, err := Read(files(), "caffe")
	refused(t, err, "unknown_preset", `"caffe"`)
	_, err = Read(files("masu.yml", "preset: python"), "")
	refused(t, err, "masu_yml", "")
}

func TestReadOnlyPlainFiles(t *testing.T) {
	long := strings.Repeat("# comment\n", 30000)
	for _, c := range []struct {
		name, data string
		mode       fs.FileMode
		code, at   string
	}{
		{"masu.yaml", "preset: python", fs.ModeNamedPipe, "file_not_regular", "masu.yaml"},
		{"masu.yaml", "preset: python", fs.ModeSymlink, "file_not_regular", "masu.yaml"},
		{"masu.yaml", "", fs.ModeDir, "file_not_regular", "masu.yaml"},
		{"requirements.txt", "numpy", fs.ModeDevice, "file_not_regular", "requirements.txt"},
		{"masu.yaml", long, 0, "file_too_big", "masu.yaml"},
		{"requirements.txt", long, 0, "file_too_big", "requirements.txt"},
		{"masu.yaml", "\ufeffpreset: python", 0, "file_not_utf8", "masu.yaml"},
		{"masu.yaml", "\xff\xfep\x00r\x00", 0, "file_not_utf8", "masu.yaml"},
		{"requirements.txt", "\xfe\xff\x00n\x00u", 0, "file_not_utf8", "requirements.txt"},
		{"masu.yaml", "name: a\x00b", 0, "file_not_utf8", "masu.yaml"},
		{"apt.txt", "git\xff", 0, "file_not_utf8", "apt.txt"},
	} {
		f := files()
		f.MapFS[c.name] = &fstest.MapFile{Data: []byte(c.data), Mode: c.mode | 0o644}
		_, err := Read(f, "")
		refused(t, err, c.code, c.at)
	}
}

// locked is a folder whose files cannot be opened, as when they are another's.
type locked struct{ folder }

func (l locked) Open(name string) (fs.File, error) {
	return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrPermission}
}

func TestUnreadableFile(t *testing.T) {
	for _, f := range []folder{files("masu.yaml", ""), files("requirements.txt", ""), files("Dockerfile", ""), files(".devcontainer.json", "{}")} {
		_, err := Read(locked{f}, "")
		refused(t, err, "file_unreadable", "")
		if !errors.Is(err, fs.ErrPermission) {
			t.Errorf("the cause is lost: %v", err)
		}
	}
}

func TestNameFor(t *testing.T) {
	for dir, want := range map[string]string{
		"/home/alice/bert":           "bert",
		"/home/alice/My Project (2)": "my-project-2",
		"/home/alice/研究":             "work",
		"/home/alice/研究-BERT":        "bert",
		"/home/alice/2024-exp":       "work-2024-exp",
		"/home/alice/-":              "work",
		"/":                          "work",
		"":                           "work",
		"/home/alice/a_b__c--d":      "a-b-c-d",
		"/home/alice/abcdefghijklmnopqrstuvwxyz-bcd-efg": "abcdefghijklmnopqrstuvwxyz-bcd",
		"/home/alice/abcdefghijklmnopqrstuvwxyz-ab-def":  "abcdefghijklmnopqrstuvwxyz-ab",
	} {
		if got := NameFor(dir); got != want || !masu.ValidWorkspaceName(got) {
			t.Errorf("NameFor(%q) = %q, want %q", dir, got, want)
		}
	}
}

func FuzzNameFor(f *testing.F) {
	for _, s := range []string{"bert", "研究", "2024", "a--b", "/", "\xff", strings.Repeat("é1", 40)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, dir string) {
		if n := NameFor(dir); !masu.ValidWorkspaceName(n) {
			t.Errorf("NameFor(%q) = %q", dir, n)
		}
	})
}
