package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/coreos/go-systemd/v22/daemon"
	"golang.org/x/crypto/ssh"
	"golang.org/x/sync/errgroup"

	"github.com/masu-lab/masu"
	"github.com/masu-lab/masu/internal/api"
	"github.com/masu-lab/masu/internal/doctor"
	"github.com/masu-lab/masu/internal/host"
	"github.com/masu-lab/masu/internal/lab"
	"github.com/masu-lab/masu/internal/metrics"
	"github.com/masu-lab/masu/internal/project"
	"github.com/masu-lab/masu/internal/recipe"
	"github.com/masu-lab/masu/internal/sqlite"
	"github.com/masu-lab/masu/internal/sshd"
	"github.com/masu-lab/masu/internal/text"
	"github.com/masu-lab/masu/internal/web"
)

// parts is the daemon, put together.
type parts struct {
	facts   *facts
	store   masu.Store
	engine  *engine
	lab     *lab.Lab
	web     *web.Server
	api     *api.Server
	ssh     *sshd.Server
	counted *metrics.Set
	close   []io.Closer // in the order in which they were opened
}

func (p *parts) shut(log *slog.Logger) {
	for i := len(p.close) - 1; i >= 0; i-- {
		if err := p.close[i].Close(); err != nil {
			log.Warn("closing", "error", err)
		}
	}
}

// serve runs the daemon until ctx ends. Boxes go on without it.
func (a *app) serve(ctx context.Context, o serveOptions) error {
	log := a.serveLog()
	collectOften()
	if !personal() {
		// What is made here has the mode that is written where it is made: members
		// must reach the socket, and a base image must be anybody's to read.
		syscall.Umask(0o022)
	}
	if err := o.certify(log); err != nil {
		return err
	}
	if o.lease != "" {
		return a.lead(ctx, o, log, func(ctx context.Context) error { return a.serveLab(ctx, o, log) })
	}
	return a.serveLab(ctx, o, log)
}

// serveLab is serve once the lab is this daemon's alone.
func (a *app) serveLab(ctx context.Context, o serveOptions, log *slog.Logger) error {
	lock, err := openState(o.state, o.socket)
	if err != nil {
		return err
	}
	defer lock.Close()
	pages, err := listenPages(ctx, o.listen)
	if err != nil {
		return err
	}
	defer pages.Close()
	gateway, err := o.listenSSH(ctx, log)
	if err != nil {
		return err
	}
	if gateway != nil {
		defer gateway.Close()
	}
	p, err := a.assemble(ctx, o, pages.Addr().(*net.TCPAddr).Port, log)
	if err != nil {
		return err
	}
	defer p.shut(log)
	mode := os.FileMode(0o666) // every login may knock; the kernel says who it is
	if personal() {
		mode = 0o600
	}
	socket, err := api.Listen(o.socket, mode)
	if err != nil {
		return err
	}
	if !o.loopback() && !o.tls.on() {
		a.note("serve_plain_http", o.listen)
	}
	log.Info("serving", "pages", pages.Addr().String(), "socket", o.socket, "state", o.state, "version", version)
	if _, err := daemon.SdNotify(false, daemon.SdNotifyReady); err != nil {
		log.Warn("systemd", "error", err)
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return letGo(ctx, log) })
	g.Go(func() error { return p.facts.run(ctx) })
	g.Go(func() error { return p.engine.run(ctx) })
	g.Go(func() error { return p.lab.Run(ctx) })
	g.Go(func() error { return p.web.Run(ctx) })
	g.Go(func() error { return p.api.Serve(ctx, socket) })
	g.Go(func() error { return p.ssh.Run(ctx) })
	if gateway != nil {
		g.Go(func() error { return p.ssh.Serve(ctx, gateway) })
	}
	g.Go(func() error { return servePages(ctx, o.sealed(pages), p.web.Handler(), log) })
	err = g.Wait()
	if _, nerr := daemon.SdNotify(false, daemon.SdNotifyStopping); nerr != nil {
		log.Warn("systemd", "error", nerr)
	}
	log.Info("stopped; boxes go on", "error", err)
	return err
}

