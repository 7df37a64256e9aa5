package web

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/masu-lab/masu"
)

// jupyter is the app that a workspace's plain name means.
const jupyter = "jupyter"

// OriginsConfig says where browsers find things.
type OriginsConfig struct {
	Pages  string   // origin of the pages, as people are told it: "http://localhost:8888"
	Hosts  []string // further exact host:port that the pages answer to
	Suffix string   // under which every app has a name of its own: "localhost:8888", or a wildcard name
	// Listen opens a port for an app, where names do not reach: on a plain LAN
	// address. Ports is the range it may use. Without Listen there are only names.
	Listen func(port int) (net.Listener, error)
	Ports  [2]int
}

// Origins knows which host names and ports are the pages', and which are apps'.
type Origins struct {
	cfg    OriginsConfig
	scheme string
	hosts  []string // host:port of the pages
	local  bool     // Suffix is a name that only this machine resolves, for its own browsers

	mu    sync.Mutex
	ports map[place]int
	serve func(net.Listener, place)
}

// place is an app of a workspace.
type place struct{ app, label string }

func (p place) String() string { return p.app + "--" + p.label }

var _ masu.Origins = (*Origins)(nil)

// NewOrigins checks the configuration.
func NewOrigins(c OriginsConfig) (*Origins, error) {
	u, err := url.Parse(c.Pages)
	if err != nil || u.Host == "" || u.Path != "" || u.User != nil || u.Scheme != "http" && u.Scheme != "https" {
		return nil, errors.New("web: OriginsConfig.Pages is no origin: " + c.Pages)
	}
	if c.Suffix == "" {
		return nil, errors.New("web: OriginsConfig.Suffix is missing")
	}
	name := hostname(c.Suffix)
	o := &Origins{cfg: c, scheme: u.Scheme, local: name == "localhost" || strings.HasSuffix(name, ".localhost"), ports: map[place]int{}}
	for _, h := range append([]string{u.Host}, c.Hosts...) {
		o.hosts = append(o.hosts, strings.ToLower(h))
	}
	return o, nil
}

// hostname is a host without its port.
func hostname(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		return name
	}
	return host
}

// Pages is the origin of the pages.
func (o *Origins) Pages() string { return o.cfg.Pages }

// App is the origin of an app, by name.
func (o *Origins) App(w masu.Workspace, app string) (string, error) {
	if !masu.ValidAppName(app) {
		return "", masu.E(masu.NotFound, "no_app", app)
	}
	return o.scheme + "://" + place{app, w.Label}.name() + "." + o.cfg.Suffix, nil
}

// name is the part of a host name that stands for the app.
func (p place) name() string {
	if p.app == jupyter {
		return p.label
	}
	return p.app + "--" + p.label
}

// pages tells whether a request is for the pages: by its Host, and not at an
// app's port. Where they answer to localhost, they do so at any port: people's
// tunnels begin where a port is free on their laptop.
func (o *Origins) pages(r *http.Request) bool {
	if _, byPort := r.Context().Value(placeKey{}).(place); byPort {
		return false
	}
	host := strings.ToLower(r.Host)
	return slices.ContainsFunc(o.hosts, func(h string) bool {
		return h == host || hostname(h) == hostname(host) && isLocal(hostname(h))
	})
}

// split reads an app's host name. What is not exactly one is not guessed at.
func (o *Origins) split(host string) (place, bool) {
	host, suffix := strings.ToLower(host), o.cfg.Suffix
	if o.local { // at any port, as the pages
		host, suffix = hostname(host), hostname(suffix)
	}
	label, ok := strings.CutSuffix(host, "."+suffix)
	if !ok || strings.Contains(label, ".") {
		return place{}, false
	}
	switch parts := strings.Split(label, "--"); {
	case slices.Contains(parts, ""):
	case len(parts) == 2:
		return place{jupyter, label}, true
	case len(parts) == 3 && masu.ValidAppName(parts[0]) && parts[0] != jupyter:
		return place{parts[0], parts[1] + "--" + parts[2]}, true
	}
	return place{}, false
}

// near is the origin of an app for a browser that came to the pages by host: a
// name where names reach, else a port of the range on that same address.
func (o *Origins) near(host string, w masu.Workspace, app string) (string, error) {
	named, err := o.App(w, app)
	switch {
	case err != nil || !o.local:
		return named, err
	case isLocal(hostname(host)):
		return o.scheme + "://" + withPort(place{app, w.Label}.name()+"."+hostname(o.cfg.Suffix), host), nil
	case o.cfg.Listen == nil:
		return named, nil
	}
	port, err := o.port(place{app, w.Label})
	if err != nil {
		return "", err
	}
	return o.scheme + "://" + net.JoinHostPort(hostname(host), strconv.Itoa(port)), nil
}

// withPort gives a name the port of a host.
func withPort(name, host string) string {
	if _, port, err := net.SplitHostPort(host); err == nil {
		return net.JoinHostPort(name, port)
	}
	return name
}

// isLocal tells whether a browser that uses this host name finds names under localhost at the same place.
func isLocal(name string) bool {
	ip := net.ParseIP(name)
	return name == "localhost" || strings.HasSuffix(name, ".localhost") || ip != nil && ip.IsLoopback()
}

// port gives an app its port, the same one as long as the daemon runs.
func (o *Origins) port(p place) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if port, ok := o.ports[p]; ok {
		return port, nil
	}
	taken := map[int]bool{}
	for _, port := range o.ports {
		taken[port] = true
	}
	for port := o.cfg.Ports[0]; port <= o.cfg.Ports[1] && o.serve != nil; port++ {
		if taken[port] {
			continue
		}
		l, err := o.cfg.Listen(port)
		if err != nil {
			continue // somebody else's
		}
		o.ports[p] = port
		o.serve(l, p)
		return port, nil
	}
	return 0, masu.E(masu.Full, "app_ports_full", o.cfg.Ports[0], o.cfg.Ports[1])
}

type placeKey struct{}

func withPlace(ctx context.Context, p place) context.Context {
	return context.WithValue(ctx, placeKey{}, p)
}

// placeOf tells which app a request is for: by the port it came in at, or by its host name.
func (o *Origins) placeOf(r *http.Request) (p place, origin string, ok bool) {
	if p, ok = r.Context().Value(placeKey{}).(place); ok {
		return p, o.scheme + "://" + r.Host, o.ownHost(r.Host, p)
	}
	p, ok = o.split(r.Host)
	return p, o.scheme + "://" + strings.ToLower(r.Host), ok
}

// ownHost tells whether a Host header at an app's port names one of our
// addresses and that port: anything else is a name that was made to point here.
func (o *Origins) ownHost(host string, p place) bool {
	address, port, err := net.SplitHostPort(host)
	if err != nil {
		return false
	}
	o.mu.Lock()
	mine := strconv.Itoa(o.ports[p])
	o.mu.Unlock()
	return port == mine && slices.ContainsFunc(o.hosts, func(h string) bool { return hostname(h) == strings.ToLower(address) })
}

// pagesFor is the pages' origin for a browser that is at an app's: the same address, if it came by one.
func (o *Origins) pagesFor(r *http.Request) string {
	if _, byPort := r.Context().Value(placeKey{}).(place); byPort {
		for _, h := range o.hosts {
			if hostname(h) == strings.ToLower(hostname(r.Host)) {
				return o.scheme + "://" + h
			}
		}
	}
	if o.local {
		return o.scheme + "://" + withPort("localhost", r.Host)
	}
	return o.Pages()
}
