// Package docker is masu.Runtime on a Docker engine, 20.10 or newer.
//
// A box is a container named masu-ID; what must be remembered about it is on
// it as labels, and the engine's refusal of a second container with that name
// is the lock. The driver keeps nothing that it could not read again from the
// engine.
package docker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/moby/moby/api/types/system"
	"github.com/moby/moby/client"
	"github.com/moby/moby/client/pkg/versions"

	"github.com/masu-lab/masu"
)

// minAPI is the API of Docker 20.10, the oldest engine that can build as masu builds.
const minAPI = "1.41"

// Deadlines for what an engine in health answers at once, and for what makes
// it work. An engine that hangs must not hang masu.
const (
	quick  = 20 * time.Second
	slow   = 3 * time.Minute
	tidyUp = 30 * time.Second
)

// Host is what the driver needs of the machine; *host.Host is one.
type Host interface {
	masu.Folders
	// Rootless tells that masu is not root here: folders are then mounted
	// plainly and boxes dialled through their agent's socket.
	Rootless() bool
	// Stage mounts a safe clone of dir, which must be u's unless it is a
	// dataset, at the path at, which it makes. reason is the code of the
	// sentence that says why the clone could not be ID-mapped; "" means that it is.
	Stage(u masu.User, dir, at string, dataset bool) (reason string, err error)
	// Unstage unmounts what Stage mounted and removes the empty folder; it
	// succeeds when nothing is there.
	Unstage(at string) error
	// Fence keeps what comes from a bridge away from the host's own services, and
	// the host's accounts away from what is on it.
	Fence(ctx context.Context, bridge string) error
	// FenceInner is Fence for a bridge from which nothing goes on.
	FenceInner(ctx context.Context, bridge string) error
	// Unfence takes the rules of a bridge away; it succeeds when there are none.
	Unfence(ctx context.Context, bridge string) error
	// BoundBuilds keeps what builds run from taking the whole host.
	BoundBuilds() error
	// BoundsDisk tells whether BoundDisk can hold a bound on what lies in dir.
	BoundsDisk(dir string) bool
	// BoundDisk lets what lies in a box's folders take at most so much together; 0 lifts the bound.
	BoundDisk(ctx context.Context, id masu.WorkspaceID, most masu.Bytes, dirs ...string) error
	// DiskBound tells how much that is, and how much it may be; most is 0 where there is no bound.
	DiskBound(id masu.WorkspaceID, dir string) (used, most masu.Bytes)
	// Dial connects to a port on the loopback of the process's network
	// namespace; verify is the container ID that must stand in its cgroup.
	Dial(ctx context.Context, pid int, verify string, port int) (net.Conn, error)
	// DialSocket connects to a port of a box through its agent's socket, which must be uid's.
	DialSocket(ctx context.Context, path string, uid int, port int) (net.Conn, error)
	// Listen opens an abstract unix socket in the process's network namespace; verify is as for Dial.
	Listen(pid int, verify, name string) (*net.UnixListener, error)
}

// Config is what a Runtime needs.
type Config struct {
	Address string // of the engine, "unix:///run/docker.sock"; "" means DOCKER_HOST or the usual socket
	Lab     string // the lab's identity; only boxes that carry it are seen
	Agent   string // path on the host of the masu binary that boxes run as PID 1
	Host    Host
	RunDir  string // "/run/masu": staged folders and, rootless, the agents' sockets
	Site    masu.Site
	// Beside tells that a daemon may be at work with this engine: nothing is tidied up that might be its.
	Beside bool
	// Say puts a code into words for the member, as text.Say does; nil leaves the code.
	Say func(lang masu.Lang, code string, args ...any) string
	Log *slog.Logger
}

// Runtime is masu.Runtime on a Docker engine.
type Runtime struct {
	cfg    Config
	api    *client.Client
	engine engine
	locks  keyed
	netMu  sync.Mutex // the engine does not refuse a second network of the same name

	mu      sync.Mutex
	procs   map[masu.WorkspaceID]process
	samples map[masu.WorkspaceID]sample
	astray  map[string]bool // containers that do not take their commands' streams
}

// engine is what of the engine does not change while it runs.
type engine struct {
	cpus   int
	memory masu.Bytes
	root   string // where it keeps its data
	bounds bool   // Limits.Disk can be held there
}

var (
	_ masu.Runtime   = (*Runtime)(nil)
	_ masu.Measurer  = (*Runtime)(nil)
	_ masu.Extractor = (*Runtime)(nil)
)

