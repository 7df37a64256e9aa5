package e2e

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestSSHForwards: with OpenSSH's own client, what runs in the box reaches the
// laptop and the other way round, by ports, sockets and the agent; certificates
// let in; and nobody becomes another by a key that is not theirs alone.
func TestSSHForwards(t *testing.T) {
	l := newLab(t)
	alice, mallory := l.member("e2ealice"), l.member("e2emallory")
	p := l.sshClient()
	p.authorize(alice, p.key("alice"))
	p.key("ca")
	p.key("host-ca")
	p.key("carried")
	p.certify("host-ca", filepath.Join(l.dir, "state", "ssh_host_ed25519_key.pub"), "-h", "-n", "127.0.0.1")
	revoked := filepath.Join(l.dir, "revoked")
	p.file(revoked, "")
	l.config = filepath.Join(l.dir, "config.yaml")
	p.file(l.config, fmt.Sprintf("ssh:\n  user_ca: %s\n  revoked_keys: %s\n  host_cert: %s\n", filepath.Join(p.dir, "ca.pub"), revoked, filepath.Join(p.dir, "host-cert.pub")))
	l.kill()
	l.start()
	dir := l.folder(alice, "thesis", map[string]string{"masu.yaml": "preset: python\n"})
	l.must("e2ealice", "up", "--no-check", dir)
	p.ssh("alice", "thesis", "true") // which remembers the gateway's key

	p.remoteForward()
	p.sockets()
	p.agent()
	p.likeRemoteSSH()
	p.certificates(revoked)

	// Mallory adds alice's key, which is no secret: alice is never taken for her.
	l.must("e2emallory", "up", "--no-check", l.folder(mallory, "trap", map[string]string{"masu.yaml": "preset: python\n"}))
	if r := p.asIn("e2emallory", "", "", "keys", "add", strings.TrimSpace(output(t, "cat", filepath.Join(p.dir, "alice.pub")))); r.err != nil {
		t.Errorf("a key that another has: %q", r.errOut)
	}
	for name, want := range map[string]int{"e2ealice/thesis": 0, "e2ealice/trap": 125, "thesis": 255, "trap": 255} {
		if r := p.ssh("alice", name, "id -un"); r.code != want || want == 0 && r.out != "e2ealice\n" {
			t.Errorf("%s: %d, %q, %q", name, r.code, r.out, r.errOut)
		}
	}
}

func (p *sshClient) file(path, text string) {
	p.t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		p.t.Fatal(err)
	}
}

// certify has an authority sign a public key, and gives where the certificate is.
func (p *sshClient) certify(ca, public string, args ...string) string {
	p.t.Helper()
	if _, err := os.Stat(public); err != nil { // the gateway's own, of which there is no such file
		out := output(p.t, "ssh-keygen", "-y", "-f", strings.TrimSuffix(public, ".pub"))
		public = filepath.Join(p.dir, "host.pub")
		p.file(public, out)
	}
	output(p.t, "ssh-keygen", append([]string{"-q", "-s", filepath.Join(p.dir, ca), "-I", "e2e"}, append(args, public)...)...)
	return strings.TrimSuffix(public, ".pub") + "-cert.pub"
}

// begin starts an ssh that stays; the test ends it.
func (p *sshClient) begin(args ...string) *exec.Cmd {
	p.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, "ssh", append(append(p.options("alice"), "-o", "ExitOnForwardFailure=yes"), args...)...)
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { cancel(); _ = cmd.Wait() })
	return cmd
}

// page serves one on the laptop.
func (p *sshClient) page(text string) (port int) {
	p.t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		p.t.Fatal(err)
	}
	s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, text) })}
	go func() { _ = s.Serve(l) }()
	p.t.Cleanup(func() { _ = s.Close() })
	return l.Addr().(*net.TCPAddr).Port
}

const fetchPage = `python3 -c "import sys,urllib.request as u;print(u.urlopen(sys.argv[1],timeout=10).read().decode())" `

