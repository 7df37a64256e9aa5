package masutest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/masu-lab/masu"
)

func testExecExitCodes(r *rig) {
	b := r.box()
	r.up(b)
	for _, c := range []struct {
		argv []string
		code int
	}{
		{[]string{"true"}, 0},
		{[]string{"false"}, 1},
		{[]string{"sh", "-c", "exit 7"}, 7},
		{[]string{"no-such-command"}, 127},
		{[]string{"/etc/passwd"}, 126},
	} {
		if code, _, _ := r.exec(b.ID, masu.Exec{Argv: c.argv}); code != c.code {
			r.Errorf("%q ended with %d, want %d", c.argv, code, c.code)
		}
	}
}

func testExecStreams(r *rig) {
	b := r.box()
	r.up(b)
	code, out, errOut := r.exec(b.ID, masu.Exec{Argv: []string{"sh", "-c", "echo out; echo err >&2; exit 3"}})
	if code != 3 || out != "out\n" || errOut != "err\n" {
		r.Errorf("exit code %d, stdout %q, stderr %q", code, out, errOut)
	}
	in := strings.Repeat("a line that goes in and comes out\n", 10_000)
	code, out, _ = r.exec(b.ID, masu.Exec{Argv: []string{"cat"}, Stdin: strings.NewReader(in)})
	if code != 0 || out != in {
		r.Errorf("cat ended with %d and gave %d of %d bytes back", code, len(out), len(in))
	}
	// Without an input a command sees its end at once, and does not wait for one.
	if code, out, _ := r.exec(b.ID, masu.Exec{Argv: []string{"cat"}}); code != 0 || out != "" {
		r.Errorf("cat of nothing ended with %d, %q", code, out)
	}
	// A command that ends before its input does not wait for it.
	pr, pw := io.Pipe()
	defer pw.Close()
	if code, _, _ := r.exec(b.ID, masu.Exec{Argv: []string{"true"}, Stdin: pr}); code != 0 {
		r.Errorf("true ended with %d", code)
	}
	code, out, _ = r.exec(b.ID, masu.Exec{Argv: []string{"sh", "-c", "echo $SUITE; pwd"}, Env: []string{"SUITE=a b"}, Dir: "/tmp"})
	if code != 0 || out != "a b\n/tmp\n" {
		r.Errorf("variable and folder came as %q", out)
	}
	if _, out, _ := r.exec(b.ID, masu.Exec{Argv: []string{"pwd"}}); out != b.Agent.Work+"\n" {
		r.Errorf("a command without a folder runs in %q", out)
	}
}

func testExecMember(r *rig) {
	b := r.box()
	r.up(b)
	if _, out, _ := r.exec(b.ID, masu.Exec{Argv: []string{"id", "-u"}}); out != "30997\n" {
		r.Errorf("a member's command runs as %q", out)
	}
	if _, err := r.rt.Exec(r.ctx, b.ID, masu.Exec{Argv: []string{"id", "-u"}, Root: true}); masu.CodeOf(err) != "no_root_here" {
		r.Errorf("a command as root where there is no sudo: %v", err) // its root may change the folder as the host's
	}
	b = r.box()
	b.Agent.Sudo = true
	r.up(b)
	if _, out, _ := r.exec(b.ID, masu.Exec{Argv: []string{"id", "-u"}, Root: true}); out != "0\n" {
		r.Errorf("root's command runs as %q", out)
	}
}

func testExecTerminal(r *rig) {
	b := r.box()
	r.up(b)
	e := masu.Exec{Argv: []string{"sh", "-c", "echo out; echo err >&2; exit 5"}, TTY: true, Size: masu.WinSize{Rows: 33, Cols: 101}}
	code, out, errOut := r.exec(b.ID, e)
	if code != 5 || !strings.Contains(out, "out\r\n") || !strings.Contains(out, "err\r\n") || errOut != "" {
		r.Errorf("on a terminal: exit code %d, %q, %q", code, out, errOut)
	}
}

// testExecCancel: neither the command nor its children stay when the caller goes.
func testExecCancel(r *rig) {
	b := r.box()
	r.up(b)
	for _, tty := range []bool{false, true} {
		ctx, cancel := context.WithCancel(r.ctx)
		w, done := newLineWriter(), make(chan error, 1)
		go func() {
			code, err := r.rt.Exec(ctx, b.ID, masu.Exec{
				Argv:   []string{"sh", "-c", "echo $$ > /tmp/parent; sleep 3600 & echo $! > /tmp/child; echo ready; wait"},
				TTY:    tty,
				Stdout: w,
			})
			if err == nil {
				err = fmt.Errorf("it ended by itself with %d", code)
				w.lines <- "\nready, or not: " + err.Error()
			}
			done <- err
		}()
		r.await(w, "ready")
		for _, file := range []string{"/tmp/parent", "/tmp/child"} {
			if code, _ := r.sh(b.ID, "kill -0 $(cat "+file+")"); code != 0 {
				r.Fatalf("the process of %s does not run: the test is no good", file)
			}
		}
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			r.Errorf("Exec whose caller has gone: %v", err)
		}
		for _, file := range []string{"/tmp/parent", "/tmp/child"} {
			r.until("the process of "+file+" has ended", func() bool {
				code, _ := r.sh(b.ID, "kill -0 $(cat "+file+")")
				return code != 0
			})
		}
	}
}
