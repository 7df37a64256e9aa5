package doctor

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/masu-lab/masu"
)

// Disk is the file system that a path is on.
type Disk struct {
	Free, Total   masu.Bytes // free is what a member may still write
	Inodes        uint64     // 0 where the file system does not count them
	FreeInodes    uint64
	NetworkedName string // "NFS", "SMB", …; "" for a local one
}

// diskOf asks the kernel about the file system of a path, or of the nearest folder above it that exists.
func diskOf(path string) (Disk, error) {
	var s unix.Statfs_t
	for {
		err := unix.Statfs(path, &s)
		if err == nil {
			break
		}
		if up := filepath.Dir(path); errors.Is(err, fs.ErrNotExist) && up != path {
			path = up
			continue
		}
		return Disk{}, &fs.PathError{Op: "statfs", Path: path, Err: err}
	}
	network := map[uint32]string{
		unix.NFS_SUPER_MAGIC: "NFS", unix.SMB_SUPER_MAGIC: "SMB", unix.CIFS_SUPER_MAGIC: "SMB", unix.SMB2_SUPER_MAGIC: "SMB",
		unix.AFS_SUPER_MAGIC: "AFS", unix.CEPH_SUPER_MAGIC: "CephFS", 0x0bd00bd0: "Lustre", 0x47504653: "GPFS", 0x19830326: "BeeGFS",
	}
	size := masu.Bytes(s.Bsize)
	return Disk{
		Free: masu.Bytes(s.Bavail) * size, Total: masu.Bytes(s.Blocks) * size, Inodes: s.Files, FreeInodes: s.Ffree,
		NetworkedName: network[uint32(s.Type)],
	}, nil
}

// checkDisks looks at the room for images and for masu's state.
func checkDisks(_ context.Context, e *exam) []masu.Finding {
	var all []masu.Finding
	for _, dir := range []string{e.engine().DockerRootDir, e.StateDir} {
		if dir == "" {
			continue
		}
		d, err := e.Disk(dir)
		free := d.Free.String()
		switch {
		case err != nil:
			all = append(all, finding(masu.Warn, "space_unknown", dir))
		case d.Inodes > 0 && d.FreeInodes < d.Inodes/1000:
			all = append(all, finding(masu.Fail, "inodes_out", dir))
		case d.Free < masu.GiB:
			all = append(all, finding(masu.Fail, "space_out", dir, free))
		case d.Free < d.Total/10:
			all = append(all, finding(masu.Warn, "space_low", dir, free))
		default:
			all = append(all, finding(masu.Good, "space_ok", dir, free))
		}
	}
	return all
}

// checkState refuses file systems on which SQLite's locks and write-ahead log do not hold.
func checkState(_ context.Context, e *exam) []masu.Finding {
	if e.StateDir == "" {
		return nil
	}
	if d, err := e.Disk(e.StateDir); err == nil && d.NetworkedName != "" {
		return one(masu.Fail, "state_on_network", e.StateDir, d.NetworkedName)
	}
	return nil
}

// lacking tries the system calls by which masu stages members' folders.
func lacking() []string {
	var missing []string
	fd, err := unix.Openat2(unix.AT_FDCWD, "/", &unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC, Resolve: unix.RESOLVE_NO_SYMLINKS})
	if err == nil {
		unix.Close(fd)
	} else if errors.Is(err, unix.ENOSYS) {
		missing = append(missing, "openat2")
	}
	// With a descriptor that cannot be, a kernel that knows the call complains of that.
	if err := unix.MountSetattr(-1, "", unix.AT_EMPTY_PATH, &unix.MountAttr{Attr_set: unix.MOUNT_ATTR_IDMAP}); errors.Is(err, unix.ENOSYS) {
		missing = append(missing, "mount_setattr")
	}
	return missing
}

func checkKernel(_ context.Context, e *exam) []masu.Finding {
	release := strings.TrimSpace(e.read("/proc/sys/kernel/osrelease"))
	if missing := e.Lacks(); len(missing) > 0 {
		return one(masu.Warn, "kernel_old", release, strings.Join(missing, ", "))
	}
	return one(masu.Good, "kernel_ok", release)
}

func checkPort(ctx context.Context, e *exam) []masu.Finding {
	if e.Listen == "" {
		return nil
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", e.Listen)
	switch {
	case err == nil:
		l.Close()
		return one(masu.Good, "port_ok", e.Listen)
	case errors.Is(err, syscall.EADDRINUSE):
		return one(masu.Fail, "port_busy", e.Listen)
	case errors.Is(err, fs.ErrPermission):
		return one(masu.Fail, "port_denied", e.Listen)
	}
	return one(masu.Fail, "port_impossible", e.Listen)
}

// clock gives the time and whether the kernel's clock is kept by somebody.
func clock() (time.Time, bool) {
	var t unix.Timex
	_, err := unix.Adjtimex(&t)
	return time.Now(), err != nil || t.Status&unix.STA_UNSYNC == 0
}

// checkClock looks for a clock that would make certificates and sign-ins fail.
func checkClock(_ context.Context, e *exam) []masu.Finding {
	now, synced := e.Now()
	switch {
	case now.Year() < 2025 || now.Year() > 2100:
		return one(masu.Fail, "clock_wrong", now.Format(time.DateTime))
	case !synced:
		return one(masu.Info, "clock_unsynced")
	}
	return one(masu.Good, "clock_ok")
}

// checkBootstrap looks for the program that makes base images where no registry answers.
// checkFence looks for what keeps boxes from the host's own services.
func checkFence(_ context.Context, e *exam) []masu.Finding {
	if _, there := e.program("iptables"); there {
		return one(masu.Good, "fence_ok")
	}
	switch e.distro() {
	case "debian", "ubuntu":
		return mend(finding(masu.Warn, "fence_missing"), apt("update"), aptInstall("--no-install-recommends", "iptables"))
	}
	return one(masu.Warn, "fence_missing")
}

func checkBootstrap(_ context.Context, e *exam) []masu.Finding {
	if _, there := e.program("mmdebstrap"); there {
		return one(masu.Good, "mmdebstrap_ok")
	}
	switch e.distro() {
	case "debian", "ubuntu":
		return mend(finding(masu.Info, "mmdebstrap_missing"), apt("update"), aptInstall("--no-install-recommends", "mmdebstrap"))
	}
	return one(masu.Info, "mmdebstrap_missing")
}
