// Package proxy is the way through to Jupyter, TensorBoard and any other app
// of a box: one reverse proxy for HTTP and WebSocket that asks, for every
// request, who is allowed where. Apps believe what it lets through, so the
// checks here are the only ones there are.
package proxy

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/masu-lab/masu"
)

// Target is where one authorised request goes.
type Target struct {
	Dial   func(ctx context.Context) (net.Conn, error)
	Key    string // of the app: requests with an equal key may share connections
	Origin string // the app's exact origin: "http://thesis--alice.localhost:8888"
	User   masu.Username
	Done   <-chan struct{} // closed when the session has ended; live connections end with it
}

// Config is what a Proxy needs.
type Config struct {
	// Authorize is asked exactly once for every request, WebSockets too.
	Authorize func(*http.Request) (Target, error)
	// Refuse answers a request that does not go through.
	Refuse func(w http.ResponseWriter, r *http.Request, err error)
	// Cookies are prefixes of names that never reach a box and that no box may set.
	Cookies []string
	Log     *slog.Logger
}

// Proxy is the handler.
type Proxy struct {
	cfg     Config
	reverse *httputil.ReverseProxy
	buffers bufferPool
}

type targetKey struct{}

// New checks the configuration.
func New(c Config) (*Proxy, error) {
	if c.Authorize == nil || c.Refuse == nil || c.Log == nil {
		return nil, errors.New("proxy: a part of Config is missing")
	}
	p := &Proxy{cfg: c}
	p.reverse = &httputil.ReverseProxy{
		Rewrite: p.rewrite, // never Director: it lets a client delete what we add
		Transport: &http.Transport{
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return ctx.Value(targetKey{}).(Target).Dial(ctx)
			},
			DisableCompression:     true, // what the app sends is what the browser gets
			MaxIdleConnsPerHost:    64,
			IdleConnTimeout:        90 * time.Second,
			MaxResponseHeaderBytes: 1 << 20,
			ReadBufferSize:         32 << 10,
			WriteBufferSize:        32 << 10,
		},
		FlushInterval:  -1,
		ModifyResponse: p.clean,
		ErrorHandler:   p.failed,
		ErrorLog:       slog.NewLogLogger(c.Log.Handler(), slog.LevelDebug),
		BufferPool:     &p.buffers,
	}
	return p, nil
}

// ServeHTTP lets a request through, or refuses it before anything is dialled.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if strings.ContainsFunc(r.URL.Path, func(c rune) bool { return c < 0x20 || c == 0x7f }) {
		p.cfg.Refuse(w, r, masu.E(masu.Invalid, "path_control"))
		return
	}
	t, err := p.cfg.Authorize(r)
	if err == nil {
		err = sameOrigin(r, t.Origin)
	}
	if err != nil {
		p.cfg.Refuse(w, r, err)
		return
	}
	ctx, cancel := context.WithCancel(context.WithValue(r.Context(), targetKey{}, t))
	defer cancel()
	if t.Done != nil {
		gone := make(chan struct{})
		defer close(gone)
		go func() {
			select {
			case <-t.Done:
				cancel()
				// A request in flight ends with its context; so does an upgraded connection.
			case <-gone:
			}
		}()
	}
	p.reverse.ServeHTTP(w, r.WithContext(ctx))
}

// sameOrigin holds unsafe requests and WebSocket handshakes to the app's own
// origin. An absent Origin is refused too: a browser sends it, and who is no
// browser has no business with a browser's cookie. (Fetch metadata cannot
// stand in: browsers send none over plain HTTP to a host name.)
func sameOrigin(r *http.Request, origin string) error {
	safe := r.Method == http.MethodGet || r.Method == http.MethodHead || r.Method == http.MethodOptions
	if safe && !upgrades(r) {
		return nil
	}
	if got := r.Header.Values("Origin"); len(got) != 1 || got[0] != origin {
		return masu.E(masu.Denied, "cross_origin")
	}
	return nil
}

