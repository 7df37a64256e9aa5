package host

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

const (
	buildPIDs   = 4096 // processes of all builds together
	buildShares = 256  // of the processor, where each box has 1024
	buildWeight = 25   // the same on cgroup v2, where each box has 100
)

// buildGroup is where Docker's BuildKit puts the steps of all builds, whatever
// the engine's cgroup driver is (seen on 20.10; the path is moby's executor's).
const buildGroup = "docker/buildkit"

// BoundBuilds keeps what builds run from taking the whole host: a RUN line has
// no limits of its own. Only root can, and only where the kernel's control
// groups are at their usual place; elsewhere it does nothing.
func (h *Host) BoundBuilds() error {
	if !h.cfg.Root {
		return nil
	}
	var info unix.Sysinfo_t
	if err := unix.Sysinfo(&info); err != nil {
		return fmt.Errorf("host: memory of this machine: %w", err)
	}
	memory := strconv.FormatUint(info.Totalram*uint64(info.Unit)/4*3, 10)
	return boundGroup("/sys/fs/cgroup", memory)
}

func boundGroup(root, memory string) error {
	if _, err := os.Stat(filepath.Join(root, "cgroup.controllers")); err == nil {
		return boundUnified(root, memory)
	}
	var errs error
	for _, limit := range []struct{ controller, file, value string }{
		{"pids", "pids.max", strconv.Itoa(buildPIDs)},
		{"memory", "memory.limit_in_bytes", memory},
		{"cpu", "cpu.shares", strconv.Itoa(buildShares)},
	} {
		dir := filepath.Join(root, limit.controller)
		if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
			continue
		}
		errs = errors.Join(errs, setLimit(filepath.Join(dir, buildGroup), limit.file, limit.value))
	}
	return errs
}

func boundUnified(root, memory string) error {
	group := filepath.Join(root, buildGroup)
	if err := os.MkdirAll(group, 0o755); err != nil {
		return fmt.Errorf("host: limit builds: %w", err)
	}
	for _, above := range []string{root, filepath.Dir(group)} {
		// Mostly so already; where it cannot be, the limits below say so.
		_ = os.WriteFile(filepath.Join(above, "cgroup.subtree_control"), []byte("+cpu +memory +pids"), 0o644)
	}
	return errors.Join(
		setLimit(group, "pids.max", strconv.Itoa(buildPIDs)),
		setLimit(group, "memory.max", memory),
		setLimit(group, "cpu.weight", strconv.Itoa(buildWeight)),
	)
}

func setLimit(group, file, value string) error {
	if err := os.MkdirAll(group, 0o755); err != nil {
		return fmt.Errorf("host: limit builds: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(group, file), os.O_WRONLY|os.O_TRUNC, 0)
	if err != nil {
		return fmt.Errorf("host: limit builds: %w", err)
	}
	_, err = f.WriteString(value)
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("host: limit builds: %s: %w", file, err)
	}
	return nil
}
