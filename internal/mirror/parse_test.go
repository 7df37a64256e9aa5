package mirror

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

func FuzzBase(f *testing.F) {
	f.Add([]byte(`{"a/b":{"near":{"kind":"file","size":3,"mode":420,"time":"2026-01-02T03:04:05Z"},"far":{"kind":"file"},"sum":"00"}}`))
	f.Add([]byte(`{"../a":{"near":{"kind":"file"},"far":{"kind":"file"}}}`))
	f.Add([]byte(`{"a":{"near":{"kind":"file"}}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		base, err := ReadBase(bytes.NewReader(b))
		if err != nil {
			return
		}
		for p := range base {
			if strings.HasPrefix(p, "/") || p == ".." || strings.HasPrefix(p, "../") || strings.Contains(p, "/../") {
				t.Errorf("%q leads out of the folder", p)
			}
		}
		var again bytes.Buffer
		if err := WriteBase(&again, base); err != nil {
			t.Fatal(err)
		}
		if back, err := ReadBase(&again); err != nil || len(back) != len(base) {
			t.Errorf("%q is not read back: %v", b, err)
		}
	})
}

func FuzzIgnore(f *testing.F) {
	for _, seed := range []string{"*.ckpt\n/data/\n!keep\n", "**/x/**\n", "[", "\\", "!\n!!x\n", strings.Repeat("a\n", mostPatterns+1)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		i, err := ParseIgnore(strings.NewReader(text))
		if err == nil {
			_ = i.Match("a/b/c.ckpt")
		}
	})
}

// TestPlan: what two systems cannot both have is left alone, and told.
func TestPlan(t *testing.T) {
	at := time.Unix(1e9, 0)
	file := func(size int64) Entry { return Entry{Kind: File, Size: size, Time: at} }
	mac, windows, linux := Rules{Folds: true}, Rules{Folds: true, Windows: true}, Rules{}
	for _, c := range []struct {
		name      string
		near, far Picture
		base      Base
		rules     Rules
		want      string
	}{
		{"case only", Picture{"data": file(1)}, Picture{"Data": file(2)}, nil, mac, "bring data far, skip Data near sync_case"},
		{"two of them", Picture{}, Picture{"Data": file(2), "data": file(1)}, nil, mac, "bring Data near, skip data near sync_case"},
		{"on Linux both", Picture{"data": file(1)}, Picture{"Data": file(2)}, nil, linux, "bring Data near, bring data far"},
		{"renamed by case", Picture{"Data": file(1)}, Picture{"data": file(1)}, Base{"Data": {Near: file(1), Far: file(1)}}, mac, "clear Data near, bring data near"},
		{"a name of Windows'", Picture{}, Picture{"aux.txt": file(1), "a:b": file(1), "dir": {Kind: Folder}, "dir/con": file(1)}, nil, windows, "make dir near, skip a:b near sync_name, skip aux.txt near sync_name, skip dir/con near sync_name"},
		{"what is in what it refuses", Picture{}, Picture{"nul": {Kind: Folder}, "nul/x": file(1)}, nil, windows, "skip nul near sync_name, skip nul/x near sync_name"},
		{"a link on Windows", Picture{}, Picture{"l": {Kind: Link, Target: "x"}}, nil, windows, "skip l near sync_name"},
		{"removed", Picture{}, Picture{"d": {Kind: Folder}, "d/x": file(1)}, Base{"d": {Near: Entry{Kind: Folder}, Far: Entry{Kind: Folder}}, "d/x": {Near: file(1), Far: file(1)}}, linux, "clear d/x far, clear d far"},
		{"removed and changed", Picture{}, Picture{"d": {Kind: Folder}, "d/x": file(2)}, Base{"d": {Near: Entry{Kind: Folder}, Far: Entry{Kind: Folder}}, "d/x": {Near: file(1), Far: file(1)}}, linux, "make d near, bring d/x near"},
	} {
		var got []string
		for _, s := range Plan(c.base, c.near, c.far, c.rules, linux) {
			got = append(got, strings.TrimSpace(string(s.Do)+" "+s.Path+" "+[]string{"near", "far"}[s.At]+" "+s.Why))
		}
		if strings.Join(got, ", ") != c.want {
			t.Errorf("%s: %s, want %s", c.name, strings.Join(got, ", "), c.want)
		}
	}
}
