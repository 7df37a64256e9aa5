package main

import "testing"

// TestPlaces: a colon makes a workspace of what may be one, and of nothing else.
func TestPlaces(t *testing.T) {
	for _, c := range []struct {
		said          string
		windows       bool
		workspace, at string
	}{
		{"thesis:", false, "thesis", ""},
		{"thesis:data/x", false, "thesis", "data/x"},
		{"thesis:~/x", true, "thesis", "~/x"},
		{"thesis:/tmp/a:b", false, "thesis", "/tmp/a:b"},
		{"data.csv", false, "", "data.csv"},
		{`C:\Users\me\x`, true, "", `C:\Users\me\x`},
		{`C:\Users\me\x`, false, "", `C:\Users\me\x`},
		{`c:\x`, false, "", `c:\x`},
		{"c:/x", true, "", "c:/x"},
		{"c:x", true, "", "c:x"},
		{"c:x", false, "c", "x"},
		{"./a:b", false, "", "./a:b"},
		{"/tmp/a:b", false, "", "/tmp/a:b"},
		{"Thesis:x", false, "", "Thesis:x"},
		{":x", false, "", ":x"},
		{"", false, "", ""},
	} {
		if got := parsePlace(c.said, c.windows); got.workspace != c.workspace || got.path != c.at {
			t.Errorf("%q (Windows %v) is %+v", c.said, c.windows, got)
		}
	}
}

func FuzzPlace(f *testing.F) {
	f.Add("thesis:x", true)
	f.Add(`C:\x`, false)
	f.Fuzz(func(t *testing.T, said string, windows bool) {
		p := parsePlace(said, windows)
		if p.workspace == "" && p.path != said || p.workspace != "" && p.workspace+":"+p.path != said {
			t.Errorf("%q becomes %+v", said, p)
		}
	})
}
