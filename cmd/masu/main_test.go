package main

import (
	"bytes"
	"flag"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/spf13/cobra"

	"github.com/masu-lab/masu"
	"github.com/masu-lab/masu/internal/text"
)

var update = flag.Bool("update", false, "write the golden files anew")

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"masu": main})
}

// try runs masu in this process, with no terminal and only the given variables.
func try(t *testing.T, env map[string]string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	a := newApp(strings.NewReader(""), &out, &errs, func(k string) string { return env[k] }, args)
	code = a.run(t.Context(), args)
	return code, out.String(), errs.String()
}

// TestHelp holds every command's help to its golden file, in both languages.
func TestHelp(t *testing.T) {
	for _, lang := range []masu.Lang{masu.Japanese, masu.English} {
		a := newApp(nil, nil, nil, func(string) string { return "" }, nil)
		eachCommand(a.root(), func(c *cobra.Command) {
			path := strings.Fields(c.CommandPath())[1:]
			name := filepath.Join("testdata", "help", string(lang), strings.Join(append([]string{"masu"}, path...), "-")+".txt")
			code, got, errs := try(t, nil, append(path, "--help", "--lang", string(lang))...)
			if code != 0 || errs != "" {
				t.Errorf("%s --help: exit %d, %s", c.CommandPath(), code, errs)
			}
			if *update {
				if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(name, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			want, err := os.ReadFile(name)
			if err != nil || got != string(want) {
				t.Errorf("%s differs (%v); look at it and run: go test ./cmd/masu -run TestHelp -update\n%s", name, err, got)
			}
		})
	}
}

func eachCommand(c *cobra.Command, f func(*cobra.Command)) {
	f(c)
	for _, below := range c.Commands() {
		eachCommand(below, f)
	}
}

// TestEverySentenceIsThere reads the sources: each code given to a's helpers,
// which text's own test cannot see, is in the catalogue.
func TestEverySentenceIsThere(t *testing.T) {
	names, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	helpers := map[string]bool{"say": true, "note": true, "ask": true, "secret": true, "table": true}
	found := 0
	for _, name := range names {
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			if s, ok := call.Fun.(*ast.SelectorExpr); !ok || !helpers[s.Sel.Name] {
				return true
			}
			for _, arg := range call.Args {
				lit, ok := arg.(*ast.BasicLit)
				if !ok || lit.Kind != token.STRING {
					continue
				}
				code, _ := strconv.Unquote(lit.Value)
				if strings.HasSuffix(code, ".") || code == "" {
					continue // completed at run time: see below
				}
				found++
				if !text.Has(code) && arg == call.Args[0] {
					t.Errorf("%s: %q has no sentence", name, code)
				}
			}
			return true
		})
	}
	if found < 30 {
		t.Errorf("only %d codes found: the test looks at the wrong things", found)
	}
	for _, p := range []masu.Phase{masu.Building, masu.Waiting, masu.Starting, masu.Running, masu.Stopping, masu.Stopped, masu.Failed} {
		if !text.Has("phase." + string(p)) {
			t.Errorf("the phase %s has no name", p)
		}
	}
	a := newApp(nil, nil, nil, func(string) string { return "" }, nil)
	eachCommand(a.root(), func(c *cobra.Command) {
		if c.Annotations["key"] == "" || c.Short == "" || strings.HasPrefix(c.Short, "help.") {
			t.Errorf("%s has no help", c.CommandPath())
		}
	})
}

