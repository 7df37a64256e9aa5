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
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, "Uid:"); ok {
			uid := strings.Fields(rest)[0]
			p.Login = uid
			if u, err := user.LookupId(uid); err == nil {
				p.Login = u.Username
			}
			p.UID, _ = strconv.Atoi(uid)
		}
	}
	if cgroup, err := os.ReadFile(dir + "cgroup"); err == nil {
		p.Container = containerID.FindString(string(cgroup))
	}
	if cmdline, err := os.ReadFile(dir + "cmdline"); err == nil {
		p.Command = commandName(string(cmdline))
	}
	return p, nil
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
