package main

import (
	"os"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"

	"github.com/masu-lab/masu"
)

func (a *app) manCommand() *cobra.Command {
	c := a.command("man", "man DIR", groupOther, a.args(1, 1), nil)
	c.Hidden = true
	c.RunE = func(c *cobra.Command, args []string) error {
		if err := os.MkdirAll(args[0], 0o755); err != nil {
			return masu.E(masu.Invalid, "cannot_write", args[0]).Because(err)
		}
		if err := manPages(c.Root(), args[0]); err != nil {
			return masu.E(masu.Invalid, "cannot_write", args[0]).Because(err)
		}
		return nil
	}
	return c
}

// manPages writes a page for each command into a folder.
func manPages(root *cobra.Command, dir string) error {
	root.DisableAutoGenTag = true // a date would make two builds differ
	return doc.GenManTree(root, &doc.GenManHeader{Section: "1", Source: "masu " + version, Manual: "masu"}, dir)
}
