package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/spf13/cobra"

	"github.com/masu-lab/masu"
)

// sshSuffix makes a workspace's name one that ssh's configuration knows: thesis.masu.
const sshSuffix = masu.SSHSuffix

// trusted says that the way to the gateway needs no key of a host: it is the
// daemon's own socket, and whose that is the kernel says.
var trusted = []string{"StrictHostKeyChecking no", "UserKnownHostsFile /dev/null", "LogLevel ERROR"}

// sshCommand becomes OpenSSH's ssh, into a workspace.
func (a *app) sshCommand() *cobra.Command {
	var c *cobra.Command
	c = a.command("ssh", "ssh [NAME] [-- COMMAND...]", groupWork, a.args(0, -1), func(ctx context.Context, args []string) error {
		var names []string
		if n := c.ArgsLenAtDash(); n != 0 && len(args) > 0 {
			names, args = args[:1], args[1:]
		}
		if len(args) > 0 && args[0] == "--" {
			args = args[1:]
		}
		var name string
		err := a.with(ctx, func(s service) (err error) { name, err = a.which(ctx, s, names); return err })
		if err != nil {
			return err
		}
		ssh, err := exec.LookPath("ssh")
		if err != nil {
			return masu.E(masu.NotFound, "ssh_missing").Because(err)
		}
		self, err := os.Executable()
		if err != nil {
			return err
		}
		argv := []string{"ssh", "-o", "ProxyCommand=" + a.again(self) + " ssh-proxy " + quoted(name)}
		for _, o := range trusted {
			argv = append(argv, "-o", o)
		}
		argv = append(argv, "--", "workspace"+sshSuffix)
		return become(ssh, append(argv, args...))
	})
	c.Annotations["passes"] = "yes"
	c.Flags().SetInterspersed(false)
	c.ValidArgsFunction = a.completeNames
	return c
}

// again is this program for the shell that runs a ProxyCommand, with the server that it was told to reach.
func (a *app) again(self string) string {
	if a.server == nil {
		return quoted(self)
	}
	return quoted(self) + " -H " + quoted(a.server.String())
}

// quoted is a word for the shell that runs a ProxyCommand, where ssh itself takes % for its own.
func quoted(s string) string {
	return "'" + strings.NewReplacer("'", `'\''`, "%", "%%").Replace(s) + "'"
}

// sshProxyCommand carries ssh's own bytes over the daemon's socket.
func (a *app) sshProxyCommand() *cobra.Command {
	c := a.command("ssh-proxy", "ssh-proxy NAME", groupOther, a.args(1, 1), func(ctx context.Context, args []string) error {
		return a.with(ctx, func(s service) error {
			conn, err := s.SSH(ctx, proxied(args[0]))
			if err != nil {
				return err
			}
			defer conn.Close()
			stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
			defer stop()
			if err := a.joinStdio(conn); ctx.Err() == nil {
				return err
			}
			return nil // ssh has what it wanted, and ends its proxy by a signal
		})
	})
	c.Hidden = true
	return c
}

// proxied is the workspace that ssh's configuration means. A laptop's ssh
// without a shell (Windows) passes the quotes of sshBlock on as they are.
func proxied(word string) string { return strings.TrimSuffix(strings.Trim(word, "'"), sshSuffix) }

// viaName is what a host may be called: nothing that ssh would take for an option or the shell for its own.
var viaName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9@._-]*$`)

// sshConfigCommand prints, or puts in its place, what makes `ssh thesis.masu` work without an open port.
func (a *app) sshConfigCommand() *cobra.Command {
	var via string
	var write, knownHosts, sshfp bool
	c := a.command("ssh-config", "ssh-config", groupWork, a.args(0, 0), func(ctx context.Context, _ []string) error {
		if knownHosts || sshfp {
			return a.with(ctx, func(s service) error { return a.hostKeyLine(ctx, s, sshfp) })
		}
		if via != "" && !viaName.MatchString(via) {
			return masu.E(masu.Invalid, "via_wrong", via)
		}
		self, err := os.Executable()
		if err != nil {
			return err
		}
		block := sshBlock(a.again(self), via)
		if !write {
			fmt.Fprint(a.out, block)
			return nil
		}
		path, err := writeSSHConfig(a.home(), block)
		if err != nil {
			return masu.E(masu.Invalid, "cannot_write", path).Because(err)
		}
		a.note("ssh_config_written", path)
		return nil
	})
	c.Flags().StringVar(&via, "via", "", "")
	c.Flags().BoolVar(&write, "write", false, "")
	c.Flags().BoolVar(&knownHosts, "known-hosts", false, "")
	c.Flags().BoolVar(&sshfp, "sshfp", false, "")
	c.MarkFlagsMutuallyExclusive("write", "known-hosts", "sshfp")
	return c
}

// Numbers of RFC 4255, 6594 and 7479.
const sshfpSHA256 = 2

var sshfpKinds = map[string]int{"ssh-rsa": 1, "ecdsa-sha2-nistp256": 3, "ecdsa-sha2-nistp384": 3, "ecdsa-sha2-nistp521": 3, "ssh-ed25519": 4}

// hostKeyLine prints the gateway's own key as ssh's known_hosts has it, or as DNS does.
func (a *app) hostKeyLine(ctx context.Context, s service, sshfp bool) error {
	h, err := s.Whoami(ctx)
	if err != nil {
		return err
	}
	kind, text, _ := strings.Cut(h.SSH.Key, " ")
	blob, err := base64.StdEncoding.DecodeString(text)
	if h.SSH.Port == 0 || err != nil || len(blob) == 0 {
		return masu.E(masu.NotFound, "ssh_closed").Because(err)
	}
	if sshfp {
		fmt.Fprintf(a.out, "%s. IN SSHFP %d %d %x\n", h.SSH.Host, sshfpKinds[kind], sshfpSHA256, sha256.Sum256(blob))
		return nil
	}
	host := h.SSH.Host
	if h.SSH.Port != 22 {
		host = fmt.Sprintf("[%s]:%d", host, h.SSH.Port)
	}
	fmt.Fprintln(a.out, host, h.SSH.Key)
	return nil
}

func sshBlock(program, via string) string {
	// An older ssh puts anything in the place of %n, and what it is may come from elsewhere.
	proxy := program + " ssh-proxy '%n'"
	if via != "" { // the laptop's own ssh, to the server's masu: one shell here, and one there
		proxy = "ssh " + via + ` masu ssh-proxy \''%n'\'`
	}
	b := "# " + "ssh WORKSPACE" + sshSuffix + "\nHost *" + sshSuffix + "\n  ProxyCommand " + proxy + "\n"
	for _, o := range trusted {
		b += "  " + o + "\n"
	}
	return b
}

// writeSSHConfig keeps the block in a file of its own, which the member's own
// configuration includes: nothing else of theirs is touched.
func writeSSHConfig(home, block string) (path string, err error) {
	const include = "Include config.d/masu"
	dir := filepath.Join(home, ".ssh")
	path = filepath.Join(dir, "config.d", "masu")
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return path, err
	}
	if err := replaceFile(path, []byte(block)); err != nil {
		return path, err
	}
	config := filepath.Join(dir, "config")
	if real, err := filepath.EvalSymlinks(config); err == nil {
		config = real
	}
	old, err := os.ReadFile(config)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return config, err
	}
	for line := range bytes.Lines(old) {
		if strings.TrimSpace(string(line)) == include {
			return path, nil
		}
	}
	// At the beginning: further down it would belong to some Host.
	if err := replaceFile(config, append([]byte(include+"\n\n"), old...)); err != nil {
		return config, err
	}
	return path, nil
}
