package host

import (
	"fmt"
	"os"
	"os/user"
	"regexp"
	"strconv"
	"strings"

	"github.com/masu-lab/masu"
)

// containerID is how the engines name a container's control group.
var containerID = regexp.MustCompile(`[0-9a-f]{64}`)

// Process tells whose a process of this host is; see proc(5).
func (h *Host) Process(pid int) (p masu.Process, err error) {
	dir := fmt.Sprintf("/proc/%d/", pid)
	status, err := os.ReadFile(dir + "status")
	if err != nil {
		return p, fmt.Errorf("host: process: %w", err)
	}
	uid := field(status, "Uid:")
	p.Login = uid
	if u, err := user.LookupId(uid); err == nil {
		p.Login = u.Username
	}
	p.UID, _ = strconv.Atoi(uid)
	if cgroup, err := os.ReadFile(dir + "cgroup"); err == nil {
		p.Container = containerID.FindString(string(cgroup))
	}
	if cmdline, err := os.ReadFile(dir + "cmdline"); err == nil {
		p.Command = commandName(string(cmdline))
	}
	if p.Container != "" {
		p.Kernel = kernelOf(pid)
	}
	return p, nil
}

// field gives the first word of a line of /proc/PID/status.
func field(status []byte, name string) string {
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, name); ok {
			if words := strings.Fields(rest); len(words) > 0 {
				return words[0]
			}
		}
	}
	return ""
}

// kernelFile is how Jupyter tells a kernel where to listen, on its command line.
var kernelFile = regexp.MustCompile(`kernel-([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\.json`)

// ancestors is how far a process is looked for behind what it began.
const ancestors = 16

// kernelOf gives the kernel of Jupyter's that a process is, or comes from.
func kernelOf(pid int) string {
	for range ancestors {
		cmdline, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		if err != nil {
			return ""
		}
		if m := kernelFile.FindSubmatch(cmdline); m != nil {
			return string(m[1])
		}
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		if err != nil {
			return ""
		}
		if pid, err = strconv.Atoi(field(status, "PPid:")); err != nil || pid <= 1 {
			return ""
		}
	}
	return ""
}

// commandName is what a process runs, without what it was told: arguments may be secret.
func commandName(cmdline string) string {
	argv := strings.Split(strings.TrimRight(cmdline, "\x00"), "\x00")
	name := argv[0][strings.LastIndex(argv[0], "/")+1:]
	if len(argv) > 1 && interpreters.MatchString(name) && !strings.HasPrefix(argv[1], "-") {
		name += " " + argv[1][strings.LastIndex(argv[1], "/")+1:]
	}
	return name
}

// interpreters are programs whose first argument says more than their own name.
var interpreters = regexp.MustCompile(`^(python[0-9.]*|bash|sh|perl|Rscript|julia)$`)
