package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"
)

// route is one way to the upstream.
type route struct {
	name   string
	addr   string // host:port to connect to
	host   string // Host header
	cookie string
	origin string
}

const (
	smallConns = 32
	bigBytes   = 1 << 30
	sockets    = 1000
	rounds     = 3 // interleaved, so that drift of the machine hits all routes alike
)

func benchProxy(ctx context.Context, b *bench) ([]row, error) {
	routes, stop, err := b.routes(ctx)
	defer stop()
	if err != nil {
		return nil, err
	}
	small, p99, big, ws := map[string][]float64{}, map[string][]float64{}, map[string][]float64{}, map[string][]float64{}
	for range rounds {
		for _, r := range routes {
			rps, tail, err := wrk(ctx, r)
			if err != nil {
				return nil, fmt.Errorf("%s: small answers: %w", r.name, err)
			}
			bps, err := download(ctx, r)
			if err != nil {
				return nil, fmt.Errorf("%s: download: %w", r.name, err)
			}
			mps, err := chatter(ctx, r)
			if err != nil {
				return nil, fmt.Errorf("%s: WebSockets: %w", r.name, err)
			}
			small[r.name], p99[r.name] = append(small[r.name], rps), append(p99[r.name], tail)
			big[r.name], ws[r.name] = append(big[r.name], bps/1e9), append(ws[r.name], mps)
		}
	}
	m := func(of map[string][]float64, name string) float64 { return median(of[name]) }
	return []row{
		{"small answers, 32 connections", m(small, "masu"), m(small, "configurable-http-proxy"), "req/s", "configurable-http-proxy", true, 4},
		{"small answers, 32 connections", m(small, "masu"), m(small, "nginx"), "req/s", "nginx", true, 0.5},
		{"small answers, 32 connections", m(small, "masu"), m(small, "direct"), "req/s", "no proxy", true, 0},
		{"the slowest 1 % of them", m(p99, "masu"), m(p99, "nginx"), "ms", "nginx", false, 0},
		{"the slowest 1 % of them", m(p99, "masu"), m(p99, "configurable-http-proxy"), "ms", "configurable-http-proxy", false, 0},
		{"download of 1 GiB", m(big, "masu"), m(big, "nginx"), "GB/s", "nginx", true, 1.3},
		{"download of 1 GiB", m(big, "masu"), m(big, "configurable-http-proxy"), "GB/s", "configurable-http-proxy", true, 0},
		{"messages over 1,000 WebSockets", m(ws, "masu"), m(ws, "nginx"), "msg/s", "nginx", true, 0.9},
		{"messages over 1,000 WebSockets", m(ws, "masu"), m(ws, "configurable-http-proxy"), "msg/s", "configurable-http-proxy", true, 0},
	}, nil
}

var (
	wrkRate = regexp.MustCompile(`Requests/sec:\s+([\d.]+)`)
	wrkP99  = regexp.MustCompile(`99%\s+([\d.]+)(us|ms|s)`)
	wrkBad  = regexp.MustCompile(`Non-2xx or 3xx responses: (\d+)`)
)

func wrk(ctx context.Context, r route) (rps, p99ms float64, err error) {
	out, err := exec.CommandContext(ctx, "wrk", "-t1", "-c", strconv.Itoa(smallConns), "-d5s", "--latency",
		"-H", "Host: "+r.host, "-H", "Cookie: "+r.cookie, "http://"+r.addr+"/").CombinedOutput()
	if err != nil {
		return 0, 0, fmt.Errorf("%w: %s", err, out)
	}
	if bad := wrkBad.FindSubmatch(out); bad != nil {
		return 0, 0, fmt.Errorf("%s answers were refused", bad[1])
	}
	rate, tail := wrkRate.FindSubmatch(out), wrkP99.FindSubmatch(out)
	if rate == nil || tail == nil {
		return 0, 0, fmt.Errorf("wrk said %s", out)
	}
	rps, _ = strconv.ParseFloat(string(rate[1]), 64)
	p99ms, _ = strconv.ParseFloat(string(tail[1]), 64)
	return rps, p99ms * map[string]float64{"us": 1e-3, "ms": 1, "s": 1e3}[string(tail[2])], nil
}

func download(ctx context.Context, r route) (bytesPerSecond float64, err error) {
	out, err := exec.CommandContext(ctx, "curl", "-sS", "-o", "/dev/null", "-w", "%{http_code} %{size_download} %{speed_download}",
		"-H", "Host: "+r.host, "-H", "Cookie: "+r.cookie, fmt.Sprintf("http://%s/big?bytes=%d", r.addr, bigBytes)).CombinedOutput()
	if err != nil {
		return 0, fmt.Errorf("%w: %s", err, out)
	}
	f := strings.Fields(string(out))
	if len(f) != 3 || f[0] != "200" || f[1] != strconv.Itoa(bigBytes) {
		return 0, fmt.Errorf("curl said %s", out)
	}
	return strconv.ParseFloat(f[2], 64)
}

