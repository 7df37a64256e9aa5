package host

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/masu-lab/masu"
)

// TestAuthorizedKeys: a file is believed only if its owner alone could have written it, and no link leads out of a home.
func TestAuthorizedKeys(t *testing.T) {
	h, err := New(Config{RunDir: t.TempDir(), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	const text = "ssh-ed25519 AAAA alice\n"
	for _, c := range []struct {
		what string
		make func(home, ssh, file string) error
		text string
		fail bool
	}{
		{"none", func(_, ssh, _ string) error { return os.RemoveAll(ssh) }, "", false},
		{"one", func(_, _, file string) error { return os.WriteFile(file, []byte(text), 0o600) }, text, false},
		{"readable by all", func(_, _, file string) error { return os.WriteFile(file, []byte(text), 0o644) }, text, false},
		{"writable by its group", func(_, _, file string) error {
			_ = os.WriteFile(file, []byte(text), 0o600)
			return os.Chmod(file, 0o620)
		}, "", true},
		{"in a folder of everybody's", func(_, ssh, file string) error {
			_ = os.WriteFile(file, []byte(text), 0o600)
			return os.Chmod(ssh, 0o777)
		}, "", true},
		{"in a home of everybody's", func(home, _, file string) error {
			_ = os.WriteFile(file, []byte(text), 0o600)
			return os.Chmod(home, 0o777)
		}, "", true},
		{"a link", func(_, _, file string) error { return os.Symlink("/etc/hostname", file) }, "", true},
		{"a linked folder", func(_, ssh, _ string) error { _ = os.RemoveAll(ssh); return os.Symlink("/etc", ssh) }, "", true},
		{"a folder", func(_, _, file string) error { return os.Mkdir(file, 0o700) }, "", true},
		{"10 MB", func(_, _, file string) error {
			return os.WriteFile(file, []byte(strings.Repeat(text, 10<<20/len(text))), 0o600)
		}, "", true},
	} {
		home := t.TempDir()
		dir := filepath.Join(home, ".ssh")
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := c.make(home, dir, filepath.Join(dir, "authorized_keys")); err != nil {
			t.Fatal(c.what, err)
		}
		u := masu.User{Name: "alice", UID: os.Geteuid(), GID: os.Getegid(), Home: home}
		got, stamp, err := h.AuthorizedKeys(u, "")
		if (err != nil) != c.fail || !c.fail && string(got) != c.text || (stamp != "") != (c.text != "") && !c.fail {
			t.Errorf("%s: %.40q, %q, %v", c.what, got, stamp, err)
		}
		if c.text == "" {
			continue
		}
		if again, same, err := h.AuthorizedKeys(u, stamp); again != nil || same != stamp || err != nil {
			t.Errorf("%s, seen already: %q, %q, %v", c.what, again, same, err)
		}
	}
}
