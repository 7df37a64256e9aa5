package agent_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/masu-lab/masu"
	"github.com/masu-lab/masu/internal/host"
)

const engineImage = "masu-test/base"

// realBox is a container whose first process is the agent.
type realBox struct {
	*testing.T
	name   string
	docker func(args ...string) *exec.Cmd
	host   *host.Host
}

var member = masu.User{Name: "alice", UID: 30201, GID: 30201, Home: "/home/alice", Groups: []masu.Group{{Name: "lab", GID: 30290}}}

func plainSpec() masu.AgentSpec {
	return masu.AgentSpec{User: member, Work: "/home/alice/work", Sudo: true, Lang: masu.English}
}

// newBox starts a box as the Docker driver does, and waits until it is ready.
func newBox(t *testing.T, spec masu.AgentSpec, args ...string) *realBox {
	t.Helper()
	engine := os.Getenv("MASU_TEST_ENGINE")
	if engine == "" {
		t.Skip("MASU_TEST_ENGINE is not set: no engine to run boxes on")
	}
	if os.Geteuid() != 0 {
		t.Skip("needs root, to enter the network of a box")
	}
	h, err := host.New(host.Config{Root: true, RunDir: t.TempDir(), Log: slog.New(slog.NewTextHandler(t.Output(), nil))})
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(t.TempDir(), "masu")
	build := exec.Command("go", "build", "-o", program, "./testdata/agent")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	b := &realBox{T: t, host: h, name: fmt.Sprintf("agent-test-%s-%d", strings.ToLower(strings.ReplaceAll(t.Name()[4:], "/", "-")), os.Getpid())}
	b.docker = func(args ...string) *exec.Cmd {
		if engine != "default" {
			args = append([]string{"--host", engine}, args...)
		}
		return exec.Command("docker", args...)
	}
	text, err := json.Marshal(spec)
	if err != nil {
		t.Fatal(err)
	}
	create := []string{"create", "--name", b.name, "--init=false", "--network", "none", "--user", "0:0", "--workdir", "/",
		"--env", "MASU_SPEC=" + string(text), "--env", "FROM_IMAGE=yes", "--volume", program + ":/masu/masu:ro", "--entrypoint", "/masu/masu"}
	create = append(append(create, policy(spec.Sudo)...), args...)
	t.Cleanup(func() { _ = b.docker("rm", "--force", "--volumes", b.name).Run() })
	b.must(append(create, engineImage, "agent")...)
	b.start()
	return b
}

// policy is what the Docker driver takes from a box.
func policy(sudo bool) []string {
	drop, add := []string{"AUDIT_WRITE", "MKNOD", "NET_RAW", "SETFCAP", "SYS_CHROOT"}, []string{}
	args := []string{}
	if !sudo {
		drop, add = []string{"ALL"}, []string{"CHOWN", "DAC_OVERRIDE", "FOWNER", "KILL", "SETGID", "SETUID"}
		args = append(args, "--security-opt", "no-new-privileges")
	}
	for _, c := range drop {
		args = append(args, "--cap-drop", c)
	}
	for _, c := range add {
		args = append(args, "--cap-add", c)
	}
	return args
}

func (b *realBox) must(args ...string) string {
	b.Helper()
	var stderr bytes.Buffer
	cmd := b.docker(args...)
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		b.Fatalf("docker %q: %v\n%s%s", args, err, out, stderr.String())
	}
	return strings.TrimSpace(string(out))
}

func (b *realBox) start() {
	b.Helper()
	b.must("start", b.name)
	b.until("the box is ready", func() bool {
		_, err := b.status()
		return err == nil
	})
}

func (b *realBox) until(what string, ok func() bool) {
	b.Helper()
	deadline := time.Now().Add(time.Minute)
	for !ok() {
		if time.Now().After(deadline) {
			b.Fatalf("in vain: %s\n%s", what, b.must("logs", b.name))
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// http talks to the agent as the daemon does.
func (b *realBox) http() *http.Client {
	return &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		out, err := b.docker("inspect", "-f", "{{.State.Pid}} {{.Id}}", b.name).Output()
		if err != nil {
			return nil, err
		}
		f := strings.Fields(string(out))
		pid, err := strconv.Atoi(f[0])
		if err != nil {
			return nil, err
		}
		return b.host.Dial(ctx, pid, f[1], masu.AgentPort)
	}}}
}