// chatter plays ping-pong on a thousand WebSockets for five seconds.
func chatter(ctx context.Context, r route) (messagesPerSecond float64, err error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	conns := make([]*websocket.Conn, sockets)
	client := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", r.addr)
	}}}
	for i := range conns {
		conns[i], _, err = websocket.Dial(ctx, "ws://"+r.host+"/ws", &websocket.DialOptions{HTTPClient: client,
			HTTPHeader: http.Header{"Cookie": {r.cookie}, "Origin": {r.origin}}, CompressionMode: websocket.CompressionDisabled})
		if err != nil {
			return 0, err
		}
		defer conns[i].CloseNow()
	}
	var count atomic.Int64
	var failed atomic.Value
	end := time.Now().Add(5 * time.Second)
	var wg sync.WaitGroup
	for _, c := range conns {
		wg.Go(func() {
			for payload := make([]byte, 128); time.Now().Before(end); count.Add(1) {
				if err := c.Write(ctx, websocket.MessageBinary, payload); err != nil {
					failed.Store(err)
					return
				}
				if _, _, err := c.Read(ctx); err != nil {
					failed.Store(err)
					return
				}
			}
		})
	}
	begin := time.Now()
	wg.Wait()
	if err, ok := failed.Load().(error); ok {
		return 0, err
	}
	return float64(count.Load()) / time.Since(begin).Seconds(), nil
}

// routes starts the upstream and each proxy in front of it.
func (b *bench) routes(ctx context.Context) ([]route, func(), error) {
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	stop := func() { cancel(); wg.Wait() }
	up := freeAddr()
	self, err := os.Executable()
	if err != nil {
		return nil, stop, err
	}
	// In a container, as masu's is: both get the same share of the processor.
	b.background(ctx, &wg, "docker", "run", "--rm", "--network", "host", "-v", self+":/bench:ro", "masu-test/base", "/bench", "-upstream", up)
	if err := answers(ctx, up); err != nil {
		return nil, stop, err
	}
	routes := []route{{name: "direct", addr: up, host: up, origin: "http://" + up}}
	nginx, chp := freeAddr(), freeAddr()
	conf := filepath.Join(b.dir, "nginx.conf")
	if err := os.WriteFile(conf, []byte(nginxConf(b.dir, nginx, up)), 0o644); err != nil {
		return nil, stop, err
	}
	b.background(ctx, &wg, "nginx", "-c", conf, "-p", b.dir)
	_, api, _ := net.SplitHostPort(freeAddr())
	_, port, _ := net.SplitHostPort(chp)
	b.background(ctx, &wg, "node", "node_modules/.bin/configurable-http-proxy", "--ip", "127.0.0.1", "--port", port,
		"--api-ip", "127.0.0.1", "--api-port", api, "--default-target", "http://"+up, "--log-level", "error")
	for _, peer := range []struct{ name, addr string }{{"nginx", nginx}, {"configurable-http-proxy", chp}} {
		if err := answers(ctx, peer.addr); err != nil {
			return nil, stop, fmt.Errorf("%s: %w", peer.name, err)
		}
		routes = append(routes, route{name: peer.name, addr: peer.addr, host: peer.addr, origin: "http://" + peer.addr})
	}
	r, err := b.masuRoute(ctx, &wg)
	return append(routes, r), stop, err
}

// nginxConf is the usual reverse proxy for Jupyter: keep-alive to the upstream, WebSockets passed, nothing buffered.
func nginxConf(dir, listen, up string) string {
	return fmt.Sprintf(`daemon off; worker_processes 1; pid %[1]s/nginx.pid; error_log %[1]s/nginx.err;
events { worker_connections 8192; }
http {
  access_log off; client_body_temp_path %[1]s/b; proxy_temp_path %[1]s/p; fastcgi_temp_path %[1]s/f; uwsgi_temp_path %[1]s/u; scgi_temp_path %[1]s/s;
  upstream up { server %[3]s; keepalive 256; }
  map $http_upgrade $connection_upgrade { default upgrade; '' ''; }
  server { listen %[2]s; location / { proxy_pass http://up; proxy_http_version 1.1; proxy_set_header Host $host;
    proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $connection_upgrade; proxy_buffering off; proxy_read_timeout 1h; } }
}`, dir, listen, up)
}
