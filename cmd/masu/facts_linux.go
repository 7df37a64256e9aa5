package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"net/url"
	"runtime"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/masu-lab/masu"
	"github.com/masu-lab/masu/internal/recipe"
)

const (
	indexTime  = 3 * time.Second // for a package index to answer
	indexEvery = time.Minute
)

// facts is what the resolver must know of this machine. Whether the package
// index answers is asked in the background: nobody's call waits for a network
// that is away.
type facts struct {
	gpus   masu.Inventory
	index  string // address of the package index
	client *http.Client

	first chan struct{} // closed when the index has been asked once

	mu      sync.Mutex
	answers bool
}

func newFacts(gpus masu.Inventory, site masu.Site) *facts {
	f := &facts{gpus: gpus, index: site.PipIndex, first: make(chan struct{})}
	if f.index == "" {
		f.index = recipe.WheelIndex()
	}
	f.client = &http.Client{Timeout: indexTime, Transport: &http.Transport{
		Proxy:             proxyOf(site),
		TLSClientConfig:   &tls.Config{RootCAs: rootsOf(site)},
		DisableKeepAlives: true,
	}}
	return f
}

// run asks the index until ctx ends.
func (f *facts) run(ctx context.Context) error {
	tick := time.NewTicker(indexEvery)
	defer tick.Stop()
	for first := true; ; first = false {
		ok := f.ask(ctx)
		f.mu.Lock()
		f.answers = ok
		f.mu.Unlock()
		if first {
			close(f.first)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// ask tells whether the index answers. An index that refuses this one question is there all the same.
func (f *facts) ask(ctx context.Context) bool {
	req, err := http.NewRequestWithContext(ctx, http.MethodHead, f.index, nil)
	if err != nil {
		return false
	}
	resp, err := f.client.Do(req)
	if err != nil {
		return false
	}
	resp.Body.Close()
	return resp.StatusCode < 500
}

// machine gives what never changes.
func (f *facts) machine() masu.Host {
	h := masu.Host{CPUs: runtime.NumCPU(), Arch: runtime.GOARCH}
	var info unix.Sysinfo_t
	if err := unix.Sysinfo(&info); err == nil {
		h.Memory = masu.Bytes(info.Totalram) * masu.Bytes(info.Unit)
	}
	return h
}

// host gives what is known now.
func (f *facts) host(ctx context.Context) masu.Host {
	h := f.machine()
	// A driver that does not answer is doctor's business; here the host has no GPU then.
	if driver, err := f.gpus.Driver(ctx); err == nil {
		h.Driver = driver
	}
	if gpus, err := f.gpus.GPUs(ctx); err == nil {
		h.GPUs = gpus
	}
	select {
	case <-f.first:
	case <-ctx.Done():
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	h.PipIndex = f.answers
	return h
}

func proxyOf(s masu.Site) func(*http.Request) (*url.URL, error) {
	return func(r *http.Request) (*url.URL, error) {
		if p := s.Proxy[r.URL.Scheme+"_proxy"]; p != "" {
			return url.Parse(p)
		}
		return http.ProxyFromEnvironment(r)
	}
}

// rootsOf gives the system's certificate authorities with the site's; nil means the system's.
func rootsOf(s masu.Site) *x509.CertPool {
	cas := authorities(s)
	if len(cas) == 0 {
		return nil
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	for _, ca := range cas {
		pool.AppendCertsFromPEM([]byte(ca.Text))
	}
	return pool
}