func (b *realBox) status() (s masu.AgentStatus, err error) {
	res, err := b.http().Get("http://box/v1/status")
	if err != nil {
		return s, err
	}
	defer res.Body.Close()
	return s, json.NewDecoder(res.Body).Decode(&s)
}

// order is MASU_EXEC.
type order struct {
	Key  string   `json:"key,omitempty"`
	Dir  string   `json:"dir,omitempty"`
	Env  []string `json:"env,omitempty"`
	Root bool     `json:"root,omitempty"`
	TTY  bool     `json:"tty,omitempty"`
}

func (b *realBox) command(o order, argv ...string) *exec.Cmd {
	text, err := json.Marshal(o)
	if err != nil {
		b.Fatal(err)
	}
	args := []string{"exec", "--env", "MASU_EXEC=" + string(text)}
	if o.TTY {
		args = append(args, "--tty")
	}
	return b.docker(append(append(args, b.name, "/masu/masu", "agent", "exec", "--"), argv...)...)
}

// exec runs a command and gives its output and exit code.
func (b *realBox) exec(o order, argv ...string) (string, int) {
	b.Helper()
	out, err := b.command(o, argv...).CombinedOutput()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return string(out), exit.ExitCode()
	}
	if err != nil {
		b.Fatalf("%q: %v\n%s", argv, err, out)
	}
	return string(out), 0
}

func (b *realBox) sh(script string) (string, int) {
	b.Helper()
	return b.exec(order{}, "sh", "-c", script)
}

func (b *realBox) root(script string) string {
	b.Helper()
	out, code := b.exec(order{Root: true}, "sh", "-c", script)
	if code != 0 {
		b.Errorf("%s ended with %d: %s", script, code, out)
	}
	return out
}

func (b *realBox) want(what, got, want string) {
	b.Helper()
	if got != want {
		b.Errorf("%s: %q, want %q", what, got, want)
	}
}

func TestBoxAccount(t *testing.T) {
	spec := plainSpec()
	spec.Timezone, spec.Env = "Asia/Tokyo", map[string]string{"MINE": "a b"}
	b := newBox(t, spec)
	for what, c := range map[string]struct{ script, want string }{
		"who":         {"id", "uid=30201(alice) gid=30201(alice) groups=30201(alice),30290(lab)\n"},
		"where":       {"pwd", "/home/alice/work\n"},
		"home":        {"stat -c '%U %a' ~ ~/work ~/scripts; echo $HOME", "alice 755\nalice 755\nalice 755\n/home/alice\n"},
		"variables":   {"echo $FROM_IMAGE $MINE $TZ $LANG $MASU_SPEC.", "yes a b JST-9 C.UTF-8 .\n"},
		"powers":      {"grep -E 'Cap(Prm|Eff|Amb)' /proc/self/status | tr -s '\\t\\n' ' '", "CapPrm: 0000000000000000 CapEff: 0000000000000000 CapAmb: 0000000000000000 "},
		"stdout":      {"echo through >/dev/stdout", "through\n"},
		"japanese":    {"touch ~/ノート; ls ~ | grep ノート", "ノート\n"},
		"runtime dir": {"stat -c '%U %a' $XDG_RUNTIME_DIR", "alice 700\n"},
	} {
		out, code := b.sh(c.script)
		b.want(what, out, c.want)
		if code != 0 {
			b.Errorf("%s ended with %d", what, code)
		}
	}
	// A shell that is not ours: as `docker exec -u` and VS Code start it.
	out := b.must("exec", "--user", "alice", b.name, "bash", "-lc", "id -un; echo $MINE $TZ")
	b.want("a login shell", out, "alice\na b JST-9")
	out = b.must("exec", "--user", "alice", b.name, "bash", "-ic", "echo $MINE $TZ 2>/dev/null")
	b.want("an interactive shell", out, "a b JST-9")
	b.want("root's shell", b.root("id -u; echo $HOME $MINE"), "0\n/root a b\n")
}

