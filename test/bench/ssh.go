package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/masu-lab/masu"
	"github.com/masu-lab/masu/internal/api"
)

// sshd is one that the part ssh asks.
type sshd struct {
	name string
	argv []string // what comes before the command, and what scp shares
	at   string   // LOGIN@HOST
	port string
}

const sshCalls = 11 // of which the median counts

// benchSSH compares masu's gateway with OpenSSH's sshd in a plain container of
// the very same image: a connection with a command, and a file of 1 GiB.
func benchSSH(ctx context.Context, b *bench) ([]row, error) {
	key := filepath.Join(b.dir, "ssh-key")
	if out, err := exec.CommandContext(ctx, "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("ssh-keygen: %w: %s", err, out)
	}
	w, leave, err := b.sshMember(ctx, key)
	defer leave()
	if err != nil {
		return nil, err
	}
	peer, forget, err := b.plainSSHD(ctx, w.Image, key)
	if err != nil {
		return nil, err
	}
	defer forget()
	_, port, _ := net.SplitHostPort(b.gate)
	ours := sshd{name: "masu", at: w.Name + "@127.0.0.1", port: port, argv: sshOptions(key)}
	file := filepath.Join(b.dir, "gibibyte")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		return nil, err
	}
	if err := os.Truncate(file, 1<<30); err != nil {
		return nil, err
	}
	calls, up, down := map[string][]float64{}, map[string][]float64{}, map[string][]float64{}
	for range sshCalls {
		for _, s := range []sshd{ours, peer} {
			t, err := s.run(ctx, "true")
			if err != nil {
				return nil, err
			}
			calls[s.name] = append(calls[s.name], t*1000)
		}
	}
	for range rounds {
		for _, s := range []sshd{ours, peer} {
			t, err := s.copy(ctx, file, s.at+":/dev/null")
			if err != nil {
				return nil, err
			}
			up[s.name] = append(up[s.name], 1.073741824/t)
			if t, err = s.run(ctx, "head -c 1073741824 /dev/zero"); err != nil {
				return nil, err
			}
			down[s.name] = append(down[s.name], 1.073741824/t)
		}
	}
	const against = "OpenSSH's sshd, same image"
	return []row{
		{"ssh with a command, from the connection to its end", median(calls["masu"]), median(calls[peer.name]), "ms", against, false, 1.2},
		{"scp of 1 GiB into the box", median(up["masu"]), median(up[peer.name]), "GB/s", against, true, 0.8},
		{"1 GiB out of the box by a command", median(down["masu"]), median(down[peer.name]), "GB/s", against, true, 0.8},
	}, nil
}

const (
	sshLogin = "masubenchssh"
	sshUID   = "32999"
)

// sshMember makes a login of this host with a running workspace and a key: the
// gateway lets nobody in as root. leave removes all of it, also what an error left.
func (b *bench) sshMember(ctx context.Context, key string) (w masu.Workspace, leave func(), err error) {
	dir := filepath.Join("/tmp", filepath.Base(b.dir)+"-ssh")
	leave = func() {
		_ = exec.Command("userdel", "-f", sshLogin).Run()
		_ = os.RemoveAll(dir)
	}
	if out, err := exec.CommandContext(ctx, "useradd", "--no-create-home", "--uid", sshUID, "--shell", "/bin/sh", sshLogin).CombinedOutput(); err != nil {
		return w, leave, fmt.Errorf("useradd: %w: %s", err, out)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return w, leave, err
	}
	if err := os.WriteFile(filepath.Join(dir, "masu.yaml"), []byte("preset: python\napt: [openssh-server]\n"), 0o644); err != nil {
		return w, leave, err
	}
	if out, err := exec.CommandContext(ctx, "chown", "-R", sshUID+":"+sshUID, dir).CombinedOutput(); err != nil {
		return w, leave, fmt.Errorf("chown: %w: %s", err, out)
	}
	pub, err := os.ReadFile(key + ".pub")
	if err != nil {
		return w, leave, err
	}
	c, err := api.Dial(ctx, b.socket, api.ClientOptions{As: sshLogin})
	if err != nil {
		return w, leave, err
	}
	without := leave
	leave = func() {
		_ = c.Remove(context.WithoutCancel(ctx), "ssh")
		_ = c.Close()
		without()
	}
	if _, err := c.AddKey(ctx, string(pub), ""); err != nil {
		return w, leave, err
	}
	if _, err := c.Up(ctx, masu.UpRequest{Dir: dir, Name: "ssh"}); err != nil {
		return w, leave, err
	}
	waited := b.wait(ctx, 5*time.Minute, "the workspace", func() bool {
		w, err = c.Workspace(ctx, "ssh")
		return err != nil || w.Phase == masu.Running || w.Phase == masu.Failed
	})
	if err == nil && w.Phase != masu.Running {
		err = fmt.Errorf("the workspace is %s", w.Phase)
	}
	return w, leave, errors.Join(waited, err)
}

