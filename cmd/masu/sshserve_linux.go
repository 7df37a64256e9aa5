package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/crypto/ssh"

	"github.com/masu-lab/masu"
	"github.com/masu-lab/masu/internal/lab"
	"github.com/masu-lab/masu/internal/sshd"
)

const (
	sshPort = 2222
	sshOff  = "off"
	sshOn   = "on"
)

// sshConfig is where the ssh gateway listens: an address, or "off". Where
// nothing is said, a lab's daemon listens as widely as its pages do.
type sshConfig struct {
	Listen          string `yaml:"listen"`
	UserCA          string `yaml:"user_ca"`          // public keys of authorities whose certificates let members in
	RevokedKeys     string `yaml:"revoked_keys"`     // keys and certificates that let nobody in any more
	HostCert        string `yaml:"host_cert"`        // what an authority says of the gateway's own key
	AgentForwarding string `yaml:"agent_forwarding"` // "off": no member has their laptop's agent in their box
}

func (c sshConfig) check() error {
	if c.AgentForwarding != "" && c.AgentForwarding != sshOff && c.AgentForwarding != sshOn {
		return fmt.Errorf("ssh.agent_forwarding: %s: on, off", c.AgentForwarding)
	}
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

// trust reads what the files say of keys and certificates.
func (c sshConfig) trust() (t sshd.Trust, err error) {
	if c.UserCA != "" {
		text, err := os.ReadFile(c.UserCA)
		if err == nil {
			t.CAs, err = sshd.ReadCAs(text)
		}
		if err != nil {
			return t, fmt.Errorf("ssh.user_ca: %s: %w", c.UserCA, err)
		}
	}
	if c.RevokedKeys != "" {
		t.Revoked = sshd.RevokedFile(c.RevokedKeys)
		if _, err := t.Revoked(); err != nil {
			return t, fmt.Errorf("ssh.revoked_keys: %s: %w", c.RevokedKeys, err)
		}
	}
	return t, nil
}

// certified joins the gateway's key with what an authority says of it; nil where nothing is said.
func (c sshConfig) certified(key ssh.Signer) (ssh.Signer, error) {
	if c.HostCert == "" {
		return nil, nil
	}
	signer, err := sshd.ReadHostCert(c.HostCert, key)
	if err != nil {
		return nil, masu.E(masu.Invalid, "host_cert_wrong", c.HostCert, onOneLine(err)).Because(err)
	}
	return signer, nil
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
	c.SSH.Key = strings.TrimSuffix(string(ssh.MarshalAuthorizedKey(key.PublicKey())), "\n")
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