func TestBoxExec(t *testing.T) {
	b := newBox(t, plainSpec())
	for _, c := range []struct {
		argv []string
		code int
	}{
		{[]string{"true"}, 0}, {[]string{"sh", "-c", "exit 7"}, 7}, {[]string{"no-such-command"}, 127}, {[]string{"/no/such"}, 127},
		{[]string{"/etc/passwd"}, 126}, {[]string{"/etc"}, 126}, {[]string{"sh", "-c", "kill -TERM $$"}, 143},
	} {
		if out, code := b.exec(order{}, c.argv...); code != c.code {
			t.Errorf("%q ended with %d, want %d: %s", c.argv, code, c.code, out)
		}
	}
	out, _ := b.exec(order{Dir: "/tmp", Env: []string{"A=1 2", "HOME=/x"}}, "sh", "-c", "pwd; echo $A $HOME")
	b.want("folder and variables", out, "/tmp\n1 2 /x\n")
	if out, code := b.exec(order{Dir: "/root"}, "true"); code != 126 {
		t.Errorf("a folder that is not the member's: %d %s", code, out)
	}
	cmd := b.docker("exec", "-i", b.name, "/masu/masu", "agent", "exec", "--", "cat")
	cmd.Stdin = strings.NewReader(strings.Repeat("line\n", 50_000))
	if out, err := cmd.Output(); err != nil || len(out) != 250_000 {
		t.Errorf("%d bytes came back, %v", len(out), err)
	}
	out, code := b.exec(order{TTY: true}, "sh", "-c", "tty; stat -c %U $(tty); echo x >$(tty); ps -o sess= 2>/dev/null; exit 5")
	if lines := strings.Split(out, "\r\n"); code != 5 || !strings.HasPrefix(lines[0], "/dev/pts/") || lines[1] != "alice" || lines[2] != "x" {
		t.Errorf("on a terminal: %d %q", code, out)
	}
	// The project folder may be unreachable; a shell is had all the same.
	b.root("rmdir /home/alice/work")
	out, _ = b.sh("pwd")
	b.want("without the project folder", out, "/home/alice\n")
}

func TestBoxKill(t *testing.T) {
	b := newBox(t, plainSpec())
	for _, c := range []struct {
		key string
		tty bool
		run string
	}{
		{"plain", false, "sleep 3600 & echo $$ $! >/tmp/plain; echo ready; wait"},
		{"terminal", true, "sleep 3600 & echo $$ $! >/tmp/terminal; echo ready; wait"},
		{"stubborn", false, "/masu/masu stubborn & echo $$ $! >/tmp/stubborn; echo ready; wait"},
	} {
		cmd := b.command(order{Key: c.key, TTY: c.tty}, "sh", "-c", c.run)
		stdout, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		said := make([]byte, 5)
		if _, err := io.ReadFull(stdout, said); err != nil || string(said) != "ready" {
			t.Fatalf("%q, %v", said, err)
		}
		if out, code := b.sh("kill -0 $(cat /tmp/" + c.key + ")"); code != 0 {
			t.Fatalf("it does not run: %s", out)
		}
		b.must("exec", b.name, "/masu/masu", "agent", "kill", c.key)
		if _, err := io.Copy(io.Discard, stdout); err != nil {
			t.Error(err)
		}
		if cmd.Wait() == nil {
			t.Errorf("%s: it ended well", c.key)
		}
		if out, _ := b.sh("for p in $(cat /tmp/" + c.key + "); do kill -0 $p 2>/dev/null && echo $p; done"); out != "" {
			t.Errorf("%s: %q lives on", c.key, out)
		}
	}
	// Killed before it began: it does not begin.
	b.must("exec", b.name, "/masu/masu", "agent", "kill", "early")
	if out, code := b.exec(order{Key: "early"}, "touch", "/tmp/early"); code != 137 {
		t.Errorf("%d %s", code, out)
	}
	if _, code := b.sh("test -e /tmp/early"); code == 0 {
		t.Error("a command ran that had been ended before")
	}
}

