package notebook

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/masu-lab/masu"
)

var update = flag.Bool("update", false, "write the golden files")

func read(t *testing.T, name string) *Notebook {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	n, err := Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// golden compares with a file of testdata.
func golden(t *testing.T, name string, n *Notebook) {
	t.Helper()
	got, err := n.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if want, err := os.ReadFile(path); err != nil || string(got) != string(want) {
		t.Errorf("%s is\n%s\nwant\n%s (%v)", name, got, want, err)
	}
}

// TestKeptAsItIs: what Jupyter has written comes back byte by byte, also what is not known here.
func TestKeptAsItIs(t *testing.T) {
	want, err := os.ReadFile(filepath.Join("testdata", "jupyter.ipynb"))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := read(t, "jupyter.ipynb").Bytes(); err != nil || string(got) != string(want) {
		t.Errorf("it became\n%s\n%v", got, err)
	}
}

var at = time.Date(2026, 11, 28, 3, 0, 0, 500_000_000, time.FixedZone("", 9*3600))

// TestRecorded: what a kernel says becomes outputs as Jupyter's own.
func TestRecorded(t *testing.T) {
	n := read(t, "jupyter.ipynb")
	code, err := Assignments([]string{"lr=0.5", "name=it's \"a\" \\ <枡>\n2", "deep=true"})
	if err != nil {
		t.Fatal(err)
	}
	if err := n.Inject(code); err != nil {
		t.Fatal(err)
	}
	var r Recorder
	var printed strings.Builder
	say := func(kind, content string) {
		text, _ := r.Take(kind, json.RawMessage(content))
		printed.WriteString(text)
	}
	for _, c := range n.Cells {
		c.Clear()
	}
	first, second := n.Cells[1], n.Cells[3]
	r.Begin(first, at)
	say("execute_input", `{"code":"x","execution_count":1}`)
	say("stream", `{"name":"stdout","text":"one\n"}`)
	say("stream", `{"name":"stdout","text":"10%"}`)
	say("stream", `{"name":"stdout","text":"\r20%"}`)
	say("stream", `{"name":"stderr","text":"oh"}`)
	say("display_data", `{"data":{"text/plain":"a\nb","text/html":"<b>","image/png":"iVBORw0KGgo=\n"},"metadata":{"image/png":{"width":8}},"transient":{"display_id":"d"}}`)
	say("execute_result", `{"data":{"text/plain":"42","application/json":{"a":[1,2.50]}},"metadata":{},"execution_count":1}`)
	say("comm_msg", `{"data":7}`)
	say("stream", `no content at all`)
	r.Reply(1, at)
	r.End(at.Add(time.Second))
	r.Begin(second, at)
	say("stream", `{"name":"stdout","text":"gone"}`)
	say("clear_output", `{"wait":true}`)
	say("display_data", `{"data":{"text/plain":"other"},"metadata":{},"transient":{"display_id":"e"}}`)
	say("update_display_data", `{"data":{"text/plain":"changed"},"metadata":{},"transient":{"display_id":"d"}}`)
	say("update_display_data", `{"data":{"text/plain":"nobody's"},"metadata":{},"transient":{"display_id":"x"}}`)
	say("error", `{"ename":"ValueError","evalue":"v","traceback":["\u001b[31mValueError\u001b[0m: v"]}`)
	r.Reply(2, at)
	r.End(at.Add(2 * time.Second))
	golden(t, "recorded.ipynb", n)
	if got := printed.String(); got != "one\n10%\r20%oha\nb\n42\ngoneother\n\x1b[31mValueError\x1b[0m: v\n" {
		t.Errorf("it printed %q", got)
	}
	r.Begin(second, at)
	say("stream", `{"name":"stdout","text":"gone"}`)
	say("clear_output", `{}`)
	r.Fail("Cancelled", "")
	if list := second.Outputs(); len(list) != 1 || list[0].Text() != "Cancelled" || second.Count() != 0 {
		t.Errorf("cleared, then cancelled: %+v", list)
	}
	if when, ok := second.When(Began); !ok || !when.Equal(at) {
		t.Errorf("it began %v, %v", when, ok)
	}
	if _, ok := second.When(Ended); ok {
		t.Error("it has ended before it has begun again")
	}
}

func TestParseRefuses(t *testing.T) {
	for text, code := range map[string]string{
		``: "notebook_wrong", `[]`: "notebook_wrong", `null`: "notebook_wrong", `{}`: "notebook_wrong", `{"nbformat":"4"}`: "notebook_wrong",
		`{"nbformat":3,"worksheets":[]}`: "notebook_format", `{"nbformat":5,"cells":[]}`: "notebook_format",
		`{"nbformat":4}`: "notebook_wrong", `{"nbformat":4,"cells":{}}`: "notebook_wrong", `{"nbformat":4,"cells":[1]}`: "notebook_wrong", `{"nbformat":4,"cells":[null]}`: "notebook_wrong",
		`{"nbformat":4,"cells":[{"cell_type":"code"}]}`: "notebook_wrong", `{"nbformat":4,"cells":[{"cell_type":"code","source":[1]}]}`: "notebook_wrong",
		`{"nbformat":4,"cells":[]} more`: "notebook_wrong",
	} {
		if _, err := Parse([]byte(text)); err == nil || masu.CodeOf(err) != code || masu.KindOf(err) != masu.Invalid {
			t.Errorf("%s: %v, want %s", text, err, code)
		}
	}
}

func TestAssignments(t *testing.T) {
	for p, want := range map[string]string{
		"a=1": "a = 1", "a=-1.5e3": "a = -1.5e3", "a=true": "a = True", "a=false": "a = False", "a=null": "a = None", "a=": `a = ""`,
		"a=text": `a = "text"`, `a="1"`: `a = "1"`, "a=01": `a = "01"`, "a=[1]": `a = "[1]"`, `a={"b":1}`: `a = "{\"b\":1}"`, "a=NaN": `a = "NaN"`, "a=b=c": `a = "b=c"`,
		"a=1;import os": `a = "1;import os"`, "a=__import__('os')": `a = "__import__('os')"`, "a=\"\nimport os#": `a = "\"\nimport os#"`, "a=x\r\u2028": `a = "x\r\u2028"`, "_A9='x'": `_A9 = "'x'"`,
	} {
		if got, err := Assignments([]string{p}); err != nil || got != "# Parameters\n"+want+"\n" {
			t.Errorf("%q: %q, %v, want %q", p, got, err, want)
		}
	}
	for _, p := range []string{"", "a", "=1", "1a=1", "a b=1", "a.b=1", "a\n=1", "class=1", "True=1", "é=1", "a:int=1"} {
		if got, err := Assignments([]string{p}); err == nil || masu.CodeOf(err) != "parameter_wrong" {
			t.Errorf("%q: %q, %v", p, got, err)
		}
	}
}

func TestInject(t *testing.T) {
	cell := func(source, tags string) string {
		return `{"cell_type":"code","source":"` + source + `","outputs":[],"metadata":{"tags":[` + tags + `]}}`
	}
	for _, c := range []struct{ name, meta, cells, want, code string }{
		{"after its cell", `{}`, cell("a", "") + "," + cell("p", `"parameters"`) + "," + cell("b", ""), "a p NEW b", ""},
		{"before all others", `{}`, cell("a", "") + "," + cell("b", ""), "NEW a b", ""},
		{"in the place of another", `{"kernelspec":{"language":"Python"}}`, cell("p", `"parameters"`) + "," + cell("old", `"injected-parameters"`) + "," + cell("b", ""), "p NEW b", ""},
		{"into nothing", `{"language_info":{"name":"python"}}`, "", "NEW", ""},
		{"into another language", `{"kernelspec":{"language":"julia"}}`, cell("a", ""), "", "parameters_language"},
	} {
		n, err := Parse([]byte(`{"nbformat":4,"nbformat_minor":4,"metadata":` + c.meta + `,"cells":[` + c.cells + `]}`))
		if err != nil {
			t.Fatal(err)
		}
		err = n.Inject("NEW")
		if c.code != "" {
			if masu.CodeOf(err) != c.code {
				t.Errorf("%s: %v", c.name, err)
			}
			continue
		}
		var got []string
		for _, c := range n.Cells {
			got = append(got, c.Source)
		}
		text, err2 := n.Bytes()
		if err != nil || err2 != nil || strings.Join(got, " ") != c.want || strings.Contains(string(text), `"id"`) {
			t.Errorf("%s: %q, %v", c.name, got, err)
		}
	}
}

func TestScreen(t *testing.T) {
	for text, want := range map[string]string{
		"a\nb": "a\nb", "a\r\nb": "a\nb", "100%\r5": "500%", "abc\b\bX\n": "aXc\n", "\b\bx": "x", "1\r2\r3\n枡\r升": "3\n升", "done\r": "done",
	} {
		var whole, bytewise screen
		whole.print(text)
		for _, r := range text {
			bytewise.print(string(r))
		}
		if whole.String() != want || bytewise.String() != want {
			t.Errorf("%q shows %q and %q, want %q", text, whole.String(), bytewise.String(), want)
		}
	}
	var s screen
	for range 10 {
		s.print(strings.Repeat("x\n", 1<<20))
	}
	if got := s.String(); len(got) > textMost+10 || !strings.HasSuffix(got, "…\n") {
		t.Errorf("a flood is kept as %d bytes", len(got))
	}
}

func TestImage(t *testing.T) {
	for data, want := range map[string]string{
		`{"image/png":"iVBORw0KGgo="}`: "image/png", `{"image/png":["iVBO\n","Rw0KGgo=\n"]}`: "image/png", `{"image/jpeg":"/9j/"}`: "image/jpeg",
		`{"image/png":"/9j/"}`: "", `{"image/png":"PHN2Zz4="}`: "", `{"image/png":"%"}`: "", `{"image/png":{}}`: "", `{"image/svg+xml":"<svg>"}`: "", `{}`: "",
	} {
		var o Output
		if err := json.Unmarshal([]byte(`{"output_type":"display_data","data":`+data+`}`), &o); err != nil {
			t.Fatal(err)
		}
		if kind, picture := o.Image(); kind != want || (picture != nil) != (want != "") {
			t.Errorf("%s: %q", data, kind)
		}
	}
}

// FuzzParse: whatever can be read can be looked at, filled and written, and comes back as it was.
func FuzzParse(f *testing.F) {
	for _, name := range []string{"jupyter.ipynb", "recorded.ipynb"} {
		text, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Add([]byte(`{"nbformat":4,"cells":[{"cell_type":"code","source":"","metadata":[],"outputs":{}}]}`))
	f.Add([]byte(cellsOf(100)))
	f.Add([]byte(outputsOf(100, `{"output_type":"stream","text":["a\r",null,"\\\",["]}`)))
	f.Fuzz(func(t *testing.T, text []byte) {
		n, err := Parse(text)
		if err != nil {
			return
		}
		once, err := n.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		again, err := Parse(once)
		if err != nil {
			t.Fatalf("what was written cannot be read: %v\n%s", err, once)
		}
		if twice, err := again.Bytes(); err != nil || string(twice) != string(once) {
			t.Fatalf("%s\nbecomes\n%s, %v", once, twice, err)
		}
		for _, c := range n.Cells {
			for _, o := range c.Outputs() {
				o.Text()
				o.Image()
			}
			c.Count()
			c.When(Began)
			var r Recorder
			if c.Runs() {
				r.Begin(c, at)
				r.Take(Stream, json.RawMessage(`{"name":"stdout","text":"x"}`))
				r.End(at)
			}
		}
		filled, err := n.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Parse(filled); err != nil {
			t.Fatalf("what was filled cannot be read: %v\n%s", err, filled)
		}
	})
}
