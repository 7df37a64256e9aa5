package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/masu-lab/masu"
	"github.com/masu-lab/masu/internal/api"
)

const (
	people   = 200
	streams  = 500
	firstUID = 33000
	secret   = "benchbenchbenchbenchbenchbench12"
)

// benchLab measures the first page of a lab of many members, beside JupyterHub's.
func benchLab(ctx context.Context, b *bench) ([]row, error) {
	if _, err := exec.LookPath("jupyterhub"); err != nil {
		fmt.Fprintln(os.Stderr, "no jupyterhub here: apt-get install jupyterhub")
		return nil, nil
	}
	ours, ourMemory, err := b.manyMembers(ctx)
	if err != nil {
		return nil, fmt.Errorf("masu: %w", err)
	}
	theirs, theirMemory, err := b.hub(ctx)
	if err != nil {
		return nil, fmt.Errorf("JupyterHub: %w", err)
	}
	return []row{
		{"first page, 200 members, half of requests within", ours.p50, theirs.p50, "ms", "JupyterHub", false, 0},
		{"first page, 200 members, 99 % of requests within", ours.p99, theirs.p99, "ms", "JupyterHub", false, 1.0 / 3},
		{"first pages a second, 8 connections", ours.rps, theirs.rps, "req/s", "JupyterHub", true, 0},
		{"memory, 200 members, 200 workspaces, 500 open streams", ourMemory.resident, theirMemory.resident, "MiB", "JupyterHub with 200 members and 500 streams", false, 0.25},
		{"… without the pages of program files, which the kernel can drop", ourMemory.anonymous, theirMemory.anonymous, "MiB", "JupyterHub with 200 members and 500 streams", false, 0.25},
	}, nil
}

type pageTimes struct{ rps, p50, p99 float64 }

// pageLoad asks for one page over and over, after a look that it is the right one.
func pageLoad(ctx context.Context, address, cookie, who string) (t pageTimes, err error) {
	q, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return t, err
	}
	q.Header.Set("Cookie", cookie)
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Do(q)
	if err != nil {
		return t, err
	}
	text, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	if err != nil || resp.StatusCode != http.StatusOK || !strings.Contains(string(text), who) {
		return t, fmt.Errorf("%s: %s, and not the page of %s (%v)", address, resp.Status, who, err)
	}
	out, err := exec.CommandContext(ctx, "wrk", "-t1", "-c8", "-d5s", "--latency", "-H", "Cookie: "+cookie, address).CombinedOutput()
	if err != nil {
		return t, fmt.Errorf("%w: %s", err, out)
	}
	if bad := wrkBad.Find(out); bad != nil {
		return t, fmt.Errorf("%s: %s", address, bad)
	}
	for line := range strings.Lines(string(out)) {
		switch f := strings.Fields(line); {
		case len(f) == 2 && f[0] == "Requests/sec:":
			t.rps, _ = strconv.ParseFloat(f[1], 64)
		case len(f) == 2 && f[0] == "50%":
			t.p50 = milliseconds(f[1])
		case len(f) == 2 && f[0] == "99%":
			t.p99 = milliseconds(f[1])
		}
	}
	if t.rps == 0 || t.p99 == 0 {
		return t, fmt.Errorf("wrk said %s", out)
	}
	return t, nil
}

func milliseconds(s string) float64 {
	d, err := time.ParseDuration(s)
	if err != nil {
		return 0
	}
	return d.Seconds() * 1e3
}

