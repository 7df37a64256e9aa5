package main

import (
	"bytes"
	"context"
	"strings"
	"testing"

	"github.com/creack/pty"

	"github.com/masu-lab/masu"
)

// passwords is a service that only takes passwords.
type passwords struct {
	masu.Service
	set []string
	err error
}

func (p *passwords) SetPassword(_ context.Context, password string) error {
	if len(password) > 0 && len(password) < 8 {
		return masu.E(masu.Invalid, "password_short")
	}
	if p.err == nil {
		p.set = append(p.set, password)
	}
	return p.err
}

func TestPasswd(t *testing.T) {
	for _, c := range []struct {
		name, typed, said string
		code              int
		set               []string
		err               error
	}{
		{name: "twice the same", typed: "correct horse\ncorrect horse\n", said: "DONE\n", set: []string{"correct horse"}},
		{name: "no end of the last line", typed: "correct horse\ncorrect horse", said: "DONE\n", set: []string{"correct horse"}},
		{name: "ends of lines as on Windows", typed: "correct horse\r\ncorrect horse\r\n", said: "DONE\n", set: []string{"correct horse"}},
		{name: "Enter twice", typed: "\n\n", said: "DONE\n", set: []string{""}},
		{name: "blanks are a password like any other", typed: "枡 枡 枡 枡 \n枡 枡 枡 枡 \n", said: "DONE\n", set: []string{"枡 枡 枡 枡 "}},
		{name: "different", typed: "correct horse\nbattery staple\n", said: "RETRY\n", code: exitUsage},
		{name: "short", typed: "abc\nabc\n", said: "RETRY\n", code: exitUsage},
		{name: "nothing", typed: "", said: "RETRY\n", code: exitUsage},
		{name: "only once", typed: "correct horse\n", said: "RETRY\n", code: exitUsage},
		{name: "the daemon fails", typed: "correct horse\ncorrect horse\n", said: "RETRY\n", code: exitFailed, err: masu.E(masu.Unreachable, "no_daemon", "")},
	} {
		t.Run(c.name, func(t *testing.T) {
			var out, errs bytes.Buffer
			a := newApp(strings.NewReader(c.typed), &out, &errs, func(string) string { return "" }, nil)
			s := &passwords{err: c.err}
			if code := a.exit(t.Context(), a.passwd(t.Context(), s)); code != c.code || out.String() != c.said {
				t.Errorf("exit %d, %q; want %d, %q; stderr:\n%s", code, out.String(), c.code, c.said, errs.String())
			}
			if strings.Join(s.set, "|") != strings.Join(c.set, "|") || len(s.set) != len(c.set) {
				t.Errorf("set %q, want %q", s.set, c.set)
			}
			for _, secret := range []string{"correct", "battery"} {
				if strings.Contains(errs.String(), secret) {
					t.Errorf("the password is on the screen:\n%s", errs.String())
				}
			}
		})
	}
}

// TestPasswdAtATerminal: it is asked again after a mistake, a few times, and
// nothing typed is shown.
func TestPasswdAtATerminal(t *testing.T) {
	for _, c := range []struct {
		name, typed, said string
		code              int
	}{
		{"a mistake, then right", "correct horse\nbattery\ncorrect horse\ncorrect horse\n", "RETRY\nDONE\n", 0},
		{"mistakes only", strings.Repeat("one one one\ntwo two two\n", passwordTries), strings.Repeat("RETRY\n", passwordTries), exitUsage},
	} {
		t.Run(c.name, func(t *testing.T) {
			master, tty, err := pty.Open()
			if err != nil {
				t.Fatal(err)
			}
			defer master.Close()
			defer tty.Close()
			var out bytes.Buffer
			a := newApp(tty, &out, tty, func(string) string { return "" }, nil)
			if _, err := master.WriteString(c.typed); err != nil {
				t.Fatal(err)
			}
			if code := a.exit(t.Context(), a.passwd(t.Context(), &passwords{})); code != c.code || out.String() != c.said {
				t.Errorf("exit %d, %q; want %d, %q", code, out.String(), c.code, c.said)
			}
		})
	}
}

// TestPasswdCancelled: Ctrl-C at the question gives the terminal back as it was.
func TestPasswdCancelled(t *testing.T) {
	master, tty, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer master.Close()
	defer tty.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	a := newApp(tty, &bytes.Buffer{}, tty, func(string) string { return "" }, nil)
	if code := a.exit(ctx, a.passwd(ctx, &passwords{})); code != exitInterrupt {
		t.Errorf("exit %d, want %d", code, exitInterrupt)
	}
}
