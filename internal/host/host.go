// Package host is the few things that only root on the host can do: it stages
// members' folders, reads them with the member's own rights, dials into boxes,
// tells who is at the other end of a socket, looks up accounts and makes base
// images. Nothing here knows an engine or the network, so that it can move to
// a process of its own.
package host

import (
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/masu-lab/masu"
)

// Config is what a Host needs.
type Config struct {
	// Root says that masu serves a lab and is root. Otherwise it is one
	// member's own: folders are not staged, boxes are reached through their
	// agent's socket, and only that member is served.
	Root bool
	// RunDir is where staged folders are, in its folder "stage"; "/run/masu".
	RunDir string
	// AdminGroups are the groups of the host whose members administer the lab;
	// nil means sudo, wheel and masu-admin.
	AdminGroups []string
	// Members is the group whose logins may use the lab; "" means every login
	// of a person: with a shell, and a UID from 1000 up.
	Members string
	// NoLAN keeps boxes from the private networks around the host.
	NoLAN bool
	// Site has the mirror and the proxy that base images are made with.
	Site masu.Site
	Log  *slog.Logger
}

// Host is this machine. Its methods may be called at the same time.
type Host struct {
	cfg     Config
	etc     string // "/etc"
	homeNet int    // masu's own network namespace, to come back to

	mu    sync.Mutex
	asked map[string]answer // what getent said lately
	ticks ticks             // when Usage was asked last

	usersMu sync.Mutex // never held while somebody is asked
	users   memory
	fresh   time.Duration

	fenceMu sync.Mutex
	fenced  map[string]string // the rules in force, by bridge
}

var (
	_ masu.Accounts = (*Host)(nil)
	_ masu.Folders  = (*Host)(nil)
)

// New checks that the machine can do what the configuration promises.
func New(cfg Config) (*Host, error) {
	switch {
	case cfg.RunDir == "":
		return nil, errors.New("host: Config.RunDir is missing")
	case !filepath.IsAbs(cfg.RunDir) || filepath.Clean(cfg.RunDir) != cfg.RunDir:
		return nil, fmt.Errorf("host: Config.RunDir %q is not an absolute, clean path", cfg.RunDir)
	case cfg.Log == nil:
		return nil, errors.New("host: Config.Log is missing")
	case cfg.Root && unix.Geteuid() != 0:
		return nil, errors.New("host: Config.Root is set but masu is not root")
	}
	if cfg.AdminGroups == nil {
		cfg.AdminGroups = []string{"sudo", "wheel", "masu-admin"}
	}
	h := &Host{cfg: cfg, etc: "/etc", fresh: fresh, homeNet: -1, asked: map[string]answer{}, fenced: map[string]string{}}
	if cfg.Root {
		fd, err := unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			return nil, fmt.Errorf("host: network namespace: %w", err)
		}
		h.homeNet = fd // for as long as masu runs
	}
	return h, nil
}

// Rootless tells that masu is not root here, so nothing is staged: the runtime
// mounts a folder plainly after OpenFolder has found it in order.
func (h *Host) Rootless() bool { return !h.cfg.Root }
