package gauge

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"slices"
	"syscall"

	"github.com/masu-lab/masu"
)

const (
	diskMost  = 1 << 20 // entries that are added up; what has more takes at least so much
	diskBatch = 1024    // entries that are read at once: a folder may hold millions
)

// Disk adds up the blocks of all files below a folder, each once however
// many names it has, but for the folders without. No link leads out of it, also none that is put there meanwhile.
func Disk(ctx context.Context, dir string, without ...string) (sum masu.Bytes, err error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return 0, fmt.Errorf("gauge: disk used: %w", err)
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
				if below := path.Join(at, d.Name()); d.IsDir() && !slices.Contains(without, path.Join(dir, below)) {
					folders = append(folders, below)
				}
			}
			if err := ctx.Err(); err != nil {
				return sum, errors.Join(fmt.Errorf("gauge: disk used: %w", err), f.Close())
			}
		}
		_ = f.Close() // it was only read
	}
	return sum, nil
}