// assemble makes the parts of the daemon; what it has opened is closed again when one fails.
func (a *app) assemble(ctx context.Context, o serveOptions, port int, log *slog.Logger) (_ *parts, err error) {
	p := &parts{}
	defer func() {
		if err != nil {
			p.shut(log)
		}
	}()
	store, err := sqlite.Open(ctx, sqlite.Config{Path: filepath.Join(o.state, "masu.db"), Log: log})
	if err != nil {
		return nil, err
	}
	p.store, p.close = store, append(p.close, store)
	var id string
	if err := store.View(ctx, func(tx masu.Tx) (err error) {
		id, err = tx.Lab()
		return err
	}); err != nil {
		return nil, err
	}
	runDir := filepath.Dir(o.socket)
	machine, err := host.New(host.Config{Root: !personal(), RunDir: runDir, AdminGroups: strings.Split(o.admins, ","), Members: o.members, NoLAN: o.noLAN, Site: o.site, Log: log})
	if err != nil {
		return nil, err
	}
	runtime, err := o.openEngine(ctx, id, machine, log)
	if err != nil {
		return nil, err
	}
	p.close = append(p.close, runtime)
	p.facts, p.engine = newFacts(runtime.gpus, o.site), runtime
	origins, err := web.NewOrigins(o.origins(port))
	if err != nil {
		return nil, err
	}
	c, err := o.labConfig(p.facts)
	if err != nil {
		return nil, err
	}
	c.Store, c.Runtime, c.Inventory, c.Origins, c.Examine, c.Log = store, runtime.Runtime, runtime.gpus, origins, examiner(o, p), log
	c.Accounts, c.Folders, c.Bases, c.Usage = machine, machine, machine.Bases(), machine.Usage
	c.Process, c.Shelf = machine.Process, host.NewShelf(filepath.Join(o.state, "programs"))
	key, err := o.hostKey(&c)
	if err != nil {
		return nil, err
	}
	p.counted = metrics.New()
	c.Metrics = p.counted
	c.KeyFile, c.ReadKeys = machine.AuthorizedKeys, sshd.ReadKeys
	if p.lab, err = lab.New(c); err != nil {
		return nil, err
	}
	return p, a.doors(p, o, machine, origins, key, log)
}

// labConfig is what the lab is told, beside the parts that it is made of.
func (o serveOptions) labConfig(f *facts) (c lab.Config, err error) {
	c = lab.Config{
		Read: project.Read, Compose: project.Compose, Context: project.Context, NameFor: project.NameFor, Text: project.Text, Keep: project.Keep, SetApps: project.SetApps,
		Host: f.host, Room: roomAt, Vouch: o.pam.vouch(), Say: sentence, State: o.state, Site: o.site, CAs: authorities(o.site),
		Version: version, HostName: o.hostName, Personal: personal(), UID: os.Geteuid(),
	}
	if c.Policy, err = o.policy.policy(lab.DefaultPolicy(f.machine())); err != nil {
		return c, err
	}
	c.Policy.PublicBoard = o.wall
	if c.Versions, err = versionTable(o.versions); err != nil {
		return c, err
	}
	c.Notifier, err = o.notify.sender(o.mail, o.site)
	return c, err
}

// doors makes the ways in: ssh, the socket and tokens, and the pages.
func (a *app) doors(p *parts, o serveOptions, machine *host.Host, origins *web.Origins, key ssh.Signer, log *slog.Logger) (err error) {
	trust, err := o.ssh.trust()
	if err != nil {
		return err
	}
	certified, err := o.ssh.certified(key)
	if err != nil {
		return err
	}
	if p.ssh, err = sshd.New(sshd.Config{Gate: p.lab, As: p.lab.As, HostKey: key, HostCert: certified, Trust: trust,
		AgentForwarding: o.ssh.AgentForwarding != sshOff, Say: text.Strings, Log: log}); err != nil {
		return err
	}
	p.api, err = api.NewServer(api.ServerConfig{Identify: machine.Peer, Gate: p.lab, Accounts: machine, As: p.lab.As, SSH: p.ssh.ServeVouched, Metrics: p.counted, Version: version, Log: log})
	if err != nil {
		return err
	}
	sso, ssoName, err := o.oidc.provider(origins.Pages())
	if err != nil {
		return err
	}
	p.web, err = web.New(web.Config{Health: newHealth(ready(p.store, p.engine)), Wall: p.lab.PublicBoard, Metrics: p.counted, Gate: p.lab, As: p.lab.As, Template: project.Template, API: p.api.TokenHandler(), SSO: sso, SSOName: ssoName, Origins: origins, Log: log, Version: version, HostName: o.hostName})
	return err
}

// examiner gives what the admin's page shows of doctor. The port is the daemon's own.
func examiner(o serveOptions, p *parts) func(context.Context) []masu.Finding {
	return func(ctx context.Context) []masu.Finding {
		c := doctor.Config{Socket: o.engine, StateDir: o.state, Inventory: p.engine.gpus, Devices: p.engine.devices, Board: p.lab.Wall, Runtime: p.engine.Info, DiskLimit: p.lab.DiskLimit(), CertFile: o.tls.CertFile}
		if o.kube.on() {
			c.Cluster = o.kube.examine
		}
		return doctor.Examine(ctx, c)
	}
}

// versionTable is the admin's table, where there is one.
func versionTable(path string) (*recipe.Versions, error) {
	if path == "" {
		return nil, nil
	}
	return recipe.ReadVersions(path)
}

// servePages answers browsers until ctx ends, and a little longer for what is under way.
func servePages(ctx context.Context, l net.Listener, h http.Handler, log *slog.Logger) error {
	base, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	srv := &http.Server{
		Handler:           h,
		BaseContext:       func(net.Listener) context.Context { return base },
		ReadHeaderTimeout: headerTime,
		IdleTimeout:       idleTime,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
		// No time limit for bodies: uploads, live logs and notebooks last as long as they last.
	}
	ended := make(chan error, 1)
	go func() { ended <- srv.Serve(l) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	soon, cancel := context.WithTimeout(base, shutdownTime)
	defer cancel()
	if err := srv.Shutdown(soon); err != nil {
		_ = srv.Close() // those that are still there have had their time
	}
	if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
