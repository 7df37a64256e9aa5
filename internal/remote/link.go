package remote

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/masu-lab/masu"
)

// Config says how to reach a server.
type Config struct {
	Server  Server
	Program string    // ssh's; "" means the one in PATH
	Folder  string    // in which the shared connection has its socket, see Folder; "" where ssh cannot share one
	Ask     bool      // a person is there whom ssh may ask for a password or about a new host
	Words   io.Writer // what ssh says when it connects
	Lang    masu.Lang // of the far end's words
}

// Link is the way to a server. Many may use it at once, and many processes share one.
type Link struct {
	Config
	ssh string
}

// How patient a link is.
const (
	connectTime = 15               // seconds for a connection to be made
	aliveEvery  = 5                // seconds between signs of life
	aliveMost   = 4                // that may stay unanswered before the connection is given up
	persistTime = 600              // seconds for which an unused connection stays
	busyTime    = 60 * time.Second // while the server takes no further session
	busyPause   = 50 * time.Millisecond
)

// atFarEnd finds masu where it usually is: a command by ssh has a short PATH. Any shell reads it.
const atFarEnd = `sh -c 'PATH="$PATH:/usr/local/bin:/usr/bin:$HOME/.local/bin"; MASU_LANG=LANG; export PATH MASU_LANG; exec masu dial-stdio'`

// New finds ssh.
func New(c Config) (*Link, error) {
	if c.Program == "" {
		c.Program = "ssh"
	}
	ssh, err := exec.LookPath(c.Program)
	if err != nil {
		return nil, masu.E(masu.NotFound, "ssh_missing").Because(err)
	}
	if c.Words == nil {
		c.Words = io.Discard
	}
	return &Link{Config: c, ssh: ssh}, nil
}

// shared tells whether commands share a connection.
func (l *Link) shared() bool { return l.Folder != "" }

// control is the socket of the shared connection.
func (l *Link) control() string { return filepath.Join(l.Folder, l.Server.key()) }

// connection are the options with which one is made.
func (l *Link) connection() []string {
	o := []string{"-T", "-o", "ConnectTimeout=" + itoa(connectTime), "-o", "ServerAliveInterval=" + itoa(aliveEvery), "-o", "ServerAliveCountMax=" + itoa(aliveMost)}
	if !l.Ask {
		o = append(o, "-o", "BatchMode=yes")
	}
	return o
}

// client are the options with which the shared connection is used, and never
// another made: what cannot be shared fails, instead of knocking at the server's door.
func (l *Link) client() []string {
	return []string{"-T", "-o", "ControlPath=" + l.control(), "-o", "ControlMaster=no", "-o", "ProxyCommand=false", "-o", "BatchMode=yes"}
}

// Dial connects to the daemon at the far end.
func (l *Link) Dial(ctx context.Context) (net.Conn, error) {
	if c, ok := l.dialDirect(ctx); ok {
		return c, nil
	}
	return l.dialSession(ctx)
}

// dialSession connects by a session in which masu greets, and says what is wrong.
func (l *Link) dialSession(ctx context.Context) (net.Conn, error) {
	command := strings.Replace(atFarEnd, "LANG", string(l.Lang), 1)
	for begin, pause := time.Now(), busyPause; ; {
		options := l.connection()
		if l.shared() {
			if err := l.open(ctx); err != nil {
				return nil, err
			}
			options = l.client()
		}
		c, socket, err := l.session(ctx, append(append(options, l.Server.args()...), command))
		if err == nil && l.shared() {
			l.openDirect(ctx, socket)
		}
		if !errors.Is(err, errRefused) || time.Since(begin) > busyTime {
			return c, err
		}
		select { // the server lets some ten sessions share a connection; others come when one has ended
		case <-ctx.Done():
			return nil, masu.E(masu.Cancelled, "cancelled").Because(context.Cause(ctx))
		case <-time.After(pause/2 + rand.N(pause)):
		}
		pause = min(2*pause, time.Second)
	}
}

// session runs a command at the far end and waits until it has reached the daemon, at the socket that it names.
func (l *Link) session(ctx context.Context, args []string) (_ net.Conn, socket string, err error) {
	cmd := exec.Command(l.ssh, args...) // its end is the connection's, not the dialling's
	words := &tail{}
	cmd.Stderr = words
	if !l.shared() {
		cmd.Stderr = io.MultiWriter(words, l.Words)
	}
	aside(cmd, l.shared())
	c, err := attach(cmd)
	if err != nil {
		return nil, "", masu.E(masu.Internal, "ssh_failed", l.Server, "").Because(err)
	}
	stop := context.AfterFunc(ctx, func() { _ = c.Close() })
	socket, err = awaitGreeting(c)
	if !stop() {
		_ = c.Close()
		return nil, "", masu.E(masu.Cancelled, "cancelled").Because(context.Cause(ctx))
	}
	if err == nil {
		return c, socket, nil
	}
	if !errors.Is(err, errSilent) {
		_ = c.Close()
		return nil, "", err
	}
	_ = c.out.Close()
	<-c.ended // it has closed its output, and ends
	return nil, "", l.explain(c.cmd.ProcessState.ExitCode(), words.String())
}

// open sees to it that there is a shared connection.
func (l *Link) open(ctx context.Context) error {
	if l.alive() {
		return nil
	}
	unlock, err := lock(ctx, l.control()+".lock")
	if err != nil {
		return err
	}
	defer unlock()
	if l.alive() { // somebody else has made it
		return nil
	}
	_, _ = os.Remove(l.control()), os.Remove(l.direct()) // of one that was killed
	args := append(l.connection(), "-n", "-o", "ControlMaster=yes", "-o", "ControlPath="+l.control(), "-o", "ControlPersist="+itoa(persistTime), "-o", "StreamLocalBindUnlink=yes")
	return l.run(ctx, append(append(args, l.Server.args()...), "true"))
}

// run runs ssh to its end.
func (l *Link) run(ctx context.Context, args []string) error {
	cmd := exec.CommandContext(ctx, l.ssh, args...)
	words := &tail{}
	cmd.Stderr = io.MultiWriter(words, l.Words)
	cmd.WaitDelay = time.Second // what stays behind in the background may hold on to it
	err := cmd.Run()
	switch {
	case ctx.Err() != nil:
		return masu.E(masu.Cancelled, "cancelled").Because(context.Cause(ctx))
	case err == nil, errors.Is(err, exec.ErrWaitDelay):
		return nil
	}
	return l.explain(cmd.ProcessState.ExitCode(), words.String())
}

// alive tells whether the shared connection is there.
func (l *Link) alive() bool {
	c, err := net.Dial("unix", l.control())
	if err != nil {
		return false
	}
	_ = c.Close()
	return true
}

// Hangup ends the shared connection, for whoever uses it.
func (l *Link) Hangup(ctx context.Context) error {
	if !l.shared() || !l.alive() {
		return nil
	}
	return l.run(ctx, append(append(l.client(), "-O", "exit"), l.Server.args()...))
}
