package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"strconv"

	"golang.org/x/crypto/ssh"

	"github.com/masu-lab/masu"
	"github.com/masu-lab/masu/internal/lab"
	"github.com/masu-lab/masu/internal/sshd"
)

const (
	sshPort = 2222
	sshOff  = "off"
)

// sshConfig is where the ssh gateway listens: an address, or "off". Where
// nothing is said, a lab's daemon listens as widely as its pages do.
type sshConfig struct {
	Listen string `yaml:"listen"`
}

func (c sshConfig) check() error {
	if c.Listen == "" || c.Listen == sshOff {
		return nil
	}
	host, port, err := net.SplitHostPort(c.Listen)
	if err != nil {
		return fmt.Errorf("ssh.listen: %w", err)
	}
	if n, err := strconv.Atoi(port); err != nil || n < 0 || n > 65535 || host != "" && host != "localhost" && net.ParseIP(host) == nil {
		return fmt.Errorf("ssh.listen: %s: 127.0.0.1:%d, %s", c.Listen, sshPort, sshOff)
	}
	return nil
}

// listenSSH opens the gateway's port; nil where there is to be none, or where
// it cannot be opened and nobody has asked for it.
func (o *serveOptions) listenSSH(ctx context.Context, log *slog.Logger) (net.Listener, error) {
	address := o.sshListen
	if address == sshOff || address == "" && personal() {
		return nil, nil
	}
	if address == "" {
		address = net.JoinHostPort(o.host, strconv.Itoa(sshPort))
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	switch {
	case err != nil && o.sshListen != "":
		return nil, masu.E(masu.Conflict, "ssh_listen_taken", address).Because(err)
	case err != nil:
		log.Warn("no ssh gateway", "error", err)
		return nil, nil
	}
	log.Info("ssh gateway", "address", l.Addr().String())
	o.sshDoor = o.door(l)
	return l, nil
}

// hostKey gives the gateway's own key, and tells the lab what members are told of the gateway.
func (o serveOptions) hostKey(c *lab.Config) (ssh.Signer, error) {
	key, err := sshd.HostKey(o.state)
	if err != nil {
		return nil, masu.E(masu.Invalid, "host_key_wrong", filepath.Join(o.state, sshd.HostKeyName)).Because(err)
	}
	c.SSH = o.sshDoor
	c.SSH.Fingerprint = ssh.FingerprintSHA256(key.PublicKey())
	return key, nil
}

// door is what people are told to write.
func (o *serveOptions) door(l net.Listener) masu.SSHDoor {
	at := l.Addr().(*net.TCPAddr) // of a listener on tcp
	d := masu.SSHDoor{Host: o.hostName, Port: at.Port}
	if at.IP.IsLoopback() {
		d.Host = "localhost"
	}
	return d
}
