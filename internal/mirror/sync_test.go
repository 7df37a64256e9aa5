package mirror

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// pair is two folders that are kept alike, and what was written into them.
type pair struct {
	t       testing.TB
	dir     [2]string
	tree    [2]Tree
	sync    *Sync
	written int
	silent  map[string]bool // contents that were written without a trace in size or time
	told    []Done
}

func newPair(t testing.TB) *pair {
	t.Helper()
	p := &pair{t: t, silent: map[string]bool{}}
	for i := range p.dir {
		p.dir[i] = t.TempDir()
		l, err := OpenLocal(p.dir[i])
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = l.Close() })
		p.tree[i] = l
	}
	p.sync = &Sync{Near: p.tree[0], Far: p.tree[1], Host: "laptop", Now: time.Now, Tell: func(d Done) { p.told = append(p.told, d) }}
	return p
}

func (p *pair) round() {
	p.t.Helper()
	p.told = nil
	for more, rounds := true, 0; more; rounds++ {
		var err error
		if more, err = p.sync.Round(p.t.Context()); err != nil {
			p.t.Fatal(err)
		}
		if rounds > 3 {
			p.t.Fatalf("there is no end to it: %+v", p.told)
		}
	}
}

// places are the paths that the property is tried with: some stand in each other's way.
var places = []string{"a", "b.txt", "d", "d/x", "d/y", "d/e", "d/e/z", "f/g"}

// act does something to one side, as a member would; what does not go is left.
func (p *pair) act(side int, op, place byte) {
	at := filepath.Join(p.dir[side], places[int(place)%len(places)])
	switch op % 8 {
	case 0, 1, 2:
		p.written++
		_ = os.MkdirAll(filepath.Dir(at), 0o755)
		_ = os.Remove(at)
		_ = os.WriteFile(at, fmt.Appendf(nil, "content %06d", p.written), 0o644)
		if op%8 == 0 {
			long := time.Unix(int64(1e9+p.written), 0) // so that nobody looks at it for being young
			_ = os.Chtimes(at, long, long)
		}
	case 3:
		_ = os.RemoveAll(at)
	case 4:
		_ = os.RemoveAll(at)
		_ = os.MkdirAll(at, 0o755)
	case 5:
		p.written++
		_ = os.Remove(at)
		_ = os.Symlink(fmt.Sprintf("../target %d", p.written), at)
	case 6:
		_ = os.Rename(at, filepath.Join(p.dir[side], places[int(place/8)%len(places)]))
	case 7: // within a tick of the clock
		info, err := os.Lstat(at)
		if err != nil || !info.Mode().IsRegular() {
			return
		}
		p.written++
		text := fmt.Sprintf("content %06d", p.written)
		p.silent[text] = true
		_ = os.WriteFile(at, []byte(text), info.Mode())
		_ = os.Chtimes(at, info.ModTime(), info.ModTime())
	}
}

// contents are a side's files and links by their paths.
func (p *pair) contents(side int) map[string]string {
	p.t.Helper()
	all := map[string]string{}
	err := filepath.Walk(p.dir[side], func(at string, info os.FileInfo, err error) error {
		if err != nil || at == p.dir[side] {
			return err
		}
		rel, _ := filepath.Rel(p.dir[side], at)
		switch {
		case info.IsDir():
			all[rel] = "folder"
		case info.Mode()&os.ModeSymlink != 0:
			target, _ := os.Readlink(at)
			all[rel] = "-> " + target
		default:
			b, _ := os.ReadFile(at)
			all[rel] = string(b)
		}
		return nil
	})
	if err != nil {
		p.t.Fatal(err)
	}
	return all
}

func values(m map[string]string) map[string]bool {
	all := map[string]bool{}
	for _, v := range m {
		all[v] = true
	}
	return all
}

// check does a round and holds it to what is guaranteed: nothing new is lost on
// any side, nothing that both have is lost, and both are alike afterwards.
func (p *pair) check(alike map[string]bool) map[string]bool {
	p.t.Helper()
	was := [2]map[string]string{p.contents(0), p.contents(1)}
	p.round()
	is := [2]map[string]string{p.contents(0), p.contents(1)}
	have := [2]map[string]bool{values(is[0]), values(is[1])}
	story := func() string {
		return fmt.Sprintf("\nwas  %v\n     %v\nnow  %v\n     %v\ndid  %+v", was[0], was[1], is[0], is[1], p.told)
	}
	silent := false
	for side := range was {
		for at, text := range was[side] {
			switch {
			case text == "folder":
			case was[1-side][at] == text && !(have[0][text] && have[1][text]):
				p.t.Fatalf("%s was alike at both sides and is lost%s", at, story())
			case p.silent[text]:
				silent = silent || have[0][text] != have[1][text]
				if !have[0][text] && !have[1][text] && !alike[text] {
					p.t.Fatalf("%q, written without a trace, is lost%s", text, story())
				}
			case !alike[text] && !(have[0][text] && have[1][text]):
				p.t.Fatalf("%q, new at %s of side %d, is not on both sides%s", text, at, side, story())
			}
		}
	}
	for _, d := range p.told {
		if d.Err != nil {
			p.t.Fatalf("%+v%s", d, story())
		}
	}
	if !silent {
		if fmt.Sprint(is[0]) != fmt.Sprint(is[1]) {
			p.t.Fatalf("they are not alike%s", story())
		}
		if p.round(); len(p.told) > 0 {
			p.t.Fatalf("a second round does %+v%s", p.told, story())
		}
	}
	both := map[string]bool{}
	for text := range have[0] {
		if have[1][text] || silent && alike[text] {
			both[text] = true
		}
	}
	for text := range alike {
		if silent && have[1][text] {
			both[text] = true
		}
	}
	return both
}

