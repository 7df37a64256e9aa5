package host

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"syscall"

	"github.com/masu-lab/masu"
)

const (
	diskMost  = 1 << 20 // entries that are added up; what has more takes at least so much
	diskBatch = 1024    // entries that are read at once: a folder may hold millions
)

// DiskUsed adds up the blocks of all files below a folder, each once however
// many names it has. No link leads out of it, also none that is put there meanwhile.
func DiskUsed(ctx context.Context, dir string) (sum masu.Bytes, err error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return 0, fmt.Errorf("host: disk used: %w", err)
	}
	defer root.Close()
	seen := map[uint64]bool{} // files that have several names
	entries := 0
	for folders := []string{"."}; len(folders) > 0 && entries < diskMost; {
		at := folders[len(folders)-1]
		folders = folders[:len(folders)-1]
		f, err := root.Open(at)
		if err != nil {
			continue // it has gone meanwhile, or nobody may look
		}
		for err == nil && entries < diskMost {
			var batch []os.DirEntry
			batch, err = f.ReadDir(diskBatch)
			for _, d := range batch {
				entries++
				info, err := d.Info()
				if err != nil {
					continue
				}
				if s, ok := info.Sys().(*syscall.Stat_t); ok && (s.Nlink < 2 || d.IsDir() || !seen[s.Ino]) {
					seen[s.Ino] = s.Nlink > 1 && !d.IsDir()
					sum += masu.Bytes(s.Blocks) * 512
				}
				if d.IsDir() {
					folders = append(folders, path.Join(at, d.Name()))
				}
			}
			if err := ctx.Err(); err != nil {
				return sum, errors.Join(fmt.Errorf("host: disk used: %w", err), f.Close())
			}
		}
		_ = f.Close() // it was only read
	}
	return sum, nil
}
