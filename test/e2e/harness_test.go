package e2e

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// lab is a daemon of its own beside whatever else the machine runs: own state,
// own socket, own port, own boxes on the shared engine.
type lab struct {
	t       *testing.T
	bin     string
	dir     string // holds state, run and log
	socket  string
	port    int
	sshPort int
	engine  string   // address; "" for the host's own
	config  string   // file; "" for none
	needs   string   // what configure writes first
	cluster *cluster // that its boxes run on; nil for an engine
	address string   // that the daemon listens on; "" for the port on loopback
	env     []string // of the daemon, over the test's own
	daemon  *exec.Cmd
	log     *os.File
}

// newLab starts a daemon as root and removes everything it made when the test
// ends. Its boxes are the engine's, or a cluster's where there is one to test on.
func newLab(t *testing.T) *lab {
	t.Helper()
	if onCluster() {
		return newCluster(t).lab
	}
	return newLabOn(t, "")
}

// newLabOn is newLab on an engine, "" for the host's own.
func newLabOn(t *testing.T, engine string) *lab {
	t.Helper()
	l := unstartedLab(t)
	l.engine = engine
	l.start()
	return l
}

// unstartedLab is newLab without its daemon, which begins when the test has said how.
func unstartedLab(t *testing.T) *lab {
	t.Helper()
	if os.Geteuid() != 0 || os.Getenv("MASU_BIN") == "" {
		t.Skip("needs root, an engine and MASU_BIN; make test gives all three")
	}
	dir, err := os.MkdirTemp("/tmp", "masu-e2e-")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o755); err != nil { // members must reach the socket in it
		t.Fatal(err)
	}
	l := &lab{t: t, bin: os.Getenv("MASU_BIN"), dir: dir, socket: filepath.Join(dir, "run", "masu.sock"), port: freePort(t), sshPort: freePort(t)}
	if l.log, err = os.Create(filepath.Join(dir, "daemon.log")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.tearDown)
	return l
}

func freePort(t *testing.T) int {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().(*net.TCPAddr).Port
}

// start starts the daemon and waits until its socket answers.
func (l *lab) start() {
	l.t.Helper()
	l.daemon = exec.Command(l.bin, "serve",
		"--state", filepath.Join(l.dir, "state"),
		"--socket", l.socket,
		"--ssh-listen", fmt.Sprintf("127.0.0.1:%d", l.sshPort),
		"--listen", cmp.Or(l.address, fmt.Sprintf("127.0.0.1:%d", l.port)))
	if l.engine != "" {
		l.daemon.Args = append(l.daemon.Args, "--engine", l.engine)
	}
	if l.config != "" {
		l.daemon.Args = append(l.daemon.Args, "--config", l.config)
	}
	l.daemon.Env = append(os.Environ(), l.env...)
	l.daemon.Stdout, l.daemon.Stderr = l.log, l.log
	if err := l.daemon.Start(); err != nil {
		l.t.Fatal(err)
	}
	l.until(30*time.Second, "the daemon answers", func() bool {
		return l.as("root", "ls").err == nil
	})
}

// configure writes the daemon's configuration, which it reads when it starts.
func (l *lab) configure(text string) {
	l.t.Helper()
	l.config = filepath.Join(l.dir, "config.yaml")
	l.write(l.config, l.needs+text)
}

// write makes a file that only root reads.
func (l *lab) write(path, text string) {
	l.t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		l.t.Fatal(err)
	}
}

