package main

import (
	"context"
	"errors"
	"io/fs"
	"os"

	"github.com/spf13/cobra"

	"github.com/masu-lab/masu"
)

func (a *app) configCommand() *cobra.Command {
	c := a.command("config", "config", groupServer, a.knownCommand, nil)
	c.AddCommand(a.command("config.check", "check [FILE]", "", a.args(0, 1), func(_ context.Context, args []string) error {
		path := a.configPath()
		if len(args) > 0 {
			path = args[0]
		}
		if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
			return masu.E(masu.NotFound, "config_none", path)
		}
		c, err := readConfig(path)
		if err != nil {
			return err
		}
		if _, err := versionTable(c.Versions); err != nil {
			return err
		}
		if _, err := c.SSH.trust(); err != nil {
			return masu.E(masu.Invalid, "config_wrong", path, onOneLine(err)).Because(err)
		}
		o := serveOptions{named: c.HostName, tls: c.TLS, appsDomain: domain(c.Apps)}
		if err := o.certify(a.serveLog()); err != nil {
			return err
		}
		a.note("config_right", path)
		return nil
	}), a.configShowCommand())
	return c
}
