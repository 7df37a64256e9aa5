package host

import (
	"errors"
	"fmt"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/masu-lab/masu"
)

// onThread runs do on a thread of its own that enter has changed and leave
// changes back. A thread that cannot be changed back is thrown away.
func onThread(enter, leave, do func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		err := enter()
		if err == nil {
			err = do()
		}
		if e := leave(); e != nil {
			done <- errors.Join(err, e)
			return // still locked: the thread ends with the goroutine
		}
		runtime.UnlockOSThread()
		done <- err
	}()
	return <-done
}

// as runs do with the member's rights to files: their user, group and
// supplementary groups, on one thread only. do must not start goroutines that
// need those rights.
func (h *Host) as(u masu.User, do func() error) error {
	if !h.cfg.Root || u.UID == 0 {
		return do()
	}
	own, err := unix.Getgroups()
	if err != nil {
		return fmt.Errorf("host: own groups: %w", err)
	}
	groups := []int{u.GID}
	for _, g := range u.Groups {
		groups = append(groups, g.GID)
	}
	return onThread(
		func() error { return threadIDs(u.UID, u.GID, groups) },
		func() error { return threadIDs(0, 0, own) },
		do)
}

// threadIDs sets what the kernel compares with a file's owner, for the calling
// thread only; the functions of package unix would change every thread. The
// user comes last on the way down and makes no difference on the way up: the
// capability to change groups stays with the thread's real user, root.
func threadIDs(uid, gid int, groups []int) error {
	list := make([]uint32, len(groups)+1) // never empty, so that its address can be taken
	for i, g := range groups {
		list[i] = uint32(g)
	}
	if _, _, errno := unix.RawSyscall(unix.SYS_SETGROUPS, uintptr(len(groups)), uintptr(unsafe.Pointer(&list[0])), 0); errno != 0 {
		return fmt.Errorf("host: set groups: %w", errno)
	}
	if err := setFS(unix.SYS_SETFSGID, gid); err != nil {
		return err
	}
	return setFS(unix.SYS_SETFSUID, uid)
}

// setFS sets the file system user or group. The call cannot say that it
// failed; asking for an impossible one tells what is set now.
func setFS(call uintptr, id int) error {
	unix.RawSyscall(call, uintptr(id), 0, 0)
	if now, _, _ := unix.RawSyscall(call, ^uintptr(0), 0, 0); int32(now) != int32(id) {
		return fmt.Errorf("host: act as %d: refused", id)
	}
	return nil
}
