package lab

import (
	"errors"
	"io"

	"github.com/masu-lab/masu"
)

// What the agent of a box tells is its member's word: who is root there can have
// it say anything, and without end. Every list of workspaces holds it, whoever reads that.

const (
	statusMost = 4 << 20             // bytes of one status
	appsMost   = masu.PortsMost + 64 // a masu.yaml has fewer of its own
	wordyMost  = 64 << 10            // bytes of the errors and commands of all its apps
	bookMost   = 256                 // notebooks
)

var errNoStatus = errors.New("no agent of masu's tells that")

// plausible refuses a status that no agent of masu's tells, and leaves out words that are too many.
func plausible(s *masu.AgentStatus) error {
	if len(s.Apps) > appsMost || len(s.Notebooks) > bookMost || len(s.PasswordID) > nameMost {
		return errNoStatus
	}
	left := wordyMost
	for i := range s.Apps {
		a := &s.Apps[i]
		if !masu.ValidAppName(a.Name) || a.Port < 1 || a.Port > 65535 {
			return errNoStatus
		}
		for _, words := range []*string{&a.Error, &a.Command} {
			if len(*words) > left {
				*words = ""
			}
			left -= len(*words)
		}
	}
	return nil
}

// ration lets so many bytes through until it is filled again.
type ration struct {
	from io.Reader
	left int
}

// Read ends with an error where more would come.
func (r *ration) Read(b []byte) (int, error) {
	if r.left == 0 {
		return 0, errNoStatus
	}
	n, err := r.from.Read(b[:min(len(b), r.left)])
	r.left -= n
	return n, err
}
