package host

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/masu-lab/masu"
)

// Bases makes Debian base images with mmdebstrap, from the host's own package
// source or the site's mirror; it is masu.Bases.
type Bases struct {
	log  *slog.Logger
	site masu.Site
	etc  string
	tool string
}

var _ masu.Bases = (*Bases)(nil)

// Bases gives the maker of base images.
func (h *Host) Bases() *Bases {
	return &Bases{log: h.cfg.Log, site: h.cfg.Site, etc: h.etc, tool: "mmdebstrap"}
}

const (
	debianKeys = "/usr/share/keyrings/debian-archive-keyring.gpg"
	endTime    = 10 * time.Second // what mmdebstrap has to tidy up when it is told to end
)

// suiteOf tells which release of Debian an image is of, and whether it is the slim form.
func suiteOf(ref masu.ImageRef) (suite string, slim, ok bool) {
	tag, ok := strings.CutPrefix(string(ref), "debian:")
	if !ok {
		return "", false, false
	}
	tag, slim = strings.CutSuffix(tag, "-slim")
	switch tag {
	case "trixie", "13":
		return "trixie", slim, true
	case "bookworm", "12":
		return "bookworm", slim, true
	}
	return "", false, false
}

// Can tells whether the image is one that Make makes: Debian 12 or 13, slim or not.
func (b *Bases) Can(ref masu.ImageRef) bool {
	_, _, ok := suiteOf(ref)
	return ok
}

// Make writes the root file system of ref as a tar. Invalid "base_not_made" if
// Can says no, Unreachable "base_tool_missing" where the host lacks the tools
// (argument: the command that installs them), Unreachable "base_failed" with
// the tool's last words. When ctx ends nothing is left behind.
func (b *Bases) Make(ctx context.Context, ref masu.ImageRef, tar io.Writer, line func(string)) error {
	suite, slim, ok := suiteOf(ref)
	if !ok {
		return masu.E(masu.Invalid, "base_not_made", ref)
	}
	tool, err := exec.LookPath(b.tool)
	if _, keys := os.Stat(debianKeys); err != nil || keys != nil {
		return masu.E(masu.Unreachable, "base_tool_missing", "sudo apt-get install -y mmdebstrap debian-archive-keyring").Because(errors.Join(err, keys))
	}
	tmp, err := os.MkdirTemp("", "masu-base-")
	if err != nil {
		return fmt.Errorf("host: base image: %w", err)
	}
	// apt downloads as a user of its own, who must be able to get in.
	if err := os.Chmod(tmp, 0o711); err != nil {
		return errors.Join(err, removeTree(tmp))
	}
	words := &lastWords{line: line}
	err = b.run(ctx, tool, append(options(slim), b.sources(ctx, suite)...), tmp, tar, words)
	words.flush()
	if left := removeTree(tmp); left != nil {
		b.log.Warn("left behind by a base image", "folder", tmp, "err", left)
	}
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case err != nil:
		return masu.E(masu.Unreachable, "base_failed", ref, words.last).Because(err)
	}
	return nil
}

// options are mmdebstrap's, before the release and its sources: what apt needs
// and nothing else, and no waiting for the disk. The slim form has no manuals
// and no languages but two.
func options(slim bool) []string {
	o := []string{
		"--variant=apt", "--format=tar", "--components=main",
		"--dpkgopt=force-unsafe-io",
		`--aptopt=APT::Install-Recommends "false"`,
	}
	if slim {
		o = append(o,
			"--dpkgopt=path-exclude=/usr/share/man/*",
			"--dpkgopt=path-exclude=/usr/share/locale/*",
			"--dpkgopt=path-include=/usr/share/locale/ja*",
			"--dpkgopt=path-include=/usr/share/locale/en*",
			"--dpkgopt=path-include=/usr/share/locale/locale.alias",
			"--dpkgopt=path-exclude=/usr/share/doc/*",
			"--dpkgopt=path-include=/usr/share/doc/*/copyright")
	}
	return o
}

func (b *Bases) run(ctx context.Context, tool string, args []string, tmp string, tar io.Writer, words *lastWords) error {
	cmd := exec.CommandContext(ctx, tool, args...)
	cmd.Dir = "/"
	cmd.Env = append(os.Environ(), "TMPDIR="+tmp, "LC_ALL=C.UTF-8")
	for k, v := range b.site.Proxy {
		cmd.Env = append(cmd.Env, strings.ToLower(k)+"="+v)
	}
	cmd.Stdout, cmd.Stderr = tar, words
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
	cmd.WaitDelay = endTime
	if err := cmd.Start(); err != nil {
		return err
	}
	err := cmd.Wait()
	if killed := syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL); killed == nil {
		b.log.Warn("a base image's tools had to be killed")
	}
	return err
}

// removeTree removes a folder that a chroot was made in. What is still mounted
// there is the host's own, so it is unmounted first, or nothing is removed.
func removeTree(dir string) error {
	for range 5 { // a process that was killed takes its mounts with it, but not at once
		mounts, err := mountsBelow(dir)
		if err != nil {
			return err
		}
		if len(mounts) == 0 {
			return os.RemoveAll(dir)
		}
		for _, at := range mounts {
			if err := unix.Unmount(at, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW); err != nil {
				return fmt.Errorf("unmount %s: %w", at, err)
			}
		}
	}
	return fmt.Errorf("%s has mounts that come back", dir)
}

// lastWords passes a program's lines on and keeps the last one that says something.
type lastWords struct {
	line func(string)
	rest []byte
	last string
}

func (w *lastWords) Write(p []byte) (int, error) {
	w.rest = append(w.rest, p...)
	for {
		// A carriage return ends a line too: progress bars.
		i := bytes.IndexAny(w.rest, "\r\n")
		if i < 0 {
			return len(p), nil
		}
		w.say(string(w.rest[:i]))
		w.rest = w.rest[i+1:]
	}
}

func (w *lastWords) flush() {
	w.say(string(w.rest))
	w.rest = nil
}

func (w *lastWords) say(s string) {
	if s = strings.TrimSpace(s); s != "" {
		w.last = s
		w.line(s)
	}
}
