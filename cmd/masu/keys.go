package main

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/masu-lab/masu"
)

// mostKeyFile bounds what is read of a file that should hold a key.
const mostKeyFile = 64 << 10

func (a *app) keysCommand() *cobra.Command {
	c := a.command("keys", "keys", groupServer, a.knownCommand, nil)
	c.AddCommand(a.keysLsCommand(), a.keysAddCommand(), a.keysRmCommand())
	return c
}

func (a *app) keysLsCommand() *cobra.Command {
	c := a.command("keys.ls", "ls", "", a.args(0, 0), func(ctx context.Context, _ []string) error {
		return a.with(ctx, func(s service) error {
			list, err := s.Keys(ctx)
			if err != nil {
				return err
			}
			if a.json {
				if list == nil {
					list = []masu.SSHKey{}
				}
				return a.data(list)
			}
			t := a.table("col.fingerprint", "col.name", "col.source", "col.used")
			for _, k := range list {
				used, from := "", "masu"
				if k.File {
					from = "authorized_keys"
				}
				if !k.UsedAt.IsZero() {
					used = k.UsedAt.Local().Format("2006-01-02 15:04")
				}
				t.row(k.Fingerprint, plain(k.Name), from, used)
			}
			t.write()
			h, err := s.Whoami(ctx)
			if err == nil && h.SSH.Port != 0 {
				a.note("ssh_door", h.SSH.Port, h.SSH.Host, h.SSH.Fingerprint)
			}
			return err
		})
	})
	a.jsonFlag(c)
	return c
}

func (a *app) keysAddCommand() *cobra.Command {
	var name string
	c := a.command("keys.add", "add FILE", "", a.args(1, 1), func(ctx context.Context, args []string) error {
		line, err := a.publicKey(args[0])
		if err != nil {
			return err
		}
		return a.with(ctx, func(s service) error {
			k, err := s.AddKey(ctx, line, name)
			if err == nil {
				a.note("key_added", k.Fingerprint)
			}
			return err
		})
	})
	c.Flags().StringVar(&name, "name", "", "")
	return c
}

// publicKey gives the text of a key file, of the standard input, or of the key
// itself, which people paste. The other half of a key must not leave its owner's hands.
func (a *app) publicKey(arg string) (string, error) {
	var in io.Reader
	switch f, err := os.Open(arg); {
	case arg == "-":
		in = a.in
	case err == nil:
		defer f.Close()
		in = f
	case strings.Contains(arg, " AAAA"):
		in = strings.NewReader(arg)
	case errors.Is(err, fs.ErrNotExist):
		return "", masu.E(masu.NotFound, "key_file", arg).Because(err)
	default:
		return "", masu.E(masu.Denied, "key_file", arg).Because(err)
	}
	b, err := io.ReadAll(io.LimitReader(in, mostKeyFile))
	if err != nil {
		return "", masu.E(masu.Invalid, "key_file", arg).Because(err)
	}
	if strings.Contains(string(b), "PRIVATE KEY") {
		return "", masu.E(masu.Invalid, "key_private", arg, arg+".pub")
	}
	return string(b), nil
}

func (a *app) keysRmCommand() *cobra.Command {
	return a.command("keys.rm", "rm FINGERPRINT...", "", a.args(1, -1), func(ctx context.Context, args []string) error {
		return a.with(ctx, func(s service) error {
			for _, f := range args {
				if err := s.RemoveKey(ctx, f); err != nil {
					return err
				}
				a.note("key_gone", f)
			}
			return nil
		})
	})
}
