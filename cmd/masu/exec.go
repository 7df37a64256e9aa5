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
	var c *cobra.Command
	c = a.command("exec", "exec NAME COMMAND [ARG]...", groupWork, a.args(1, -1), func(ctx context.Context, args []string) error {
		var names []string
		if c.ArgsLenAtDash() != 0 { // "exec -- COMMAND" means the workspace of this folder
			names, args = args[:1], args[1:]
		}
		if len(args) > 0 && args[0] == "--" {
			args = args[1:]
		}
		if len(args) == 0 {
			return masu.E(masu.Invalid, "args_few", "masu exec", "masu exec NAME COMMAND [ARG]...")
		}
		return a.with(ctx, func(s service) error {
			name, err := a.which(ctx, s, names)
			if err != nil {
				return err
			}
			e := masu.Exec{Argv: args, Dir: dir, Env: env, Root: root}
			return a.passThrough(ctx, e, o, func(ctx context.Context, e masu.Exec) (int, error) {
				return s.Exec(ctx, name, e)
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