func sshOptions(key string) []string {
	return []string{"-F", "none", "-i", key, "-o", "IdentitiesOnly=yes", "-o", "IdentityAgent=none", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"}
}

// run gives the seconds that a command takes over a connection of its own.
func (s sshd) run(ctx context.Context, command string) (float64, error) {
	begin := time.Now()
	cmd := exec.CommandContext(ctx, "ssh", append(append([]string{"-p", s.port}, s.argv...), s.at, command)...)
	var errs strings.Builder
	cmd.Stderr = &errs // its output goes to /dev/null
	if err := cmd.Run(); err != nil {
		return 0, fmt.Errorf("%s: ssh %s: %w: %s", s.name, command, err, errs.String())
	}
	return time.Since(begin).Seconds(), nil
}

// copy gives the seconds that scp takes for a file.
func (s sshd) copy(ctx context.Context, from, to string) (float64, error) {
	begin := time.Now()
	out, err := exec.CommandContext(ctx, "scp", append(append([]string{"-P", s.port}, s.argv...), from, to)...).CombinedOutput()
	if err != nil {
		return 0, fmt.Errorf("%s: scp: %w: %s", s.name, err, out)
	}
	return time.Since(begin).Seconds(), nil
}

// plainSSHD runs OpenSSH's own in a container of the workspace's image, with the engine's usual rights.
func (b *bench) plainSSHD(ctx context.Context, image, key string) (s sshd, forget func(), err error) {
	pub, err := os.ReadFile(key + ".pub")
	if err != nil {
		return s, nil, err
	}
	script := "mkdir -p /run/sshd && ssh-keygen -A >/dev/null && mkdir -p -m 700 /root/.ssh && echo '" + strings.TrimSpace(string(pub)) + "' >/root/.ssh/authorized_keys && exec /usr/sbin/sshd -D -e -o PermitRootLogin=yes -o UsePAM=no"
	out, err := exec.CommandContext(ctx, "docker", "run", "-d", "--entrypoint", "sh", image, "-c", script).CombinedOutput()
	if err != nil {
		return s, nil, fmt.Errorf("docker run: %w: %s", err, out)
	}
	id := strings.TrimSpace(string(out))
	forget = func() { _ = exec.Command("docker", "rm", "-f", id).Run() }
	ip, err := exec.CommandContext(ctx, "docker", "inspect", "-f", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", id).Output()
	if err != nil {
		forget()
		return s, nil, err
	}
	s = sshd{name: "sshd", at: "root@" + strings.TrimSpace(string(ip)), port: "22", argv: sshOptions(key)}
	err = b.wait(ctx, 20*time.Second, "sshd", func() bool {
		c, err := net.Dial("tcp", net.JoinHostPort(strings.TrimSpace(string(ip)), "22"))
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	})
	if err != nil {
		forget()
		return s, nil, err
	}
	return s, forget, nil
}
