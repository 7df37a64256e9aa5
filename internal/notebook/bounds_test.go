package notebook

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/masu-lab/masu"
)

func repeated(part string, n int) string { return strings.TrimSuffix(strings.Repeat(part+",", n), ",") }

func cellsOf(n int) string {
	return `{"nbformat":4,"cells":[` + repeated(`{"cell_type":"code","source":"x"}`, n) + `]}`
}

func outputsOf(n int, output string) string {
	return `{"nbformat":4,"cells":[{"cell_type":"code","source":"x","outputs":[` + repeated(output, n) + `]}]}`
}

// TestBounds: a notebook has so many parts and no more, however small they are.
func TestBounds(t *testing.T) {
	keys := func(n int) string {
		var all strings.Builder
		for i := range n {
			fmt.Fprintf(&all, `"%x":1,`, i)
		}
		return strings.TrimSuffix(all.String(), ",")
	}
	large := int(masu.NotebookMost)
	for name, c := range map[string]struct {
		text    string
		refused bool
	}{
		"as many cells":      {cellsOf(CellsMost), false},
		"one cell more":      {cellsOf(CellsMost + 1), true},
		"20 MiB of cells":    {cellsOf(large / 34), true},
		"as many outputs":    {outputsOf(OutputsMost, `{"output_type":"x"}`), false},
		"one output more":    {outputsOf(OutputsMost+1, `{"output_type":"x"}`), true},
		"20 MiB of outputs":  {outputsOf(large/20, `{"output_type":"x"}`), true},
		"outputs of many":    {`{"nbformat":4,"cells":[` + repeated(`{"cell_type":"code","source":"","outputs":[1,2,3,4,5,6]}`, CellsMost) + `]}`, true},
		"no outputs of many": {`{"nbformat":4,"cells":[` + repeated(`{"cell_type":"code","source":"","outputs":[ ]}`, CellsMost) + `]}`, false},
		"fields":             {`{"nbformat":4,"cells":[],` + keys(fieldsMost) + `}`, true},
		"of a cell":          {`{"nbformat":4,"cells":[{"cell_type":"code","source":"",` + keys(fieldsMost) + `}]}`, true},
		"moments":            {`{"nbformat":4,"cells":[{"cell_type":"code","source":"","metadata":{"execution":{` + keys(fieldsMost) + `}}}]}`, true},
		"media types":        {outputsOf(1, `{"output_type":"display_data","data":{`+keys(fieldsMost)+`}}`), true},
		"in a picture":       {outputsOf(1, `{"output_type":"display_data","data":{"application/json":{`+keys(fieldsMost)+`}}}`), false},
		"lines of text":      {outputsOf(1, `{"output_type":"stream","name":"stdout","text":[`+repeated(`"x\n"`, fieldsMost)+`]}`), false},
		"marks in a string":  {`{"nbformat":4,"cells":[{"cell_type":"code","source":"\"` + strings.Repeat(":,[{", fieldsMost) + `\\"}]}`, false},
	} {
		_, err := Parse([]byte(c.text))
		if code := masu.CodeOf(err); (err != nil) != c.refused || c.refused && code != "notebook_many" {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestElements(t *testing.T) {
	for text, want := range map[string]int{
		``: 0, `{}`: 0, `null`: 0, `"a,b"`: 0, `[`: 0, `[]`: 0, "[ \n]": 0, `[1]`: 1, `[1,2]`: 2, `[[1,2],{"a":1,"b":[1,2]}]`: 2, `["a,\",", ",","\\",""]`: 4, `[[]]`: 1, `{"a":1,"b":2}`: 0,
	} {
		if got := elements([]byte(text)); got != want {
			t.Errorf("%s: %d, want %d", text, got, want)
		}
	}
}

// TestOutputsOnce: outputs are made once, and one of a list that is too long is none.
func TestOutputsOnce(t *testing.T) {
	n, err := Parse([]byte(outputsOf(1, `{"output_type":"stream","name":"stdout","text":["one\n","tw","o"]},{"output_type":"error","traceback":[`+repeated(`""`, fewMost+1)+`]}`)))
	if err != nil {
		t.Fatal(err)
	}
	first, second := n.Cells[0].Outputs(), n.Cells[0].Outputs()
	if len(first) != 1 || len(second) != 1 || first[0] != second[0] || first[0].Text() != "one\ntwo" {
		t.Errorf("%v, %v", first, second)
	}
	first[0].screen.print("\rT")
	if got := first[0].Text(); got != "one\nTwo" {
		t.Errorf("when it goes on it is %q", got)
	}
}

// TestLines: text in lines is as it would be in one; what is not text is none.
func TestLines(t *testing.T) {
	for text, want := range map[string]string{
		`[]`: "", `"a\nb"`: "a\nb", `["a\n","b"]`: "a\nb", "[ \"a\\\"\" ,\n\"]\\\\\", \"\\u65e5本\"\t]": `a"]\日本`, `[null,"a",null]`: "a", `["",""]`: "", `[1]`: "-", `["a",["b"]]`: "-", `[{}]`: "-", `[true]`: "-", `1`: "-",
	} {
		var l lines
		if err := json.Unmarshal([]byte(text), &l); (err != nil) != (want == "-") || err == nil && string(l) != want {
			t.Errorf("%s: %q, %v", text, l, err)
		}
	}
}