// manyMembers fills a lab with logins of this host, each with a workspace, and
// opens event streams of all of them; the logins are removed again.
func (b *bench) manyMembers(ctx context.Context) (t pageTimes, m memory, err error) {
	name := func(i int) string { return fmt.Sprintf("masubench%03d", i) }
	defer func() {
		for i := range people {
			_ = exec.Command("userdel", "-f", name(i)).Run()
		}
	}()
	for i := range people {
		uid := strconv.Itoa(firstUID + i)
		if out, err := exec.CommandContext(ctx, "useradd", "--no-create-home", "--uid", uid, "--shell", "/bin/sh", name(i)).CombinedOutput(); err != nil {
			return t, memory{}, fmt.Errorf("useradd: %w: %s", err, out)
		}
		dir := filepath.Join("/tmp", filepath.Base(b.dir)+"-"+name(i))
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return t, memory{}, err
		}
		defer os.RemoveAll(dir)
		if err := os.Chown(dir, firstUID+i, firstUID+i); err != nil {
			return t, memory{}, err
		}
		c, err := api.Dial(ctx, b.socket, api.ClientOptions{As: masu.Username(name(i))})
		if err != nil {
			return t, memory{}, err
		}
		if _, err = c.Up(ctx, masu.UpRequest{Dir: dir, Name: "work"}); err == nil {
			_, err = c.Stop(ctx, "work")
		}
		_ = c.Close()
		if err != nil {
			return t, memory{}, err
		}
	}
	pages := "http://localhost:" + b.listen[strings.LastIndexByte(b.listen, ':')+1:]
	open, cancel := context.WithCancel(ctx)
	defer cancel()
	cookies := make([]string, people)
	for i := range cookies {
		if cookies[i], err = b.cookieOf(ctx, masu.Username(name(i))); err != nil {
			return t, memory{}, err
		}
	}
	for i := range streams {
		q, err := http.NewRequestWithContext(open, http.MethodGet, pages+"/events", nil)
		if err != nil {
			return t, memory{}, err
		}
		q.Header.Set("Cookie", cookies[i%people])
		q.Header.Set("Accept", "text/event-stream")
		resp, err := http.DefaultClient.Do(q)
		if err != nil || resp.StatusCode != http.StatusOK {
			return t, memory{}, fmt.Errorf("a stream: %v", err)
		}
		defer resp.Body.Close()
	}
	if t, err = pageLoad(ctx, pages+"/", cookies[0], name(0)); err != nil {
		return t, memory{}, err
	}
	m, err = treeMemory(b.daemon.Process.Pid)
	return t, m, err
}

// cookieOf signs a member in by a one-time link.
func (b *bench) cookieOf(ctx context.Context, who masu.Username) (string, error) {
	c, err := api.Dial(ctx, b.socket, api.ClientOptions{As: who})
	if err != nil {
		return "", err
	}
	defer c.Close()
	link, err := c.Link(ctx, "")
	if err != nil {
		return "", err
	}
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Get(link.URL)
	if err != nil {
		return "", err
	}
	_ = resp.Body.Close()
	for _, k := range resp.Cookies() {
		if k.Name == "masu_session" {
			return k.Name + "=" + k.Value, nil
		}
	}
	return "", fmt.Errorf("no session: %s", resp.Status)
}

// hub runs Debian's JupyterHub with as many members and its own local spawner.
func (b *bench) hub(ctx context.Context) (t pageTimes, m memory, err error) {
	dir := filepath.Join(b.dir, "hub")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return t, memory{}, err
	}
	at, hubAt, apiAt := freeAddr(), freeAddr(), freeAddr()
	config := fmt.Sprintf(`c.JupyterHub.bind_url = "http://%s"
c.JupyterHub.hub_bind_url = "http://%s"
c.ConfigurableHTTPProxy.api_url = "http://%s"
c.JupyterHub.authenticator_class = "dummy"
c.DummyAuthenticator.password = "bench"
c.JupyterHub.spawner_class = "simple"
c.JupyterHub.db_url = "sqlite:///%s/hub.sqlite"
c.JupyterHub.cookie_secret_file = "%s/cookie"
c.JupyterHub.log_level = "ERROR"
c.JupyterHub.services = [{"name": "bench", "api_token": "%s"}]
c.JupyterHub.load_roles = [{"name": "bench", "scopes": ["admin:users", "admin:servers"], "services": ["bench"]}]
c.Spawner.cmd = ["sleep", "3600"]
c.Spawner.http_timeout = 3600
c.Spawner.start_timeout = 3600
c.JupyterHub.tornado_settings = {"slow_spawn_timeout": 0}
`, at, hubAt, apiAt, dir, dir, secret)
	file := filepath.Join(dir, "config.py")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		return t, memory{}, err
	}
	cmd := exec.CommandContext(ctx, "jupyterhub", "-f", file)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "NODE_PATH=/usr/share/nodejs", "CONFIGPROXY_AUTH_TOKEN="+secret)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		return t, memory{}, err
	}
	defer func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM)
		_ = cmd.Wait()
	}()
	if err := answers(ctx, at); err != nil {
		return t, memory{}, fmt.Errorf("%w: %s", err, said.String())
	}
	cookie, err := hubMembers(ctx, at)
	if err != nil {
		return t, memory{}, fmt.Errorf("%w: %s", err, said.String())
	}
	open, cancel := context.WithCancel(ctx)
	defer cancel()
	if err := hubStreams(open, at); err != nil {
		return t, memory{}, fmt.Errorf("%w: %s", err, said.String())
	}
	if t, err = pageLoad(ctx, "http://"+at+"/hub/home", cookie, "member000"); err != nil {
		return t, memory{}, err
	}
	m, err = treeMemory(cmd.Process.Pid)
	return t, m, err
}