// boxAddress tells where a box is on the network.
func (l *lab) boxAddress(w workspace) string {
	l.t.Helper()
	if l.cluster != nil {
		return l.cluster.kubectl("", "-n", kubeNamespace, "get", "pod", "masu-"+w.ID, "-o", "jsonpath={.status.podIP}")
	}
	return docker(l.t, "inspect", "-f", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", "masu-"+w.ID)
}

// kill ends the daemon without a chance to tidy up.
func (l *lab) kill() {
	l.t.Helper()
	_ = l.daemon.Process.Signal(syscall.SIGKILL)
	_ = l.daemon.Wait()
}

func (l *lab) tearDown() {
	if l.t.Failed() {
		if b, err := os.ReadFile(l.log.Name()); err == nil {
			l.t.Logf("the daemon's log:\n%s", tail(string(b), 120))
		}
	}
	if l.daemon != nil {
		for _, w := range l.workspaces("root", "--all") {
			l.as("root", "rm", "--yes", w.Owner+"/"+w.Name)
		}
		_ = l.daemon.Process.Signal(syscall.SIGTERM)
		_ = l.daemon.Wait()
	}
	_ = l.log.Close()
	_ = os.RemoveAll(l.dir)
	if l.cluster != nil {
		return // no engine was used
	}
	// An engine has room for some thirty networks; a lab's comes back by itself when it is needed.
	_ = exec.Command("docker", "network", "prune", "-f", "--filter", "label=masu.lab").Run()
}

// result is how a command ended.
type result struct {
	out, errOut string
	code        int
	err         error
}

// as runs masu as a member of the host, in their home.
func (l *lab) as(who string, args ...string) result {
	return l.asIn(who, "", "", args...)
}

// asIn runs masu as a member in a folder, with standard input.
func (l *lab) asIn(who, dir, stdin string, args ...string) result {
	cmd := l.command(who, dir, args...)
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	cmd.Stdin = strings.NewReader(stdin)
	err := cmd.Run()
	return result{out: out.String(), errOut: errOut.String(), code: cmd.ProcessState.ExitCode(), err: err}
}

func (l *lab) command(who, dir string, args ...string) *exec.Cmd {
	cmd := exec.Command(l.bin, args...)
	u, err := user.Lookup(who)
	if err != nil {
		l.t.Fatal(err)
	}
	uid, _ := strconv.Atoi(u.Uid)
	gid, _ := strconv.Atoi(u.Gid)
	if dir == "" {
		dir = u.HomeDir
	}
	cmd.Dir = dir
	cmd.Env = []string{"HOME=" + u.HomeDir, "USER=" + who, "PATH=/usr/local/bin:/usr/bin:/bin", "LANG=C.UTF-8", "MASU_LANG=en", "MASU_SOCKET=" + l.socket}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
	return cmd
}

// must is as that ends the test when the command fails.
func (l *lab) must(who string, args ...string) string {
	l.t.Helper()
	r := l.as(who, args...)
	if r.err != nil {
		l.t.Fatalf("%s: masu %s: %v\n%s%s", who, strings.Join(args, " "), r.err, tail(r.out, 20), tail(r.errOut, 30))
	}
	return r.out
}

// workspace is what the tests need of `masu ls --json`.
type workspace struct {
	ID, Owner, Name, Label, Phase, Image string
	Trouble                              *struct{ Code string }
}

func (l *lab) workspaces(who string, args ...string) []workspace {
	var list []workspace
	r := l.as(who, append([]string{"ls", "--json"}, args...)...)
	if err := json.Unmarshal([]byte(r.out), &list); err != nil && r.err == nil {
		l.t.Errorf("masu ls --json said %q: %v", r.out, err)
	}
	return list
}

// phase gives the phase of the member's only workspace of that name; "" if there is none.
func (l *lab) phase(who, name string) string {
	for _, w := range l.workspaces(who) {
		if w.Name == name {
			return w.Phase
		}
	}
	return ""
}

// link gives a one-time link to the pages.
func (l *lab) link(who string) string {
	l.t.Helper()
	var link struct{ URL string }
	if err := json.Unmarshal([]byte(l.must(who, "open", "--json")), &link); err != nil {
		l.t.Fatal(err)
	}
	return link.URL
}

// member makes an account of the host with a home, and removes both when the test ends.
func (l *lab) member(name string) *user.User {
	l.t.Helper()
	if _, err := user.Lookup(name); err == nil {
		_ = exec.Command("userdel", "-r", "-f", name).Run()
	}
	home := filepath.Join("/home", name)
	if out, err := exec.Command("useradd", "--create-home", "--home-dir", home, "--shell", "/bin/bash", "--key", "UID_MIN=31100", "--key", "UID_MAX=31999", name).CombinedOutput(); err != nil {
		l.t.Fatalf("useradd %s: %v: %s", name, err, out)
	}
	l.t.Cleanup(func() { _ = exec.Command("userdel", "-r", "-f", name).Run() })
	u, err := user.Lookup(name)
	if err != nil {
		l.t.Fatal(err)
	}
	return u
}

// folder makes a folder of the member's with files in it.
func (l *lab) folder(u *user.User, name string, files map[string]string) string {
	l.t.Helper()
	dir := filepath.Join(u.HomeDir, name)
	uid, _ := strconv.Atoi(u.Uid)
	gid, _ := strconv.Atoi(u.Gid)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		l.t.Fatal(err)
	}
	for path, text := range files {
		for in := filepath.Dir(path); in != "."; in = filepath.Dir(in) {
			if err := errors.Join(os.MkdirAll(filepath.Join(dir, in), 0o755), os.Chown(filepath.Join(dir, in), uid, gid)); err != nil {
				l.t.Fatal(err)
			}
		}
		if err := os.WriteFile(filepath.Join(dir, path), []byte(text), 0o644); err != nil {
			l.t.Fatal(err)
		}
		if err := os.Chown(filepath.Join(dir, path), uid, gid); err != nil {
			l.t.Fatal(err)
		}
	}
	if err := os.Chown(dir, uid, gid); err != nil {
		l.t.Fatal(err)
	}
	return dir
}

// docker runs the engine's own client.
func docker(t *testing.T, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, "docker", args...).CombinedOutput()
	if err != nil {
		t.Fatalf("docker %s: %v: %s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

// until polls until the condition holds.
func (l *lab) until(limit time.Duration, what string, ok func() bool) {
	l.t.Helper()
	deadline := time.Now().Add(limit)
	for !ok() {
		if time.Now().After(deadline) {
			l.t.Fatalf("waited %v in vain until %s", limit, what)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func tail(s string, lines int) string {
	all := strings.Split(strings.TrimRight(s, "\n"), "\n")
	if len(all) > lines {
		all = all[len(all)-lines:]
	}
	return strings.Join(all, "\n") + "\n"
}
