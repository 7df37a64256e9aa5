package main

import (
	"context"
	"fmt"
	"net"
	"strconv"

	"github.com/masu-lab/masu"
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

// listenSSH opens the gateway's port; nil where there is to be none.
func (o *serveOptions) listenSSH(ctx context.Context) (net.Listener, error) {
	address := o.sshListen
	if address == sshOff || address == "" && personal() {
		return nil, nil
	}
	if address == "" {
		address = net.JoinHostPort(o.host, strconv.Itoa(sshPort))
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return nil, masu.E(masu.Conflict, "ssh_listen_taken", address).Because(err)
	}
	return l, nil
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
