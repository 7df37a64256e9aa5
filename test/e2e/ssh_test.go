package e2e

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// sshClient is a machine with OpenSSH's own programs and keys.
type sshClient struct {
	*lab
	dir string
}

func (l *lab) sshClient() *sshClient {
	l.t.Helper()
	p := &sshClient{l, filepath.Join(l.dir, "laptop")}
	if err := os.Mkdir(p.dir, 0o700); err != nil {
		l.t.Fatal(err)
	}
	return p
}

// key makes a key and gives its public half.
func (p *sshClient) key(name string, args ...string) string {
	p.t.Helper()
	path := filepath.Join(p.dir, name)
	if out, err := exec.Command("ssh-keygen", append([]string{"-q", "-N", "", "-C", name, "-f", path}, args...)...).CombinedOutput(); err != nil {
		p.t.Fatalf("ssh-keygen: %v: %s", err, out)
	}
	b, err := os.ReadFile(path + ".pub")
	if err != nil {
		p.t.Fatal(err)
	}
	return string(b)
}

// authorize writes a member's authorized_keys.
func (p *sshClient) authorize(u *user.User, text string) {
	p.t.Helper()
	p.folder(u, ".ssh", map[string]string{"authorized_keys": text})
	for _, path := range []string{"", "authorized_keys"} {
		if err := os.Chmod(filepath.Join(u.HomeDir, ".ssh", path), 0o700); err != nil {
			p.t.Fatal(err)
		}
	}
}

// options are what every program of OpenSSH's is given.
func (p *sshClient) options(key string) []string {
	return []string{"-F", "/dev/null", "-o", "IdentityFile=" + filepath.Join(p.dir, key), "-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes",
		"-o", "UserKnownHostsFile=" + filepath.Join(p.dir, "known_hosts"), "-o", "StrictHostKeyChecking=accept-new", "-o", fmt.Sprintf("Port=%d", p.sshPort)}
}

// do runs a program of OpenSSH's with a key.
func (p *sshClient) do(program, key, stdin string, args ...string) result {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, append(p.options(key), args...)...)
	cmd.Dir = p.dir
	var out, errOut bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &out, &errOut
	err := cmd.Run()
	return result{out: out.String(), errOut: errOut.String(), code: cmd.ProcessState.ExitCode(), err: err}
}

func (p *sshClient) ssh(key, name string, command ...string) result {
	p.t.Helper()
	return p.do("ssh", key, "", append([]string{"-l", name, "127.0.0.1"}, command...)...)
}

// TestSSHDay: with nothing but OpenSSH, a member works in their box: commands,
// a terminal, files by four programs, a server of theirs; and whatever else an
// ssh server may do is refused.
func TestSSHDay(t *testing.T) {
	l := newLab(t)
	alice, bob := l.member("e2ealice"), l.member("e2ebob")
	p := l.sshClient()
	p.authorize(alice, p.key("alice"))
	p.authorize(bob, p.key("bob"))
	p.key("nobody")
	dir := l.folder(alice, "thesis", map[string]string{"masu.yaml": "preset: python\napt: [rsync]\n"})
	l.must("e2ealice", "up", "--no-check", dir)

	p.ssh("alice", "thesis", "true") // which remembers the gateway's key
	r := p.ssh("alice", "thesis", "id -un; pwd; echo err >&2; exit 7")
	if r.code != 7 || r.out != "e2ealice\n/home/e2ealice\n" || r.errOut != "err\n" {
		t.Errorf("a command: %d, %q, %q", r.code, r.out, r.errOut)
	}
	p.terminal(alice)
	p.files(alice)
	p.ports()
	p.refused()
	p.withoutPort(alice)
	p.noneLeft()
	p.keyKept()

	l.must("e2ealice", "stop", "thesis")
	r = p.ssh("alice", "thesis", "echo up")
	if r.code != 0 || r.out != "up\n" || !strings.Contains(r.errOut, "thesis is stopped and is being started") {
		t.Errorf("into a stopped workspace: %d, %q, %q", r.code, r.out, r.errOut)
	}
	p.sentAway()
}

