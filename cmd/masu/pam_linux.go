package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/masu-lab/masu"
)

// pamConfig lets members sign in with their password of this host; without a helper they do not.
type pamConfig struct {
	Helper  string `yaml:"helper"`  // the program masu-pam
	Service string `yaml:"service"` // of /etc/pam.d
}

const (
	pamTime    = 15 * time.Second // for PAM, which may ask a directory on the network and waits after a wrong password
	pamAtOnce  = 4
	pamNo      = 1 // what the helper exits with for a wrong password; see pam/main.go
	pamDefault = "masu"
)

func (c pamConfig) check() error {
	if c.Helper == "" {
		return nil
	}
	if !filepath.IsAbs(c.Helper) {
		return fmt.Errorf("pam.helper: %s: /absolute/path", c.Helper)
	}
	if strings.ContainsAny(c.Service, "/. ") {
		return fmt.Errorf("pam.service: %s: the name of a file in /etc/pam.d", c.Service)
	}
	return nil
}

// vouch asks PAM by the helper; nil where there is none.
func (c pamConfig) vouch() func(ctx context.Context, name masu.Username, password string) (bool, error) {
	if c.Helper == "" {
		return nil
	}
	service := c.Service
	if service == "" {
		service = pamDefault
	}
	turn := semaphore.NewWeighted(pamAtOnce)
	return func(ctx context.Context, name masu.Username, password string) (bool, error) {
		if strings.ContainsAny(string(name)+password, "\n\x00") {
			return false, nil // the helper reads lines
		}
		ctx, cancel := context.WithTimeout(ctx, pamTime)
		defer cancel()
		if err := turn.Acquire(ctx, 1); err != nil {
			return false, err
		}
		defer turn.Release(1)
		cmd := exec.CommandContext(ctx, c.Helper, service)
		cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin"}
		cmd.Stdin = strings.NewReader(string(name) + "\n" + password + "\n")
		var said strings.Builder
		cmd.Stderr = &said
		err := cmd.Run()
		if e, ok := errors.AsType[*exec.ExitError](err); ok && e.ExitCode() == pamNo {
			return false, nil
		}
		if err != nil {
			return false, fmt.Errorf("%s: %w: %s", c.Helper, err, strings.TrimSpace(said.String()))
		}
		return true, nil
	}
}
