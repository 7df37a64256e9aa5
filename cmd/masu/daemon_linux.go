package main

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/masu-lab/masu"
)

// daemonTime bounds how long a daemon that was started may take to answer.
const daemonTime = 60 * time.Second

// daemonLog is where a daemon that masu started in the background writes.
func (a *app) daemonLog() string {
	if personal() || a.getenv("MASU_STATE") != "" {
		return filepath.Join(a.stateDir(), "masu.log")
	}
	return "/var/log/masu.log"
}

// startDaemon starts `masu serve` in the background, detached from this
// terminal, and waits until it answers.
func (a *app) startDaemon(ctx context.Context, program string) (service, error) {
	logPath := a.daemonLog()
	if err := os.MkdirAll(filepath.Dir(logPath), 0o700); err != nil {
		return nil, masu.E(masu.Internal, "daemon_not_started", logPath).Because(err)
	}
	log, err := os.OpenFile(logPath, os.O_CREATE|os.O_WRONLY|os.O_APPEND|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, masu.E(masu.Internal, "daemon_not_started", logPath).Because(err)
	}
	defer log.Close()
	begin, err := log.Seek(0, 2)
	if err != nil {
		return nil, masu.E(masu.Internal, "daemon_not_started", logPath).Because(err)
	}
	cmd := exec.Command(program, "serve") // not CommandContext: it outlives this command
	cmd.Dir = "/"
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return nil, masu.E(masu.Internal, "daemon_not_started", logPath).Because(err)
	}
	if personal() {
		a.note("daemon_started_personal", logPath)
	} else {
		a.note("daemon_started", logPath)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }() // ends with the daemon, or with this process
	return a.awaitDaemon(ctx, ended, logPath, begin)
}

func (a *app) awaitDaemon(ctx context.Context, ended <-chan error, logPath string, begin int64) (service, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, daemonTime, masu.E(masu.Unreachable, "daemon_slow", logPath))
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		s, err := a.connect(ctx)
		if err == nil {
			return s, nil
		}
		select {
		case err := <-ended:
			a.tail(logPath, begin)
			return nil, masu.E(masu.Unreachable, "daemon_not_started", logPath).Because(err)
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-tick.C:
		}
	}
}

// tail shows what the daemon said since it was started.
func (a *app) tail(path string, from int64) {
	b, err := os.ReadFile(path)
	if err != nil || int64(len(b)) <= from {
		return
	}
	lines := bytes.Split(bytes.TrimSpace(b[from:]), []byte("\n"))
	for _, line := range lines[max(0, len(lines)-tailLines):] {
		a.err.Write([]byte("  " + plain(string(line)) + "\n"))
	}
}
