package agent

import (
	"os"
	"sync"
	"syscall"
)

// children starts processes and reaps every one that ends, also those that
// have lost their parents, as the first process must. Nobody else waits for a
// process here (os/exec would race with it), so no status is ever stolen.
type children struct {
	mu      sync.Mutex // held while starting, so that no status comes before its owner is known
	waiting map[int]chan syscall.WaitStatus
}

func newChildren() *children { return &children{waiting: map[int]chan syscall.WaitStatus{}} }

// start runs argv[0], which is a path; ended yields its status once.
func (c *children) start(argv []string, attr *syscall.ProcAttr) (pid int, ended <-chan syscall.WaitStatus, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	pid, err = syscall.ForkExec(argv[0], argv, attr)
	if err != nil {
		return 0, nil, err
	}
	ch := make(chan syscall.WaitStatus, 1)
	c.waiting[pid] = ch
	return pid, ch, nil
}

// reap takes the status of all that have ended.
func (c *children) reap() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, syscall.WNOHANG, nil)
		if err == syscall.EINTR {
			continue
		}
		if err != nil || pid <= 0 {
			return
		}
		if ch, ours := c.waiting[pid]; ours {
			ch <- status
			delete(c.waiting, pid)
		}
	}
}

// run reaps at each SIGCHLD until the channel is closed. One place in the
// channel is enough: a signal that finds it taken tells nothing new.
func (c *children) run(sigchld <-chan os.Signal) {
	for range sigchld {
		c.reap()
	}
}
