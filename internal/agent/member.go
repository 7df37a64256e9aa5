package agent

import (
	"fmt"
	"os"
	"runtime"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/masu-lab/masu"
)

func groupIDs(u masu.User) []uint32 {
	ids := []uint32{uint32(u.GID)}
	for _, g := range u.Groups {
		ids = append(ids, uint32(g.GID))
	}
	return ids
}

// credential is the member's, for a new process; nil where this process is the member already.
func credential(u masu.User) *syscall.Credential {
	if u.UID == os.Geteuid() {
		return nil
	}
	return &syscall.Credential{Uid: uint32(u.UID), Gid: uint32(u.GID), Groups: groupIDs(u)}
}

// asMember runs do with the member's rights, on one thread. What root does in
// a folder of the member's could be led astray by a link there.
func asMember(u masu.User, do func() error) error {
	if u.UID == os.Geteuid() {
		return do()
	}
	own, err := syscall.Getgroups()
	if err != nil {
		return err
	}
	groups := make([]uint32, len(own))
	for i, g := range own {
		groups[i] = uint32(g)
	}
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		err := threadIDs(u.UID, u.GID, groupIDs(u))
		if err == nil {
			err = do()
		}
		if back := rootAgain(groups); back != nil {
			done <- back
			return // still locked: the thread ends with the goroutine
		}
		runtime.UnlockOSThread()
		done <- err
	}()
	return <-done
}

// threadIDs sets the effective user and groups of the calling thread alone.
func threadIDs(uid, gid int, groups []uint32) error {
	if err := setGroups(groups); err != nil {
		return err
	}
	if err := threadID(unix.SYS_SETRESGID, gid); err != nil {
		return err
	}
	return threadID(unix.SYS_SETRESUID, uid)
}

func rootAgain(groups []uint32) error {
	if err := threadID(unix.SYS_SETRESUID, 0); err != nil { // first: it brings the right to change groups back
		return err
	}
	if err := threadID(unix.SYS_SETRESGID, 0); err != nil {
		return err
	}
	return setGroups(groups)
}

func threadID(call uintptr, id int) error {
	if _, _, errno := unix.RawSyscall(call, ^uintptr(0), uintptr(id), ^uintptr(0)); errno != 0 {
		return fmt.Errorf("act as %d: %w", id, errno)
	}
	return nil
}

func setGroups(groups []uint32) error {
	list := append(groups, 0) // never empty, so that its address can be taken
	if _, _, errno := unix.RawSyscall(unix.SYS_SETGROUPS, uintptr(len(groups)), uintptr(unsafe.Pointer(&list[0])), 0); errno != 0 {
		return fmt.Errorf("set groups: %w", errno)
	}
	return nil
}

// become makes the whole process the member's, for good.
func become(u masu.User) error {
	if u.UID == os.Geteuid() {
		return nil
	}
	groups := []int{u.GID}
	for _, g := range u.Groups {
		groups = append(groups, g.GID)
	}
	if err := syscall.Setgroups(groups); err != nil {
		return fmt.Errorf("set groups: %w", err)
	}
	if err := syscall.Setgid(u.GID); err != nil {
		return fmt.Errorf("set group: %w", err)
	}
	if err := syscall.Setuid(u.UID); err != nil {
		return fmt.Errorf("set user: %w", err)
	}
	return nil
}
