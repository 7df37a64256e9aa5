package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/masu-lab/masu"
)

func TestParseWant(t *testing.T) {
	for s, want := range map[string]*masu.Want{
		"":                   nil,
		"none":               {},
		"0":                  {},
		"2":                  {Count: 2},
		"all":                {All: true},
		"memory=24GiB":       {Count: 1, Memory: 24 * masu.GiB},
		"count=2,model=A100": {Count: 2, Model: "A100"},
		"share=512M":         {Share: 512 * masu.MiB},
	} {
		got, err := parseWant(s)
		if err != nil || (got == nil) != (want == nil) || got != nil && *got != *want {
			t.Errorf("%q: %+v, %v; want %+v", s, got, err, want)
		}
	}
	for _, s := range []string{"-1", "65", "1.5", "01", "+1", "count=0", "memory=", "memory=24", "memory=-1G", "x=1", "A100", "count=1;model=x", "１"} {
		if w, err := parseWant(s); masu.CodeOf(err) != "gpus_wrong" {
			t.Errorf("%q is %+v, %v", s, w, err)
		}
	}
}

func TestPlainLetsNoControlThrough(t *testing.T) {
	for in, want := range map[string]string{
		"枡 42":                     "枡 42",
		"10%\r50%\r100%\r":         "100%",
		"\x1b[31mred\x1b[0m":       "red",
		"\x1b]0;title\abody":       "body",
		"\x1b]52;c;ZXZpbA==\abody": "body",
		"a\tb\bc\x00":              "a bc",
		"\x1b[2Jx\x1b":             "x",
		"left\u202eright":          "leftright", // no turning of the reading direction
		"\xff\xfebad":              "\ufffd\ufffdbad",
		"\u009b31mc1":              "31mc1",
	} {
		if got := plain(in); got != want {
			t.Errorf("plain(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestCutCountsColumns(t *testing.T) {
	for _, c := range []struct {
		in   string
		cols int
		want string
	}{{"abc", 2, "ab"}, {"枡枡枡", 5, "枡枡"}, {"枡", 1, ""}, {"short", 80, "short"}} {
		if got := cut(c.in, c.cols); got != c.want {
			t.Errorf("cut(%q, %d) = %q, want %q", c.in, c.cols, got, c.want)
		}
	}
}

func TestWorkspaceAt(t *testing.T) {
	at := func(name, dir string) masu.Workspace {
		return masu.Workspace{Name: name, Project: masu.Project{Dir: dir}}
	}
	all := []masu.Workspace{at("work", "/home/a/work"), at("bert", "/home/a/work/bert"), at("none", "")}
	for dir, want := range map[string]string{
		"/home/a/work": "work", "/home/a/work/x": "work", "/home/a/work/bert/data": "bert",
		"/home/a/workshop": "", "/home/a": "", "/": "", "/home/a/work/..x": "work",
	} {
		if got := workspaceAt(all, dir); got != want {
			t.Errorf("in %s it is %q, want %q", dir, got, want)
		}
	}
}

func TestLoopbackPort(t *testing.T) {
	for address, local := range map[string]bool{
		"http://localhost:8888": true, "http://a--b.localhost:8888": true, "http://127.0.0.1:8888": true,
		"http://192.168.1.5:8888": false, "https://gpu.lab": false, "::": false,
	} {
		if _, got := loopbackPort(address); got != local {
			t.Errorf("%s is local: %v", address, got)
		}
	}
}

// TestProgressWithoutTerminal: one line for each thing that happens, none twice.
func TestProgressWithoutTerminal(t *testing.T) {
	var errs bytes.Buffer
	a := newApp(nil, nil, &errs, func(string) string { return "" }, nil)
	p := a.progress(false)
	now := time.Unix(0, 0)
	p.now = func() time.Time { return now }
	for _, e := range []masu.Progress{
		{Code: "engine_runs"},
		{Step: "1", Name: "[1/2] FROM base", State: masu.StepQueued},
		{Step: "1", State: masu.StepCached},
		{Step: "2", Name: "[2/2] RUN --mount=type=cache,target=/root/.cache     --mount=type=tmpfs,target=/tmp  pip install", State: masu.StepRunning},
		{Step: "2", State: masu.StepRunning, Line: "Collecting \x1b[1mtorch"},
	} {
		p.tell(e)
	}
	now = now.Add(90 * time.Second)
	p.tell(masu.Progress{Step: "2", State: masu.StepFailed})
	p.end(true)
	want := `The container engine runs.
✓ [1/2] FROM base  (as before)
… [2/2] RUN pip install
  | Collecting torch
✗ [2/2] RUN pip install
`
	if errs.String() != want {
		t.Errorf("it says:\n%s\nwant:\n%s", errs.String(), want)
	}
}

// TestProgressQuietTellsWhatFailed: quiet hides the work, never the reason.
func TestProgressQuietTellsWhatFailed(t *testing.T) {
	var errs bytes.Buffer
	a := newApp(nil, nil, &errs, func(string) string { return "" }, nil)
	p := a.progress(true)
	p.tell(masu.Progress{Step: "1", Name: "[1/1] RUN false", State: masu.StepRunning})
	for i := range tailLines + 5 {
		p.tell(masu.Progress{Step: "1", Line: "line " + string(rune('a'+i))})
	}
	p.tell(masu.Progress{Step: "1", State: masu.StepFailed})
	p.end(true)
	got := errs.String()
	if strings.Contains(got, "line e\n") || !strings.Contains(got, "line f\n") || !strings.Contains(got, "line y\n") || strings.Count(got, "  | ") != tailLines {
		t.Errorf("want the last %d lines, got:\n%s", tailLines, got)
	}
}
