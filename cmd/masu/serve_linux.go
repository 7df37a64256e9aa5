package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/masu-lab/masu"
)

// defaultListen is the guide's port, on loopback only.
const defaultListen = "127.0.0.1:8888"

type serveOptions struct {
	listen, sshListen, socket, state, engine, hostName, appPorts, admins string
	plainHTTP                                                            bool

	host        string // of listen; "" means every address
	named       string // hostName, when the admin gave it
	port        int
	first, last int // of appPorts
	tls         tlsConfig
	appsDomain  string // under which every app has a name; "" where there is no such wildcard name
	cert        *certificate
	site        masu.Site
	oidc        oidcConfig
	pam         pamConfig
	mail        mailConfig
	notify      notifyConfig
	versions    string       // an admin's table of versions; "" for the embedded one
	members     string       // the group that may use the lab; "" is everybody with a shell
	ssh         sshConfig    // what else the file says of the ssh gateway
	sshDoor     masu.SSHDoor // where it is
	wall        bool         // the GPUs' board for everybody who reaches the pages
	noLAN       bool         // boxes stay out of the private networks around the host
	policy      policyConfig
	kube        kubeConfig // the cluster that runs the boxes, if there is one
	lease       string     // NAMESPACE/NAME of that cluster's, by which one of several masu serves; "" is the only one
}

// serveDefaults is what holds where neither a flag nor the file says anything.
func (a *app) serveDefaults() serveOptions {
	return serveOptions{
		listen: cmp.Or(a.getenv("MASU_LISTEN"), defaultListen), sshListen: a.getenv("MASU_SSH_LISTEN"), plainHTTP: a.getenv("MASU_PLAIN_HTTP") == "1",
		appPorts: cmp.Or(a.getenv("MASU_APP_PORTS"), "8900-8999"), hostName: a.getenv("MASU_HOST_NAME"), engine: a.getenv("MASU_ENGINE"),
		admins: cmp.Or(a.getenv("MASU_ADMINS"), "sudo,wheel,masu-admin"),
	}
}

func (a *app) serveCommand() *cobra.Command {
	o := a.serveDefaults()
	var config, root string
	var install, uninstall, yes bool
	var c *cobra.Command
	c = a.command("serve", "serve", groupServer, a.args(0, 0), func(ctx context.Context, _ []string) error {
		switch {
		case install && uninstall:
			return masu.E(masu.Invalid, "flags_exclude", "--install, --uninstall")
		case install:
			return a.install(ctx, root, yes)
		case uninstall:
			return a.uninstall(ctx, root)
		}
		file, err := readConfig(config)
		if err != nil {
			return err
		}
		o.fill(c.Flags(), a.getenv, file)
		if err := o.validate(); err != nil {
			return err
		}
		return a.serve(ctx, o)
	})
	f := c.Flags()
	f.StringVar(&o.listen, "listen", o.listen, "")
	f.StringVar(&o.sshListen, "ssh-listen", o.sshListen, "")
	f.BoolVar(&o.plainHTTP, "plain-http", o.plainHTTP, "")
	f.StringVar(&o.appPorts, "app-ports", o.appPorts, "")
	f.StringVar(&o.hostName, "host-name", o.hostName, "")
	f.StringVar(&o.socket, "socket", a.ownSocket(), "")
	f.StringVar(&o.state, "state", a.stateDir(), "")
	f.StringVar(&o.engine, "engine", o.engine, "")
	f.StringVar(&config, "config", a.configPath(), "")
	f.StringVar(&o.lease, "lease", "", "")
	f.StringVar(&o.admins, "admins", o.admins, "")
	f.BoolVar(&install, "install", false, "")
	f.BoolVar(&uninstall, "uninstall", false, "")
	f.BoolVarP(&yes, "yes", "y", false, "")
	f.StringVar(&root, "root", "/", "") // for tests and for images of machines
	_ = f.MarkHidden("root")
	// What the help shows must not depend on who asks.
	f.Lookup("socket").DefValue, f.Lookup("state").DefValue = systemSocket, "/var/lib/masu"
	f.Lookup("config").DefValue = "/etc/masu/config.yaml"
	f.Lookup("listen").DefValue, f.Lookup("host-name").DefValue, f.Lookup("engine").DefValue, f.Lookup("ssh-listen").DefValue = defaultListen, "", "", ""
	return c
}

