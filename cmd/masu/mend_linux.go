package main

import (
	"bufio"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"strings"

	"github.com/masu-lab/masu"
	"github.com/masu-lab/masu/internal/doctor"
	"github.com/masu-lab/masu/internal/text"
)

// prepare makes this machine able to run masu: what doctor says cannot work is
// mended, with yes as consent or after asking. Each mending is followed by a
// new examination, because an engine that was just installed does not run yet.
func (a *app) prepare(ctx context.Context, yes bool) error {
	a.note("prepare_begin")
	tried := map[string]bool{}
	for {
		f, ok := firstFail(doctor.Examine(ctx, a.doctorConfig(true)))
		if !ok {
			return ctx.Err()
		}
		sentence, fix := a.finding(f)
		if tried[f.Code] || len(f.Commands) == 0 {
			return masu.E(masu.Unreachable, "mend_by_hand", sentence, fix)
		}
		tried[f.Code] = true
		if err := a.mend(ctx, f, yes); err != nil {
			return err
		}
	}
}

func firstFail(findings []masu.Finding) (masu.Finding, bool) {
	for _, f := range findings {
		if f.Severity == masu.Fail {
			return f, true
		}
	}
	return masu.Finding{}, false
}

// finding gives what was found and what to do about it. The commands are the
// surest fix.
func (a *app) finding(f masu.Finding) (sentence, fix string) {
	sentence = text.Strings(a.lang, f.Code, f.Args)
	if text.Has(f.Code + ".fix") {
		fix = text.Strings(a.lang, f.Code+".fix", f.Args)
	}
	if len(f.Commands) > 0 {
		fix = strings.TrimSpace(fix + "\n" + strings.Join(a.shown(f), "\n"))
	}
	return sentence, fix
}

// shown gives the commands of a finding as a person would type them.
func (a *app) shown(f masu.Finding) []string {
	var all []string
	for _, argv := range f.Commands {
		line := shellLine(argv)
		if f.Root && os.Geteuid() != 0 {
			line = "sudo " + line
		}
		all = append(all, line)
	}
	return all
}

// mend runs the commands of a finding, each step said before it is done.
func (a *app) mend(ctx context.Context, f masu.Finding, yes bool) error {
	sentence, _ := a.finding(f)
	a.note("mend_why", sentence)
	commands := strings.Join(a.shown(f), " && ")
	for _, line := range a.shown(f) {
		a.note("mend_run", line)
	}
	if !yes {
		if !a.interactive() {
			return masu.E(masu.Unreachable, "mend_by_hand", sentence, commands)
		}
		ok, err := a.confirm(ctx, a.say("mend_sure"), "--yes")
		if err != nil {
			return err
		}
		if !ok {
			return masu.E(masu.Cancelled, "mend_declined", sentence, commands)
		}
	}
	p := a.progress(false)
	for i, argv := range f.Commands {
		if err := a.runCommandLine(ctx, p, a.shown(f)[i], argv, f.Root); err != nil {
			p.end(true)
			return err
		}
	}
	p.end(false)
	return nil
}

// runCommandLine runs one command and shows its output as a step.
func (a *app) runCommandLine(ctx context.Context, p *progress, line string, argv []string, root bool) error {
	argv, err := a.program(argv, root)
	if err != nil {
		return err
	}
	p.tell(masu.Progress{Step: line, Name: line, State: masu.StepRunning})
	r, w := io.Pipe()
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
	cmd.Stdout, cmd.Stderr = w, w
	read := make(chan struct{})
	go func() {
		defer close(read)
		s := bufio.NewScanner(r)
		s.Buffer(nil, 1<<20)
		for s.Scan() {
			p.tell(masu.Progress{Step: line, Line: s.Text()})
		}
		io.Copy(io.Discard, r) // a line too long to show must not block the command
	}()
	err = cmd.Run()
	w.Close()
	<-read
	if err == nil {
		p.tell(masu.Progress{Step: line, State: masu.StepDone})
		return nil
	}
	p.tell(masu.Progress{Step: line, State: masu.StepFailed})
	if ctx.Err() != nil {
		return ctx.Err()
	}
	code := -1
	if e, ok := errors.AsType[*exec.ExitError](err); ok {
		code = e.ExitCode()
	}
	return masu.E(masu.Unreachable, "mend_failed", line, code).Because(err)
}

// program turns a finding's argv into what is run here: masu is this very
// program, wherever it lies, and root is reached by sudo.
func (a *app) program(argv []string, root bool) ([]string, error) {
	if argv[0] == "masu" {
		self, err := os.Executable()
		if err != nil {
			return nil, err
		}
		argv = append([]string{self}, argv[1:]...)
	}
	if root && os.Geteuid() != 0 {
		sudo := []string{"sudo"}
		if !a.interactive() {
			sudo = append(sudo, "-n")
		}
		argv = append(append(sudo, "--"), argv...)
	}
	return argv, nil
}

// shellLine writes an argv as a person would type it.
func shellLine(argv []string) string {
	words := make([]string, len(argv))
	for i, w := range argv {
		if w == "" || strings.ContainsAny(w, " \t\n'\"\\$`&|;<>()*?[]{}~#!") {
			w = "'" + strings.ReplaceAll(w, "'", `'\''`) + "'"
		}
		words[i] = w
	}
	return strings.Join(words, " ")
}
