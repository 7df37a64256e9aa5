package main

import (
	"context"
	"net"
	"os"
	"strconv"

	"github.com/masu-lab/masu/internal/web"
)

// origins says under which addresses browsers find the pages and the apps.
func (o *serveOptions) origins(port int) web.OriginsConfig {
	number := strconv.Itoa(port)
	c := web.OriginsConfig{
		Pages:  "http://localhost:" + number,
		Suffix: "localhost:" + number,
		Hosts:  []string{net.JoinHostPort("127.0.0.1", number), net.JoinHostPort("::1", number)},
	}
	if o.loopback() {
		return c
	}
	c.Hosts = append(c.Hosts, net.JoinHostPort("localhost", number))
	addresses := o.addresses()
	for _, name := range append(addresses, o.names()...) {
		c.Hosts = append(c.Hosts, net.JoinHostPort(name, number))
	}
	switch { // what people are told: the name that the admin gave, else an address that works
	case o.named != "":
		c.Pages = "http://" + net.JoinHostPort(o.named, number)
	case len(addresses) > 0:
		c.Pages = "http://" + net.JoinHostPort(addresses[0], number)
	}
	c.Ports = [2]int{o.first, o.last}
	c.Listen = func(port int) (net.Listener, error) {
		return (&net.ListenConfig{}).Listen(context.Background(), "tcp", net.JoinHostPort(o.host, strconv.Itoa(port))) // returns at once
	}
	return c
}

// names are the host names by which this machine may be called.
func (o *serveOptions) names() []string {
	var names []string
	if o.named != "" {
		names = append(names, o.named)
	}
	if name, err := os.Hostname(); err == nil && name != o.named {
		names = append(names, name)
	}
	return names
}

// addresses are those that the network reaches the pages at.
func (o *serveOptions) addresses() []string {
	if ip := net.ParseIP(o.host); ip != nil && !ip.IsUnspecified() {
		return []string{ip.String()}
	}
	all, err := net.InterfaceAddrs()
	if err != nil {
		return nil
	}
	var four, six []string
	for _, a := range all {
		n, ok := a.(*net.IPNet)
		if !ok || n.IP.IsLoopback() || n.IP.IsLinkLocalUnicast() {
			continue
		}
		if n.IP.To4() != nil {
			four = append(four, n.IP.String())
		} else {
			six = append(six, n.IP.String())
		}
	}
	return append(four, six...)
}
