package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"time"

	"golang.org/x/sys/unix"

	"github.com/masu-lab/masu"
	"github.com/masu-lab/masu/internal/lab"
)

// policyConfig is the house rules in the configuration file; what is left out stays as it is.
type policyConfig struct {
	Sudo                *bool             `yaml:"sudo"`
	OwnDockerfile       *bool             `yaml:"own_dockerfile"`
	LoadImages          *bool             `yaml:"load_images"`
	Registries          *[]string         `yaml:"registries"`
	Guests              *bool             `yaml:"guests"`
	ShareApps           *masu.Reach       `yaml:"share_apps"`
	WorkspacesPerMember *int              `yaml:"workspaces_per_member"`
	ImagesPerMember     bytesOf           `yaml:"images_per_member"`
	RunsPerMember       *int              `yaml:"runs_per_member"`
	BuildsAtOnce        *int              `yaml:"builds_at_once"`
	BuildsPerMember     *int              `yaml:"builds_per_member"`
	StartsAtOnce        *int              `yaml:"starts_at_once"`
	BuildWithin         duration          `yaml:"build_within"`
	SessionFor          duration          `yaml:"session_for"`
	MinPassword         *int              `yaml:"min_password"`
	CPUs                float64           `yaml:"cpus"`
	Memory              bytesOf           `yaml:"memory"`
	Shm                 bytesOf           `yaml:"shm"`
	PIDs                int               `yaml:"pids"`
	Disk                bytesOf           `yaml:"disk"`
	GPUs                gpuConfig         `yaml:"gpus"`
	SpareState          bytesOf           `yaml:"spare_state"`
	SpareEngine         bytesOf           `yaml:"spare_engine"`
	Datasets            map[string]string `yaml:"datasets"` // name in ~/data → folder on the host
}

// registryHost is a registry as images' names begin with it.
var registryHost = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?(:[0-9]{1,5})?$`)

// bytesOf is "24GiB"; "" means not said.
type bytesOf string

// policy gives the house rules: the defaults of this host with what the file says.
func (c policyConfig) policy(p lab.Policy) (lab.Policy, error) {
	var errs error
	wrong := func(key string, value any, want string) {
		errs = errors.Join(errs, fmt.Errorf("policy.%s: %v: %s", key, value, want))
	}
	number := func(to *int, key string, n *int, least int) {
		if n != nil {
			if *to = *n; *n < least {
				wrong(key, *n, fmt.Sprintf("≥ %d", least))
			}
		}
	}
	span := func(to *time.Duration, key string, d duration) {
		if d == "" {
			return
		}
		v, err := d.value()
		if err != nil || v <= 0 {
			wrong(key, d, "30m, 2h, 7d")
		}
		*to = v
	}
	room := func(to *masu.Bytes, key string, b bytesOf) {
		if b == "" {
			return
		}
		v, ok := masu.ParseBytes(string(b))
		if !ok && b != "0" {
			wrong(key, b, "500MiB, 24GiB")
		}
		*to = v
	}
	take(&p.Sudo, c.Sudo)
	take(&p.OwnDockerfile, c.OwnDockerfile)
	take(&p.LoadImages, c.LoadImages)
	take(&p.Registries, c.Registries)
	for _, host := range p.Registries {
		if !registryHost.MatchString(host) {
			wrong("registries", host, "registry.example.org, registry.example.org:5000")
		}
	}
	take(&p.Guests, c.Guests)
	if take(&p.ShareApps, c.ShareApps); c.ShareApps != nil && !c.ShareApps.Valid() {
		wrong("share_apps", *c.ShareApps, "nobody, colleagues, lab")
	}
	number(&p.WorkspacesPerMember, "workspaces_per_member", c.WorkspacesPerMember, 0)
	number(&p.RunsPerMember, "runs_per_member", c.RunsPerMember, 0)
	number(&p.BuildsAtOnce, "builds_at_once", c.BuildsAtOnce, 1)
	number(&p.BuildsPerMember, "builds_per_member", c.BuildsPerMember, 1)
	number(&p.StartsAtOnce, "starts_at_once", c.StartsAtOnce, 1)
	number(&p.MinPassword, "min_password", c.MinPassword, 8)
	span(&p.BuildWithin, "build_within", c.BuildWithin)
	span(&p.SessionFor, "session_for", c.SessionFor)
	c.GPUs.policy(&p, wrong)
	room(&p.Limits.Memory, "memory", c.Memory)
	room(&p.Limits.Shm, "shm", c.Shm)
	room(&p.Limits.Disk, "disk", c.Disk)
	room(&p.ImagesPerMember, "images_per_member", c.ImagesPerMember)
	room(&p.SpareState, "spare_state", c.SpareState)
	room(&p.SpareEngine, "spare_engine", c.SpareEngine)
	if p.Limits.CPUs, p.Limits.PIDs = c.CPUs, c.PIDs; c.CPUs < 0 || c.PIDs < 0 {
		wrong("cpus, pids", fmt.Sprint(c.CPUs, ", ", c.PIDs), "≥ 0")
	}
	for name, dir := range c.Datasets {
		if !masu.ValidWorkspaceName(name) || !filepath.IsAbs(dir) || filepath.Clean(dir) != dir {
			wrong("datasets."+name, dir, "name: /absolute/folder")
		}
		p.Datasets = append(p.Datasets, masu.Mount{Folder: dir, Target: "/data/" + name, Dataset: true})
	}
	return p, errs
}

// take sets what was said.
func take[T any](to *T, said *T) {
	if said != nil {
		*to = *said
	}
}

// roomAt asks the kernel how much a path's file system has left, and how much it has.
func roomAt(path string) (free, total masu.Bytes, err error) {
	var s unix.Statfs_t
	if err := unix.Statfs(path, &s); err != nil {
		return 0, 0, fmt.Errorf("room at %s: %w", path, err)
	}
	size := masu.Bytes(s.Bsize)
	return masu.Bytes(s.Bavail) * size, masu.Bytes(s.Blocks) * size, nil
}