// remoteForward: -R listens in the box, on its own loopback, and no port of the server.
func (p *sshClient) remoteForward() {
	p.t.Helper()
	at := p.page("from the laptop")
	inside := freePort(p.t)
	r := p.do("ssh", "alice", "", "-o", "ExitOnForwardFailure=yes", "-R", fmt.Sprintf("%d:127.0.0.1:%d", inside, at), "-l", "thesis", "127.0.0.1",
		fmt.Sprintf(fetchPage+"http://127.0.0.1:%d/; ss -tln 2>/dev/null | grep -c '0.0.0.0:%d'", inside, inside))
	if !strings.HasPrefix(r.out, "from the laptop\n") || strings.HasSuffix(r.out, "1\n") {
		p.t.Errorf("-R: %d, %q, %q", r.code, r.out, r.errOut)
	}
	p.begin("-N", "-R", fmt.Sprintf("%d:127.0.0.1:%d", inside, at), "-l", "thesis", "127.0.0.1")
	p.until(20*time.Second, "it is listened on in the box", func() bool {
		return p.as("e2ealice", "exec", "thesis", "--", "sh", "-c", fmt.Sprintf(fetchPage+"http://127.0.0.1:%d/", inside)).out == "from the laptop\n"
	})
	if c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", inside)); err == nil {
		_ = c.Close()
		p.t.Error("a port of the server is open for it")
	}
	if r := p.do("ssh", "alice", "", "-o", "ExitOnForwardFailure=yes", "-R", fmt.Sprintf("0.0.0.0:%d:127.0.0.1:%d", inside+1, at), "-l", "thesis", "127.0.0.1", "true"); r.code == 0 {
		p.t.Error("-R at all addresses")
	}
}

// sockets: -L and -R with sockets of the box.
func (p *sshClient) sockets() {
	p.t.Helper()
	here := filepath.Join(p.dir, "here")
	l, err := net.Listen("unix", here)
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = io.Copy(c, c)
			_ = c.Close()
		}
	}()
	there := filepath.Join(p.dir, "there")
	p.begin("-N", "-R", "/tmp/echo:"+here, "-L", there+":/tmp/echo", "-l", "thesis", "127.0.0.1")
	p.until(20*time.Second, "what goes through both sockets comes back", func() bool {
		c, err := net.Dial("unix", there)
		if err != nil {
			return false
		}
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(5 * time.Second))
		fmt.Fprintln(c, "around")
		line, _ := bufio.NewReader(c).ReadString('\n')
		return line == "around\n"
	})
}

// agent: ssh -A brings the laptop's agent, for the member alone, and takes it away again.
func (p *sshClient) agent() {
	p.t.Helper()
	socket := filepath.Join(p.dir, "agent")
	agent := exec.Command("ssh-agent", "-D", "-a", socket)
	if err := agent.Start(); err != nil {
		p.t.Fatal(err)
	}
	defer func() { _ = agent.Process.Kill(); _ = agent.Wait() }()
	p.t.Setenv("SSH_AUTH_SOCK", socket)
	p.until(10*time.Second, "the agent has the key", func() bool {
		return exec.Command("ssh-add", "-q", filepath.Join(p.dir, "carried")).Run() == nil
	})
	inside := `import os,socket,struct
p=os.environ["SSH_AUTH_SOCK"]; s=socket.socket(socket.AF_UNIX); s.connect(p); s.sendall(struct.pack(">IB",1,11))
n=struct.unpack(">I",s.recv(4))[0]; b=b""
while len(b)<n: b+=s.recv(n-len(b))
print(oct(os.stat(p).st_mode&0o777),b[0],struct.unpack(">I",b[1:5])[0],b"carried" in b); print(p)`
	r := p.do("ssh", "alice", inside, "-A", "-l", "thesis", "127.0.0.1", "python3 -")
	first, path, _ := strings.Cut(r.out, "\n")
	if first != "0o600 12 1 True" {
		p.t.Errorf("the agent inside: %d, %q, %q", r.code, r.out, r.errOut)
	}
	p.until(10*time.Second, "its socket has gone", func() bool {
		return p.as("e2ealice", "exec", "thesis", "--", "test", "-e", strings.TrimSpace(path)).code == 1
	})
	if r := p.ssh("alice", "thesis", `echo "${SSH_AUTH_SOCK-none}"`); r.out != "none\n" {
		p.t.Errorf("without -A: %q", r.out)
	}
}

