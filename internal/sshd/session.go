package sshd

import (
	"context"
	"io"
	"regexp"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/masu-lab/masu"
)

const (
	exitOurs    = 125 // masu itself has failed, as with masu exec
	exitGivenUp = 130 // by Ctrl-C
	mostValue   = 256 // bytes of a variable
	mostWords   = 32  // variables
	mostScreen  = 2000
)

// Programs that a session begins. As with any ssh server a command starts in
// the home, which is what scp, rsync and editors count on; a person who comes
// to work starts in the project folder.
var (
	shellArgv   = []string{"/bin/sh", "-c", `for s in "$SHELL" /bin/bash /bin/sh; do [ -x "$s" ] && exec "$s" -l; done`}
	commandArgv = []string{"/bin/sh", "-c", `cd; for s in "$SHELL" /bin/bash /bin/sh; do [ -x "$s" ] && exec "$s" -c "$1"; done`, "sh"}
	forwardArgv = []string{masu.AgentPath, "agent", "forward"}
	sftpArgv    = []string{masu.AgentPath, "agent", "sftp"}
)

// session is one channel in which one program runs.
type session struct {
	*client
	ch     ssh.Channel
	env    []string
	tty    bool
	size   masu.WinSize
	resize chan masu.WinSize
	keys   *keyboard // with tty, from when the program begins
	begun  bool
	agent  bool // the laptop's agent is wanted in the box
	cancel context.CancelCauseFunc
}

func newSession(c *client, ch ssh.Channel) *session {
	return &session{client: c, ch: ch, resize: make(chan masu.WinSize, 1)}
}

// signalled is why a program ends that its caller has sent a signal.
type signalled string

func (s signalled) Error() string { return "signal " + string(s) }

// serve does what the channel asks for until it ends; the program ends with it.
func (s *session) serve(requests <-chan *ssh.Request) {
	ctx, cancel := context.WithCancelCause(s.ctx)
	s.cancel = cancel
	var program sync.WaitGroup
	defer program.Wait()
	defer cancel(context.Canceled)
	late := time.After(beginTime)
	for {
		select {
		case <-late:
			if !s.begun { // nobody reads what is sent here
				s.begun = true
				_ = s.ch.Close() // fails only where the connection has gone
			}
		case r, open := <-requests:
			if !open {
				return
			}
			argv, ok := s.request(r)
			if r.WantReply {
				_ = r.Reply(ok, nil) // fails only where the connection has gone
			}
			if argv == nil {
				continue
			}
			if s.tty {
				s.keys = newKeyboard(func() { cancel(context.Canceled) })
				program.Go(func() { s.keys.read(s.ch) })
			}
			program.Go(func() { s.run(ctx, argv) })
		}
	}
}

// request answers one request, with the program that it begins.
func (s *session) request(r *ssh.Request) (argv []string, ok bool) {
	switch r.Type {
	case "pty-req":
		return nil, !s.begun && !s.who.limits.NoPTY && s.terminal(r.Payload)
	case "env":
		return nil, !s.begun && s.variable(r.Payload)
	case "window-change":
		var m struct{ Cols, Rows, Width, Height uint32 }
		if ssh.Unmarshal(r.Payload, &m) != nil {
			return nil, false
		}
		s.turn(m.Rows, m.Cols)
		return nil, true
	case "signal":
		var m struct{ Name string }
		return nil, ssh.Unmarshal(r.Payload, &m) == nil && s.begun && s.signal(m.Name)
	case "auth-agent-req@openssh.com":
		s.agent = !s.begun && s.server.AgentForwarding && !s.who.limits.NoAgent
		return nil, s.agent
	case "shell", "exec", "subsystem":
		if s.begun {
			return nil, false
		}
		argv = s.program(r)
		s.begun = argv != nil
		return argv, s.begun
	}
	return nil, false // the laptop's screen
}

