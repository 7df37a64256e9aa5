package sqlite

import (
	"log/slog"
	"os"
	"path/filepath"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/masu-lab/masu"
)

const (
	defaultReserve = 16 * masu.MiB
	low            = masu.MiB // with less than this free, a transaction may fail
)

// reserve is a file that holds room on the store's disk. When the disk gets
// full the file goes, so that what must still be written can be: stops,
// sign-outs and the audit log. It comes back when there is room again.
type reserve struct {
	path string
	size masu.Bytes
	log  *slog.Logger

	mu   sync.Mutex
	held bool
}

func newReserve(path string, size masu.Bytes, log *slog.Logger) *reserve {
	_, err := os.Lstat(path) // left by the daemon before
	return &reserve{path: path, size: size, log: log, held: err == nil}
}

// keep holds the room, or gives it up when it is needed. It costs one look at
// the file system; a failure is no reason to refuse a transaction.
func (r *reserve) keep() {
	if r.size < 0 {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	var st unix.Statfs_t
	if err := unix.Statfs(filepath.Dir(r.path), &st); err != nil {
		return
	}
	free := masu.Bytes(st.Bavail) * masu.Bytes(st.Bsize)
	switch {
	case r.held && free < low:
		if err := remove(r.path); err == nil {
			r.held = false
			r.log.Error("disk full: the store lives on its reserve", "path", r.path, "free", free, "reserve", r.size)
		}
	case !r.held && free > 2*r.size:
		r.held = r.hold() == nil
	}
}

// hold makes the file anew, with real blocks behind it.
func (r *reserve) hold() error {
	f, err := os.OpenFile(r.path, os.O_CREATE|os.O_WRONLY|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := unix.Fallocate(int(f.Fd()), 0, 0, int64(r.size)); err != nil {
		_ = remove(r.path) // a file system that cannot: then there is no reserve
		return err
	}
	return nil
}
