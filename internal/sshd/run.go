package sshd

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"unicode"

	"github.com/masu-lab/masu"
)

// roundsMost is how often a workspace is watched on its way up, where others
// stop and start it meanwhile.
const roundsMost = 5

// execute runs the program in the workspace that was asked for, and returns its exit code.
func (s *session) execute(ctx context.Context, argv []string) (int, error) {
	w, err := s.ready(ctx)
	if err != nil {
		return 0, err
	}
	env := append(s.env, s.whence()...)
	if s.agent && w.Owner == s.who.Name { // in another's box their root could use it
		socket, err := s.inside.agentSocket(ctx, s.client, w)
		if err != nil {
			s.tell(s.server.sentence(s.lang(), masu.E(masu.Unreachable, "ssh_no_agent").Because(err)))
		} else {
			env = append(env, "SSH_AUTH_SOCK="+socket)
		}
	}
	e := masu.Exec{Argv: argv, Env: env, TTY: s.tty, Size: s.size, Resize: s.resize,
		Stdin: s.ch, Stdout: s.ch, Stderr: s.ch.Stderr()}
	if s.tty {
		s.keys.begin()
		e.Stdin = s.keys
	}
	return s.service.Exec(ctx, string(w.ID), e)
}

// whence tells programs that they are looked at from elsewhere, as sshd does.
func (s *session) whence() []string {
	from, to := addressPortOf(s.conn.RemoteAddr()), addressPortOf(s.conn.LocalAddr())
	if !from.IsValid() || !to.IsValid() {
		return nil
	}
	return []string{
		fmt.Sprintf("SSH_CLIENT=%s %d %d", from.Addr(), from.Port(), to.Port()),
		fmt.Sprintf("SSH_CONNECTION=%s %d %s %d", from.Addr(), from.Port(), to.Addr(), to.Port()),
	}
}

// ready gives the workspace when it runs, and tells how it gets there.
func (s *session) ready(ctx context.Context) (masu.Workspace, error) {
	return s.client.ready(ctx, func(w masu.Workspace) { s.tell(s.server.Say(s.lang(), "ssh_starting", []string{w.Name})) }, s.progress)
}

// ready gives the workspace when it runs. One of the member's own that is
// stopped is started, and they are told how it goes.
func (c *client) ready(ctx context.Context, starting func(masu.Workspace), progress func(masu.Progress)) (masu.Workspace, error) {
	w, err := c.workspace(ctx)
	if err != nil || w.Phase == masu.Running || w.Owner != c.who.Name {
		return w, err
	}
	starting(w)
	for range roundsMost {
		if w.Phase.Settled() {
			if w, err = c.service.Up(ctx, masu.UpRequest{Name: w.Name}); err != nil {
				return w, err
			}
		}
		for p, err := range c.service.Watch(ctx, string(w.ID)) {
			if err != nil {
				return w, err
			}
			progress(p)
		}
		switch w, err = c.workspace(ctx); {
		case err != nil || w.Phase == masu.Running:
			return w, err
		case w.Trouble != nil && w.Phase.Settled():
			return w, w.Trouble.Err()
		}
	}
	return w, masu.E(masu.Conflict, "not_running", w.Name)
}

// progress tells of one step: what is done, not what each program there says.
func (s *session) progress(p masu.Progress) {
	switch {
	case p.Code != "":
		s.tell(s.server.Say(s.lang(), p.Code, p.Args))
	case p.State == masu.StepRunning && p.Name != "":
		s.tell("… " + plain(p.Name))
	}
}

// sentence is what a person is told about an error, and what to do about it.
func (s *Server) sentence(lang masu.Lang, err error) string {
	if lang == "" {
		lang = masu.English
	}
	code, args := masu.CodeOf(err), argsOf(err)
	text := "masu: " + s.Say(lang, code, args)
	if fix := s.Say(lang, code+".fix", args); fix != "" && fix != code+".fix" {
		text += "\n      " + fix
	}
	return plain(text)
}

func argsOf(err error) []string {
	if e, ok := errors.AsType[*masu.Error](err); ok {
		return e.Args
	}
	return nil
}

// plain keeps what others have named from moving somebody's cursor.
func plain(text string) string {
	return strings.Map(func(r rune) rune {
		if r != '\n' && !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, text)
}

func addressPortOf(a net.Addr) netip.AddrPort {
	p, err := netip.ParseAddrPort(a.String())
	if err != nil {
		return netip.AddrPort{} // a unix socket
	}
	return netip.AddrPortFrom(p.Addr().Unmap(), p.Port())
}
