package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/masu-lab/masu"
	"github.com/masu-lab/masu/internal/remote"
	"github.com/masu-lab/masu/internal/text"
)

// app is one invocation: its streams, its language and what every command shares.
type app struct {
	in     io.Reader
	out    io.Writer // data
	err    io.Writer // everything else
	getenv func(string) string
	lang   masu.Lang

	json  bool
	debug bool
	host  string // as -H says

	server *remote.Server  // where the daemon is; nil is this machine
	link   *remote.Link    // the way there, once it is needed
	pages  *remote.Forward // the way to its pages, likewise

	completing bool // a shell asks what could follow: nobody can be asked anything
	passing    bool // the running command passes a program's exit code on: masu's own failures are 125
}

func newApp(in io.Reader, out, err io.Writer, getenv func(string) string, args []string) *app {
	a := &app{in: in, out: out, err: err, getenv: getenv}
	a.lang = a.language(args)
	return a
}

// language is needed before flags are parsed, because the help is written in it.
func (a *app) language(args []string) masu.Lang {
	for i, arg := range args {
		if arg == "--" {
			break
		}
		value, ok := strings.CutPrefix(arg, "--lang=")
		if !ok && arg == "--lang" && i+1 < len(args) {
			value, ok = args[i+1], true
		}
		if l := masu.Lang(value); ok && (l == masu.Japanese || l == masu.English) {
			return l
		}
	}
	for _, name := range []string{"MASU_LANG", "LC_ALL", "LC_MESSAGES", "LANG"} {
		if s := a.getenv(name); s != "" {
			if strings.HasPrefix(s, "ja") {
				return masu.Japanese
			}
			return masu.English
		}
	}
	return masu.English
}

func (a *app) run(ctx context.Context, args []string) int {
	root := a.root()
	root.SetArgs(args)
	root.SetIn(a.in)
	root.SetOut(a.out)
	root.SetErr(a.err)
	return a.exit(ctx, root.ExecuteContext(ctx))
}

// say gives a sentence of the catalogue.
func (a *app) say(code string, args ...any) string { return text.Say(a.lang, code, args...) }

// note tells a person something that is not data.
func (a *app) note(code string, args ...any) { fmt.Fprintln(a.err, a.say(code, args...)) }

// notes tells what the daemon found worth reading.
func (a *app) notes(notes []masu.Note) {
	for _, n := range notes {
		fmt.Fprintln(a.err, a.say("note_mark"), text.Strings(a.lang, n.Code, n.Args))
	}
}

// print writes data.
func (a *app) print(args ...any) { fmt.Fprintln(a.out, args...) }

// data writes v as JSON.
func (a *app) data(v any) error {
	enc := json.NewEncoder(a.out)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

// terminal gives the file behind a stream if it is a terminal.
func terminal(stream any) (*os.File, bool) {
	f, ok := stream.(*os.File)
	return f, ok && term.IsTerminal(int(f.Fd()))
}

// interactive tells whether a person can be asked.
func (a *app) interactive() bool {
	_, in := terminal(a.in)
	_, err := terminal(a.err)
	return in && err
}

// colourful tells whether stream may be coloured.
func (a *app) colourful(stream any) bool {
	_, tty := terminal(stream)
	return tty && a.getenv("NO_COLOR") == "" && a.getenv("TERM") != "dumb"
}

// confirm asks a yes-or-no question; Enter is no. Where nobody can be asked it
// is an error that names the flag to add.
func (a *app) confirm(ctx context.Context, question, flag string) (bool, error) {
	if !a.interactive() {
		return false, masu.E(masu.Invalid, "cannot_ask", flag)
	}
	fmt.Fprint(a.err, question+" [y/N] ")
	answer, err := a.readLine(ctx)
	if err != nil {
		return false, err
	}
	return slices.Contains([]string{"y", "yes", "はい"}, strings.ToLower(strings.TrimSpace(answer))), nil
}

// readLine reads one line byte by byte, so that what follows stays for a
// second question or for the program that is run next. Ctrl-C ends the wait.
func (a *app) readLine(ctx context.Context) (string, error) {
	type answer struct {
		line string
		err  error
	}
	got := make(chan answer, 1)
	go func() { // outlives a cancelled wait: a terminal's read cannot be interrupted
		var line []byte
		b := make([]byte, 1)
		for {
			n, err := a.in.Read(b)
			if n == 1 && b[0] == '\n' {
				got <- answer{strings.TrimSuffix(string(line), "\r"), nil}
				return
			}
			if n == 1 {
				line = append(line, b[0])
			}
			if err != nil {
				got <- answer{string(line), err}
				return
			}
		}
	}()
	select {
	case <-ctx.Done():
		return "", ctx.Err()
	case g := <-got:
		return g.line, g.err
	}
}

// command makes a command whose help stands in the catalogue under key.
func (a *app) command(key, use, group string, args cobra.PositionalArgs, run func(ctx context.Context, args []string) error) *cobra.Command {
	return &cobra.Command{
		Use:         use,
		GroupID:     group,
		Args:        args,
		Annotations: map[string]string{"key": key},
		RunE: func(c *cobra.Command, args []string) error {
			if run == nil { // it only stands for those below it
				return c.Help()
			}
			return run(c.Context(), args)
		},
	}
}

// args bounds how many arguments a command takes; a negative most is no bound.
func (a *app) args(least, most int) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		a.passing = c.Annotations["passes"] != ""
		switch {
		case len(args) < least:
			return masu.E(masu.Invalid, "args_few", c.CommandPath(), c.UseLine())
		case most >= 0 && len(args) > most:
			return masu.E(masu.Invalid, "args_many", c.CommandPath(), args[most], c.UseLine())
		}
		return nil
	}
}
