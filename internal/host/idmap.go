package host

import (
	"fmt"
	"os/exec"
	"runtime"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/masu-lab/masu"
)

// maxExtents is how many ranges of ids the kernel takes for one namespace.
const maxExtents = 340

// idNamespace makes a user namespace that knows the member's user and groups
// and nobody else, and gives a descriptor of it. A namespace needs a process:
// one that is stopped before its first instruction and ended at once.
func idNamespace(u masu.User) (int, error) {
	runtime.LockOSThread() // the tracer is a thread, and its end would end the child
	defer runtime.UnlockOSThread()
	cmd := exec.Command("/proc/self/exe")
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:                 unix.CLONE_NEWUSER,
		UidMappings:                []syscall.SysProcIDMap{{ContainerID: u.UID, HostID: u.UID, Size: 1}},
		GidMappings:                groupMap(u),
		GidMappingsEnableSetgroups: true,
		Ptrace:                     true,
		Pdeathsig:                  syscall.SIGKILL,
	}
	if err := cmd.Start(); err != nil {
		return -1, fmt.Errorf("user namespace: %w", err)
	}
	defer func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}()
	fd, err := unix.Open(fmt.Sprintf("/proc/%d/ns/user", cmd.Process.Pid), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("user namespace: %w", err)
	}
	return fd, nil
}

// groupMap maps each of the member's groups to itself, neighbours in one range.
func groupMap(u masu.User) []syscall.SysProcIDMap {
	gids := []int{u.GID}
	for _, g := range u.Groups {
		gids = append(gids, g.GID)
	}
	slices.Sort(gids)
	var m []syscall.SysProcIDMap
	for _, gid := range slices.Compact(gids) {
		if n := len(m); n > 0 && m[n-1].ContainerID+m[n-1].Size == gid {
			m[n-1].Size++
			continue
		}
		m = append(m, syscall.SysProcIDMap{ContainerID: gid, HostID: gid, Size: 1})
	}
	if len(m) > maxExtents { // their own group must stay
		own := slices.IndexFunc(m, func(e syscall.SysProcIDMap) bool {
			return e.ContainerID <= u.GID && u.GID < e.ContainerID+e.Size
		})
		if own >= maxExtents {
			m[maxExtents-1] = m[own]
		}
		m = m[:maxExtents]
	}
	return m
}
