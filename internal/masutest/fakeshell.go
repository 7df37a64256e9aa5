package masutest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"path"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/masu-lab/masu"
)

// shell is a process in a fake box (or a step of a fake build). It knows a few
// commands and, of the shell's language, sequences, "&", quotes, variables,
// $(cat FILE) and output to a file or to stderr.
type shell struct {
	read   func(path string) ([]byte, error)
	write  func(path string, text []byte) error
	kill   func(pid int, ask, root bool) bool
	knows  func(host string) bool
	begin  func(parent context.Context) (ctx context.Context, pid int, end func())
	env    map[string]string
	dir    string
	uid    int
	pid    int
	child  int // the last one that was sent to the background
	stdin  io.Reader
	stdout io.Writer
	stderr io.Writer
	back   sync.WaitGroup
}

// Exec is masu.Runner's.
func (f *FakeRuntime) Exec(ctx context.Context, id masu.WorkspaceID, e masu.Exec) (int, error) {
	leave, err := f.enter(ctx)
	if err != nil {
		return -1, err
	}
	b, err := f.find(id, true)
	if err != nil {
		leave()
		return -1, err
	}
	life := b.life
	leave()
	if e.Root && !b.box.Agent.Sudo {
		return -1, masu.E(masu.Denied, "no_root_here")
	}
	sh := f.shell(b, life, e)
	pctx, pid, end := life.begin(life.ctx)
	sh.pid = pid
	done := make(chan int, 1)
	go func() {
		defer end()
		code := sh.command(pctx, e.Argv)
		sh.back.Wait()
		done <- code
	}()
	select {
	case code := <-done:
		if life.ctx.Err() != nil {
			return -1, masu.E(masu.Conflict, "box_not_running", b.box.Name)
		}
		return code, nil
	case <-ctx.Done():
		life.signal(pid, false)
		<-done
		return -1, context.Cause(ctx)
	}
}

func (f *FakeRuntime) shell(b *fakeBox, life *life, e masu.Exec) *shell {
	sh := &shell{
		read:  func(p string) ([]byte, error) { return f.readFile(b, p) },
		write: func(p string, text []byte) error { return f.writeFile(b, p, text) },
		begin: life.begin,
		knows: func(host string) bool { return f.knows(b.id, host) },
		env:   map[string]string{"HOME": b.box.Agent.User.Home},
		dir:   e.Dir, uid: b.box.Agent.User.UID,
		stdin: e.Stdin, stdout: e.Stdout, stderr: e.Stderr,
	}
	sh.kill = func(pid int, ask, root bool) bool {
		if pid != 1 {
			return life.signal(pid, ask)
		}
		if root && !ask {
			f.Die(b.id, 143, false)
		}
		return root || ask
	}
	maps.Copy(sh.env, b.box.Variables)
	maps.Copy(sh.env, b.box.Agent.Env)
	for _, kv := range e.Env {
		k, v, _ := strings.Cut(kv, "=")
		sh.env[k] = v
	}
	if sh.dir == "" {
		sh.dir = b.box.Agent.Work
	}
	if e.Root {
		sh.uid = 0
	}
	if sh.stdin == nil {
		sh.stdin = strings.NewReader("")
	}
	if sh.stdout == nil {
		sh.stdout = io.Discard
	}
	if sh.stderr == nil {
		sh.stderr = io.Discard
	}
	if e.TTY {
		sh.stdout = crlf{sh.stdout}
		sh.stderr = sh.stdout
	}
	return sh
}

// crlf does what a terminal does to the ends of lines.
type crlf struct{ io.Writer }

func (c crlf) Write(p []byte) (int, error) {
	_, err := c.Writer.Write(bytes.ReplaceAll(p, []byte("\n"), []byte("\r\n")))
	return len(p), err
}

