package host

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/masu-lab/masu"
)

// Stage mounts a safe clone of dir, which must be u's unless it is a dataset,
// at the path at, which is below RunDir/stage; what is staged there already is
// replaced. In the clone only the member's own user and groups exist, and
// neither setuid nor devices work, so root in a box can leave nothing there
// that is root's, another member's, or a device; a dataset is read-only besides.
// File systems that are mounted inside dir are not part of it.
//
// Where the ids cannot be mapped the clone is plain and reason is the code of a
// sentence that says why: the box must then have no sudo.
//
// A folder that is not in order is refused as masu.Folders says.
func (h *Host) Stage(u masu.User, dir, at string, dataset bool) (reason string, err error) {
	if err := h.stageable(at); err != nil {
		return "", err
	}
	fd, err := h.openDir(u, dir, !dataset)
	if err != nil {
		return "", err
	}
	defer unix.Close(fd)
	tree, err := unix.OpenTree(fd, "", unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_EMPTY_PATH)
	if err != nil {
		return "", masu.E(masu.Internal, "stage_failed", dir).Because(fmt.Errorf("clone: %w", err))
	}
	defer unix.Close(tree)
	reason, err = h.restrict(tree, u, dataset)
	if err != nil {
		return "", masu.E(masu.Internal, "stage_failed", dir).Because(err)
	}
	if err := h.place(tree, at); err != nil {
		if errors.Is(err, unix.ENOENT) { // a folder that has been deleted since it was opened cannot be mounted
			return "", masu.E(masu.Invalid, "folder_not_found", dir).Because(err)
		}
		return "", masu.E(masu.Internal, "stage_failed", dir).Because(err)
	}
	if reason == "stage_no_idmap_kernel" {
		if err := restrictByPath(at, dataset); err != nil {
			return "", errors.Join(masu.E(masu.Internal, "stage_failed", dir).Because(err), h.Unstage(at))
		}
	}
	return reason, nil
}

func (h *Host) stageDir() string { return filepath.Join(h.cfg.RunDir, "stage") }

// stageable keeps a mistake of the caller's from mounting over something.
func (h *Host) stageable(at string) error {
	if !h.cfg.Root {
		return errors.New("host: nothing is staged without root")
	}
	if filepath.Clean(at) != at || !strings.HasPrefix(at, h.stageDir()+"/") {
		return fmt.Errorf("host: %s is not below %s", at, h.stageDir())
	}
	return nil
}

// restrict takes from a cloned tree, which nobody sees yet, what a box must not have.
func (h *Host) restrict(tree int, u masu.User, dataset bool) (reason string, err error) {
	attr := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV, Propagation: unix.MS_PRIVATE}
	if dataset {
		attr.Attr_set |= unix.MOUNT_ATTR_RDONLY
	}
	ids, err := idNamespace(u)
	if err != nil {
		h.cfg.Log.Warn("no user namespace to map ids with", "err", err)
		reason = "stage_no_userns"
	} else {
		defer unix.Close(ids)
		mapped := attr
		mapped.Attr_set |= unix.MOUNT_ATTR_IDMAP
		mapped.Userns_fd = uint64(ids)
		err = unix.MountSetattr(tree, "", unix.AT_EMPTY_PATH, &mapped)
		if err == nil {
			return "", nil
		}
		h.cfg.Log.Info("ids cannot be mapped", "member", u.Name, "err", err)
		reason = "stage_no_idmap_fs"
	}
	err = unix.MountSetattr(tree, "", unix.AT_EMPTY_PATH, &attr)
	if errors.Is(err, unix.ENOSYS) {
		return "stage_no_idmap_kernel", nil
	}
	if err != nil {
		return "", fmt.Errorf("restrict: %w", err)
	}
	return reason, nil
}

// place mounts the tree at a path that only root can reach.
func (h *Host) place(tree int, at string) error {
	if err := h.Unstage(at); err != nil {
		return err
	}
	if err := os.MkdirAll(h.cfg.RunDir, 0o755); err != nil {
		return err
	}
	if err := os.MkdirAll(at, 0o700); err != nil {
		return err
	}
	if err := unix.MoveMount(tree, "", unix.AT_FDCWD, at, unix.MOVE_MOUNT_F_EMPTY_PATH); err != nil {
		return fmt.Errorf("mount at %s: %w", at, err)
	}
	return nil
}

// restrictByPath is restrict for kernels before 5.12, after the fact.
func restrictByPath(at string, dataset bool) error {
	var st unix.Statfs_t
	if err := unix.Statfs(at, &st); err != nil {
		return fmt.Errorf("restrict %s: %w", at, err)
	}
	// What a remount does not repeat is lost; the kernel tells the flags with
	// the numbers of mount(2), but for the one that says that they are valid.
	keep := uintptr(st.Flags) & (unix.MS_RDONLY | unix.MS_NOEXEC | unix.MS_NOATIME | unix.MS_NODIRATIME)
	flags := keep | unix.MS_NOSUID | unix.MS_NODEV | unix.MS_BIND | unix.MS_REMOUNT
	if dataset {
		flags |= unix.MS_RDONLY
	}
	if err := unix.Mount("", at, "", flags, ""); err != nil {
		return fmt.Errorf("restrict %s: %w", at, err)
	}
	return unix.Mount("", at, "", unix.MS_PRIVATE, "")
}

// Unstage unmounts what Stage mounted and removes the empty folder it was
// mounted on. Boxes that have the clone keep it. It succeeds when nothing is staged there.
func (h *Host) Unstage(at string) error {
	if err := h.stageable(at); err != nil {
		return err
	}
	for {
		err := unix.Unmount(at, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW)
		if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOENT) {
			break // no mount, or no more
		}
		if err != nil {
			return fmt.Errorf("host: unmount %s: %w", at, err)
		}
	}
	if err := os.Remove(at); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("host: unstage: %w", err)
	}
	return nil
}

// Sweep unstages everything that is still staged, but for the paths that keep
// wants: what a killed masu has left.
func (h *Host) Sweep(keep func(path string) bool) error {
	mounts, err := mountsBelow(h.stageDir())
	if err != nil {
		return err
	}
	var errs []error
	for _, at := range mounts {
		if !keep(at) {
			errs = append(errs, h.Unstage(at))
		}
	}
	return errors.Join(errs...)
}

// mountsBelow lists what is mounted below dir, the last one first.
func mountsBelow(dir string) ([]string, error) {
	b, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, fmt.Errorf("host: mounts: %w", err)
	}
	unescape := strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`)
	var found []string
	for line := range strings.Lines(string(b)) {
		f := strings.Fields(line)
		if len(f) > 4 {
			if at := unescape.Replace(f[4]); strings.HasPrefix(at, dir+"/") {
				found = append([]string{at}, found...)
			}
		}
	}
	return found, nil
}
