package main

import (
	"context"
	"crypto/tls"
	"net"
	"os"
	"strconv"

	"github.com/masu-lab/masu/internal/web"
)

// origins says under which addresses browsers find the pages and the apps.
func (o *serveOptions) origins(port int) web.OriginsConfig {
	number := strconv.Itoa(port)
	c := web.OriginsConfig{
		Pages:  o.scheme() + "://localhost:" + number,
		Suffix: "localhost:" + number,
		Hosts:  []string{net.JoinHostPort("127.0.0.1", number), net.JoinHostPort("::1", number)},
	}
	if o.appsDomain != "" {
		c.Suffix = o.at(o.appsDomain, port)
	}
	if o.loopback() && !o.tls.on() {
		return c
	}
	c.Hosts = append(c.Hosts, net.JoinHostPort("localhost", number))
	addresses := o.addresses()
	for _, name := range append(addresses, o.names()...) {
		c.Hosts = append(c.Hosts, o.at(name, port))
	}
	switch { // what people are told: the name that the admin gave, else an address that works
	case o.named != "":
		c.Pages = o.scheme() + "://" + o.at(o.named, port)
	case len(addresses) > 0:
		c.Pages = o.scheme() + "://" + o.at(addresses[0], port)
	}
	c.Ports = [2]int{o.first, o.last}
	c.Listen = func(port int) (net.Listener, error) {
		l, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", net.JoinHostPort(o.host, strconv.Itoa(port))) // returns at once
		if err != nil {
			return nil, err
		}
		return o.sealed(l), nil
	}
	return c
}

func (o *serveOptions) scheme() string {
	if o.tls.on() {
		return "https"
	}
	return "http"
}

// at is a name with a port as browsers write it: without the one that everybody expects.
func (o *serveOptions) at(name string, port int) string {
	usual := 80
	if o.tls.on() {
		usual = 443
	}
	if port == usual && net.ParseIP(name).To4() == nil && net.ParseIP(name) != nil {
		return "[" + name + "]"
	}
	if port == usual {
		return name
	}
	return net.JoinHostPort(name, strconv.Itoa(port))
}

// sealed encrypts what comes in at a listener, where there is a certificate.
func (o *serveOptions) sealed(l net.Listener) net.Listener {
	if o.cert == nil {
		return l
	}
	return tls.NewListener(l, o.cert.config())
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
