package masu

import (
	"strings"
	"testing"
)

const someLock = `# Made by masu lock.
environment 1f2e3d4c5b6a
image debian:trixie-slim
arch amd64
python 3.13.5
apt tree 2.2.1-1
base bash 5.2.37-2+b5
pip numpy 2.1.0+cu124 sha256:` + "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\n"

func TestLockReadsWhatItWrites(t *testing.T) {
	l, err := ParseLock(someLock)
	if err != nil || len(l.Packages) != 3 || l.Packages[0].Name != "tree" {
		t.Fatalf("%+v, %v", l, err)
	}
	again, err := ParseLock(l.Text())
	if err != nil || !again.Holds(l) || again.Text() != l.Text() {
		t.Errorf("%q, %v", again.Text(), err)
	}
	for _, bad := range []string{"apt tree", "apt -o 1", "apt tree 1;rm", "pip a b c", "apt tree 1 sha256:0", "what x y", "arch a\narch a", "apt a 1\napt a 2", "python 3.13 3", "pip numpy 1.0 --hash", strings.Repeat("#", lockMost+1), "apt tree " + strings.Repeat("1", lockWord+1)} {
		if _, err := ParseLock(bad); CodeOf(err) != "lock_invalid" {
			t.Errorf("%.40q: %v", bad, err)
		}
	}
}

func TestCompare(t *testing.T) {
	a, _ := ParseLock(someLock)
	b, _ := ParseLock(strings.NewReplacer("apt tree 2.2.1-1", "apt htop 3", "numpy 2.1.0+cu124", "numpy 2.2.0", "python 3.13.5", "python 3.12.1").Replace(someLock))
	got := Compare(Contents{Lock: a, Variables: map[string]string{"X": "1"}}, Contents{Lock: b})
	want := []Difference{{"python", "", "3.13.5", "3.12.1"}, {"apt", "htop", "", "3"}, {"apt", "tree", "2.2.1-1", ""}, {"pip", "numpy", "2.1.0+cu124", "2.2.0"}, {"env", "X", "1", ""}}
	if len(got) != len(want) {
		t.Fatalf("%+v", got)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("%+v, want %+v", got[i], want[i])
		}
	}
	if a.Holds(b) || !a.Holds(a) {
		t.Error("a lock holds what differs, or not itself")
	}
}

func FuzzParseLock(f *testing.F) {
	f.Add(someLock)
	f.Fuzz(func(t *testing.T, text string) {
		l, err := ParseLock(text)
		if err != nil {
			return
		}
		again, err := ParseLock(l.Text())
		if err != nil || again.Text() != l.Text() {
			t.Errorf("%q became %q: %v", text, again.Text(), err)
		}
	})
}