// hubStreams opens the event streams that JupyterHub has: those of a page that
// waits for a server to start. The server never does, so that they stay.
func hubStreams(ctx context.Context, at string) error {
	ask := func(method, path string, want int) error {
		q, err := http.NewRequestWithContext(ctx, method, "http://"+at+"/hub/api/users/member001/server"+path, nil)
		if err != nil {
			return err
		}
		q.Header.Set("Authorization", "token "+secret)
		resp, err := http.DefaultClient.Do(q)
		if err != nil {
			return err
		}
		context.AfterFunc(ctx, func() { _ = resp.Body.Close() })
		if resp.StatusCode != want {
			return fmt.Errorf("%s %s: %s", method, q.URL.Path, resp.Status)
		}
		if method == http.MethodGet {
			_, err = resp.Body.Read(make([]byte, 1)) // it streams
		}
		return err
	}
	if err := ask(http.MethodPost, "", http.StatusAccepted); err != nil {
		return err
	}
	for range streams {
		if err := ask(http.MethodGet, "/progress", http.StatusOK); err != nil {
			return fmt.Errorf("a stream: %w", err)
		}
	}
	return nil
}

// hubMembers makes the members and signs one in.
func hubMembers(ctx context.Context, at string) (cookie string, err error) {
	var names []string
	for i := range people {
		names = append(names, fmt.Sprintf("member%03d", i))
	}
	body, err := json.Marshal(map[string]any{"usernames": names})
	if err != nil {
		return "", err
	}
	q, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+at+"/hub/api/users", bytes.NewReader(body))
	if err != nil {
		return "", err
	}
	q.Header.Set("Authorization", "token "+secret)
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(200 * time.Millisecond) {
		resp, err := http.DefaultClient.Do(q.Clone(ctx))
		if err == nil {
			text, _ := io.ReadAll(resp.Body)
			_ = resp.Body.Close()
			if resp.StatusCode == http.StatusCreated {
				break
			}
			err = fmt.Errorf("%s: %s", resp.Status, text)
		}
		if time.Now().After(end) {
			return "", err
		}
		q.Body = io.NopCloser(bytes.NewReader(body))
	}
	jar, err := cookiejar.New(nil)
	if err != nil {
		return "", err
	}
	client := &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.PostForm("http://"+at+"/hub/login", url.Values{"username": {"member000"}, "password": {"bench"}})
	if err != nil {
		return "", err
	}
	_ = resp.Body.Close()
	var all []string
	for _, k := range jar.Cookies(&url.URL{Scheme: "http", Host: at, Path: "/hub/"}) {
		all = append(all, k.Name+"="+k.Value)
	}
	if len(all) == 0 {
		return "", fmt.Errorf("nobody is signed in: %s", resp.Status)
	}
	return strings.Join(all, "; "), nil
}

// memory is what processes hold, in MiB: all that is resident, and what of it
// is no copy of a file.
type memory struct{ resident, anonymous float64 }

// treeMemory is what a process and all that it started hold, by the kernel's
// account of them (proc_pid_status(5)).
func treeMemory(root int) (total memory, err error) {
	out, err := exec.Command("ps", "-eo", "pid=,ppid=").Output()
	if err != nil {
		return memory{}, err
	}
	below := map[int][]int{}
	for line := range strings.Lines(string(out)) {
		var pid, parent int
		if _, err := fmt.Sscan(line, &pid, &parent); err == nil {
			below[parent] = append(below[parent], pid)
		}
	}
	for all := []int{root}; len(all) > 0; all = all[1:] {
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", all[0]))
		if err != nil {
			return memory{}, err
		}
		total.resident += kibibytes(status, "VmRSS:") / 1024
		total.anonymous += kibibytes(status, "RssAnon:") / 1024
		all = append(all, below[all[0]]...)
	}
	return total, nil
}

func kibibytes(status []byte, key string) float64 {
	_, after, _ := strings.Cut(string(status), key)
	var kib float64
	_, _ = fmt.Sscan(after, &kib)
	return kib
}