// validate refuses what cannot be served. An address that the network reaches
// needs a word of consent, because there is no encryption there.
func (o *serveOptions) validate() error {
	host, port, err := net.SplitHostPort(o.listen)
	if err != nil {
		return masu.E(masu.Invalid, "listen_wrong", o.listen).Because(err)
	}
	o.host, o.named = host, o.hostName
	if o.hostName == "" {
		o.hostName, _ = os.Hostname() // only shown to people
	}
	if o.port, err = strconv.Atoi(port); err != nil || o.port < 0 || o.port > 65535 {
		return masu.E(masu.Invalid, "listen_wrong", o.listen).Because(err)
	}
	if host != "localhost" && host != "" && net.ParseIP(host) == nil {
		return masu.E(masu.Invalid, "listen_wrong", o.listen)
	}
	if !o.loopback() && !o.plainHTTP && !o.tls.on() {
		return masu.E(masu.Invalid, "listen_plain", o.listen)
	}
	if err := (sshConfig{Listen: o.sshListen}).check(); err != nil {
		return masu.E(masu.Invalid, "ssh_listen_wrong", o.sshListen).Because(err)
	}
	first, last, ok := strings.Cut(o.appPorts, "-")
	if err := o.checkLease(); err != nil {
		return err
	}
	o.first, err = strconv.Atoi(first)
	if err != nil || !ok {
		return masu.E(masu.Invalid, "app_ports_wrong", o.appPorts).Because(err)
	}
	if o.last, err = strconv.Atoi(last); err != nil || o.first < 1024 || o.last < o.first || o.last > 65535 {
		return masu.E(masu.Invalid, "app_ports_wrong", o.appPorts).Because(err)
	}
	return nil
}

// loopback tells whether only this machine reaches the pages.
func (o *serveOptions) loopback() bool {
	return o.host == "localhost" || net.ParseIP(o.host).IsLoopback()
}

// serveLog writes text for people and JSON for systemd's journal.
func (a *app) serveLog() *slog.Logger {
	level := slog.LevelInfo
	if a.debug {
		level = slog.LevelDebug
	}
	o := &slog.HandlerOptions{Level: level}
	if a.getenv("JOURNAL_STREAM") != "" {
		return slog.New(slog.NewJSONHandler(a.err, o))
	}
	return slog.New(slog.NewTextHandler(a.err, o))
}

// openState makes the state folder, which only its owner may enter, and locks
// it: two daemons on one state would undo each other's work. The lock lasts
// until the file is closed.
func openState(dir, socket string) (*os.File, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, masu.E(masu.Invalid, "state_wrong", dir).Because(err)
	}
	info, err := os.Lstat(dir)
	if err != nil {
		return nil, masu.E(masu.Invalid, "state_wrong", dir).Because(err)
	}
	if st, ok := info.Sys().(*syscall.Stat_t); !ok || !info.IsDir() || int(st.Uid) != os.Geteuid() || info.Mode().Perm()&0o077 != 0 {
		return nil, masu.E(masu.Invalid, "state_wrong", dir)
	}
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, masu.E(masu.Invalid, "state_wrong", dir).Because(err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		return nil, masu.E(masu.Conflict, "serve_runs", socket).Because(err)
	}
	// For people who want to end the daemon; the lock itself is the kernel's.
	if err := errors.Join(f.Truncate(0), writePID(f)); err != nil {
		f.Close()
		return nil, masu.E(masu.Full, "state_full", dir).Because(err)
	}
	return f, nil
}

func writePID(f *os.File) error {
	_, err := fmt.Fprintln(f, os.Getpid())
	return err
}

// listenPages opens the pages' port.
func listenPages(ctx context.Context, address string) (net.Listener, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, masu.E(masu.Conflict, "port_taken", address).Because(err)
	}
	if errors.Is(err, fs.ErrPermission) {
		return nil, masu.E(masu.Denied, "port_denied_here", address).Because(err)
	}
	if err != nil {
		return nil, masu.E(masu.Invalid, "listen_wrong", address).Because(err)
	}
	return l, nil
}

const (
	headerTime   = 10 * time.Second // for the head of a request
	idleTime     = 2 * time.Minute  // between requests
	maxHeader    = 64 << 10         // Jupyter's cookies may be many
	shutdownTime = 5 * time.Second  // for requests in flight when the daemon ends
)
