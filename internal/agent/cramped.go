package agent

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// leastRoom is what an app needs of the home to begin: it writes down where it is.
const leastRoom = 1 << 20

// cramped gives the variables with which Jupyter begins although the home is
// full, so that its owner can clear up: what it would write there it writes to
// the box's own memory, until it begins anew.
func (b box) cramped() []string {
	var s unix.Statfs_t
	if err := unix.Statfs(b.User.Home, &s); err != nil || s.Bavail*uint64(s.Bsize) >= leastRoom {
		return nil
	}
	return []string{fmt.Sprintf("JUPYTER_RUNTIME_DIR=/dev/shm/jupyter-%d", b.User.UID)}
}
