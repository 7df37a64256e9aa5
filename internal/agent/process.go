package agent

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// process is what /proc/PID/stat tells.
type process struct {
	pid     int
	state   byte
	session int
	tty     bool
	start   string // in ticks since the machine began: with the number it names a process for ever
}

func (p process) dead() bool { return p.state == 'Z' || p.state == 'X' }

func readProcess(pid int) (process, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return process{}, err
	}
	return parseStat(pid, string(b))
}

// parseStat reads from the last parenthesis on: the name before it may hold anything.
func parseStat(pid int, stat string) (process, error) {
	f := strings.Fields(stat[strings.LastIndexByte(stat, ')')+1:])
	if len(f) < 20 {
		return process{}, fmt.Errorf("process %d: %q is not understood", pid, stat)
	}
	session, err := strconv.Atoi(f[3])
	if err != nil {
		return process{}, fmt.Errorf("process %d: %w", pid, err)
	}
	return process{pid: pid, state: f[0][0], session: session, tty: f[4] != "0", start: f[19]}, nil
}

// processes lists the box's, but for the first and the caller's own.
func processes() []process {
	dir, err := os.Open("/proc")
	if err != nil {
		return nil
	}
	defer dir.Close()
	names, _ := dir.Readdirnames(-1)
	var all []process
	for _, name := range names {
		pid, err := strconv.Atoi(name)
		if err != nil || pid == 1 || pid == os.Getpid() {
			continue
		}
		if p, err := readProcess(pid); err == nil && !p.dead() {
			all = append(all, p)
		}
	}
	return all
}

func signalAll(ps []process, sig syscall.Signal) {
	for _, p := range ps {
		_ = syscall.Kill(p.pid, sig) // one that has ended meanwhile is as wished
	}
}
