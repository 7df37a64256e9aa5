package web

import (
	"html/template"
	"strings"
	"testing"
)

// TestFold: what is written in at the start reads as what would be asked for each time.
func TestFold(t *testing.T) {
	const page = `<p title="{{say "a"}}">{{say "a"}}</p>{{if .}}{{say "b"}}{{else}}{{range .X}}{{say "a"}}{{end}}{{end}}{{with .}}{{say "a"}}{{end}}{{$x := say "b"}}{{$x}}{{say "b" 1}}`
	asked := 0
	say := func(code string, _ ...any) string { asked++; return `<"` + code + `'&>` }
	show := func(folds bool) string {
		t.Helper()
		one := template.Must(template.New("one").Funcs(template.FuncMap{"say": say}).Parse(page))
		if folds {
			fold(one, map[string]func(string) string{"say": func(code string) string { return say(code) }})
		}
		asked = 0
		var out strings.Builder
		if err := one.Execute(&out, "there"); err != nil {
			t.Fatal(err)
		}
		return out.String()
	}
	if plain, folded := show(false), show(true); plain != folded || asked != 2 {
		t.Errorf("asked %d times, plain\n%s\nfolded\n%s", asked, plain, folded)
	}
}
