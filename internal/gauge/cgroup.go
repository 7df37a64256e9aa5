// Package gauge reads what a control group uses and what a folder holds.
package gauge

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/masu-lab/masu"
)

// cgroups is where the kernel's control groups are mounted, in both versions.
const cgroups = "/sys/fs/cgroup"

// Used tells what the control group of a process has used. The group must be
// the container's: the number may be another process's by now.
func Used(pid int, container string) (u masu.Use, err error) {
	groups, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
	if err != nil {
		return u, fmt.Errorf("gauge: used: %w", err)
	}
	paths := cgroupPaths(string(groups))
	for _, p := range paths {
		if container == "" || !strings.Contains(p, container) {
			return u, fmt.Errorf("gauge: used: process %d is in %s", pid, p)
		}
	}
	if group, ok := paths["unified"]; ok {
		return used2(filepath.Join(cgroups, group))
	}
	if len(paths) < 2 {
		return u, fmt.Errorf("gauge: used: process %d is in %v only", pid, paths)
	}
	return used1(filepath.Join(cgroups, "cpuacct", paths["cpuacct"]), filepath.Join(cgroups, "memory", paths["memory"]))
}

// Own tells what the container uses in which this program runs, as it sees itself. PIDs and the limit are 0 where nobody says them.
func Own() (masu.Gauge, error) { return own(cgroups) }

func own(root string) (g masu.Gauge, err error) {
	if _, err := os.Stat(filepath.Join(root, "memory")); err == nil { // version 1: one folder for each resource
		memory := filepath.Join(root, "memory")
		if g.Use, err = used1(filepath.Join(root, "cpuacct"), memory); err != nil {
			return g, err
		}
		g.MemoryLimit, g.PIDs = most(filepath.Join(memory, "memory.limit_in_bytes")), int(most(filepath.Join(root, "pids", "pids.current")))
		return g, nil
	}
	if g.Use, err = used2(root); err != nil {
		return g, err
	}
	g.MemoryLimit, g.PIDs = most(filepath.Join(root, "memory.max")), int(most(filepath.Join(root, "pids.current")))
	return g, nil
}

// most reads a number; 0 for "max", and for what is as good as that.
func most(path string) masu.Bytes {
	n, err := number(path)
	if err != nil || n > 1<<60 {
		return 0
	}
	return masu.Bytes(n)
}

// cgroupPaths reads /proc/PID/cgroup; see cgroups(7). A host of version 2 has
// the one group; one of version 1 has one for each resource.
func cgroupPaths(text string) map[string]string {
	paths, unified := map[string]string{}, ""
	for line := range strings.Lines(text) {
		f := strings.SplitN(strings.TrimSuffix(line, "\n"), ":", 3)
		if len(f) < 3 {
			continue
		}
		if f[0] == "0" {
			unified = f[2]
		}
		for c := range strings.SplitSeq(f[1], ",") {
			if c == "cpuacct" || c == "memory" {
				paths[c] = f[2]
			}
		}
	}
	if len(paths) == 0 {
		paths["unified"] = unified
	}
	return paths
}

// The page cache is not counted: it is given back when somebody needs it.
func used2(dir string) (u masu.Use, err error) {
	cpu, err := fields(filepath.Join(dir, "cpu.stat"))
	if err != nil {
		return u, err
	}
	memory, err := number(filepath.Join(dir, "memory.current"))
	if err != nil {
		return u, err
	}
	stat, err := fields(filepath.Join(dir, "memory.stat"))
	return masu.Use{CPU: time.Duration(cpu["usage_usec"]) * time.Microsecond, Memory: masu.Bytes(max(0, memory-stat["inactive_file"]))}, err
}

func used1(cpuacct, memory string) (u masu.Use, err error) {
	cpu, err := number(filepath.Join(cpuacct, "cpuacct.usage"))
	if err != nil {
		return u, err
	}
	used, err := number(filepath.Join(memory, "memory.usage_in_bytes"))
	if err != nil {
		return u, err
	}
	stat, err := fields(filepath.Join(memory, "memory.stat"))
	return masu.Use{CPU: time.Duration(cpu), Memory: masu.Bytes(max(0, used-stat["total_inactive_file"]))}, err
}

func number(path string) (int64, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return 0, fmt.Errorf("gauge: used: %w", err)
	}
	return strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
}

// fields reads lines of a name and a number.
func fields(path string) (map[string]int64, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("gauge: used: %w", err)
	}
	all := map[string]int64{}
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); len(f) == 2 {
			if n, err := strconv.ParseInt(f[1], 10, 64); err == nil {
				all[f[0]] = n
			}
		}
	}
	return all, nil
}