// terminal: the size at the beginning, and after it has changed; Ctrl-C; an exit code.
func (p *sshClient) terminal(alice *user.User) {
	p.t.Helper()
	ready := filepath.Join(alice.HomeDir, "thesis", "ready") // the box makes it
	inside := `stty size; touch work/ready; for i in $(seq 200); do [ "$(stty size)" = "33 101" ] || break; sleep 0.1; done; stty size; echo "$TERM"; exit 5`
	script := fmt.Sprintf(`stty rows 33 cols 101
(for i in $(seq 200); do [ -e %s ] && break; sleep 0.1; done; stty rows 50 cols 150 </dev/tty) &
ssh %s -tt -l thesis 127.0.0.1 '%s'`, ready, strings.Join(p.options("alice"), " "), inside)
	cmd := exec.Command("script", "-qec", script, "/dev/null")
	cmd.Env = append(os.Environ(), "TERM=xterm-256color", "SHELL=/bin/sh")
	out, _ := cmd.CombinedOutput()
	if want := "33 101\r\n50 150\r\nxterm-256color\r\n"; !strings.Contains(string(out), want) || cmd.ProcessState.ExitCode() != 5 {
		p.t.Errorf("a terminal: %d, %q", cmd.ProcessState.ExitCode(), out)
	}
}

// files goes in and out by scp, sftp and rsync, as the member.
func (p *sshClient) files(alice *user.User) {
	p.t.Helper()
	big := make([]byte, 20<<20)
	_, _ = rand.Read(big)
	if err := os.WriteFile(filepath.Join(p.dir, "big"), big, 0o644); err != nil {
		p.t.Fatal(err)
	}
	back := func(what string) {
		p.t.Helper()
		got, err := os.ReadFile(filepath.Join(p.dir, "back"))
		if err != nil || !bytes.Equal(got, big) {
			p.t.Errorf("%s: what came back is not what went (%d bytes, %v)", what, len(got), err)
		}
		_ = os.Remove(filepath.Join(p.dir, "back"))
	}
	must := func(what string, r result) {
		p.t.Helper()
		if r.err != nil {
			p.t.Errorf("%s: %v, %s%s", what, r.err, r.out, r.errOut)
		}
	}
	at := "thesis@127.0.0.1:"
	must("scp", p.do("scp", "alice", "", "big", at+"work/by-scp"))
	must("scp", p.do("scp", "alice", "", at+"~/work/by-scp", "back"))
	back("scp")
	must("scp -O", p.do("scp", "alice", "", "-O", "big", at+"work/by-old-scp"))
	must("scp -O", p.do("scp", "alice", "", "-O", at+"work/by-old-scp", "back"))
	back("scp -O")
	must("sftp", p.do("sftp", "alice", "put big work/by-sftp\nget work/by-sftp back\nmkdir d\nrename d e\nrmdir e\nchmod 600 work/by-sftp\nls -l work\n", "-b", "-", "thesis@127.0.0.1"))
	back("sftp")
	rsync := func(args ...string) result {
		cmd := exec.Command("rsync", append([]string{"-e", "ssh " + strings.Join(p.options("alice"), " ")}, args...)...)
		cmd.Dir = p.dir
		out, err := cmd.CombinedOutput()
		return result{out: string(out), err: err}
	}
	must("rsync", rsync("big", at+"work/by-rsync"))
	must("rsync", rsync(at+"work/by-rsync", "back"))
	back("rsync")
	for _, name := range []string{"by-scp", "by-sftp", "by-rsync"} {
		path := filepath.Join(alice.HomeDir, "thesis", name)
		if owner := strings.TrimSpace(output(p.t, "stat", "-c", "%U", path)); owner != "e2ealice" {
			p.t.Errorf("%s is %s's", path, owner)
		}
	}
	if r := p.do("sftp", "alice", "put big /etc/by-sftp\n", "-b", "-", "thesis@127.0.0.1"); r.err == nil {
		p.t.Error("sftp writes where the member may not")
	}
}