// New connects to the engine. An engine that does not answer is Unreachable
// "engine_unreachable", one that refuses masu Denied "engine_denied", one
// before 20.10 Invalid "engine_too_old". Staged folders that no running box
// uses, left by a masu that was killed, are unstaged.
func New(ctx context.Context, cfg Config) (*Runtime, error) {
	switch {
	case cfg.Lab == "":
		return nil, errors.New("docker: Config.Lab is missing")
	case cfg.Agent == "":
		return nil, errors.New("docker: Config.Agent is missing")
	case cfg.Host == nil:
		return nil, errors.New("docker: Config.Host is missing")
	case cfg.RunDir == "":
		return nil, errors.New("docker: Config.RunDir is missing")
	case cfg.Log == nil:
		return nil, errors.New("docker: Config.Log is missing")
	}
	opt := client.FromEnv
	if cfg.Address != "" {
		opt = client.WithHost(cfg.Address)
	}
	api, err := client.New(opt)
	if err != nil {
		return nil, fmt.Errorf("docker: engine address: %w", err)
	}
	r := &Runtime{cfg: cfg, api: api, procs: map[masu.WorkspaceID]process{}, samples: map[masu.WorkspaceID]sample{}, astray: map[string]bool{}}
	if err := r.connect(ctx); err != nil {
		return nil, errors.Join(err, api.Close())
	}
	return r, nil
}

func (r *Runtime) connect(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, quick)
	defer cancel()
	ping, err := r.api.Ping(ctx, client.PingOptions{NegotiateAPIVersion: true})
	if ping.APIVersion != "" && versions.LessThan(ping.APIVersion, minAPI) {
		return masu.E(masu.Invalid, "engine_too_old", ping.APIVersion, minAPI)
	}
	if err != nil {
		return r.failed("ping", err)
	}
	info, err := r.api.Info(ctx, client.InfoOptions{})
	if err != nil {
		return r.failed("info", err)
	}
	r.engine = engine{cpus: info.Info.NCPU, memory: masu.Bytes(info.Info.MemTotal), root: info.Info.DockerRootDir,
		bounds: r.cfg.Host.BoundsDisk(filepath.Join(info.Info.DockerRootDir, "volumes"))}
	if r.cfg.Beside {
		return nil
	}
	if err := r.sweepSides(ctx); err != nil {
		return err
	}
	return r.sweep(ctx)
}

// Close lets go of the engine; boxes run on.
func (r *Runtime) Close() error { return r.api.Close() }

// Info describes the engine.
func (r *Runtime) Info(ctx context.Context) (masu.RuntimeInfo, error) {
	ctx, cancel := context.WithTimeout(ctx, quick)
	defer cancel()
	res, err := r.api.Info(ctx, client.InfoOptions{})
	if err != nil {
		return masu.RuntimeInfo{}, r.failed("info", err)
	}
	i := describe(res.Info, r.api.ClientVersion(), r.cfg.Host.Rootless())
	i.DiskLimits = r.engine.bounds
	return i, nil
}

func describe(i system.Info, api string, rootless bool) masu.RuntimeInfo {
	cgroup := i.CgroupVersion
	if cgroup == "" {
		cgroup = "1"
	}
	return masu.RuntimeInfo{
		Name:        "docker",
		Version:     i.ServerVersion,
		API:         api,
		LiveRestore: i.LiveRestoreEnabled,
		CDI:         i.CDISpecDirs,
		Rootless:    rootless,
		Root:        i.DockerRootDir,
		Cgroup:      cgroup,
		Warnings:    i.Warnings,
	}
}

// sweep unstages what a killed masu has left. A box that runs keeps its mounts
// anyway; they stay staged so that the engine can restart it.
func (r *Runtime) sweep(ctx context.Context) error {
	entries, err := os.ReadDir(filepath.Join(r.cfg.RunDir, "stage"))
	if err != nil {
		return nil // nothing was ever staged
	}
	for _, e := range entries {
		id := masu.WorkspaceID(e.Name())
		c, err := r.api.ContainerInspect(ctx, boxName(id), client.ContainerInspectOptions{})
		if err == nil && c.Container.State.Running {
			continue
		}
		if err != nil && !isNotFound(err) {
			return r.failed("inspect", err)
		}
		if err := r.unstage(id); err != nil {
			r.cfg.Log.Warn("staged folder left behind", "workspace", id, "err", err)
		}
	}
	return nil
}
