package outputs

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/masu-lab/masu"
)

// How a kernel that does not answer yet is tried again, and for how long. One that
// begins opens this door a good while before it runs its first cell.
const (
	quickPause = 20 * time.Millisecond
	quickFor   = 20 * time.Second
	slowPause  = time.Second
	patience   = 90 * time.Second
	weighEvery = 8 << 20 // bytes that came
)

// Config says where things are in the box.
type Config struct {
	Work    string // Jupyter's root folder
	Runtime string // where Jupyter says how its kernels are reached
	Jupyter string // its address: "http://127.0.0.1:8888"
	Lang    masu.Lang
}

// RuntimeDir is Jupyter's, as its own rules find it from variables.
func RuntimeDir(getenv func(string) string) string {
	if dir := getenv("JUPYTER_RUNTIME_DIR"); dir != "" {
		return dir
	}
	if data := getenv("JUPYTER_DATA_DIR"); data != "" {
		return filepath.Join(data, "runtime")
	}
	return filepath.Join(cmp.Or(getenv("XDG_DATA_HOME"), filepath.Join(getenv("HOME"), ".local", "share")), "jupyter", "runtime")
}

// keeper follows all kernels of the box.
type keeper struct {
	cfg  Config
	wg   sync.WaitGroup
	came int // bytes since all was last weighed

	mu     sync.Mutex
	books  map[string]*book // by the kernel's ID
	follow map[string]func()
	order  []string // of the books, the oldest first
}

// Serve keeps outputs until asks ends. Each line that asks gives is the path of
// a notebook, in JSON, that is about to be opened: it is answered with an empty
// line when what was kept for it has been put there.
func Serve(ctx context.Context, c Config, asks io.Reader, answers io.Writer) error {
	k := &keeper{cfg: c, books: map[string]*book{}, follow: map[string]func(){}}
	ctx, cancel := context.WithCancel(ctx)
	defer k.wg.Wait()
	defer cancel()
	watch, err := k.watch(ctx)
	if err != nil {
		return err
	}
	context.AfterFunc(ctx, func() { _ = watch.Close() })
	k.look(ctx)
	lines := bufio.NewScanner(asks)
	for lines.Scan() {
		var path string
		if json.Unmarshal(lines.Bytes(), &path) == nil {
			k.look(ctx)
			if err := k.settle(ctx, path); err != nil {
				complain(err)
			}
		}
		if _, err := answers.Write([]byte("\n")); err != nil {
			return err
		}
	}
	return lines.Err()
}

// watch looks again whenever something changes in Jupyter's folder.
func (k *keeper) watch(ctx context.Context) (io.Closer, error) {
	if err := os.MkdirAll(k.cfg.Runtime, 0o700); err != nil {
		return nil, err
	}
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fd), "inotify")
	if _, err := unix.InotifyAddWatch(fd, k.cfg.Runtime, unix.IN_CREATE|unix.IN_MOVED_TO|unix.IN_CLOSE_WRITE|unix.IN_DELETE|unix.IN_MOVED_FROM); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	k.wg.Go(func() {
		for events := make([]byte, 64<<10); ; {
			if _, err := f.Read(events); err != nil {
				return
			}
			k.look(ctx)
		}
	})
	return f, nil
}

// look sees to it that each kernel there is a file of, and no other, is followed.
func (k *keeper) look(ctx context.Context) {
	names, err := filepath.Glob(filepath.Join(k.cfg.Runtime, "kernel-*.json"))
	if err != nil {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	there := map[string]bool{}
	for _, path := range names {
		id := strings.TrimSuffix(strings.TrimPrefix(filepath.Base(path), "kernel-"), ".json")
		there[id] = true
		if k.follow[id] != nil || len(k.follow) >= kernelsMost {
			continue
		}
		c, err := readConnection(path)
		if err != nil {
			continue // half written, then: it changes once more
		}
		if k.books[id] == nil {
			k.books[id], k.order = newBook(), append(k.order, id)
		}
		one, cancel := context.WithCancel(ctx)
		k.follow[id] = cancel
		k.wg.Go(func() {
			defer cancel()
			k.listen(one, id, c, k.book(id))
			k.mu.Lock()
			delete(k.follow, id)
			k.mu.Unlock()
		})
	}
	for id, cancel := range k.follow {
		if !there[id] {
			cancel()
		}
	}
	for i := 0; i < len(k.order) && len(k.books) > kernelsMost; i++ {
		if id := k.order[i]; k.follow[id] == nil {
			delete(k.books, id)
			k.order = append(k.order[:i:i], k.order[i+1:]...)
			i--
		}
	}
}

func (k *keeper) book(id string) *book {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.books[id]
}

// listen follows one kernel through its restarts, until ctx ends or it is away for long.
// Old files of kernels that have long gone cost no more than that.
func (k *keeper) listen(ctx context.Context, id string, c connection, b *book) {
	dialer := net.Dialer{Timeout: time.Second}
	for last := time.Now(); time.Since(last) < patience; {
		if conn, err := dialer.DialContext(ctx, "tcp", c.address()); err == nil {
			stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
			if k.hear(ctx, id, conn, c.Key, b) {
				last = time.Now()
				b.lost(last)
			}
			stop()
			_ = conn.Close()
		}
		pause := quickPause
		if time.Since(last) > quickFor {
			pause = slowPause
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
	}
}

// hear writes down what a kernel says until the connection ends, and tells whether there was one.
func (k *keeper) hear(ctx context.Context, id string, conn net.Conn, key string, b *book) bool {
	r, err := subscribe(conn)
	if err != nil {
		return false
	}
	for {
		parts, err := receive(r)
		if err != nil {
			return true
		}
		m, err := decode(parts, key)
		if err != nil {
			continue // not the kernel's
		}
		b.take(m, time.Now())
		if m.kind == "execute_input" {
			k.locate(ctx, id, b)
		}
		k.weigh(len(m.content))
	}
}

// weigh makes room when too much is kept.
func (k *keeper) weigh(came int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.came += came; k.came < weighEvery {
		return
	}
	k.came = 0
	total := 0
	for _, b := range k.books {
		total += b.weight()
	}
	for _, id := range k.order {
		if total > totalMost {
			total -= k.books[id].shrink(total - totalMost)
		}
	}
}
