package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/masu-lab/masu"
	"github.com/masu-lab/masu/internal/docker"
	"github.com/masu-lab/masu/internal/host"
	"github.com/masu-lab/masu/internal/kube"
	"github.com/masu-lab/masu/internal/lab"
	"github.com/masu-lab/masu/internal/move"
	"github.com/masu-lab/masu/internal/sqlite"
	"github.com/masu-lab/masu/internal/text"
)

// journalName is the file in the state folder in which it stands how far a move came.
const journalName = "migrate.json"

func (a *app) migrateCommand() *cobra.Command {
	var state, to string
	var dry bool
	var c *cobra.Command
	c = a.command("migrate", "migrate", groupServer, a.args(0, 0), func(ctx context.Context, _ []string) error {
		file, err := readConfig(to)
		if err != nil {
			return err
		}
		if !file.Kube.on() {
			return masu.E(masu.Invalid, "migrate_where", to)
		}
		o := a.serveDefaults()
		o.fill(c.Flags(), a.getenv, file)
		o.state, o.socket = state, a.ownSocket()
		return a.migrate(ctx, o, dry)
	})
	a.stateFlag(c, &state)
	c.Flags().StringVar(&to, "to", a.configPath(), "")
	c.Flags().Lookup("to").DefValue = "/etc/masu/config.yaml"
	c.Flags().BoolVar(&dry, "dry-run", false, "")
	a.jsonFlag(c)
	return c
}

// migrate looks, or looks and carries. The daemon may be at work only while
// this looks: whoever carries must be the only one who starts boxes.
func (a *app) migrate(ctx context.Context, o serveOptions, dry bool) (err error) {
	if _, err := os.Lstat(storePath(o.state)); err != nil {
		return masu.E(masu.NotFound, "store_missing", storePath(o.state)).Because(err)
	}
	if !dry {
		lock, err := openState(o.state, o.socket)
		if err != nil {
			return err
		}
		defer lock.Close()
	}
	log := slog.New(slog.DiscardHandler)
	if a.debug {
		log = a.serveLog()
	}
	store, err := sqlite.Open(ctx, sqlite.Config{Path: storePath(o.state), Reserve: -1, Log: log})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	if err := store.VerifyEvents(ctx); err != nil { // what stays must be sound
		return err
	}
	m, shut, err := o.mover(ctx, store, dry, log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, shut()) }()
	p, err := m.Plan(ctx)
	if err != nil {
		return err
	}
	if !dry {
		p, err = m.Carry(ctx, p, a.carrying)
	}
	if terr := a.migrated(p, dry); terr != nil || err != nil {
		return errors.Join(err, terr)
	}
	if n := p.Left(); n > 0 && !dry {
		return masu.E(masu.Conflict, "migrate_left", n)
	}
	return nil
}

// mover opens both ends. One that only looks leaves nothing at either of them.
func (o serveOptions) mover(ctx context.Context, store *sqlite.Store, dry bool, log *slog.Logger) (m *move.Move, shut func() error, err error) {
	var id string
	if err := store.View(ctx, func(tx masu.Tx) (err error) {
		id, err = tx.Lab()
		return err
	}); err != nil {
		return nil, nil, err
	}
	rules, err := o.policy.policy(lab.Policy{})
	if err != nil {
		return nil, nil, err
	}
	machine, err := host.New(host.Config{Root: !personal(), RunDir: filepath.Dir(o.socket), AdminGroups: strings.Split(o.admins, ","), Members: o.members, Site: o.site, Log: log})
	if err != nil {
		return nil, nil, err
	}
	keep := o.state
	if dry {
		if keep, err = os.MkdirTemp("", "masu-migrate-"); err != nil {
			return nil, nil, err
		}
		defer os.RemoveAll(keep)
	}
	agent, err := agentCopy(keep)
	if err != nil {
		return nil, nil, err
	}
	from, err := docker.New(ctx, docker.Config{Address: o.engine, Lab: id, Agent: agent, Host: machine, RunDir: filepath.Dir(o.socket), Site: o.site, Beside: dry, Say: text.Say, Log: log})
	if err != nil {
		return nil, nil, err
	}
	to, err := o.destination(ctx, id, agent, dry, log)
	if err != nil {
		return nil, nil, errors.Join(err, from.Close())
	}
	c := move.Config{From: from, To: to, Store: store, Accounts: machine, Journal: filepath.Join(o.state, journalName),
		At: to.At(), Room: to.Room(), OneOwner: !o.kube.Sudo}
	for _, d := range rules.Datasets {
		c.Shared = append(c.Shared, d.Folder)
	}
	shut = func() error { return errors.Join(to.Close(), from.Close()) }
	if m, err = move.New(c); err != nil {
		return nil, nil, errors.Join(err, shut())
	}
	return m, shut, nil
}

// destination reaches the cluster; unless it is only to be looked at, masu itself is brought there.
func (o serveOptions) destination(ctx context.Context, id, agent string, dry bool, log *slog.Logger) (*kube.Runtime, error) {
	c, err := o.kube.config()
	if err != nil {
		return nil, err
	}
	ref := agentImage(agent)
	c.Lab, c.Agent, c.Log = id, c.Registry+"/"+string(ref), log
	to, err := kube.New(ctx, c)
	if err != nil || dry {
		return to, err
	}
	if err := bringAgent(ctx, to, ref, agent); err != nil {
		return nil, errors.Join(err, to.Close())
	}
	return to, nil
}

// carrying tells that a workspace begins to move, or how it ended.
func (a *app) carrying(s move.Step) {
	if s.Fate == move.Moves {
		a.note("migrate_begins", string(s.Owner)+"/"+s.Name, s.Home)
	}
}

// migrated shows what becomes of each workspace.
func (a *app) migrated(p move.Plan, dry bool) error {
	if a.json {
		return a.data(p)
	}
	t := a.table("col.workspace", "col.owner", "col.image", "col.home", "col.what", "col.why")
	for _, s := range p.Steps {
		why, image := "", ""
		if s.Why != nil {
			why = text.Strings(a.lang, s.Why.Code, s.Why.Args) + " " + text.Strings(a.lang, s.Why.Code+".fix", s.Why.Args)
		}
		if s.Image != move.NoImage {
			image = a.say("migrate_image." + string(s.Image))
		}
		t.row(s.Name, string(s.Owner), image, s.Home.String(), a.say("migrate_fate."+string(s.Fate)), why)
	}
	t.write()
	a.note("migrate_box")
	if p.Reservations > 0 {
		a.note("migrate_reservations", p.Reservations)
	}
	switch {
	case dry:
		a.note("migrate_dry")
	case p.Left() == 0:
		a.note("migrate_done")
	}
	return nil
}
