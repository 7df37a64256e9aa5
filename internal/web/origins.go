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

// OriginsConfig says where browsers find things.
type OriginsConfig struct {
	Pages  string   // origin of the pages, as people are told it: "http://localhost:8888"
	Hosts  []string // further exact host:port that the pages answer to
	Suffix string   // under which every app has a name of its own: "localhost:8888"
	// Listen opens a port for an app, where there are no names: on a plain
	// LAN address. Ports is the range it may use.
	Listen func(port int) (net.Listener, error)
	Ports  [2]int
}

// Origins knows which host names and ports are the pages', and which are apps'.
type Origins struct {
	cfg    OriginsConfig
	scheme string
	hosts  []string
	lan    string // host name of the pages when apps have ports instead of names; ""

	mu    sync.Mutex
	ports map[string]int // by "APP--NAME--USER"
	serve func(net.Listener, place)
}

// place is an app of a workspace.
type place struct{ app, label string }

func (p place) String() string { return p.app + "--" + p.label }

var _ masu.Origins = (*Origins)(nil)

// NewOrigins checks the configuration.
func NewOrigins(c OriginsConfig) (*Origins, error) {
	u, err := url.Parse(c.Pages)
	if err != nil || u.Host == "" || u.Path != "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, errors.New("web: OriginsConfig.Pages is no origin: " + c.Pages)
	}
	if c.Suffix == "" {
		return nil, errors.New("web: OriginsConfig.Suffix is missing")
	}
	return &Origins{cfg: c, scheme: u.Scheme, hosts: append([]string{u.Host}, c.Hosts...), ports: map[string]int{}}, nil
}

// Pages is the origin of the pages.
func (o *Origins) Pages() string { return o.cfg.Pages }

// App is the origin of an app, by name.
func (o *Origins) App(w masu.Workspace, app string) (string, error) {
	if app != "jupyter" && !masu.ValidAppName(app) {
		return "", masu.E(masu.NotFound, "no_app", app)
	}
	return o.scheme + "://" + o.name(place{app, w.Label}), nil
}

func (o *Origins) name(p place) string {
	if p.app == "jupyter" {
		return p.label + "." + o.cfg.Suffix
	}
	return p.app + "--" + p.label + "." + o.cfg.Suffix
}

// pages tells whether a Host header is one of the pages'.
func (o *Origins) pages(host string) bool { return slices.Contains(o.hosts, strings.ToLower(host)) }

// split reads an app's host name. What is not one is not guessed at.
func (o *Origins) split(host string) (place, bool) {
	label, ok := strings.CutSuffix(strings.ToLower(host), "."+o.cfg.Suffix)
	if !ok || label == "" || strings.Contains(label, ".") {
		return place{}, false
	}
	switch parts := strings.Split(label, "--"); len(parts) {
	case 2:
		return place{"jupyter", label}, true
	case 3:
		if !masu.ValidAppName(parts[0]) {
			return place{}, false
		}
		return place{parts[0], parts[1] + "--" + parts[2]}, true
	}
	return place{}, false
}

// near is the origin of an app for a browser that came to the pages by host: a
// name where names work, else a port of the range on that same address.
func (o *Origins) near(host string, w masu.Workspace, app string) (string, error) {
	named, err := o.App(w, app)
	address, _, _ := net.SplitHostPort(host)
	if err != nil || o.cfg.Listen == nil || address == "localhost" || host == o.hosts[0] && !isAddress(address) {
		return named, err
	}
	if ip := net.ParseIP(address); ip != nil && ip.IsLoopback() {
		return named, nil
	}
	port, err := o.port(place{app, w.Label})
	if err != nil {
		return "", err
	}
	return o.scheme + "://" + net.JoinHostPort(address, strconv.Itoa(port)), nil
}

func isAddress(host string) bool { return net.ParseIP(host) != nil }

// port gives an app its port, the same one as long as the daemon runs.
func (o *Origins) port(p place) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if port, ok := o.ports[p.String()]; ok {
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
		o.ports[p.String()] = port
		o.serve(l, p)
		return port, nil
	}
	return 0, masu.E(masu.Full, "app_ports_full", o.cfg.Ports[0], o.cfg.Ports[1])
}

type placeKey struct{}

// placeOf tells which app a request is for: by the port it came in at, or by its host name.
func (o *Origins) placeOf(r *http.Request) (p place, origin string, ok bool) {
	if p, ok = r.Context().Value(placeKey{}).(place); ok {
		return p, o.scheme + "://" + r.Host, o.ownHost(r.Host)
	}
	p, ok = o.split(r.Host)
	return p, o.scheme + "://" + o.name(p), ok
}

// ownHost tells whether a Host header at an app's port names one of our
// addresses: anything else is another name that was made to point here.
func (o *Origins) ownHost(host string) bool {
	address, _, err := net.SplitHostPort(host)
	if err != nil {
		return false
	}
	return slices.ContainsFunc(o.hosts, func(h string) bool {
		mine, _, err := net.SplitHostPort(h)
		return err == nil && mine == address
	})
}

func withPlace(ctx context.Context, p place) context.Context {
	return context.WithValue(ctx, placeKey{}, p)
}
