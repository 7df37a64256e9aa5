package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"time"
)

// laptop is what somebody has who reaches the server by ssh: a program that is
// ssh with the bench's keys, and the server's address.
type laptop struct {
	b       *bench
	dir     string
	address string // ssh://root@HOST:PORT
	port    string
}

const laptopCalls = 21 // of a command whose median is measured

// benchLaptop compares the way to the pages through masu's tunnel with that
// through ssh -L, and a command with ssh alone.
func benchLaptop(ctx context.Context, b *bench) ([]row, error) {
	var wg sync.WaitGroup
	defer wg.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	direct, err := b.masuRoute(ctx, &wg)
	if err != nil {
		return nil, err
	}
	p, err := b.laptop(ctx, &wg)
	if err != nil {
		return nil, err
	}
	plain, window := direct, direct // the same origin, by two other ways
	plain.name, window.name = "ssh -L", "masu"
	plain.addr = freeAddr()
	b.background(ctx, &wg, filepath.Join(p.dir, "ssh"), "-N", "-p", p.port, "-L", plain.addr+":"+b.listen, "root@127.0.0.1")
	if err := answers(ctx, plain.addr); err != nil {
		return nil, fmt.Errorf("ssh -L: %w", err)
	}
	if window.addr, err = p.window(ctx, &wg); err != nil {
		return nil, err
	}
	small, big := map[string][]float64{}, map[string][]float64{}
	for range rounds {
		for _, r := range []route{plain, window} {
			rps, _, err := wrk(ctx, r)
			if err != nil {
				return nil, fmt.Errorf("%s: small answers: %w", r.name, err)
			}
			bps, err := download(ctx, r)
			if err != nil {
				return nil, fmt.Errorf("%s: download: %w", r.name, err)
			}
			small[r.name], big[r.name] = append(small[r.name], rps), append(big[r.name], bps/1e9)
		}
	}
	pages, err := pageLoads(ctx, b, plain, window)
	if err != nil {
		return nil, err
	}
	ls, bare, err := p.commands(ctx)
	if err != nil {
		return nil, err
	}
	return []row{
		{"first page with its style and scripts through the tunnel", pages["masu"], pages["ssh -L"], "ms", "ssh -L", false, 1 / 0.9},
		{"page through the tunnel, small answers", median(small["masu"]), median(small["ssh -L"]), "req/s", "ssh -L", true, 0.9},
		{"page through the tunnel, download of 1 GiB", median(big["masu"]), median(big["ssh -L"]), "GB/s", "ssh -L", true, 0.9},
		{"masu ls over an open connection", ls, bare, "ms", "ssh HOST true", false, 2},
	}, nil
}

const pageRounds = 100 // loads of a page whose median is measured

// pageLoads opens the first page as a browser does that has nothing of it yet:
// the page, then what it names, over six connections at most. In milliseconds.
func pageLoads(ctx context.Context, b *bench, ways ...route) (map[string]float64, error) {
	cookie, err := b.cookieOf(ctx, "root")
	if err != nil {
		return nil, err
	}
	took := map[string][]float64{}
	for range pageRounds {
		for _, r := range ways {
			begin := time.Now()
			if err := loadPage(ctx, r.addr, cookie); err != nil {
				return nil, fmt.Errorf("%s: page: %w", r.name, err)
			}
			took[r.name] = append(took[r.name], time.Since(begin).Seconds()*1000)
		}
	}
	out := map[string]float64{}
	for name, t := range took {
		out[name] = median(t)
	}
	return out, nil
}

var pageParts = regexp.MustCompile(`(?:src|href)="(/static/[^"]+\.(?:js|css))"`)

func loadPage(ctx context.Context, addr, cookie string) error {
	browser := &http.Transport{MaxConnsPerHost: 6}
	defer browser.CloseIdleConnections()
	get := func(path string) (string, error) {
		q, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+path, nil)
		if err != nil {
			return "", err
		}
		q.Host = "localhost" + addr[strings.LastIndexByte(addr, ':'):]
		q.Header.Set("Cookie", cookie)
		resp, err := browser.RoundTrip(q)
		if err != nil {
			return "", err
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		if err == nil && resp.StatusCode != http.StatusOK {
			err = fmt.Errorf("%s: %s", path, resp.Status)
		}
		return string(text), err
	}
	page, err := get("/")
	if err != nil {
		return err
	}
	named := pageParts.FindAllStringSubmatch(page, -1)
	if len(named) < 2 {
		return fmt.Errorf("a page that names no style and script: %.200s", page)
	}
	errs := make(chan error, len(named))
	for _, m := range named {
		go func() { _, err := get(m[1]); errs <- err }()
	}
	for range named {
		err = errors.Join(err, <-errs)
	}
	return err
}

