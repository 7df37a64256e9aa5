package docker

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"github.com/masu-lab/masu"
)

func fakeEngine(t *testing.T, h http.HandlerFunc) Config {
	t.Helper()
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	return Config{Address: "tcp://" + strings.TrimPrefix(srv.URL, "http://"), Lab: "lab", Agent: "/masu", Host: nowhere{}, RunDir: t.TempDir(),
		Log: slog.New(slog.NewTextHandler(io.Discard, nil))}
}

// nowhere is a host that can do nothing.
type nowhere struct{ Host }

func (nowhere) Rootless() bool { return false }

func TestNewRefuses(t *testing.T) {
	old := fakeEngine(t, func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Api-Version", "1.39") })
	if _, err := New(t.Context(), old); masu.CodeOf(err) != "engine_too_old" || masu.KindOf(err) != masu.Invalid {
		t.Errorf("an old engine: %v", err)
	}
	gone := old
	gone.Address = "unix://" + filepath.Join(t.TempDir(), "none.sock")
	if _, err := New(t.Context(), gone); masu.CodeOf(err) != "engine_unreachable" || masu.KindOf(err) != masu.Unreachable {
		t.Errorf("no engine: %v", err)
	}
	for name, change := range map[string]func(*Config){
		"Lab": func(c *Config) { c.Lab = "" }, "Agent": func(c *Config) { c.Agent = "" }, "Host": func(c *Config) { c.Host = nil },
		"RunDir": func(c *Config) { c.RunDir = "" }, "Log": func(c *Config) { c.Log = nil },
	} {
		c := old
		change(&c)
		if _, err := New(t.Context(), c); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("without %s: %v", name, err)
		}
	}
}

func TestFailed(t *testing.T) {
	api, err := client.New(client.WithHost("unix:///nowhere.sock"))
	if err != nil {
		t.Fatal(err)
	}
	r := &Runtime{api: api, engine: engine{root: "/var/lib/docker"}}
	for _, c := range []struct {
		err  error
		kind masu.Kind
		code string
	}{
		{context.DeadlineExceeded, masu.Unreachable, "engine_unreachable"},
		{errors.New("mkdir /var/lib/docker/overlay2/x: no space left on device"), masu.Full, "disk_full"},
		{masu.E(masu.NotFound, "no_box", "x"), masu.NotFound, "no_box"},
		{errors.New("something else"), masu.Internal, "internal"},
	} {
		if got := r.failed("call", c.err); masu.KindOf(got) != c.kind || masu.CodeOf(got) != c.code || !errors.Is(got, c.err) {
			t.Errorf("%v became %v", c.err, got)
		}
	}
	if got := r.failed("call", context.Canceled); !errors.Is(got, context.Canceled) || masu.KindOf(got) != masu.Internal {
		t.Errorf("a caller who has gone: %v", got)
	}
}

func TestStatus(t *testing.T) {
	c := &container.InspectResponse{ID: "c1", Image: "sha256:1", Config: &container.Config{Labels: map[string]string{labelOwner: "alice", labelRun: "true", labelGPUs: "GPU-1,GPU-2"}},
		State: &container.State{Status: container.StateExited, ExitCode: 137, OOMKilled: true, StartedAt: "2026-01-02T03:04:05.5Z", FinishedAt: "0001-01-01T00:00:00Z"}}
	s := status("id", c)
	if !s.OOM || !s.Run || s.State != masu.BoxExited || len(s.GPUs) != 2 || s.StartedAt.IsZero() || !s.EndedAt.IsZero() {
		t.Errorf("status = %+v", s)
	}
	c.State.ExitCode = 0 // only a child was out of memory
	if status("id", c).OOM {
		t.Error("a box that ended well is out of memory")
	}
	c.State = &container.State{Status: container.StateRunning, Running: true, Paused: true, OOMKilled: true, ExitCode: 137}
	if s := status("id", c); s.OOM || s.State != masu.BoxPaused {
		t.Errorf("a paused box is %+v", s)
	}
}

// door is a way to the engine that can be shut.
type door struct {
	net.Listener
	mu    sync.Mutex
	conns []net.Conn
}

func newDoor(t *testing.T, engine string) (*door, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "door.sock")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	d := &door{Listener: l}
	go func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("unix", engine)
			if err != nil {
				_ = in.Close()
				continue
			}
			d.mu.Lock()
			d.conns = append(d.conns, in, out)
			d.mu.Unlock()
			go func() { _, _ = io.Copy(out, in); _ = out.Close() }()
			go func() { _, _ = io.Copy(in, out); _ = in.Close() }()
		}
	}()
	t.Cleanup(d.shut)
	return d, "unix://" + path
}

func (d *door) shut() {
	_ = d.Close()
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, c := range d.conns {
		_ = c.Close()
	}
	d.conns = nil
}

func TestEngineGoesAway(t *testing.T) {
	addr := strings.TrimPrefix(address(t), "unix://")
	if addr == "" {
		addr = "/var/run/docker.sock"
	}
	if fi, err := os.Stat(addr); err != nil || fi.Mode()&os.ModeSocket == 0 {
		t.Skipf("the engine has no socket at %s", addr)
	}
	d, through := newDoor(t, addr)
	home := openEngine(t, nil) // lives on, to tidy up
	cfg := home.cfg
	cfg.Address = through
	rt, err := New(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer rt.Close()
	b := testBox(t, home)
	mustStart(t, home, b)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var told []error
	for id, err := range rt.Changes(ctx) { // ends by itself
		if id == b.ID {
			d.shut()
		}
		if err != nil {
			told = append(told, err)
		}
	}
	if len(told) != 1 || masu.CodeOf(told[0]) != "engine_unreachable" {
		t.Errorf("Changes told %v", told)
	}
	if _, err := rt.Boxes(ctx); masu.CodeOf(err) != "engine_unreachable" {
		t.Errorf("Boxes: %v", err)
	}
	if err := rt.Start(ctx, b); masu.CodeOf(err) != "engine_unreachable" {
		t.Errorf("Start: %v", err)
	}
	if _, err := rt.Build(ctx, masu.BuildRequest{Ref: "masu-docker-test/x", Files: os.DirFS(t.TempDir()), Dockerfile: "Dockerfile"}, nil); masu.CodeOf(err) != "engine_unreachable" {
		t.Errorf("Build: %v", err)
	}
	if s, err := home.Boxes(ctx); err != nil || len(s) != 1 || s[0].State != masu.BoxRunning {
		t.Errorf("the box did not run on: %+v, %v", s, err)
	}
}
