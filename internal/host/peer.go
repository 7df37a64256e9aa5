package host

import (
	"errors"
	"fmt"
	"net"
	"os"

	"golang.org/x/sys/unix"

	"github.com/masu-lab/masu"
)

// soPeerPidfd is SO_PEERPIDFD, of Linux 6.5.
const soPeerPidfd = 0x4d

// Peer tells who is at the other end of a unix socket, by the kernel's word.
// Whoever is in another process or mount namespace is Denied "peer_in_box":
// there, users are numbered by whoever is root there.
func (h *Host) Peer(conn *net.UnixConn) (uid int, err error) {
	cred, err := credentials(conn)
	if err != nil {
		return -1, fmt.Errorf("host: peer: %w", err)
	}
	if cred.Pid <= 0 {
		return -1, masu.E(masu.Denied, "peer_in_box").Because(errors.New("the peer's process is not visible here"))
	}
	// The process is held by a descriptor, where the kernel gives one: its
	// number could by now be another's, which would then be looked at instead.
	process, held := peerProcess(conn)
	if held {
		defer unix.Close(process)
	}
	for _, ns := range []string{"pid", "mnt"} {
		if err := sameNamespace(int(cred.Pid), ns); err != nil {
			return -1, masu.E(masu.Denied, "peer_in_box").Because(err)
		}
	}
	if held {
		if err := unix.PidfdSendSignal(process, 0, nil, 0); err != nil && !errors.Is(err, unix.EPERM) {
			return -1, masu.E(masu.Denied, "peer_in_box").Because(fmt.Errorf("the peer has ended: %w", err))
		}
	}
	return int(cred.Uid), nil
}

func peerProcess(conn *net.UnixConn) (int, bool) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return -1, false
	}
	fd := -1
	ctl := raw.Control(func(s uintptr) { fd, err = unix.GetsockoptInt(int(s), unix.SOL_SOCKET, soPeerPidfd) })
	if ctl != nil || err != nil {
		return -1, false // before 6.5, or a peer that has ended: then its namespaces cannot be read either
	}
	return fd, true
}

// sameNamespace compares a process's namespace with masu's own.
func sameNamespace(pid int, ns string) error {
	own, err := os.Readlink("/proc/self/ns/" + ns)
	if err != nil {
		return err
	}
	theirs, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/%s", pid, ns))
	if err != nil {
		return err
	}
	if own != theirs {
		return fmt.Errorf("process %d is in %s, masu in %s", pid, theirs, own)
	}
	return nil
}
