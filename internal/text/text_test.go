package text

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/masu-lab/masu"
)

var blank = regexp.MustCompile(`%(\[(\d+)\])?([a-z%])`)

func TestBothLanguagesSayTheSame(t *testing.T) {
	all, err := catalog()
	if err != nil {
		t.Fatal(err)
	}
	for code, s := range all {
		for lang := range s {
			if lang != masu.Japanese && lang != masu.English {
				t.Errorf("%s: language %q is not spoken here", code, lang)
			}
		}
		if s[masu.Japanese] == "" || s[masu.English] == "" {
			t.Errorf("%s lacks a language", code)
		}
		ja, en := blanks(t, code, s[masu.Japanese]), blanks(t, code, s[masu.English])
		if !slices.Equal(ja, en) {
			t.Errorf("%s: the blanks differ: ja %v, en %v", code, ja, en)
		}
	}
}

func blanks(t *testing.T, code, s string) []string {
	var out []string
	for _, m := range blank.FindAllStringSubmatch(s, -1) {
		switch {
		case m[3] == "%":
		case m[2] == "":
			t.Errorf("%s: the blank %q has no number", code, m[0])
		default:
			out = append(out, m[2])
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// TestEveryCodeHasItsSentence reads the sources: each code that is given to
// masu.E has a sentence and a fix, and each given to text.Say has a sentence.
func TestEveryCodeHasItsSentence(t *testing.T) {
	root := filepath.Join("..", "..")
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == "testdata" || d.Name() == "node_modules" || strings.HasPrefix(d.Name(), ".") && path != root) {
			return filepath.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		fset := token.NewFileSet()
		f, err := parser.ParseFile(fset, path, nil, 0)
		if err != nil {
			return err
		}
		ast.Inspect(f, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok || len(call.Args) < 2 {
				return true
			}
			name := called(call.Fun)
			if name != "masu.E" && name != "text.Say" {
				return true
			}
			lit, ok := call.Args[1].(*ast.BasicLit)
			if !ok {
				return true
			}
			code, _ := strconv.Unquote(lit.Value)
			if !Has(code) {
				t.Errorf("%s: %q has no sentence", fset.Position(lit.Pos()), code)
			}
			if name == "masu.E" && !Has(code+".fix") {
				t.Errorf("%s: %q does not say what to do: %q is missing", fset.Position(lit.Pos()), code, code+".fix")
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func called(e ast.Expr) string {
	if s, ok := e.(*ast.SelectorExpr); ok {
		if x, ok := s.X.(*ast.Ident); ok {
			return x.Name + "." + s.Sel.Name
		}
	}
	return ""
}

func TestSay(t *testing.T) {
	for _, c := range []struct{ accept, want string }{
		{"ja,en;q=0.8", "ja"}, {"en-US,en;q=0.9,ja;q=0.8", "en"}, {"fr-FR,ja;q=0.5", "ja"}, {"", "en"},
	} {
		if got := FromHeader(c.accept); string(got) != c.want {
			t.Errorf("FromHeader(%q) = %s, want %s", c.accept, got, c.want)
		}
	}
	hostile := "a\x1b]52;c;eA==\x07\r\u009b2J\u202eb\nc\td" // a folder's name may be anything
	for _, code := range []string{"name_taken", "no_such_code"} {
		if got := Say(masu.English, code, hostile); strings.ContainsAny(got, "\x1b\x07\r\u009b\u202e") || !strings.Contains(got, "b\nc\td") {
			t.Errorf("%s obeys what it is told: %q", code, got)
		}
	}
	if m, fix := Error(masu.English, fs.ErrNotExist); !strings.HasPrefix(m, "Something went wrong") || fix == "" {
		t.Errorf("an unknown error says %q, %q", m, fix)
	}
}
