package agent

import (
	"context"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/masu-lab/masu"
)

// How often the box is looked at. Activity is told in steps: nobody takes a
// GPU back within seconds.
const (
	portsEvery    = 2 * time.Second
	activityEvery = 15 * time.Second
	activityStep  = 10 * time.Second
)

// watchPorts takes note of what the member opens and closes.
func watchPorts(ctx context.Context, s *state, spec masu.AgentSpec) {
	low, high := pickedPorts()
	every(ctx, portsEvery, func() {
		s.ports(openPorts(listeners(), spec.User.UID, low, high), time.Now(), func(port int) (command string) {
			_ = asMember(spec.User, func() error { // root in a box may not look into other people's processes
				command = commandAt(port, spec.User.UID, spec.Work)
				return nil
			})
			return command
		})
	})
}

// watchActivity takes note of when the member last did something.
func watchActivity(ctx context.Context, s *state, jupyter bool) {
	j := newJupyter("http://127.0.0.1:8888", segments)
	every(ctx, activityEvery, func() {
		s.activeAt(terminalActivity("/dev/pts"))
		if registered(filepath.Join(runDir, "exec")) {
			s.activeAt(time.Now())
		}
		if jupyter {
			j.look(ctx, time.Now())
			s.activeAt(j.active)
			s.notebooks(j.open)
		}
	})
}

func every(ctx context.Context, pause time.Duration, do func()) {
	t := time.NewTicker(pause)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
			do()
		}
	}
}

// terminalActivity is when somebody last typed: a terminal's time of access.
func terminalActivity(dir string) time.Time {
	var newest time.Time
	names, _ := filepath.Glob(filepath.Join(dir, "[0-9]*"))
	for _, name := range names {
		if fi, err := os.Stat(name); err == nil {
			if t := time.Unix(fi.Sys().(*syscall.Stat_t).Atim.Unix()); t.After(newest) {
				newest = t
			}
		}
	}
	return newest
}
