package main

import (
	"bytes"
	"context"
	"embed"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/masu-lab/masu"
)

//go:embed install
var installFiles embed.FS

// Where the files of an installation are, below the root of the file system.
const (
	installedBin  = "/usr/local/bin/masu"
	packagedBin   = "/usr/bin/masu" // a package's; then the package has written all the rest too
	unitFile      = "/etc/systemd/system/masu.service"
	configFile    = "/etc/masu/config.yaml"
	logrotateFile = "/etc/logrotate.d/masu"
	manFolder     = "/usr/local/share/man/man1"
)

// completionFiles are where the shells look, by shell.
func completionFiles() map[string]string {
	return map[string]string{
		"bash": "/usr/share/bash-completion/completions/masu",
		"zsh":  "/usr/local/share/zsh/site-functions/_masu",
		"fish": "/usr/share/fish/vendor_completions.d/masu.fish",
	}
}

// installation writes what a lab's daemon needs, below a root that tests choose.
type installation struct {
	a    *app
	root string
}

func (i installation) at(path string) string { return filepath.Join(i.root, path) }

// systemd tells whether it runs this machine. A root of a test's is nobody's machine.
func (i installation) systemd() bool {
	_, err := os.Stat("/run/systemd/system")
	return err == nil && i.root == "/"
}

func (i installation) write(path string, text []byte, mode os.FileMode) error {
	at := i.at(path)
	if old, err := os.ReadFile(at); err == nil && bytes.Equal(old, text) {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
		return masu.E(masu.Invalid, "cannot_write", at).Because(err)
	}
	draft := at + ".masu-new"
	err := os.WriteFile(draft, text, mode)
	if err == nil {
		err = errors.Join(os.Chmod(draft, mode), os.Rename(draft, at))
	}
	if err != nil {
		return masu.E(masu.Invalid, "cannot_write", at).Because(err)
	}
	i.a.note("installed", at)
	return nil
}

// install makes a lab's server of this machine, or brings it up to date.
func (a *app) install(ctx context.Context, root string, yes bool) error {
	i := installation{a, root}
	if os.Geteuid() != 0 && root == "/" {
		return masu.E(masu.Denied, "install_as_root")
	}
	if !yes {
		ok, err := a.confirm(ctx, a.say("install_sure"), "--yes")
		if err != nil {
			return err
		}
		if !ok {
			return masu.E(masu.Cancelled, "install_not_done")
		}
	}
	bin, err := i.program()
	if err != nil {
		return err
	}
	if err := i.files(bin); err != nil {
		return err
	}
	if root != "/" {
		return nil
	}
	return i.start(ctx, bin)
}

// program puts this very program in its place, unless a package has.
func (i installation) program() (string, error) {
	self, err := os.Executable()
	if err != nil || self == packagedBin {
		return packagedBin, err
	}
	b, err := os.ReadFile(self)
	if err != nil {
		return "", err
	}
	return installedBin, i.write(installedBin, b, 0o755)
}

// files writes everything but the program.
func (i installation) files(bin string) error {
	unit, err := installFiles.ReadFile("install/masu.service")
	if err != nil {
		return err
	}
	if bin != packagedBin {
		if err := i.write(unitFile, bytes.ReplaceAll(unit, []byte("@BIN@"), []byte(bin)), 0o644); err != nil {
			return err
		}
		if err := i.helpFiles(); err != nil {
			return err
		}
	}
	if _, err := os.Lstat(i.at(configFile)); errors.Is(err, fs.ErrNotExist) {
		text, err := installFiles.ReadFile("install/config.yaml")
		if err != nil {
			return err
		}
		if err := i.write(configFile, text, 0o644); err != nil {
			return err
		}
	}
	if i.systemd() { // which keeps the log itself
		return nil
	}
	text, err := installFiles.ReadFile("install/masu.logrotate")
	if err != nil {
		return err
	}
	return i.write(logrotateFile, text, 0o644)
}

