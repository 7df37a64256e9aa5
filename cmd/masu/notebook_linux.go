package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/masu-lab/masu"
	"github.com/masu-lab/masu/internal/execute"
)

// exitEnded is the exit code of what was ended by SIGTERM, as shells give it.
const exitEnded = 143

// notebookCommand is what a run of a notebook runs in its box; nobody types it.
func (a *app) notebookCommand() *cobra.Command {
	var o notebookOptions
	c := a.command("notebook", "notebook IN OUT", groupOther, a.args(2, 2), func(ctx context.Context, args []string) error {
		j := execute.Job{In: args[0], Out: args[1], Parameters: o.parameters, Say: a.note, Print: a.out}
		err := j.Run(ctx)
		switch {
		case ctx.Err() != nil:
			return passed(exitEnded)
		case masu.CodeOf(err) == "cell_failed" || masu.CodeOf(err) == "kernel_died":
			a.tell(err)
			return passed(exitFailed)
		case err == nil:
			a.note("notebook_done", args[1])
		}
		return err
	})
	c.Hidden = true
	o.flags(c.Flags())
	return c
}
