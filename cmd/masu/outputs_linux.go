package main

import (
	"context"
	"os"

	"github.com/spf13/cobra"

	"github.com/masu-lab/masu"
	"github.com/masu-lab/masu/internal/outputs"
)

// outputsCommand is what the agent of a box runs as the member; nobody types
// it. Its standard input is a socket, on which it is asked and answers.
func (a *app) outputsCommand() *cobra.Command {
	c := a.command("outputs", "outputs FOLDER", groupOther, a.args(1, 1), func(ctx context.Context, args []string) error {
		return outputs.Serve(ctx, outputs.Config{
			Work: args[0], Runtime: outputs.RuntimeDir(os.Getenv), Jupyter: "http://127.0.0.1:8888", Lang: masu.Lang(os.Getenv("MASU_LANG")),
		}, os.Stdin, os.Stdin)
	})
	c.Hidden = true
	return c
}
