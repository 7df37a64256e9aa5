package host

import (
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/masu-lab/masu"
)

// accountFiles are what an account of the host's own is read from.
var accountFiles = [...]string{"passwd", "group", "nsswitch.conf"}

// fresh is for how long a file's stamp cannot be trusted: what is written twice
// within one tick of the clock bears the same time.
const fresh = 2 * time.Second

// stamp says that the account files are those of another time.
type stamp [len(accountFiles)]struct {
	inode, size      uint64
	written, changed syscall.Timespec
}

// memory keeps the accounts that were read from one state of the files. Every
// request asks who somebody is, and reading a few hundred lines for it takes
// longer than to answer the request.
type memory struct {
	stamp stamp
	users map[string]masu.User
}

// accountStamp tells which state the files are in; false if it was written just now.
func (h *Host) accountStamp() (s stamp, settled bool) {
	settled = true
	for i, name := range accountFiles {
		fi, err := os.Stat(filepath.Join(h.etc, name))
		if err != nil {
			continue // a host may have no nsswitch.conf
		}
		st, ok := fi.Sys().(*syscall.Stat_t)
		if !ok || time.Since(time.Unix(st.Ctim.Unix())) < h.fresh {
			settled = false
			continue
		}
		s[i].inode, s[i].size, s[i].written, s[i].changed = st.Ino, uint64(st.Size), st.Mtim, st.Ctim
	}
	return s, settled
}

// remembered asks who somebody is unless the files, which have answered before, are still the same.
func (h *Host) remembered(key string, ask func() (masu.User, bool, error)) (masu.User, error) {
	now, settled := h.accountStamp()
	h.usersMu.Lock()
	u, known := h.users.users[key]
	known = known && settled && h.users.stamp == now
	h.usersMu.Unlock()
	if !known {
		var files bool
		var err error
		if u, files, err = ask(); err != nil {
			return u, err
		}
		if files && settled {
			h.remember(key, u, now)
		}
	}
	u.Groups = slices.Clone(u.Groups)
	return u, nil
}

func (h *Host) remember(key string, u masu.User, now stamp) {
	h.usersMu.Lock()
	defer h.usersMu.Unlock()
	if h.users.stamp != now || len(h.users.users) >= maxAnswer {
		h.users = memory{stamp: now, users: map[string]masu.User{}}
	}
	h.users.users[key] = u
}
