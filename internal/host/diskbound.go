package host

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"os"
	"path"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/masu-lab/masu"
)

// Project quotas, as linux/fs.h and linux/dqblk_xfs.h have them. These calls
// serve ext4 too.
const (
	fsGetXattr  = 0x801c581f // FS_IOC_FSGETXATTR
	fsSetXattr  = 0x401c5820 // FS_IOC_FSSETXATTR
	projInherit = 0x200      // FS_XFLAG_PROJINHERIT

	ofProjects  = 2                          // PRJQUOTA
	quotaGet    = ('X'<<8|3)<<8 | ofProjects // Q_XGETQUOTA
	quotaSet    = ('X'<<8|4)<<8 | ofProjects // Q_XSETQLIM
	quotaState  = ('X'<<8|8)<<8 | ofProjects // Q_XGETQSTATV
	quotaHeld   = 1 << 5                     // FS_QUOTA_PDQ_ENFD
	quotaBlocks = 1<<2 | 1<<3                // FS_DQ_BSOFT, FS_DQ_BHARD
	quotaBlock  = 512

	// ourProjects is the first of our projects' numbers: engines and people number from 1 up.
	ourProjects = 1 << 30

	// markWithin is how long a start may take longer because files that were
	// there before the bound are given to it. What is left then does not count.
	markWithin = time.Minute

	markBatch = 1024 // entries that are read at once
)

type fsxattr struct {
	flags, extSize, extents, project, cowExtSize uint32
	_                                            [8]byte
}

type quota struct {
	version, flags int8
	fields         uint16
	id             uint32
	hard, soft     uint64
	inodesHard, _  uint64
	used, inodes   uint64
	_              [2]int32
	_              [2]uint16
	_              [4]int8
	_              [3]uint64
	_              int32
	_              [2]uint16
	_              [8]byte
}

// BoundsDisk tells whether BoundDisk can hold a bound on what lies in dir: the
// file system there is XFS or ext4 with project quotas in force.
func (h *Host) BoundsDisk(dir string) bool {
	var state struct {
		version, _ int8
		flags      uint16
		_          [156]byte
	}
	state.version = 1 // FS_QSTATV_VERSION1
	err := h.quotactl(dir, quotaState, 0, unsafe.Pointer(&state))
	return err == nil && state.flags&quotaHeld != 0
}

// BoundDisk lets what lies in the folders of a box, now and later, take at most
// so much together; 0 lifts the bound. No box may run with them. Links, and what
// else cannot be opened, count only if they are made later.
func (h *Host) BoundDisk(ctx context.Context, id masu.WorkspaceID, most masu.Bytes, dirs ...string) error {
	ctx, cancel := context.WithTimeout(ctx, markWithin)
	defer cancel()
	q := quota{version: 1, flags: ofProjects, fields: quotaBlocks, id: project(id), hard: uint64(most+quotaBlock-1) / quotaBlock}
	var errs error
	for _, dir := range dirs { // which may lie on several file systems; each then has a bound of its own
		var err error
		if most > 0 {
			err = join(ctx, q.id, dir)
		}
		if err == nil {
			err = h.quotactl(dir, quotaSet, q.id, unsafe.Pointer(&q))
		}
		if err != nil {
			errs = errors.Join(errs, fmt.Errorf("host: bound disk: %w", err))
		}
	}
	return errs
}

// DiskBound tells how much the folders of a box take that BoundDisk has bounded,
// and how much they may; most is 0 where there is no bound. dir is one of them.
func (h *Host) DiskBound(id masu.WorkspaceID, dir string) (used, most masu.Bytes) {
	q := quota{version: 1}
	if err := h.quotactl(dir, quotaGet, project(id), unsafe.Pointer(&q)); err != nil {
		return 0, 0
	}
	return masu.Bytes(q.used) * quotaBlock, masu.Bytes(q.hard) * quotaBlock
}

// project is the number of a box's project. It is made of the box's ID, so that
// nothing needs to be remembered; that two of a thousand boxes had the same, and
// so shared a bound, would be a chance of one in two thousand.
func project(id masu.WorkspaceID) uint32 {
	sum := fnv.New32a()
	_, _ = sum.Write([]byte(id)) // it cannot fail
	return ourProjects | sum.Sum32()&(ourProjects-1)
}

// quotactl needs no device: the file system is the one that holds dir.
func (h *Host) quotactl(dir string, command int, id uint32, at unsafe.Pointer) error {
	if !h.cfg.Root {
		return unix.EPERM
	}
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, _, e := unix.Syscall6(unix.SYS_QUOTACTL_FD, f.Fd(), uintptr(command), uintptr(id), uintptr(at), 0, 0); e != 0 {
		return &os.PathError{Op: "quotactl", Path: dir, Err: e}
	}
	return nil
}

// join gives a folder and what is in it to a project. The folder itself comes
// last: it says that the rest has been done.
func join(ctx context.Context, project uint32, dir string) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	if x, err := xattr(root, ".", nil); err != nil || x.project == project && x.flags&projInherit != 0 {
		return err
	}
	mark := func(x *fsxattr) { x.project = project }
	inherit := func(x *fsxattr) { x.project, x.flags = project, x.flags|projInherit }
	for folders := []string{"."}; len(folders) > 0 && ctx.Err() == nil; {
		at := folders[len(folders)-1]
		folders = folders[:len(folders)-1]
		f, err := root.Open(at)
		if err != nil {
			continue // it has gone meanwhile
		}
		for err == nil && ctx.Err() == nil {
			var batch []os.DirEntry
			batch, err = f.ReadDir(markBatch)
			for _, d := range batch {
				switch name := path.Join(at, d.Name()); {
				case d.IsDir():
					_, _ = xattr(root, name, inherit) // as with what cannot be opened
					folders = append(folders, name)
				case d.Type().IsRegular():
					_, _ = xattr(root, name, mark)
				}
			}
		}
		_ = f.Close() // it was only read
	}
	_, err = xattr(root, ".", inherit)
	return err
}

// xattr reads a file's project and changes it.
func xattr(root *os.Root, name string, change func(*fsxattr)) (x fsxattr, err error) {
	f, err := root.OpenFile(name, os.O_RDONLY|unix.O_NONBLOCK|unix.O_NOFOLLOW|unix.O_NOCTTY, 0)
	if err != nil {
		return x, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	call := func(op uintptr) error {
		if _, _, e := unix.Syscall(unix.SYS_IOCTL, f.Fd(), op, uintptr(unsafe.Pointer(&x))); e != 0 {
			return &os.PathError{Op: "project of", Path: f.Name(), Err: e}
		}
		return nil
	}
	if err := call(fsGetXattr); err != nil || change == nil {
		return x, err
	}
	change(&x)
	return x, call(fsSetXattr)
}