// command runs one argv to its end.
func (s *shell) command(ctx context.Context, argv []string) int {
	if len(argv) == 0 {
		return 0
	}
	switch argv[0] {
	case "true", ":":
		return 0
	case "false":
		return 1
	case "echo":
		return s.say(s.stdout, strings.Join(argv[1:], " "))
	case "pwd":
		return s.say(s.stdout, s.dir)
	case "id":
		return s.say(s.stdout, strconv.Itoa(s.uid))
	case "cat":
		return s.cat(ctx, argv[1:])
	case "sleep":
		return s.sleep(ctx, argv[1:])
	case "kill":
		return s.signal(argv[1:])
	case "getent":
		if len(argv) != 3 || argv[1] != "hosts" || s.knows == nil || !s.knows(argv[2]) {
			return 2
		}
		return s.say(s.stdout, "192.0.2.1 "+argv[2])
	case "sh", "bash":
		if len(argv) == 3 && argv[1] == "-c" {
			return s.script(ctx, argv[2])
		}
	}
	if _, err := s.read(argv[0]); err == nil && strings.Contains(argv[0], "/") {
		s.say(s.stderr, argv[0]+": Permission denied")
		return 126
	}
	s.say(s.stderr, argv[0]+": not found")
	return 127
}

func (s *shell) say(w io.Writer, line string) int {
	if _, err := io.WriteString(w, line+"\n"); err != nil {
		return 1
	}
	return 0
}

func (s *shell) cat(ctx context.Context, names []string) int {
	if len(names) == 0 {
		done := make(chan error, 1)
		go func() {
			_, err := io.Copy(s.stdout, s.stdin)
			done <- err
		}()
		select {
		case err := <-done:
			if err != nil {
				return 1
			}
			return 0
		case <-ctx.Done():
			return 137
		}
	}
	for _, name := range names {
		text, err := s.read(s.path(name))
		if err != nil {
			s.say(s.stderr, "cat: "+name+": "+err.Error())
			return 1
		}
		if _, err := s.stdout.Write(text); err != nil {
			return 1
		}
	}
	return 0
}

func (s *shell) sleep(ctx context.Context, args []string) int {
	if len(args) != 1 {
		return 1
	}
	seconds, err := strconv.ParseFloat(args[0], 64)
	if err != nil {
		return 1
	}
	t := time.NewTimer(time.Duration(seconds * float64(time.Second)))
	defer t.Stop()
	select {
	case <-t.C:
		return 0
	case <-ctx.Done():
		return 137
	}
}

func (s *shell) signal(args []string) int {
	if len(args) != 2 || s.kill == nil {
		return 1
	}
	pid, err := strconv.Atoi(strings.TrimSpace(args[1]))
	if err != nil || !s.kill(pid, args[0] == "-0", s.uid == 0) {
		s.say(s.stderr, "kill: no such process")
		return 1
	}
	return 0
}

func (s *shell) path(name string) string {
	if path.IsAbs(name) {
		return path.Clean(name)
	}
	return path.Join(s.dir, name)
}

var errExit = errors.New("exit")

// script runs a sequence of commands and gives the last one's code.
func (s *shell) script(ctx context.Context, text string) int {
	code := 0
	for text != "" {
		var words []word
		var end byte
		words, end, text = s.parse(text)
		if len(words) == 0 {
			continue
		}
		if ctx.Err() != nil {
			return 137
		}
		if end == '&' {
			s.background(ctx, words)
			continue
		}
		var err error
		if code, err = s.simple(ctx, words); err != nil {
			return code
		}
	}
	if ctx.Err() != nil {
		return 137
	}
	return code
}

func (s *shell) background(ctx context.Context, words []word) {
	child := &shell{read: s.read, write: s.write, kill: s.kill, begin: s.begin, env: s.env, dir: s.dir, uid: s.uid,
		stdin: strings.NewReader(""), stdout: s.stdout, stderr: s.stderr}
	cctx, pid, end := s.begin(ctx)
	s.child, child.pid = pid, pid
	s.back.Go(func() {
		defer end()
		_, _ = child.simple(cctx, words)
	})
}

