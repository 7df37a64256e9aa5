package remote

import (
	"errors"
	"strconv"
	"strings"
	"sync"

	"github.com/masu-lab/masu"
)

// errRefused means that the shared connection takes no further session now, or is gone.
var errRefused = errors.New("remote: no session on the shared connection")

const (
	exitSSH      = 255 // ssh itself failed
	exitNotFound = 127 // the far end's shell found no masu
	exitUsage    = 2   // its masu does not know the command
)

// explain says what an ssh that has ended without success means. Its words are
// English wherever it runs.
func (l *Link) explain(code int, words string) error {
	has := func(s string) bool { return strings.Contains(words, s) }
	last := words
	if i := strings.LastIndexByte(strings.TrimRight(words, "\r\n"), '\n'); i >= 0 {
		last = words[i+1:]
	}
	last = strings.TrimSpace(last)
	because := func(e *masu.Error) error { return e.Because(errors.New(strings.TrimSpace(words))) }
	switch {
	case code == exitNotFound:
		return because(masu.E(masu.NotFound, "far_no_masu", l.Server.Host))
	case code == exitUsage:
		return because(masu.E(masu.Conflict, "far_masu_old", l.Server.Host))
	case code != exitSSH:
		return because(masu.E(masu.Unreachable, "ssh_failed", l.Server, last))
	case has("Session open refused") || has("mux_client") || has("Connection closed by UNKNOWN port 65535") || has("Control socket connect"):
		return masu.E(masu.Unreachable, "ssh_busy", l.Server).Because(errors.Join(errRefused, errors.New(strings.TrimSpace(words))))
	case has("REMOTE HOST IDENTIFICATION HAS CHANGED"):
		return because(masu.E(masu.Denied, "ssh_host_changed", l.Server.Host))
	case has("Host key verification failed"):
		return because(masu.E(masu.Denied, "ssh_host_new", l.Server.Host, l.Server.Command()))
	case has("Permission denied"), has("Too many authentication failures"):
		return because(masu.E(masu.Denied, "ssh_denied", l.Server, l.Server.Command()))
	case has("Could not resolve hostname"):
		return because(masu.E(masu.NotFound, "ssh_no_host", l.Server.Host))
	}
	return because(masu.E(masu.Unreachable, "ssh_failed", l.Server, last))
}

// tail keeps the last of what ssh says.
type tail struct {
	mu sync.Mutex
	b  []byte
}

const tailMost = 8 << 10

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.b = append(t.b, p...)
	if over := len(t.b) - tailMost; over > 0 {
		t.b = append([]byte(nil), t.b[over:]...)
	}
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.b)
}

func itoa(n int) string { return strconv.Itoa(n) }
