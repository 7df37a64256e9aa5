package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/masu-lab/masu"
)

func (a *app) execCommand() *cobra.Command {
	var o execOptions
	var dir string
	var env []string
	var root bool
	c := a.command("exec", "exec NAME COMMAND [ARG]...", groupWork, a.args(2, -1), func(ctx context.Context, args []string) error {
		argv := args[1:]
		if argv[0] == "--" {
			argv = argv[1:]
		}
		if len(argv) == 0 {
			return masu.E(masu.Invalid, "args_few", "masu exec", "masu exec NAME COMMAND [ARG]...")
		}
		return a.with(ctx, func(s service) error {
			e := masu.Exec{Argv: argv, Dir: dir, Env: env, Root: root}
			return a.passThrough(ctx, e, o, func(ctx context.Context, e masu.Exec) (int, error) {
				return s.Exec(ctx, args[0], e)
			})
		})
	})
	a.execFlags(c, &o)
	c.Flags().StringVarP(&dir, "workdir", "w", "", "")
	c.Flags().StringArrayVarP(&env, "env", "e", nil, "")
	c.Flags().BoolVar(&root, "root", false, "")
	c.ValidArgsFunction = a.completeNames
	return c
}

func (a *app) shellCommand() *cobra.Command {
	c := a.command("shell", "shell [NAME]", groupWork, a.args(0, 1), func(ctx context.Context, args []string) error {
		return a.with(ctx, func(s service) error {
			name, err := a.which(ctx, s, args)
			if err != nil {
				return err
			}
			_, tty := terminal(a.in)
			o := execOptions{stdin: true, tty: tty}
			return a.passThrough(ctx, masu.Exec{Argv: loginShell}, o, func(ctx context.Context, e masu.Exec) (int, error) {
				return s.Exec(ctx, name, e)
			})
		})
	})
	c.Annotations["passes"] = "yes"
	c.ValidArgsFunction = a.completeNames
	return c
}

// loginShell is the member's own shell, or what the image has instead.
var loginShell = []string{"/bin/sh", "-c", `for s in "$SHELL" /bin/bash /bin/sh; do [ -x "$s" ] && exec "$s" -l; done`}