// simple runs one command with its redirection; errExit ends the script.
func (s *shell) simple(ctx context.Context, words []word) (int, error) {
	var argv []string
	var target string
	for i := 0; i < len(words); i++ {
		if words[i].op && i+1 < len(words) {
			target, i = words[i+1].text, i+1
			continue
		}
		argv = append(argv, words[i].text)
	}
	switch {
	case len(argv) == 0:
		return 0, nil
	case argv[0] == "exit":
		code := 0
		if len(argv) > 1 {
			code, _ = strconv.Atoi(argv[1])
		}
		return code, errExit
	case argv[0] == "wait":
		s.back.Wait()
		return 0, nil
	case argv[0] == "exec":
		return s.command(ctx, argv[1:]), errExit
	}
	out := s.stdout
	defer func() { s.stdout = out }()
	switch {
	case target == "&2":
		s.stdout = s.stderr
	case target != "":
		var buf bytes.Buffer
		s.stdout = &buf
		code := s.command(ctx, argv)
		if err := s.write(s.path(target), buf.Bytes()); err != nil {
			s.say(s.stderr, target+": "+err.Error())
			return 1, nil
		}
		return code, nil
	}
	return s.command(ctx, argv), nil
}

// word is one of a command, or the operator ">".
type word struct {
	text string
	op   bool
}

// parse takes one command off the text: its words, and ';', '&' or 0 for what ended it.
func (s *shell) parse(text string) (words []word, end byte, rest string) {
	var cur strings.Builder
	open := false
	flush := func() {
		if open {
			words = append(words, word{text: cur.String()})
			cur.Reset()
			open = false
		}
	}
	for i := 0; i < len(text); i++ {
		c := text[i]
		switch {
		case c == ';' || c == '\n' || c == '&' && !(len(words) > 0 && words[len(words)-1].op && !open):
			flush()
			return words, c, text[i+1:]
		case c == ' ' || c == '\t':
			flush()
		case c == '>':
			flush()
			words = append(words, word{op: true})
		case c == '\'':
			n := strings.IndexByte(text[i+1:], '\'')
			if n < 0 {
				return nil, 0, ""
			}
			cur.WriteString(text[i+1 : i+1+n])
			open, i = true, i+1+n
		case c == '"':
			n := strings.IndexByte(text[i+1:], '"')
			if n < 0 {
				return nil, 0, ""
			}
			cur.WriteString(s.expand(text[i+1 : i+1+n]))
			open, i = true, i+1+n
		case c == '$':
			n := variable(text[i:])
			cur.WriteString(s.expand(text[i : i+n]))
			open, i = true, i+n-1
		default:
			cur.WriteByte(c)
			open = true
		}
	}
	flush()
	return words, 0, ""
}

// variable gives the length of the expression that begins with "$".
func variable(text string) int {
	if len(text) < 2 {
		return len(text)
	}
	switch text[1] {
	case '$', '!':
		return 2
	case '(':
		if n := strings.IndexByte(text, ')'); n > 0 {
			return n + 1
		}
		return len(text)
	}
	n := 1
	for n < len(text) && (text[n] == '_' || text[n] >= 'A' && text[n] <= 'Z' || text[n] >= 'a' && text[n] <= 'z' || text[n] >= '0' && text[n] <= '9') {
		n++
	}
	return n
}

func (s *shell) expand(text string) string {
	var out strings.Builder
	for text != "" {
		i := strings.IndexByte(text, '$')
		if i < 0 {
			out.WriteString(text)
			break
		}
		out.WriteString(text[:i])
		n := variable(text[i:])
		out.WriteString(s.value(text[i : i+n]))
		text = text[i+n:]
	}
	return out.String()
}

func (s *shell) value(v string) string {
	switch {
	case v == "$$":
		return fmt.Sprint(s.pid)
	case v == "$!":
		return fmt.Sprint(s.child)
	case strings.HasPrefix(v, "$(cat "):
		text, _ := s.read(s.path(strings.TrimSpace(strings.TrimSuffix(v[len("$(cat "):], ")"))))
		return strings.TrimRight(string(text), "\n")
	}
	return s.env[v[1:]]
}