// TestRefusals: what a person types wrongly is refused in their language, with
// a fix, the right exit code and nothing on the standard output.
func TestRefusals(t *testing.T) {
	nowhere := map[string]string{"MASU_SOCKET": filepath.Join(t.TempDir(), "none.sock"), "HOME": t.TempDir()}
	for _, c := range []struct {
		args string
		code int
		says string // in English
	}{
		{"stpo", 2, "Did you mean: masu stop"},
		{"frobnicate", 2, "masu --help"},
		{"images frobnicate", 2, "no command masu images frobnicate"},
		{"help frobnicate", 2, "no command"},
		{"up a b", 2, "cannot use the argument b"},
		{"rm", 2, "Write: masu rm NAME"},
		{"up --frob", 2, "no flag --frob"},
		{"up -Z", 2, "no flag -Z"},
		{"up --name", 2, "--name needs a value"},
		{"init --gpus many", 2, "--gpus cannot be many"},
		{"up --gpus many", 2, "--gpus many is not understood"},
		{"up --name Bert", 2, "Bert cannot name a workspace"},
		{"up --wait --detach", 2, "exclude each other"},
		{"ls --lang fr", 2, "does not speak fr"},
		{"ls -H ssh://-oProxyCommand=touch%20/tmp/p", 2, "no address of a server"},
		{"ls -H ssh://gpu1/path", 2, "no address of a server"},
		{"ls -H gpu1", 1, "no context gpu1"},
		{"doctor -H ssh://alice@gpu1:2222", 2, "ssh -p 2222 alice@gpu1"},
		{"db check -H ssh://gpu1", 2, "masu db check is done on the server itself"},
		{"context add default ssh://gpu1", 2, "cannot name a context"},
		{"context add gpu gpu1", 2, "no address of a server"},
		{"context use gpu", 1, "no context gpu"},
		{"forward 6006", 2, "open to everybody"},
		{"forward 0", 2, "is no port"},
		{"ls", 1, "No masu daemon answers"},
		{"stop", 1, "No masu daemon answers"},
		{"exec bert ls", 125, "No masu daemon answers"},
		{"exec --frob bert ls", 125, "no flag --frob"},
		{"exec bert", 125, "Write: masu exec NAME COMMAND [ARG]..."},
		{"run --image a --preset python ls", 125, "exclude each other"},
		{"completion tcsh", 2, "no completion for tcsh"},
		{"serve --listen nonsense", 2, "is no address"},
		{"serve --listen 0.0.0.0:8888", 2, "would not encrypt"},
		{"serve --listen [::]:8888", 2, "--plain-http"},
		{"serve --listen :8888", 2, "--plain-http"},
	} {
		t.Run(c.args, func(t *testing.T) {
			code, out, errs := try(t, nowhere, strings.Fields(c.args)...)
			if code != c.code || out != "" || !strings.Contains(errs, c.says) || !strings.Contains(errs, "→ ") {
				t.Errorf("exit %d, want %d; stdout %q; stderr:\n%s\nwant %q", code, c.code, out, errs, c.says)
			}
			_, _, errs = try(t, map[string]string{"LANG": "ja_JP.UTF-8", "MASU_SOCKET": nowhere["MASU_SOCKET"], "HOME": nowhere["HOME"]}, strings.Fields(c.args)...)
			if c.args != "ls --lang fr" && !strings.HasPrefix(errs, "エラー: ") {
				t.Errorf("in Japanese it says %q", errs)
			}
		})
	}
}

func TestLanguage(t *testing.T) {
	for _, c := range []struct {
		env  map[string]string
		args string
		want masu.Lang
	}{
		{nil, "ls", masu.English},
		{map[string]string{"LANG": "ja_JP.UTF-8"}, "ls", masu.Japanese},
		{map[string]string{"LANG": "ja_JP.UTF-8", "LC_ALL": "C.UTF-8"}, "ls", masu.English},
		{map[string]string{"LANG": "C", "MASU_LANG": "ja"}, "ls", masu.Japanese},
		{map[string]string{"LANG": "ja_JP.UTF-8"}, "ls --lang en", masu.English},
		{nil, "--lang=ja ls", masu.Japanese},
		{nil, "exec bert -- echo --lang ja", masu.English},
		{nil, "ls --lang", masu.English},
	} {
		a := newApp(nil, nil, nil, func(k string) string { return c.env[k] }, strings.Fields(c.args))
		if a.lang != c.want {
			t.Errorf("%v %s: %s, want %s", c.env, c.args, a.lang, c.want)
		}
	}
}

func TestExitCodesCoverEveryKind(t *testing.T) {
	for k := masu.Internal; k <= masu.Cancelled; k++ {
		if exitCodes[k] == 0 {
			t.Errorf("%s ends with success", k)
		}
	}
	if masu.ParseKind((masu.Cancelled + 1).String()) != masu.Internal {
		t.Error("there is a kind after Cancelled: give it an exit code and extend this test")
	}
}
