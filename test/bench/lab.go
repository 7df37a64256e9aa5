package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

// bench is a daemon of its own, and a folder for everything the peers need.
type bench struct {
	bin, dir, socket, listen, gate string // gate: where the ssh gateway listens
	daemon                         *exec.Cmd
	crowd                          int
}

func newBench(ctx context.Context) (*bench, error) {
	bin := os.Getenv("MASU_BIN")
	if bin == "" || os.Geteuid() != 0 {
		return nil, errors.New("run it by `make bench`, as root")
	}
	dir, err := os.MkdirTemp("/tmp", "masu-bench-")
	if err != nil {
		return nil, err
	}
	b := &bench{bin: bin, dir: dir, socket: filepath.Join(dir, "run", "masu.sock"), listen: freeAddr(), gate: freeAddr()}
	log, err := os.Create(filepath.Join(dir, "daemon.log"))
	if err != nil {
		return nil, err
	}
	config := filepath.Join(dir, "config.yaml")
	if err := os.WriteFile(config, []byte("policy: {workspaces_per_member: 0}\nssh: {listen: \""+b.gate+"\"}\n"), 0o600); err != nil {
		return nil, err
	}
	b.daemon = exec.Command(bin, "serve", "--config", config, "--state", filepath.Join(dir, "state"), "--socket", b.socket, "--listen", b.listen)
	b.daemon.Stdout, b.daemon.Stderr = log, log
	if err := b.daemon.Start(); err != nil {
		return nil, err
	}
	return b, b.wait(ctx, 30*time.Second, "the daemon", func() bool { _, err := b.masu(ctx, "", "ls"); return err == nil })
}

func (b *bench) close() {
	ctx := context.Background()
	var list []struct{ Owner, Name string }
	if out, err := b.masu(ctx, "", "ls", "--json"); err == nil && json.Unmarshal([]byte(out), &list) == nil {
		for _, w := range list {
			_, _ = b.masu(ctx, "", "rm", "--yes", w.Name)
		}
	}
	_ = b.daemon.Process.Signal(syscall.SIGTERM)
	_ = b.daemon.Wait()
	_ = os.RemoveAll(b.dir)
	_ = exec.Command("docker", "network", "prune", "-f", "--filter", "label=masu.lab").Run()
}

// masu runs the command line in a folder and gives what it printed.
func (b *bench) masu(ctx context.Context, dir string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, b.bin, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "MASU_SOCKET="+b.socket, "MASU_LANG=en", "SUDO_USER=")
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("masu %s: %w: %s", strings.Join(args, " "), err, errs.String())
	}
	return out.String(), nil
}

// project makes a folder with the files.
func (b *bench) project(name string, files map[string]string) (string, error) {
	dir := filepath.Join(b.dir, name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	for path, text := range files {
		if err := os.WriteFile(filepath.Join(dir, path), []byte(text), 0o644); err != nil {
			return "", err
		}
	}
	return dir, nil
}

// background runs a peer until ctx ends.
func (b *bench) background(ctx context.Context, wg *sync.WaitGroup, argv ...string) {
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 5 * time.Second
	cmd.Stderr = os.Stderr
	wg.Go(func() {
		if err := cmd.Run(); err != nil && ctx.Err() == nil {
			fmt.Fprintf(os.Stderr, "%s: %v\n", argv[0], err)
		}
	})
}

func (b *bench) wait(ctx context.Context, limit time.Duration, what string, ok func() bool) error {
	for end := time.Now().Add(limit); !ok(); {
		if time.Now().After(end) || ctx.Err() != nil {
			return fmt.Errorf("waited in vain for %s", what)
		}
		time.Sleep(10 * time.Millisecond)
	}
	return nil
}

func answers(ctx context.Context, addr string) error {
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		resp, err := http.Get("http://" + addr + "/")
		if err == nil {
			_ = resp.Body.Close()
			return nil
		}
		if time.Now().After(end) || ctx.Err() != nil {
			return err
		}
	}
}

func freeAddr() string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "127.0.0.1:0"
	}
	defer l.Close()
	return l.Addr().String()
}

// masuRoute runs the upstream inside a box and signs in to its own origin, as a browser does.
func (b *bench) masuRoute(ctx context.Context, wg *sync.WaitGroup) (route, error) {
	dir, err := b.project("proxied", map[string]string{"masu.yaml": "preset: python\n"})
	if err != nil {
		return route{}, err
	}
	self, err := os.Executable()
	if err != nil {
		return route{}, err
	}
	if err := copyFile(self, filepath.Join(dir, "upstream")); err != nil {
		return route{}, err
	}
	if _, err := b.masu(ctx, dir, "up", "--no-open"); err != nil {
		return route{}, err
	}
	wg.Go(func() {
		_, err := b.masu(ctx, dir, "exec", "proxied", "--", "./upstream", "-upstream", "127.0.0.1:9000")
		if err != nil && ctx.Err() == nil {
			fmt.Fprintln(os.Stderr, "upstream in the box:", err)
		}
	})
	if err := b.wait(ctx, 20*time.Second, "the upstream in the box", func() bool {
		out, _ := b.masu(ctx, dir, "ls", "--json")
		return strings.Contains(out, `"p9000"`)
	}); err != nil {
		return route{}, err
	}
	return b.signIn(ctx, dir, "/open/proxied/p9000")
}

// signIn follows a one-time link and then the way to an app, and keeps the cookie of the app's origin.
func (b *bench) signIn(ctx context.Context, dir, path string) (route, error) {
	out, err := b.masu(ctx, dir, "open", "--json")
	if err != nil {
		return route{}, err
	}
	var link struct{ URL string }
	if err := json.Unmarshal([]byte(out), &link); err != nil {
		return route{}, err
	}
	jar, _ := cookiejar.New(nil)
	client := &http.Client{Jar: jar, Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", b.listen)
	}}}
	pages, err := url.Parse(link.URL)
	if err != nil {
		return route{}, err
	}
	var last *http.Response
	for _, u := range []string{link.URL, pages.Scheme + "://" + pages.Host + path} {
		if last, err = client.Get(u); err != nil {
			return route{}, err
		}
		_, _ = io.Copy(io.Discard, last.Body)
		_ = last.Body.Close()
	}
	at := last.Request.URL
	var cookies []string
	for _, c := range jar.Cookies(&url.URL{Scheme: at.Scheme, Host: at.Host, Path: "/"}) {
		cookies = append(cookies, c.Name+"="+c.Value)
	}
	if at.Host == pages.Host || len(cookies) == 0 || last.StatusCode != http.StatusOK {
		return route{}, fmt.Errorf("the way to the app ended at %s (%s) with %d cookies", at, last.Status, len(cookies))
	}
	return route{name: "masu", addr: b.listen, host: at.Host, cookie: strings.Join(cookies, "; "), origin: at.Scheme + "://" + at.Host}, nil
}

func copyFile(from, to string) error {
	b, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, b, 0o755)
}
