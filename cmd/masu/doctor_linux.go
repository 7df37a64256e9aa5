package main

import (
	"cmp"
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/masu-lab/masu"
	"github.com/masu-lab/masu/internal/doctor"
	"github.com/masu-lab/masu/internal/gpu"
)

func (a *app) doctorCommand() *cobra.Command {
	var fix, yes, startEngine bool
	c := a.command("doctor", "doctor", groupServer, a.args(0, 0), func(ctx context.Context, _ []string) error {
		if startEngine {
			return a.startEngine(ctx)
		}
		// A daemon that answers holds its port itself.
		s, err := a.connect(ctx)
		conf := a.doctorConfig(err != nil)
		if err == nil {
			defer s.Close()
			conf.Board = s.Board
			if h, err := s.Whoami(ctx); err == nil {
				conf.SSH = h.SSH
			}
		}
		findings := doctor.Examine(ctx, conf)
		if a.json {
			if err := a.data(findings); err != nil {
				return err
			}
		} else {
			a.showFindings(findings)
		}
		if fix {
			return a.mendAll(ctx, findings, yes)
		}
		if _, failed := firstFail(findings); failed {
			return passed(exitFailed)
		}
		return nil
	})
	c.Flags().BoolVar(&fix, "fix", false, "")
	c.Flags().BoolVarP(&yes, "yes", "y", false, "")
	c.Flags().BoolVar(&startEngine, "start-engine", false, "")
	a.jsonFlag(c)
	return c
}

// doctorConfig says what to examine; port tells whether the daemon's port must be free.
func (a *app) doctorConfig(port bool) doctor.Config {
	c := doctor.Config{Socket: a.getenv("MASU_ENGINE"), StateDir: a.stateDir(), Getenv: a.getenv}
	if port {
		c.Listen = cmp.Or(a.getenv("MASU_LISTEN"), defaultListen)
	}
	file, _ := readConfig(a.configPath()) // one that is wrong is told by masu config check
	if file.Kube.on() {
		c.Cluster = file.Kube.examine
		return c
	}
	if gpus, err := gpu.New(gpu.Config{Kinds: file.Policy.GPUs.CDI}); err == nil {
		c.Inventory, c.Devices = gpus, gpus.Devices
	}
	return c
}

func (a *app) startEngine(ctx context.Context) error {
	if err := doctor.StartEngine(ctx); err != nil {
		return err
	}
	a.note("engine_runs")
	return nil
}

var severityMarks = map[masu.Severity][2]string{
	masu.Good: {"✓", "\x1b[32m"},
	masu.Info: {"·", ""},
	masu.Warn: {"!", "\x1b[33m"},
	masu.Fail: {"✗", "\x1b[31m"},
}

func (a *app) showFindings(findings []masu.Finding) {
	wrong := false
	for _, f := range findings {
		sentence, fix := a.finding(f)
		mark, colour := severityMarks[f.Severity][0], severityMarks[f.Severity][1]
		if colour != "" && a.colourful(a.out) {
			mark = colour + mark + "\x1b[0m"
		}
		fmt.Fprintf(a.out, "%s %s: %s\n", mark, a.say("severity."+string(f.Severity)), sentence)
		if f.Severity == masu.Warn || f.Severity == masu.Fail {
			wrong = true
			if fix != "" {
				fmt.Fprintln(a.out, indent(fix))
			}
		}
	}
	if !wrong {
		a.note("doctor_all_good")
	}
}

// mendAll mends what can be mended, asking before each unless yes says so.
func (a *app) mendAll(ctx context.Context, findings []masu.Finding, yes bool) error {
	var last error
	for _, f := range findings {
		if (f.Severity != masu.Warn && f.Severity != masu.Fail) || len(f.Commands) == 0 {
			continue
		}
		if err := a.mend(ctx, f, yes); err != nil {
			if masu.KindOf(err) != masu.Cancelled {
				return err
			}
			last = err // declined: the others are asked all the same
		}
	}
	return last
}
