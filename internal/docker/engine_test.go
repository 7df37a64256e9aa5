package docker

import (
	"context"
	"crypto/rand"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/moby/moby/client"

	"github.com/masu-lab/masu"
	"github.com/masu-lab/masu/internal/host"
	"github.com/masu-lab/masu/internal/masutest"
)

const testImage = "masu-test/base" // made by test/setup.sh

// agentBinary is the masu that boxes run: MASU_BIN, or one that is built now.
var agentBinary = sync.OnceValues(func() (string, error) {
	if bin := os.Getenv("MASU_BIN"); bin != "" {
		_, _ = os.Stat(bin) // so that the test cache knows of it; a member may not see it, the engine does
		return bin, nil
	}
	dir, err := os.MkdirTemp("", "masu-docker-test-")
	if err != nil {
		return "", err
	}
	bin := filepath.Join(dir, "masu")
	cmd := exec.Command("go", "build", "-o", bin, "../../cmd/masu")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", &exec.Error{Name: string(out), Err: err}
	}
	return bin, nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	if os.Getenv("MASU_TEST_ENGINE") != "" && os.Getenv("MASU_BIN") == "" {
		if bin, err := agentBinary(); err == nil {
			_ = os.RemoveAll(filepath.Dir(bin))
		}
	}
	os.Exit(code)
}

// address is the engine that the tests may use, which they skip without.
func address(t *testing.T) string {
	t.Helper()
	switch a := os.Getenv("MASU_TEST_ENGINE"); a {
	case "":
		t.Skip("MASU_TEST_ENGINE is not set")
	case "default":
		return ""
	default:
		return a
	}
	return ""
}

func testConfig(t *testing.T) Config {
	t.Helper()
	addr := address(t)
	if uid := os.Getuid(); uid != 0 && uid != suiteUID {
		t.Skip("needs root")
	}
	bin, err := agentBinary()
	if err != nil {
		t.Fatal(err)
	}
	log, runDir := slog.New(slog.NewTextHandler(t.Output(), nil)), t.TempDir()
	h, err := host.New(host.Config{Root: os.Getuid() == 0, RunDir: runDir, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	return Config{
		Address: addr,
		Lab:     "dockertest" + strings.ToLower(rand.Text()[:6]),
		Agent:   bin,
		Host:    h,
		RunDir:  runDir,
		Log:     log,
	}
}

// openEngine gives a runtime of a lab of its own, whose network is removed after the test.
func openEngine(t *testing.T, change func(*Config)) *Runtime {
	t.Helper()
	cfg := testConfig(t)
	if change != nil {
		change(&cfg)
	}
	rt, err := New(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if _, err := rt.api.NetworkRemove(ctx, networkName(cfg.Lab), client.NetworkRemoveOptions{}); err != nil && !isNotFound(err) {
			t.Errorf("remove the network: %v", err)
		}
		if h, ok := cfg.Host.(interface {
			Unfence(ctx context.Context, bridge string) error
		}); ok {
			if err := h.Unfence(ctx, bridgeName(cfg.Lab)); err != nil {
				t.Errorf("take the fence away: %v", err)
			}
		}
		if left, err := filepath.Glob(filepath.Join(cfg.RunDir, "*", "*")); err != nil || len(left) > 0 {
			t.Errorf("left in RunDir: %v, %v", left, err)
		}
		if err := rt.Close(); err != nil {
			t.Error(err)
		}
	})
	return rt
}

func TestEngine(t *testing.T) {
	masutest.Runtime(t, func(t *testing.T) (masu.Runtime, string) { return openEngine(t, nil), testImage })
}

// counting counts calls of the host, and can break them.
type counting struct {
	Host
	mu     sync.Mutex
	staged map[string]bool
	reason string
	fail   error
}

func (c *counting) Stage(u masu.User, dir, at string, dataset bool) (string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.fail != nil {
		return "", c.fail
	}
	reason, err := c.Host.Stage(u, dir, at, dataset)
	if err == nil {
		c.staged[at] = true
	}
	if c.reason != "" {
		reason = c.reason
	}
	return reason, err
}

func (c *counting) Unstage(at string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.staged, at)
	return c.Host.Unstage(at)
}

func (c *counting) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.staged)
}
