package execute

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/cookiejar"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/masu-lab/masu"
	"github.com/masu-lab/masu/internal/kernel"
)

const (
	serverStarts = 2 * time.Minute // importing Jupyter on a busy machine takes seconds, not minutes
	serverEnds   = 2 * time.Second
)

// server is a Jupyter server of the environment's own, on a socket that only the member can reach.
type server struct {
	dir    string // holds the socket
	client *kernel.Client
	cmd    *exec.Cmd
	ended  chan struct{}
	words  *words
}

// startServer starts one whose root is a folder, and waits until it answers.
func startServer(ctx context.Context, dir string) (Jupyter, error) {
	argv := serverCommand()
	if argv == nil {
		return nil, masu.E(masu.NotFound, "notebook_no_jupyter")
	}
	root, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	private, err := os.MkdirTemp("", "masu-notebook-") // for its owner only
	if err != nil {
		return nil, err
	}
	socket := filepath.Join(private, "jupyter.sock")
	s := &server{dir: private, ended: make(chan struct{}), words: &words{}}
	// No password and no token: the socket's folder is what keeps others out.
	// Jupyter's own limits for a browser's sake would drop outputs.
	argv = append(argv, "--no-browser", "--ServerApp.root_dir="+root, "--ServerApp.sock="+socket, "--ServerApp.sock_mode=0600",
		"--ServerApp.token=", "--ServerApp.password=", "--IdentityProvider.token=", "--ServerApp.disable_check_xsrf=True",
		"--ServerApp.iopub_data_rate_limit=0", "--ServerApp.iopub_msg_rate_limit=0",
		"--ZMQChannelsWebsocketConnection.iopub_data_rate_limit=0", "--ZMQChannelsWebsocketConnection.iopub_msg_rate_limit=0")
	if os.Geteuid() == 0 {
		argv = append(argv, "--allow-root")
	}
	s.cmd = exec.Command(argv[0], argv[1:]...)
	s.cmd.Stdout, s.cmd.Stderr = s.words, s.words
	s.cmd.WaitDelay = time.Second                           // a kernel that lives on holds its output open
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C is for us, who interrupt the kernel in good order
	if err := s.cmd.Start(); err != nil {
		return nil, errors.Join(masu.E(masu.NotFound, "notebook_no_jupyter").Because(err), os.RemoveAll(private))
	}
	go func() { // ends with the server, which Close ends
		_ = s.cmd.Wait() // how it ended does not matter
		close(s.ended)
	}()
	jar, err := cookiejar.New(nil)
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	dialer := net.Dialer{}
	s.client = &kernel.Client{Base: "http://localhost", HTTP: &http.Client{Jar: jar, Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, "unix", socket)
		},
	}}}
	if err := s.await(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// serverCommand finds what of Jupyter there is, the lightest first.
func serverCommand() []string {
	for _, name := range []string{"jupyter-server", "jupyter-lab"} {
		if path, err := exec.LookPath(name); err == nil {
			return []string{path}
		}
	}
	if path, err := exec.LookPath("python3"); err == nil && exec.Command(path, "-c", "import jupyter_server").Run() == nil {
		return []string{path, "-m", "jupyter_server"}
	}
	return nil
}

// await asks until the server answers.
func (s *server) await(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, serverStarts)
	defer cancel()
	for {
		if s.answers(ctx) {
			return nil
		}
		select {
		case <-time.After(20 * time.Millisecond):
			continue
		case <-s.ended:
		case <-ctx.Done():
		}
		return masu.E(masu.Unreachable, "notebook_jupyter_fails", s.words.last())
	}
}

func (s *server) answers(ctx context.Context) bool {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.client.Base+"/api", nil)
	if err != nil {
		return false
	}
	resp, err := s.client.HTTP.Do(req)
	if err != nil {
		return false
	}
	resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

// Client speaks to the server.
func (s *server) Client() *kernel.Client { return s.client }

// Close ends the server and the kernels that it has started.
func (s *server) Close() error {
	_ = s.cmd.Process.Signal(syscall.SIGTERM) // one that has ended is as wished
	select {
	case <-s.ended:
	case <-time.After(serverEnds):
		_ = syscall.Kill(-s.cmd.Process.Pid, syscall.SIGKILL)
		<-s.ended
	}
	return os.RemoveAll(s.dir)
}

// words keeps the last of what a server says.
type words struct {
	mu   sync.Mutex
	text []byte
}

const wordsMost = 4096

func (w *words) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.text = append(w.text, p[max(0, len(p)-wordsMost):]...)
	w.text = bytes.Clone(w.text[max(0, len(w.text)-wordsMost):])
	return len(p), nil
}

// last gives the last line that says something.
func (w *words) last() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	lines := strings.Split(strings.TrimSpace(string(w.text)), "\n")
	return lines[len(lines)-1]
}