// play reads what happens from bytes: three an act, 255 a round.
func (p *pair) play(script []byte) {
	p.t.Helper()
	alike := map[string]bool{}
	_ = os.WriteFile(filepath.Join(p.dir[0], "always"), []byte("there"), 0o644)
	for i := 0; i+2 < len(script); i += 3 {
		if script[i] > 230 {
			alike = p.check(alike)
			continue
		}
		p.act(int(script[i]%2), script[i+1], script[i+2])
	}
	p.check(alike)
}

// FuzzSync: whatever happens to two folders between two rounds, no content is lost.
func FuzzSync(f *testing.F) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 150 {
		script := make([]byte, 3*(4+r.IntN(30)))
		for i := range script {
			script[i] = byte(r.IntN(256))
		}
		f.Add(script)
	}
	f.Fuzz(func(t *testing.T, script []byte) {
		if len(script) > 300 {
			return
		}
		newPair(t).play(script)
	})
}

func write(t *testing.T, dir, name, text string) {
	t.Helper()
	at := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(at, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestConflict: both versions are at both sides, the laptop's under a name that says whose it is.
func TestConflict(t *testing.T) {
	p := newPair(t)
	write(t, p.dir[0], "n/notes.txt", "first")
	p.round()
	write(t, p.dir[0], "n/notes.txt", "from the laptop")
	write(t, p.dir[1], "n/notes.txt", "from the box")
	p.round()
	for side := range p.dir {
		all := p.contents(side)
		if all["n/notes.txt"] != "from the box" {
			t.Errorf("side %d: %v", side, all)
		}
		found := false
		for at, text := range all {
			found = found || strings.HasPrefix(at, "n/notes.conflict-laptop-2") && strings.HasSuffix(at, ".txt") && text == "from the laptop"
		}
		if !found {
			t.Errorf("side %d has no second version: %v", side, all)
		}
	}
}

// TestLinksStay: a link is kept as a link, and nothing behind it is touched.
func TestLinksStay(t *testing.T) {
	p := newPair(t)
	outside := t.TempDir()
	write(t, outside, "secret", "kept")
	if err := os.Symlink(outside, filepath.Join(p.dir[1], "out")); err != nil {
		t.Fatal(err)
	}
	p.round()
	if got, err := os.Readlink(filepath.Join(p.dir[0], "out")); err != nil || got != outside {
		t.Errorf("the link: %q, %v", got, err)
	}
	if err := os.Remove(filepath.Join(p.dir[1], "out")); err != nil {
		t.Fatal(err)
	}
	write(t, p.dir[1], "out/secret", "changed") // a folder in the link's place
	p.round()
	if b, _ := os.ReadFile(filepath.Join(outside, "secret")); string(b) != "kept" {
		t.Errorf("what is behind the link: %q", b)
	}
	if got := p.contents(0)["out/secret"]; got != "changed" {
		t.Errorf("the folder in its place: %q", got)
	}
}

// TestEmptied: a side whose disk is not there does not empty the other.
func TestEmptied(t *testing.T) {
	p := newPair(t)
	write(t, p.dir[0], "a", "1")
	p.round()
	if err := os.Remove(filepath.Join(p.dir[0], "a")); err != nil {
		t.Fatal(err)
	}
	if _, err := p.sync.Round(t.Context()); err == nil || !strings.Contains(err.Error(), "sync_emptied") {
		t.Errorf("it ends with %v", err)
	}
	if p.contents(1)["a"] != "1" {
		t.Error("the other side was emptied")
	}
}

// TestLeftOut: what is ignored stays where it is, on each side.
func TestLeftOut(t *testing.T) {
	p := newPair(t)
	write(t, p.dir[0], IgnoreFile, "# results\n*.ckpt\n/data/\n!keep.ckpt\n")
	for _, name := range []string{"a.ckpt", "deep/b.ckpt", "keep.ckpt", "data/x", "deep/data/y", ".git/HEAD", "m/__pycache__/m.pyc", "m/m.py"} {
		write(t, p.dir[0], name, name)
	}
	write(t, p.dir[1], "far.ckpt", "far")
	p.round()
	var got []string
	for at, text := range p.contents(1) {
		if text != "folder" {
			got = append(got, at)
		}
	}
	slices.Sort(got)
	if want := []string{IgnoreFile, "deep/data/y", "far.ckpt", "keep.ckpt", "m/m.py"}; !slices.Equal(got, want) {
		t.Errorf("the other side has %v, want %v", got, want)
	}
	if err := os.RemoveAll(filepath.Join(p.dir[1], "m")); err != nil {
		t.Fatal(err)
	}
	p.round()
	if p.round(); p.contents(0)["m/__pycache__/m.pyc"] == "" || p.contents(0)["m/m.py"] != "" || p.contents(1)["m"] != "" {
		t.Errorf("a folder that was removed, with something left out in it: %v, %v", p.contents(0), p.contents(1))
	}
}

func TestModesAndTimes(t *testing.T) {
	p := newPair(t)
	write(t, p.dir[0], "run.sh", "#!/bin/sh\n")
	at := time.Date(2020, 1, 2, 3, 4, 5, 0, time.UTC)
	if err := os.Chmod(filepath.Join(p.dir[0], "run.sh"), 0o750); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(filepath.Join(p.dir[0], "run.sh"), at, at); err != nil {
		t.Fatal(err)
	}
	p.round()
	info, err := os.Stat(filepath.Join(p.dir[1], "run.sh"))
	if err != nil || info.Mode().Perm() != 0o750 || !info.ModTime().Equal(at) {
		t.Errorf("%v, %v", info, err)
	}
}