func output(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v: %s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// ports: -L reaches a server that runs in the box.
func (p *sshClient) ports() {
	p.t.Helper()
	p.must("e2ealice", "exec", "thesis", "--", "sh", "-c", "mkdir -p ~/www && echo from inside >~/www/index.html && cd ~/www && nohup python3 -m http.server --bind 127.0.0.1 8123 >/dev/null 2>&1 &")
	port := freePort(p.t)
	cmd := exec.Command("ssh", append(p.options("alice"), "-N", "-o", "ExitOnForwardFailure=yes", "-L", fmt.Sprintf("127.0.0.1:%d:localhost:8123", port), "-l", "thesis", "127.0.0.1")...)
	if err := cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()
	p.until(20*time.Second, "the page of the box answers", func() bool {
		res, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/", port))
		if err != nil {
			return false
		}
		defer res.Body.Close()
		var b bytes.Buffer
		_, _ = b.ReadFrom(res.Body)
		return b.String() == "from inside\n"
	})
}

// refused are rows H2 to H6: each does not work, and says nothing that it should not.
func (p *sshClient) refused() {
	p.t.Helper()
	for _, c := range []struct {
		what, key, name string
		args            []string
		says            string
	}{
		{"H2 another's", "bob", "thesis", nil, `You come in as e2ebob, who has no workspace "thesis".`},
		{"H2 another's by its full name", "bob", "e2ealice/thesis", nil, `You come in as e2ebob, who has no workspace "e2ealice/thesis".`},
		{"H2 none", "alice", "nothing", nil, `You come in as e2ealice, who has no workspace "nothing".`},
		{"H2 root", "alice", "root", nil, `You come in as e2ealice, who has no workspace "root".`},
		{"H2 a path", "alice", "e2ealice/../e2ebob/x", nil, `You come in as e2ealice, who has no workspace "e2ealice/../e2ebob/x".`},
		{"H4 -R at all addresses", "alice", "thesis", []string{"-o", "ExitOnForwardFailure=yes", "-R", "0.0.0.0:18123:localhost:22"}, "remote port forwarding failed"},
		{"H4 a socket where she may not", "alice", "thesis", []string{"-o", "ExitOnForwardFailure=yes", "-R", "/run/docker.sock:/tmp/s"}, "remote port forwarding failed"},
		{"H4 -w", "alice", "thesis", []string{"-o", "ExitOnForwardFailure=yes", "-w", "0:0"}, ""},
		{"H6 no key", "nobody", "thesis", nil, "Permission denied (publickey)"},
		{"H6 a password", "nobody", "thesis", []string{"-o", "BatchMode=no", "-o", "NumberOfPasswordPrompts=1", "-o", "PreferredAuthentications=password,keyboard-interactive"}, "Permission denied (publickey)"},
		{"H6 weak ciphers", "alice", "thesis", []string{"-c", "3des-cbc"}, ""},
		{"H6 SHA-1", "alice", "thesis", []string{"-o", "KexAlgorithms=diffie-hellman-group1-sha1"}, ""},
	} {
		r := p.do("ssh", c.key, "", append(append([]string{}, c.args...), "-l", c.name, "127.0.0.1", "true")...)
		if r.code == 0 || !strings.Contains(r.errOut, c.says) {
			p.t.Errorf("%s: %d, %q", c.what, r.code, r.errOut)
		}
	}
	// With a colleague's key one is told whose it is, and alike whether the workspace is there or not.
	there, none := p.ssh("bob", "thesis", "true").errOut, p.ssh("bob", "absent", "true").errOut
	if strings.ReplaceAll(there, "thesis", "absent") != none {
		p.t.Errorf("one that is there: %q; one that is not: %q", there, none)
	}
	for _, to := range []string{"169.254.169.254:80", "172.17.0.1:22", "127.0.0.2:80", "e2ebob:8888", "[::]:22", "127.0.0.1:22"} { // row H3; 22 is the host's
		if r := p.do("ssh", "alice", "", "-W", to, "-l", "thesis", "127.0.0.1"); r.code == 0 || r.out != "" {
			p.t.Errorf("H3 -W %s: %d, %q, %q", to, r.code, r.out, r.errOut)
		}
	}
	r := p.do("ssh", "alice", "", "-A", "-o", "SendEnv=LD_PRELOAD LC_ALL", "-o", "SetEnv=GIT_SSH_COMMAND=id", "-l", "thesis", "127.0.0.1", `echo "${SSH_AUTH_SOCK-none} ${GIT_SSH_COMMAND-none} ${LD_PRELOAD-none} ${DISPLAY-none}"`)
	if r.out != "none none none none\n" { // rows H4, H5
		p.t.Errorf("the box is told %q, %q", r.out, r.errOut)
	}
	p.keys()
}

// keys is row H9: what stands in authorized_keys holds, or the line does not.
func (p *sshClient) keys() {
	p.t.Helper()
	bob, err := user.Lookup("e2ebob")
	if err != nil {
		p.t.Fatal(err)
	}
	own, rsa, old := p.key("own"), p.key("rsa", "-t", "rsa", "-b", "2048"), p.key("old", "-t", "rsa", "-b", "1024")
	alices, _ := os.ReadFile(filepath.Join(p.dir, "alice.pub"))
	for _, c := range []struct {
		what, text, key string
		in              bool
	}{
		{"from= here", `from="127.0.0.0/8" ` + own, "own", true}, {"from= elsewhere", `from="10.0.0.0/8" ` + own, "own", false}, {"expired", `expiry-time="20200101" ` + own, "own", false},
		{"command=", `command="id" ` + own, "own", false}, {"CRLF", strings.ReplaceAll(own, "\n", "\r\n"), "own", true}, {"RSA with SHA-2", rsa, "rsa", true}, {"short RSA", old, "old", false},
		{"10 MB", own + strings.Repeat("# x\n", 2<<20), "own", false}, {"hers too", own + string(alices), "own", true},
	} {
		p.authorize(bob, c.text)
		time.Sleep(2100 * time.Millisecond) // for which a look at the files is believed
		r := p.ssh(c.key, "nothing", "true")
		if in := strings.Contains(r.errOut, "has no workspace"); in != c.in || !in && !strings.Contains(r.errOut, "Permission denied") {
			p.t.Errorf("H9 %s: %d, %q", c.what, r.code, r.errOut)
		}
	}
	if r := p.ssh("alice", "thesis", "true"); r.code == 0 || !strings.Contains(r.errOut, "e2ealice, e2ebob") {
		p.t.Errorf("H9 a key of two: %d, %q", r.code, r.errOut)
	}
	if r := p.ssh("alice", "e2ealice/thesis", "true"); r.code != 0 {
		p.t.Errorf("H9 a key of two, one is named: %d, %q", r.code, r.errOut)
	}
	if r := p.do("ssh", "rsa", "", "-o", "PubkeyAcceptedAlgorithms=ssh-rsa", "-l", "nothing", "127.0.0.1"); r.code == 0 || !strings.Contains(r.errOut, "Permission denied") {
		p.t.Errorf("H6 RSA with SHA-1: %d, %q", r.code, r.errOut)
	}
	p.authorize(bob, own)
	time.Sleep(2100 * time.Millisecond)
}

// withoutPort: on the server itself the daemon's socket is the way, and the kernel's word the key.
func (p *sshClient) withoutPort(alice *user.User) {
	p.t.Helper()
	if r := p.as("e2ealice", "ssh", "thesis", "--", "id -un; exit 3"); r.code != 3 || r.out != "e2ealice\n" {
		p.t.Errorf("masu ssh: %d, %q, %q", r.code, r.out, r.errOut)
	}
	p.must("e2ealice", "ssh-config", "--write")
	p.must("e2ealice", "ssh-config", "--write")
	if b, err := os.ReadFile(filepath.Join(alice.HomeDir, ".ssh", "config")); err != nil || strings.Count(string(b), "Include") != 1 {
		p.t.Errorf("her configuration: %q, %v", b, err)
	}
	cmd := p.command("e2ealice", "", "version")
	cmd.Path, cmd.Args = "/usr/bin/ssh", []string{"ssh", "-o", "BatchMode=yes", "thesis.masu", "id -un; exit 4"}
	if out, _ := cmd.CombinedOutput(); string(out) != "e2ealice\n" || cmd.ProcessState.ExitCode() != 4 {
		p.t.Errorf("ssh thesis.masu: %d, %q", cmd.ProcessState.ExitCode(), out)
	}
	key := filepath.Join(alice.HomeDir, "added.pub")
	if err := os.WriteFile(key, []byte(p.key("added")), 0o644); err != nil {
		p.t.Fatal(err)
	}
	p.must("e2ealice", "keys", "add", key)
	if r := p.ssh("added", "thesis", "true"); r.code != 0 {
		p.t.Errorf("with an added key: %d, %q", r.code, r.errOut)
	}
	if r := p.as("e2ebob", "keys", "add", key); r.err != nil { // it is no secret, and is not his by that
		p.t.Errorf("another adds it: %d, %q", r.code, r.errOut)
	}
	if r := p.ssh("added", "e2ealice/thesis", "true"); r.code != 0 {
		p.t.Errorf("it is still hers: %d, %q", r.code, r.errOut)
	}
	fingerprint := strings.Fields(output(p.t, "ssh-keygen", "-lf", key))[1]
	p.must("e2ealice", "keys", "rm", fingerprint)
	p.must("e2ebob", "keys", "rm", fingerprint)
	if r := p.ssh("added", "thesis", "true"); r.code == 0 {
		p.t.Error("with a key that was removed somebody came in")
	}
}

// noneLeft: what a client has begun ends when the client is killed.
func (p *sshClient) noneLeft() {
	p.t.Helper()
	for i, args := range [][]string{{}, {"-tt"}} {
		seconds := strconv.Itoa(4711 + i)
		cmd := exec.Command("ssh", append(append(p.options("alice"), args...), "-l", "thesis", "127.0.0.1", "sleep "+seconds)...)
		if err := cmd.Start(); err != nil {
			p.t.Fatal(err)
		}
		runs := func() bool {
			return p.as("e2ealice", "exec", "thesis", "--", "pgrep", "-f", "^sleep "+seconds).code == 0
		}
		p.until(20*time.Second, "it runs", runs)
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		p.until(20*time.Second, "nothing is left of it", func() bool { return !runs() })
	}
}

// keyKept is row H8: the gateway's key is the same after the daemon's death.
func (p *sshClient) keyKept() {
	p.t.Helper()
	scan := func() string {
		return output(p.t, "sh", "-c", fmt.Sprintf("ssh-keyscan -p %d 127.0.0.1 2>/dev/null", p.sshPort))
	}
	before := scan()
	p.kill()
	p.start()
	line := p.must("e2ealice", "ssh-config", "--known-hosts")
	if want := strings.Replace(before, "127.0.0.1", "localhost", 1); line != want {
		p.t.Errorf("what is published is %q, and the gateway's is %q", line, want)
	}
	if after := scan(); after != before || strings.Count(before, "\n") != 1 || !strings.Contains(before, "ssh-ed25519") {
		p.t.Errorf("the key was %q and is %q", before, after)
	}
}

// sentAway: a member who is disabled is out within five seconds, and so are those
// who only hold the door open (row H7).
func (p *sshClient) sentAway() {
	p.t.Helper()
	for range 500 {
		c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", p.sshPort))
		if err != nil {
			p.t.Fatal(err)
		}
		defer c.Close()
	}
	cmd := exec.Command("ssh", append(p.options("alice"), "-l", "thesis", "127.0.0.1", "sleep 4720")...)
	if err := cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	p.until(20*time.Second, "it runs", func() bool {
		return p.as("e2ealice", "exec", "thesis", "--", "pgrep", "-f", "^sleep 4720").code == 0
	})
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	p.must("root", "admin", "member", "e2ealice", "--disable")
	select {
	case <-ended:
	case <-time.After(5 * time.Second):
		p.t.Error("after five seconds she is still there")
		_ = cmd.Process.Kill()
	}
	if r := p.ssh("alice", "thesis", "true"); !strings.Contains(r.errOut, "Permission denied") {
		p.t.Errorf("a disabled member: %d, %q", r.code, r.errOut)
	}
}
