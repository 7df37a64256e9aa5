package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/masu-lab/masu"
)

// completeTime bounds what a press on Tab may wait for.
const completeTime = time.Second

func (a *app) completionCommand() *cobra.Command {
	c := a.command("completion", "completion bash|zsh|fish|powershell", groupOther, a.args(1, 1), nil)
	c.ValidArgs = []string{"bash", "zsh", "fish", "powershell"}
	c.RunE = func(c *cobra.Command, args []string) error {
		root := c.Root()
		switch args[0] {
		case "bash":
			return root.GenBashCompletionV2(a.out, true)
		case "zsh":
			return root.GenZshCompletion(a.out)
		case "fish":
			return root.GenFishCompletion(a.out, true)
		case "powershell":
			return root.GenPowerShellCompletionWithDesc(a.out)
		}
		return masu.E(masu.Invalid, "shell_unknown", args[0])
	}
	return c
}

// completeNames offers the member's workspaces. It says nothing when there is
// no daemon: an error in the middle of a command line helps nobody.
func (a *app) completeNames(c *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	ctx, cancel := context.WithTimeout(c.Context(), completeTime)
	defer cancel()
	var names []cobra.Completion
	_ = a.with(ctx, func(s service) error {
		all, err := s.Workspaces(ctx, false)
		for _, w := range all {
			names = append(names, cobra.CompletionWithDesc(w.Name, a.phase(w.Phase)))
		}
		return err
	})
	return names, cobra.ShellCompDirectiveNoFileComp
}