// TestBoxStops: a box ends by itself when it is asked to, also with shells at
// terminals and with programs that will not listen, and starts again as it was.
func TestBoxStops(t *testing.T) {
	b := newBox(t, plainSpec())
	shell := b.command(order{TTY: true}, "bash", "-i")
	stdin, err := shell.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer stdin.Close()
	if err := shell.Start(); err != nil {
		t.Fatal(err)
	}
	b.until("the shell runs", func() bool {
		_, code := b.sh("grep -qs '^bash$' /proc/[0-9]*/comm")
		return code == 0
	})
	b.root("echo '# mine' >>/home/alice/.jupyter/jupyter_notebook_config.py; echo kept >/home/alice/kept; chown alice /home/alice/kept")
	passwd := b.root("cat /etc/passwd /etc/group /etc/bash.bashrc /etc/profile.d/masu.sh")
	for range 2 {
		began := time.Now()
		b.must("stop", "--time", "60", b.name)
		t.Logf("stopped in %v", time.Since(began).Round(time.Millisecond))
		b.want("exit code and signs of force", b.must("inspect", "-f", "{{.State.ExitCode}} {{.State.OOMKilled}}", b.name), "0 false")
		b.start()
		if again := b.root("cat /etc/passwd /etc/group /etc/bash.bashrc /etc/profile.d/masu.sh"); again != passwd {
			t.Errorf("started again, the files are\n%s\nthey were\n%s", again, passwd)
		}
	}
	_ = shell.Wait()
	out, _ := b.sh("cat ~/kept; tail -n 1 ~/.jupyter/jupyter_notebook_config.py; ls ~/.jupyter; id -un")
	b.want("the home", out, "kept\n# mine\njupyter_notebook_config.py\nalice\n")
}

// TestBoxStopsTheStubborn: what does not listen is ended after the grace, and the box still ends well.
func TestBoxStopsTheStubborn(t *testing.T) {
	if testing.Short() {
		t.Skip("takes the whole grace")
	}
	b := newBox(t, plainSpec())
	stubborn := b.command(order{}, "/masu/masu", "stubborn")
	stdout, err := stubborn.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := stubborn.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(stdout, make([]byte, 5)); err != nil {
		t.Fatal(err)
	}
	b.must("stop", "--time", "60", b.name)
	b.want("exit code", b.must("inspect", "-f", "{{.State.ExitCode}}", b.name), "0")
	_ = stubborn.Wait()
}

func TestBoxReaps(t *testing.T) {
	b := newBox(t, plainSpec())
	// Children whose parent is gone when they end.
	if out, code := b.sh("for i in $(seq 50); do (sleep 0.0$i &) ; done"); code != 0 {
		t.Fatalf("%d %s", code, out)
	}
	b.until("all have ended and been reaped", func() bool {
		out, _ := b.sh("grep -l '^PPid:.1$' /proc/[0-9]*/status 2>/dev/null | wc -l")
		return strings.TrimSpace(out) == "0"
	})
}

func TestBoxWithoutSudo(t *testing.T) {
	spec := plainSpec()
	spec.Sudo, spec.NoSudo = false, "stage_no_idmap_fs"
	b := newBox(t, spec)
	out, code := b.sh("sudo id")
	if code != 1 || !strings.Contains(out, "NFS") || !strings.Contains(out, "masu.yaml") {
		t.Errorf("sudo: %d %q", code, out)
	}
	out, _ = b.sh("id -u; grep NoNewPrivs /proc/self/status")
	b.want("the member", out, "30201\nNoNewPrivs:\t1\n")
	// The image's own setuid programs are without power.
	out, _ = b.sh("cp $(command -v id) /tmp/id && chmod 4755 /tmp/id")
	b.want("copy", out, "")
	b.root("chown 0 /tmp/id && chmod 4755 /tmp/id")
	out, _ = b.sh("/tmp/id -u")
	b.want("a setuid program", out, "30201\n")
}

