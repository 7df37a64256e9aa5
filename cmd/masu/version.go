package main

import (
	"context"
	"runtime"

	"github.com/spf13/cobra"
)

func (a *app) versionCommand() *cobra.Command {
	c := a.command("version", "version", groupOther, a.args(0, 0), func(context.Context, []string) error { return a.version() })
	a.jsonFlag(c)
	return c
}

func (a *app) version() error {
	if a.json {
		return a.data(map[string]string{"version": version, "commit": commit, "go": runtime.Version(), "platform": runtime.GOOS + "/" + runtime.GOARCH})
	}
	a.print("masu", version, "("+commit+")")
	return nil
}