// likeRemoteSSH does what VS Code's Remote-SSH does, over one connection: a
// script at a shell's input, a server that it puts in the home and starts on a
// port of its choice, and that port through -D, many times at once.
func (p *sshClient) likeRemoteSSH() {
	p.t.Helper()
	script := `uname -s; echo "home=$HOME"; mkdir -p ~/.vscode-server/bin/1 && cd ~/.vscode-server/bin/1
cat >server.py <<'PY'
import http.server,socketserver,os
class H(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers(); self.wfile.write(b"vscode "+os.environ["USER"].encode())
    def log_message(self,*a): pass
class S(socketserver.ThreadingMixIn,http.server.HTTPServer): request_queue_size=64
s=S(("127.0.0.1",0),H); open("port","w").write(str(s.server_port)); s.serve_forever()
PY
rm -f port; nohup python3 server.py >log 2>&1 </dev/null & 
cd ~/.vscode-server/bin/1; while ! [ -s port ]; do sleep 0.05; done; echo "listeningOn==$(cat port)=="
exec sleep 600
`
	socks := freePort(p.t)
	cmd := exec.Command("ssh", append(p.options("alice"), "-T", "-D", fmt.Sprint(socks), "-l", "thesis", "127.0.0.1", "bash")...)
	cmd.Stdin = strings.NewReader(script)
	out, err := cmd.StdoutPipe()
	if err != nil {
		p.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()
	port := ""
	lines := bufio.NewScanner(out)
	for port == "" && lines.Scan() {
		if rest, ok := strings.CutPrefix(lines.Text(), "listeningOn=="); ok {
			port = strings.TrimSuffix(rest, "==")
		}
	}
	proxy, _ := url.Parse(fmt.Sprintf("socks5://127.0.0.1:%d", socks))
	client := &http.Client{Transport: &http.Transport{Proxy: http.ProxyURL(proxy), DisableKeepAlives: true}, Timeout: 20 * time.Second}
	answers := make(chan string, 20)
	for range cap(answers) {
		go func() {
			res, err := client.Get("http://127.0.0.1:" + port + "/")
			if err != nil {
				answers <- err.Error()
				return
			}
			defer res.Body.Close()
			b, _ := io.ReadAll(res.Body)
			answers <- string(b)
		}()
	}
	for range cap(answers) {
		if a := <-answers; a != "vscode e2ealice" {
			p.t.Errorf("through -D to port %q: %q", port, a)
		}
	}
	if res, err := client.Get("http://172.17.0.1:22/"); err == nil { // row H3
		_ = res.Body.Close()
		p.t.Error("-D reaches the host")
	}
}

// certificates of the lab's authority let in, within what they say; the gateway shows its own.
func (p *sshClient) certificates(revoked string) {
	p.t.Helper()
	p.key("laptop")
	public := filepath.Join(p.dir, "laptop.pub")
	for _, c := range []struct {
		what string
		in   bool
		args []string
	}{
		{"hers", true, []string{"-n", "e2ealice", "-V", "-1h:+1h"}}, {"nobody's", false, []string{"-n", "e2enobody"}}, {"everybody's", false, nil}, {"root's", false, []string{"-n", "root"}},
		{"expired", false, []string{"-n", "e2ealice", "-V", "-2h:-1h"}}, {"force-command", false, []string{"-n", "e2ealice", "-O", "force-command=id"}},
		{"from elsewhere", false, []string{"-n", "e2ealice", "-O", "source-address=10.0.0.0/8"}}, {"from here", true, []string{"-n", "e2ealice", "-O", "source-address=127.0.0.0/8"}},
		{"of two, who is named", true, []string{"-n", "e2emallory,e2ealice"}},
	} {
		p.certify("ca", public, c.args...)
		if r := p.ssh("laptop", "e2ealice/thesis", "id -un"); (r.code == 0) != c.in || c.in && r.out != "e2ealice\n" {
			p.t.Errorf("a certificate, %s: %d, %q, %q", c.what, r.code, r.out, r.errOut)
		}
	}
	p.certify("ca", public, "-n", "e2ealice", "-z", "42")
	p.file(revoked, "serial: 42\n")
	if r := p.ssh("laptop", "thesis", "true"); r.code == 0 {
		p.t.Error("a revoked certificate")
	}
	p.file(revoked, "")
	hosts := filepath.Join(p.dir, "by-ca")
	p.file(hosts, "@cert-authority * "+output(p.t, "cat", filepath.Join(p.dir, "host-ca.pub")))
	cmd := exec.Command("ssh", append(p.options("laptop"), "-o", "UserKnownHostsFile="+hosts, "-l", "thesis", "127.0.0.1", "true")...)
	cmd.Args = append([]string{"ssh", "-o", "UserKnownHostsFile=" + hosts, "-o", "StrictHostKeyChecking=yes"}, cmd.Args[1:]...)
	if out, err := cmd.CombinedOutput(); err != nil {
		p.t.Errorf("the gateway's certificate: %v, %s", err, out)
	}
}
