package masu

import (
	"strings"
	"testing"
)

func TestNames(t *testing.T) {
	for _, c := range []struct {
		name      string
		workspace bool
		app       bool
	}{
		{"a", true, true}, {"p8889", true, true}, {"jupyter", true, true}, {"a-b", true, false}, {"a--b", false, false}, {"a-", false, false},
		{"", false, false}, {"A", false, false}, {"1a", false, false}, {"-a", false, false}, {"a.b", false, false}, {"研究", false, false}, {"a\n", false, false},
		{"a" + strings.Repeat("b", 19), true, true}, {"a" + strings.Repeat("b", 20), true, false}, {"a" + strings.Repeat("b", 30), false, false},
	} {
		if ValidWorkspaceName(c.name) != c.workspace || ValidAppName(c.name) != c.app {
			t.Errorf("%q: workspace %v, app %v", c.name, ValidWorkspaceName(c.name), ValidAppName(c.name))
		}
	}
}

// A spreadsheet takes no cell of the log for a formula.
func TestEventRecord(t *testing.T) {
	for in, want := range map[Username]string{"": "", "alice": "alice", "=1+1": "'=1+1", "@x": "'@x", "-1": "'-1", "a=b": "a=b", "＝1+1": "'＝1+1", "＠x": "'＠x", "\n=1": "'\n=1", "研究": "研究"} {
		if got := (Event{Actor: in}).Record()[2]; got != want {
			t.Errorf("%q: %q", in, got)
		}
	}
	if len((Event{}).Record()) != len(EventHeading()) {
		t.Error("as many cells as headings")
	}
}