func upgrades(r *http.Request) bool {
	return r.Header.Get("Upgrade") != "" || slices.ContainsFunc(r.Header.Values("Connection"), func(v string) bool {
		return strings.Contains(strings.ToLower(v), "upgrade")
	})
}

// foreign are headers by which a client could claim to be somebody; the app gets ours or none.
var foreign = []string{"Authorization", "Forwarded", "Proxy-Authorization", "X-Real-Ip", "X-Remote-User", "X-Forwarded-User"}

func (p *Proxy) rewrite(r *httputil.ProxyRequest) {
	t := r.In.Context().Value(targetKey{}).(Target)
	r.Out.URL.Scheme, r.Out.URL.Host = "http", "box."+url.PathEscape(t.Key)
	r.Out.Host = r.In.Host
	// As it was asked, byte for byte: the app, not masu, gives a query its meaning.
	r.Out.URL.RawQuery = r.In.URL.RawQuery
	for name := range r.Out.Header {
		if strings.HasPrefix(name, "X-Masu-") || strings.HasPrefix(name, "X-Forwarded-") {
			r.Out.Header.Del(name)
		}
	}
	for _, name := range foreign {
		r.Out.Header.Del(name)
	}
	r.SetXForwarded()
	p.stripCookies(r.Out.Header)
}

// stripCookies removes masu's own and leaves the others as they were written.
func (p *Proxy) stripCookies(h http.Header) {
	lines := h["Cookie"]
	if len(lines) == 0 {
		return
	}
	var keep []string
	for _, line := range lines {
		var pairs []string
		for pair := range strings.SplitSeq(line, ";") {
			name, _, _ := strings.Cut(strings.TrimSpace(pair), "=")
			if strings.TrimSpace(pair) != "" && !p.ours(name) {
				pairs = append(pairs, strings.TrimSpace(pair))
			}
		}
		if len(pairs) > 0 {
			keep = append(keep, strings.Join(pairs, "; "))
		}
	}
	if len(keep) == 0 {
		h.Del("Cookie")
		return
	}
	h["Cookie"] = keep
}

func (p *Proxy) ours(name string) bool {
	name = strings.TrimPrefix(strings.TrimPrefix(strings.ToLower(strings.TrimSpace(name)), "__host-"), "__secure-")
	return slices.ContainsFunc(p.cfg.Cookies, func(prefix string) bool { return strings.HasPrefix(name, prefix) })
}

// clean takes from an app's answer what would reach beyond its own origin.
func (p *Proxy) clean(r *http.Response) error {
	r.Header.Del("Service-Worker-Allowed")
	if set := r.Header["Set-Cookie"]; len(set) > 0 {
		set = slices.DeleteFunc(slices.Clone(set), func(line string) bool {
			name, _, _ := strings.Cut(line, "=")
			return p.ours(name) || reaches(line)
		})
		if r.Header["Set-Cookie"] = set; len(set) == 0 {
			r.Header.Del("Set-Cookie")
		}
	}
	return nil
}

// reaches tells whether a cookie would be sent to other hosts too.
func reaches(line string) bool {
	for attr := range strings.SplitSeq(line, ";") {
		name, _, _ := strings.Cut(attr, "=")
		if strings.EqualFold(strings.TrimSpace(name), "domain") {
			return true
		}
	}
	return false
}

func (p *Proxy) failed(w http.ResponseWriter, r *http.Request, err error) {
	if r.Context().Err() != nil {
		return // nobody is there to be told
	}
	p.cfg.Log.Debug("proxy", "host", r.Host, "error", err)
	if e, ok := errors.AsType[*masu.Error](err); ok {
		p.cfg.Refuse(w, r, e)
		return
	}
	p.cfg.Refuse(w, r, masu.E(masu.Unreachable, "app_unreachable").Because(err))
}

// bufferPool keeps the buffers of bodies in flight.
type bufferPool struct{ pool sync.Pool }

func (b *bufferPool) Get() []byte {
	if v, ok := b.pool.Get().(*[]byte); ok {
		return *v
	}
	return make([]byte, 64<<10)
}

func (b *bufferPool) Put(v []byte) { b.pool.Put(&v) }