// TestBoxMemberCannotBeRoot: what the member tries against the first process.
func TestBoxMemberCannotBeRoot(t *testing.T) {
	spec := plainSpec()
	spec.Sudo = false
	b := newBox(t, spec)
	for _, script := range []string{
		"kill -9 1", "cat /proc/1/environ", "cat /proc/1/mem", "ls /proc/1/fd", "echo x >>/masu/masu", "cat /run/masu/box.json",
		"echo x >/run/masu/box.json", "ls /run/masu/exec", "echo alice ALL=NOPASSWD:ALL >/etc/sudoers.d/x", "/masu/masu agent kill x",
	} {
		if out, code := b.sh(script); code == 0 {
			t.Errorf("%s: %q", script, out)
		}
	}
	// Links in the home, for root to be led astray by at the next start.
	if out, code := b.sh("rm -rf ~/.jupyter ~/scripts ~/work && ln -s /etc ~/.jupyter && ln -s /root ~/scripts && ln -s /etc ~/work && ls -d /root"); code != 0 {
		t.Fatal(out)
	}
	before := b.root("stat -c '%n %U %a' /etc /root /etc/passwd; ls -a /etc /root")
	b.must("stop", b.name)
	b.start()
	b.want("root's folders", b.root("stat -c '%n %U %a' /etc /root /etc/passwd; ls -a /etc /root"), before)
	out, code := b.sh("id -un")
	if code != 0 || out != "alice\n" {
		t.Errorf("the box is not usable: %d %q", code, out)
	}
}

// TestBoxRoot: root of the host has no account of their own.
func TestBoxRoot(t *testing.T) {
	b := newBox(t, masu.AgentSpec{User: masu.User{Name: "root", Home: "/root"}, Work: "/root/work", Sudo: true})
	out, _ := b.sh("id -un; pwd; grep -c : /etc/passwd >/dev/null; ls -a ~ | grep scripts")
	b.want("root", out, "root\n/root/work\nscripts\n")
}

func TestBoxApps(t *testing.T) {
	spec := plainSpec()
	spec.Apps = masu.NamedApps("jupyter")
	b := newBox(t, spec)
	b.until("the missing app is told", func() bool {
		s, err := b.status()
		return err == nil && !s.Ready && len(s.Apps) == 1 && strings.Contains(s.Apps[0].Error, "not installed")
	})
	if err := b.command(order{}, "sh", "-c", "/masu/masu serve 5173 >/dev/null 2>&1 &").Run(); err != nil {
		t.Fatal(err)
	}
	b.until("a port that the member opened", func() bool {
		s, err := b.status()
		return err == nil && len(s.Apps) == 2 && s.Apps[1].Name == "p5173" && s.Apps[1].Ready
	})
}

// TestBoxPassword is the whole conversation, with the test as the daemon.
func TestBoxPassword(t *testing.T) {
	b := newBox(t, plainSpec())
	cmd := b.docker("exec", "-i", "--user", "alice", b.name, "/home/alice/scripts/set_passwd.sh")
	cmd.Stdin = strings.NewReader("correct horse\ncorrect horse\n")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var id string
	b.until("a password waits", func() bool {
		s, err := b.status()
		id = s.PasswordID
		return err == nil && id != ""
	})
	url := "http://box/v1/password/" + id
	res, err := b.http().Get(url)
	if err != nil {
		t.Fatal(err)
	}
	text, _ := io.ReadAll(res.Body)
	res.Body.Close()
	b.want("the daemon is told", strings.TrimSpace(string(text)), `{"password":"correct horse"}`)
	res, err = b.http().Post(url, "application/json", strings.NewReader(`{"ok":true}`))
	if err != nil || res.StatusCode != http.StatusNoContent {
		t.Fatalf("%v, %v", res, err)
	}
	if err := cmd.Wait(); err != nil || out.String() != "DONE\n" {
		t.Errorf("%v: %q", err, out.String())
	}
}

// TestBoxSocket: where the daemon is not root, the way in is a socket.
func TestBoxSocket(t *testing.T) {
	dir, err := os.MkdirTemp("/var/tmp", "agent-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := errors.Join(os.Chmod(dir, 0o700), os.Chown(dir, member.UID, member.GID)); err != nil {
		t.Skip(err)
	}
	spec := plainSpec()
	spec.Socket = true
	b := newBox(t, spec, "--volume", dir+":/masu/run")
	for range 2 { // a box that is started again finds its old socket
		path := filepath.Join(dir, "agent.sock")
		if _, err := b.host.DialSocket(t.Context(), path, 0, masu.AgentPort); err == nil {
			t.Error("root's is not the listener")
		}
		c := http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return b.host.DialSocket(ctx, path, member.UID, masu.AgentPort)
		}}}
		res, err := c.Get("http://box/v1/status")
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != http.StatusOK {
			t.Error(res.Status)
		}
		b.must("stop", b.name)
		b.start()
	}
}
