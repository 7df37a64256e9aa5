//go:build !linux

package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/masu-lab/masu"
)

// What only a server does stands in the help of a laptop too, and says where it is to be run.

func (a *app) serveCommand() *cobra.Command     { return a.serverCommand("serve", groupServer) }
func (a *app) configCommand() *cobra.Command    { return a.serverCommand("config", groupServer) }
func (a *app) kubeCommand() *cobra.Command      { return a.serverCommand("kube", groupServer) }
func (a *app) doctorCommand() *cobra.Command    { return a.serverCommand("doctor", groupServer) }
func (a *app) ejectCommand() *cobra.Command     { return a.serverCommand("eject", groupMake) }
func (a *app) backupCommand() *cobra.Command    { return a.serverCommand("backup", groupServer) }
func (a *app) restoreCommand() *cobra.Command   { return a.serverCommand("restore", groupServer) }
func (a *app) migrateCommand() *cobra.Command   { return a.serverCommand("migrate", groupServer) }
func (a *app) dbCommand() *cobra.Command        { return a.serverCommand("db", groupServer) }
func (a *app) dialStdioCommand() *cobra.Command { return a.serverCommand("dial-stdio", groupOther) }
func (a *app) notebookCommand() *cobra.Command  { return a.serverCommand("notebook", groupOther) }
func (a *app) outputsCommand() *cobra.Command   { return a.serverCommand("outputs", groupOther) }

func (a *app) serverCommand(name, group string) *cobra.Command {
	c := a.command(name, name, group, cobra.ArbitraryArgs, func(context.Context, []string) error { return a.onServer("masu " + name) })
	c.DisableFlagParsing = true
	return c
}

func (a *app) dialStdio(context.Context) error { return a.onServer("masu dial-stdio") }

// agentMain has nothing to do: there are no boxes here.
func agentMain([]string) int { return exitUsage }

// connectOrStart finds the daemon.
func (a *app) connectOrStart(ctx context.Context, _ bool) (service, error) { return a.connect(ctx) }

// projectDir leaves a folder as it was said: see farDir.
func (a *app) projectDir(dir string, _ bool) (string, error) {
	if a.server == nil {
		return "", masu.E(masu.Invalid, "no_server")
	}
	return dir, nil
}