// laptop starts an sshd that lets root in with a key of the bench's.
func (b *bench) laptop(ctx context.Context, wg *sync.WaitGroup) (*laptop, error) {
	p := &laptop{b: b, dir: filepath.Join(b.dir, "laptop")}
	listen := freeAddr()
	_, p.port, _ = net.SplitHostPort(listen)
	p.address = "ssh://root@" + listen
	at := func(name string) string { return filepath.Join(p.dir, name) }
	for _, dir := range []string{"/run/sshd", p.dir, at("bin")} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return nil, err
		}
	}
	for _, key := range []string{"host", "id"} {
		if out, err := exec.CommandContext(ctx, "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", at(key)).CombinedOutput(); err != nil {
			return nil, fmt.Errorf("ssh-keygen: %w: %s", err, out)
		}
	}
	host, err := os.ReadFile(at("host.pub"))
	if err != nil {
		return nil, err
	}
	for name, text := range map[string]string{
		"known": fmt.Sprintf("[127.0.0.1]:%s %s", p.port, host),
		"sshd": fmt.Sprintf("Port %s\nListenAddress 127.0.0.1\nHostKey %s\nAuthorizedKeysFile %s\nPidFile none\nUsePAM no\nStrictModes no\nPasswordAuthentication no\nPermitRootLogin yes\nSetEnv MASU_SOCKET=%s PATH=%s:/usr/bin:/bin\n",
			p.port, at("host"), at("id.pub"), b.socket, at("bin")),
		"ssh": fmt.Sprintf("#!/bin/sh\nexec /usr/bin/ssh -F none -o IdentitiesOnly=yes -o IdentityAgent=none -o UserKnownHostsFile=%s -o GlobalKnownHostsFile=none -i %s \"$@\"\n", at("known"), at("id")),
	} {
		if err := os.WriteFile(at(name), []byte(text), 0o755); err != nil {
			return nil, err
		}
	}
	if err := os.Symlink(b.bin, at("bin/masu")); err != nil {
		return nil, err
	}
	b.background(ctx, wg, "/usr/sbin/sshd", "-D", "-e", "-f", at("sshd"))
	return p, b.wait(ctx, 10*time.Second, "sshd", func() bool {
		c, err := net.Dial("tcp", listen)
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	})
}

// command is one of the laptop's.
func (p *laptop) command(ctx context.Context, argv ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Env = []string{"PATH=" + p.dir + ":/usr/bin:/bin", "HOME=" + p.dir, "XDG_RUNTIME_DIR=" + p.dir, "MASU_LANG=en", "MASU_HOST=" + p.address}
	cmd.Stderr = os.Stderr
	return cmd
}

var windowAt = regexp.MustCompile(`http://localhost:(\d+)/`)

// window holds masu's way to the pages open, and gives its address.
func (p *laptop) window(ctx context.Context, wg *sync.WaitGroup) (string, error) {
	cmd := p.command(ctx, p.b.bin, "open", "--pages", "--print")
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 5 * time.Second
	out, err := cmd.StdoutPipe()
	if err != nil {
		return "", err
	}
	if err := cmd.Start(); err != nil {
		return "", err
	}
	found := make(chan string, 1)
	wg.Go(func() {
		defer close(found)
		for s := bufio.NewScanner(out); s.Scan(); {
			if m := windowAt.FindStringSubmatch(s.Text()); m != nil {
				found <- m[1]
				break
			}
		}
		_ = cmd.Wait() // ended by ctx
	})
	port, ok := <-found
	if !ok {
		return "", fmt.Errorf("masu open ended at once")
	}
	addr := net.JoinHostPort("127.0.0.1", port)
	return addr, answers(ctx, addr)
}

// commands measures a command over the open connection, and ssh alone over the same.
func (p *laptop) commands(ctx context.Context) (ls, bare float64, err error) {
	sockets, err := filepath.Glob(filepath.Join(p.dir, "masu-ssh", "????????????"))
	if err != nil || len(sockets) != 1 {
		return 0, 0, fmt.Errorf("the connections' sockets: %v, %w", sockets, err)
	}
	took := map[bool][]float64{}
	for range laptopCalls {
		for _, far := range []bool{true, false} {
			argv := []string{p.b.bin, "ls"}
			if !far {
				argv = []string{filepath.Join(p.dir, "ssh"), "-o", "ControlPath=" + sockets[0], "-p", p.port, "root@127.0.0.1", "true"}
			}
			cmd := p.command(ctx, argv...)
			cmd.Stderr = nil
			begin := time.Now()
			if err := cmd.Run(); err != nil {
				return 0, 0, fmt.Errorf("%v: %w", argv, err)
			}
			took[far] = append(took[far], time.Since(begin).Seconds()*1000)
		}
	}
	return median(took[true]), median(took[false]), nil
}
