package host

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"syscall"

	"github.com/masu-lab/masu"
)

// DiskUsed adds up the blocks of all files below a folder, each once however
// many names it has. No link leads out of it, also none that is put there meanwhile.
func DiskUsed(ctx context.Context, dir string) (masu.Bytes, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return 0, fmt.Errorf("host: disk used: %w", err)
	}
	defer root.Close()
	var sum masu.Bytes
	seen := map[uint64]bool{} // files that have several names
	err = fs.WalkDir(root.FS(), ".", func(_ string, d fs.DirEntry, err error) error {
		if err != nil {
			return nil // it has gone meanwhile, or nobody may look
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return nil
		}
		if s, ok := info.Sys().(*syscall.Stat_t); ok && (s.Nlink < 2 || d.IsDir() || !seen[s.Ino]) {
			seen[s.Ino] = s.Nlink > 1
			sum += masu.Bytes(s.Blocks) * 512
		}
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("host: disk used: %w", err)
	}
	return sum, nil
}
