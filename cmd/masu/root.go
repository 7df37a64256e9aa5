package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/masu-lab/masu"
)

// Groups of commands in the help.
const (
	groupWork   = "work"
	groupMake   = "make"
	groupServer = "server"
	groupOther  = "other"
)

// root is the whole command tree.
func (a *app) root() *cobra.Command {
	var showVersion bool
	root := &cobra.Command{
		Use:           "masu",
		Annotations:   map[string]string{"key": "masu"},
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          a.knownCommand,
		RunE: func(c *cobra.Command, args []string) error {
			if showVersion {
				return a.version()
			}
			return c.Help()
		},
		CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true},
	}
	root.PersistentPreRunE = func(c *cobra.Command, args []string) error { return a.checkGlobals(c) }
	for _, g := range []string{groupWork, groupMake, groupServer, groupOther} {
		root.AddGroup(&cobra.Group{ID: g, Title: a.say("group." + g)})
	}
	ordered := []*cobra.Command{
		a.upCommand(), a.openCommand(), a.forwardCommand(), a.lsCommand(), a.stopCommand(), a.rmCommand(), a.shellCommand(), a.sshCommand(), a.sshConfigCommand(), a.codeCommand(), a.appCommand(),
		a.cpCommand(), a.syncCommand(), a.execCommand(), a.runCommand(), a.runsCommand(), a.logsCommand(), a.gpusCommand(), a.extendCommand(), a.releaseCommand(), a.reserveCommand(), a.usageCommand(),
		a.initCommand(), a.buildCommand(), a.lockCommand(), a.diffCommand(), a.keepCommand(), a.imagesCommand(), a.environmentsCommand(), a.shareCommand(), a.guestCommand(), a.ejectCommand(),
		a.doctorCommand(), a.checkCommand(), a.passwdCommand(), a.notifyCommand(), a.tokenCommand(), a.sessionsCommand(), a.keysCommand(), a.serveCommand(), a.configCommand(), a.kubeCommand(),
		a.adminCommand(), a.adoptCommand(), a.unadoptCommand(), a.auditCommand(), a.backupCommand(), a.restoreCommand(), a.migrateCommand(), a.dbCommand(),
		a.contextCommand(), a.versionCommand(), a.completionCommand(), a.manCommand(), a.notebookCommand(), a.outputsCommand(), a.dialStdioCommand(),
	}
	for i, c := range ordered {
		c.Annotations["order"] = fmt.Sprintf("%02d", i)
	}
	root.AddCommand(ordered...)
	help := a.helpCommand(root)
	root.AddCommand(help, a.sshProxyCommand())
	root.SetHelpCommand(help)
	root.SetHelpFunc(func(c *cobra.Command, _ []string) { a.help(c) })
	root.SetUsageFunc(func(c *cobra.Command) error { a.help(c); return nil })
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		a.passing = c.Annotations["passes"] != ""
		return flagError(err, c.CommandPath())
	})
	p := root.PersistentFlags()
	p.StringVarP(&a.host, "host", "H", "", "")
	p.String("lang", "", "") // read before parsing: app.language
	p.BoolVar(&a.debug, "debug", false, "")
	p.BoolP("help", "h", false, "")
	root.Flags().BoolVarP(&showVersion, "version", "v", false, "")
	a.describe(root)
	return root
}

// describe fills in the texts of a command and its flags, and those below it.
func (a *app) describe(c *cobra.Command) {
	key := c.Annotations["key"]
	c.Short = a.say("help." + key)
	c.Long = a.optional("help." + key + ".long")
	c.Example = a.optional("help." + key + ".examples")
	c.DisableFlagsInUseLine = true
	c.Flags().SortFlags = false
	fill := func(f *pflag.Flag) {
		if f.Usage = a.optional("flag." + key + "." + f.Name); f.Usage == "" {
			f.Usage = a.say("flag." + f.Name)
		}
	}
	c.LocalNonPersistentFlags().VisitAll(fill)
	c.PersistentFlags().VisitAll(fill)
	for _, below := range c.Commands() {
		a.describe(below)
	}
}

func (a *app) optional(code string) string {
	if s := a.say(code); s != code {
		return s
	}
	return ""
}

func (a *app) checkGlobals(c *cobra.Command) error {
	if l := c.Flag("lang").Value.String(); l != "" && l != string(masu.Japanese) && l != string(masu.English) {
		return masu.E(masu.Invalid, "lang_not_spoken", l)
	}
	a.passing = c.Annotations["passes"] != ""
	return a.checkServer(c)
}

// knownCommand refuses what is no command and names the nearest one.
func (a *app) knownCommand(c *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	if c.SuggestionsMinimumDistance <= 0 {
		c.SuggestionsMinimumDistance = 2
	}
	if near := c.SuggestionsFor(args[0]); len(near) > 0 {
		return masu.E(masu.Invalid, "command_near", c.CommandPath()+" "+args[0], c.CommandPath()+" "+strings.Join(near, ", "+c.CommandPath()+" "))
	}
	return masu.E(masu.Invalid, "command_unknown", c.CommandPath()+" "+args[0], c.CommandPath())
}

// jsonFlag gives a command the flag --json.
func (a *app) jsonFlag(c *cobra.Command) { c.Flags().BoolVar(&a.json, "json", false, "") }

func (a *app) helpCommand(root *cobra.Command) *cobra.Command {
	return a.command("help", "help [COMMAND]", groupOther, cobra.ArbitraryArgs, func(_ context.Context, args []string) error {
		c, rest, err := root.Find(args)
		if err != nil || len(rest) > 0 {
			return a.knownCommand(root, args)
		}
		a.help(c)
		return nil
	})
}
