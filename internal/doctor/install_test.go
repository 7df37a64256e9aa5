package doctor

import (
	"encoding/json"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/masu-lab/masu"
	"github.com/masu-lab/masu/internal/text"
)

// TestMain lets this program stand for dockerd: with MASU_FAKE_ENGINE it serves that socket until it is asked to stop.
func TestMain(m *testing.M) {
	switch path := os.Getenv("MASU_FAKE_ENGINE"); path {
	case "":
		os.Exit(m.Run())
	case "fail":
		os.Stderr.WriteString("failed to start: no iptables\n")
		os.Exit(1)
	default:
		serveFake(path)
	}
}

func serveFake(path string) {
	l, err := net.Listen("unix", path)
	if err != nil {
		panic(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/info", func(w http.ResponseWriter, _ *http.Request) {
		json.NewEncoder(w).Encode(map[string]any{"ServerVersion": "27.0.0", "DockerRootDir": os.Getenv("PATH")})
	})
	mux.HandleFunc("/stop", func(http.ResponseWriter, *http.Request) { os.Exit(0) })
	http.Serve(l, mux)
}

func TestStartEngine(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	socket, log := filepath.Join(t.TempDir(), "s"), filepath.Join(t.TempDir(), "log")
	t.Setenv("MASU_FAKE_ENGINE", socket)
	lock := filepath.Join(t.TempDir(), "lock")
	inherited := locked(t, lock)
	if err := startEngine(t.Context(), self, "unix://"+socket, log); err != nil {
		t.Fatal(err)
	}
	_ = unix.Close(inherited)
	if f, err := os.Open(lock); err != nil || unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) != nil {
		t.Errorf("the engine holds what its caller had locked (%v)", err)
	}
	defer func() { // ends the process that was started
		c := http.Client{Transport: &http.Transport{Dial: func(string, string) (net.Conn, error) { return net.Dial("unix", socket) }}}
		if resp, err := c.Get("http://engine/stop"); err == nil {
			resp.Body.Close()
		}
	}()
	f := askEngine(t.Context(), "unix://"+socket)
	if f.err != nil || f.ServerVersion != "27.0.0" || !strings.Contains(f.DockerRootDir, "/usr/sbin") {
		t.Errorf("%+v", f)
	}
}

// locked holds a lock as flock(1) leaves it to the command that it runs.
func locked(t *testing.T, path string) int {
	t.Helper()
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_CREAT, 0o600)
	if err == nil {
		err = unix.Flock(fd, unix.LOCK_EX)
	}
	if err != nil {
		t.Fatal(err)
	}
	return fd
}

func TestEngineThatDoesNotStart(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	log := filepath.Join(t.TempDir(), "log")
	t.Setenv("MASU_FAKE_ENGINE", "fail")
	err = startEngine(t.Context(), self, "unix:///nowhere", log)
	if masu.CodeOf(err) != "engine_not_started" || masu.KindOf(err) != masu.Unreachable {
		t.Error(err)
	}
	if b, err := os.ReadFile(log); err != nil || !strings.Contains(string(b), "no iptables") {
		t.Errorf("the log says %q, %v", b, err)
	}
	if message, fix := text.Error(masu.English, err); !strings.Contains(message, log) || !strings.Contains(fix, log) {
		t.Errorf("%q, %q", message, fix)
	}
	err = startEngine(t.Context(), "/no/such/dockerd", "unix:///nowhere", log)
	if masu.CodeOf(err) != "engine_missing" {
		t.Error(err)
	}
	// A link where the log belongs is not followed: the folder may be anybody's.
	if err := os.Symlink("/dev/null", log+"2"); err != nil {
		t.Fatal(err)
	}
	if err := startEngine(t.Context(), self, "unix:///nowhere", log+"2"); masu.CodeOf(err) != "engine_not_started" {
		t.Error(err)
	}
}

func TestInstallEngine(t *testing.T) {
	for distro, want := range map[string]string{"debian": "docker.io", "ubuntu": "docker.io", "fedora": "moby-engine"} {
		commands := InstallEngine(distro)
		last := commands[len(commands)-1]
		if !slices.Contains(last, want) || !slices.Contains(last, "-y") {
			t.Errorf("%s: %v", distro, commands)
		}
	}
	if c := InstallEngine("void"); c != nil {
		t.Errorf("%v", c)
	}
}