// program is what a request begins; nil for what there is not.
func (s *session) program(r *ssh.Request) []string {
	var m struct{ Text string }
	if r.Type == "shell" {
		return shellArgv
	}
	switch err := ssh.Unmarshal(r.Payload, &m); {
	case err != nil:
		return nil
	case r.Type == "exec" && !strings.ContainsRune(m.Text, 0):
		return append(commandArgv[:len(commandArgv):len(commandArgv)], m.Text)
	case r.Type == "subsystem" && m.Text == "sftp":
		return sftpArgv
	}
	return nil
}

func (s *session) terminal(payload []byte) bool {
	var m struct {
		Term                      string
		Cols, Rows, Width, Height uint32
		Modes                     string
	}
	if ssh.Unmarshal(payload, &m) != nil {
		return false
	}
	s.tty = true
	s.size = screen(m.Rows, m.Cols)
	if harmless.MatchString(m.Term) {
		s.env = append(s.env, "TERM="+m.Term)
	}
	return true
}

func screen(rows, cols uint32) masu.WinSize {
	return masu.WinSize{Rows: uint16(min(rows, mostScreen)), Cols: uint16(min(cols, mostScreen))}
}

// turn passes a new size on; only the newest counts.
func (s *session) turn(rows, cols uint32) {
	select {
	case <-s.resize:
	default:
	}
	s.resize <- screen(rows, cols)
}

var (
	harmless = regexp.MustCompile(`^[A-Za-z0-9._@:+-]{1,256}$`)
	wanted   = regexp.MustCompile(`^(LANG|LC_[A-Z]{1,20}|TERM|COLORTERM)$`)
)

// variable takes those that say how the caller's screen speaks. All others
// would say how the box's programs behave.
func (s *session) variable(payload []byte) bool {
	var m struct{ Name, Value string }
	if ssh.Unmarshal(payload, &m) != nil || !wanted.MatchString(m.Name) || len(m.Value) > mostValue || !harmless.MatchString(m.Value) || len(s.env) >= mostWords {
		return false
	}
	s.env = append(s.env, m.Name+"="+m.Value)
	return true
}

// signal sends what a keyboard can send, where there is one, and otherwise ends the program.
func (s *session) signal(name string) bool {
	switch name {
	case "INT", "QUIT":
		if s.keys != nil {
			s.keys.press(map[string]byte{"INT": 3, "QUIT": 28}[name])
			return true
		}
	case "HUP", "KILL", "TERM", "ABRT":
	default:
		return false
	}
	s.cancel(signalled(name))
	return true
}

// run brings the workspace up, runs the program there and tells how it ended.
func (s *session) run(ctx context.Context, argv []string) {
	defer s.ch.Close()
	if s.keys != nil {
		defer s.keys.Close()
	}
	code, err := s.execute(ctx, argv)
	if sig, ok := context.Cause(ctx).(signalled); ok {
		_, _ = s.ch.SendRequest("exit-signal", false, ssh.Marshal(struct {
			Name         string
			Core         bool
			Message, Tag string
		}{Name: string(sig)}))
		return
	}
	switch {
	case ctx.Err() != nil: // they have gone, or given up the wait
		code = exitGivenUp
	case err != nil:
		s.server.Log.Info("ssh: not run", "user", s.who.Name, "workspace", s.name, "error", err)
		s.tell(s.server.sentence(s.lang(), err))
		code = exitOurs
	}
	_, _ = s.ch.SendRequest("exit-status", false, ssh.Marshal(struct{ Code uint32 }{uint32(code)})) // fails only where the connection has gone
}

// lang is the member's language, or what their terminal says.
func (s *session) lang() masu.Lang {
	if s.who.Lang != "" {
		return s.who.Lang
	}
	for _, name := range []string{"LC_ALL=", "LC_MESSAGES=", "LANG="} {
		for _, kv := range s.env {
			if value, ok := strings.CutPrefix(kv, name); ok && value != "" {
				if strings.HasPrefix(value, "ja") {
					return masu.Japanese
				}
				return masu.English
			}
		}
	}
	return masu.English
}

// tell says something to whoever looks at the terminal, apart from what the program says.
func (s *session) tell(text string) {
	text += "\n"
	if s.tty {
		text = strings.ReplaceAll(text, "\n", "\r\n")
	}
	_, _ = io.WriteString(s.ch.Stderr(), text) // fails only where the connection has gone
}
