package agent

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"
	"slices"
	"syscall"
	"time"
)

// devicesEvery is how often the box looks whether it may still reach its GPUs. A look costs a system call a node.
const devicesEvery = 10 * time.Second

// plainDevices are what every box has in /dev; what there is besides was lent to it.
var plainDevices = []string{"null", "zero", "full", "random", "urandom", "tty", "console", "ptmx"}

// devices are the nodes of the GPUs that were lent to the box. The kernel may come
// to refuse them though the cards are well: a reload of systemd, or a change of the
// box's control group, forgets what the GPU hook has allowed there. Programs that
// have a node open go on; those that begin then find no GPU, and no reason.
type devices struct {
	nodes []string
	ask   func(node string) error // whether it could be read
	had   map[string]bool         // those that could be once
}

// newDevices lists the nodes below dir, which is /dev.
func newDevices(dir string) *devices {
	d := &devices{ask: readable, had: map[string]bool{}}
	_ = filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		name, _ := filepath.Rel(dir, path)
		switch {
		case err != nil, e.IsDir() && slices.Contains([]string{"pts", "shm", "mqueue"}, name):
			return fs.SkipDir
		case e.Type()&fs.ModeCharDevice != 0 && !slices.Contains(plainDevices, name):
			d.nodes = append(d.nodes, path)
		}
		return nil
	})
	return d
}

// readable asks the kernel without opening the device, which may take a driver seconds.
func readable(node string) error {
	const read = 4
	return syscall.Access(node, read)
}

// lost looks anew: is there a node that could be reached, and is refused now? A
// refusal by the control group is EPERM; whom a file's mode refuses is told otherwise.
func (d *devices) lost() (lost bool) {
	for _, node := range d.nodes {
		switch err := d.ask(node); {
		case err == nil:
			d.had[node] = true
		case errors.Is(err, syscall.EPERM) && d.had[node]:
			lost = true
		}
	}
	return lost
}

// watch tells when the box loses its GPUs, and when it has them again; say is for the box's log.
func (d *devices) watch(ctx context.Context, s *state, say func(lost bool)) {
	if len(d.nodes) == 0 {
		return
	}
	before := d.lost()
	every(ctx, devicesEvery, func() {
		lost := d.lost()
		if lost != before {
			say(lost)
		}
		before = lost
		s.change(func(s *state) { s.lost = lost })
	})
}
