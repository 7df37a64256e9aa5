package agent

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/masu-lab/masu"
)

// box is what the first process has made of the container, as the commands
// that are run later find it in RUN/box.json.
type box struct {
	Since string    `json:"since"` // when the first process began: an older file is of an earlier run
	User  masu.User `json:"user"`
	Work  string    `json:"work"`
	Shell string    `json:"shell"`
	Env   []string  `json:"env"` // the member's
}

func (b box) path() string { return lookup(b.Env, "PATH") }

// lookup gives the value of a variable; the last one counts.
func lookup(env []string, name string) string {
	for i := len(env) - 1; i >= 0; i-- {
		if v, ok := cutName(env[i], name); ok {
			return v
		}
	}
	return ""
}

func cutName(kv, name string) (string, bool) {
	if len(kv) > len(name) && kv[len(name)] == '=' && kv[:len(name)] == name {
		return kv[len(name)+1:], true
	}
	return "", false
}

// store writes the file in one step, for root only.
func (b box) store(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	text, err := json.Marshal(b)
	if err != nil {
		return err
	}
	next := filepath.Join(dir, "box.json.new")
	if err := os.WriteFile(next, text, 0o600); err != nil {
		return err
	}
	return os.Rename(next, filepath.Join(dir, "box.json"))
}

// awaitBox reads the file; a command may come before the first process is ready.
func awaitBox(ctx context.Context, dir string) (box, error) {
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	for {
		var b box
		first, err := readProcess(1)
		if err == nil {
			var text []byte
			text, err = os.ReadFile(filepath.Join(dir, "box.json"))
			if err == nil {
				err = json.Unmarshal(text, &b)
			}
		}
		if err == nil && b.Since == first.start {
			return b, nil
		}
		select {
		case <-ctx.Done():
			return b, fmt.Errorf("the box is not ready: %w", err)
		case <-time.After(2 * time.Millisecond):
		}
	}
}