// helpFiles writes completions and man pages.
func (i installation) helpFiles() error {
	root := i.a.root()
	for shell, path := range completionFiles() {
		var text bytes.Buffer
		if err := completion(root, shell, &text); err != nil {
			return err
		}
		if err := i.write(path, text.Bytes(), 0o644); err != nil {
			return err
		}
	}
	draft, err := os.MkdirTemp("", "masu-man-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(draft)
	if err := manPages(root, draft); err != nil {
		return err
	}
	pages, err := os.ReadDir(draft)
	for _, page := range pages {
		text, rerr := os.ReadFile(filepath.Join(draft, page.Name()))
		if err = errors.Join(err, rerr); err == nil {
			err = i.write(filepath.Join(manFolder, page.Name()), text, 0o644)
		}
	}
	return err
}

// start has the service running, also after the next boot where systemd is there.
// A daemon that somebody started by hand, or an older one, makes room: it holds the records.
func (i installation) start(ctx context.Context, bin string) error {
	if !i.systemd() || exec.CommandContext(ctx, "systemctl", "is-active", "--quiet", "masu.service").Run() != nil {
		if err := i.a.endDaemon(ctx); err != nil {
			return err
		}
	}
	if !i.systemd() {
		s, err := i.a.startDaemon(ctx, bin)
		if err != nil {
			return err
		}
		_ = s.Close()
	}
	if i.systemd() {
		for _, argv := range [][]string{{"systemctl", "daemon-reload"}, {"systemctl", "enable", "masu.service"}, {"systemctl", "restart", "masu.service"}} {
			if err := i.a.runVisibly(ctx, argv...); err != nil {
				return err
			}
		}
	}
	s, err := i.a.connectOrStart(ctx, true)
	if err != nil {
		return err
	}
	defer s.Close()
	if !i.systemd() {
		i.a.note("install_no_systemd")
	}
	hello, err := s.Whoami(ctx)
	if err != nil {
		return err
	}
	link, err := s.Link(ctx, "")
	if err != nil {
		return err
	}
	i.a.address(link, hello)
	return nil
}

// uninstall takes away what install wrote. What members have, and the
// configuration, stays.
func (a *app) uninstall(ctx context.Context, root string) error {
	i := installation{a, root}
	if os.Geteuid() != 0 && root == "/" {
		return masu.E(masu.Denied, "install_as_root")
	}
	if _, err := os.Lstat(i.at(packagedBin)); err == nil {
		return masu.E(masu.Conflict, "uninstall_packaged")
	}
	if i.systemd() {
		_ = a.runVisibly(ctx, "systemctl", "disable", "--now", "masu.service") // it may not be there
	}
	if root == "/" {
		if err := a.endDaemon(ctx); err != nil {
			return err
		}
	}
	gone := []string{unitFile, logrotateFile, installedBin}
	for _, path := range completionFiles() {
		gone = append(gone, path)
	}
	pages, err := filepath.Glob(filepath.Join(i.at(manFolder), "masu*.1"))
	if err != nil {
		return err
	}
	for _, path := range gone {
		pages = append(pages, i.at(path))
	}
	for _, path := range pages {
		if err := os.Remove(path); err == nil {
			a.note("uninstalled", path)
		} else if !errors.Is(err, fs.ErrNotExist) {
			return masu.E(masu.Invalid, "cannot_write", path).Because(err)
		}
	}
	if i.systemd() {
		_ = a.runVisibly(ctx, "systemctl", "daemon-reload") // only for tidiness
	}
	a.note("uninstall_left", i.at("/etc/masu"), i.at("/var/lib/masu"))
	return nil
}

// runVisibly runs a command that the admin may want to know of.
func (a *app) runVisibly(ctx context.Context, argv ...string) error {
	a.note("mend_run", shellLine(argv))
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = io.Writer(&out), &out
	if err := cmd.Run(); err != nil {
		return masu.E(masu.Unreachable, "mend_failed", shellLine(argv), strings.TrimSpace(out.String())).Because(err)
	}
	return nil
}
