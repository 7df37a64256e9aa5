package main

import (
	"context"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/masu-lab/masu"
)

// completeTime bounds what a press on Tab may wait for.
const completeTime = time.Second

func (a *app) completionCommand() *cobra.Command {
	c := a.command("completion", "completion bash|zsh|fish|powershell", groupOther, a.args(1, 1), nil)
	c.ValidArgs = []string{"bash", "zsh", "fish", "powershell"}
	c.RunE = func(c *cobra.Command, args []string) error { return completion(c.Root(), args[0], a.out) }
	return c
}

// completion writes what makes a shell complete masu's commands.
func completion(root *cobra.Command, shell string, to io.Writer) error {
	switch shell {
	case "bash":
		return root.GenBashCompletionV2(to, true)
	case "zsh":
		return root.GenZshCompletion(to)
	case "fish":
		return root.GenFishCompletion(to, true)
	case "powershell":
		return root.GenPowerShellCompletionWithDesc(to)
	}
	return masu.E(masu.Invalid, "shell_unknown", shell)
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
		all, open, err := a.ownAndOpen(ctx, s)
		for _, w := range open {
			names = append(names, cobra.CompletionWithDesc(string(w.Owner)+"/"+w.Name, a.phase(w.Phase)))
		}
		for _, w := range all {
			names = append(names, cobra.CompletionWithDesc(w.Name, a.phase(w.Phase)))
		}
		return err
	})
	return names, cobra.ShellCompDirectiveNoFileComp
}
