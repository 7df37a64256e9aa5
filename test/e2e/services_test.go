package e2e

import (
	"fmt"
	"net"
	"strings"
	"testing"
	"time"
)

// ask speaks to a Redis from inside a box, with what a box has: it prints one line of the answer.
func ask(host, words string) []string {
	return []string{"timeout", "5", "bash", "-c", fmt.Sprintf(`exec 3<>/dev/tcp/%s/6379; printf '%s\r\n' >&3; read -r line <&3; echo "$line"; read -r line <&3; echo "$line"`, host, words+`\r\nPING`)}
}

func (l *lab) asks(who, name, host, words string) string {
	l.t.Helper()
	r := l.as(who, append([]string{"exec", name, "--"}, ask(host, words)...)...)
	return strings.ReplaceAll(strings.TrimSpace(r.out), "\r", "")
}

// made lists what the engine has of a workspace: containers, volumes, networks.
func made(t *testing.T, id string) string {
	t.Helper()
	filter := "label=masu.workspace=" + id
	return docker(t, "ps", "-aq", "--filter", filter) + docker(t, "volume", "ls", "-q", "--filter", filter) + docker(t, "network", "ls", "-q", "--filter", filter)
}

// TestServicesDay: alice's workspace has a database beside it, which it alone
// reaches; it outlives the daemon, keeps its data over a stop, and leaves nothing
// behind.
func TestServicesDay(t *testing.T) {
	l := newLab(t)
	alice, bob := l.member("e2ealice"), l.member("e2ebob")
	dir := l.folder(alice, "kenkyu", map[string]string{"masu.yaml": `preset: python
services:
  db:
    image: masu-test/redis
    volumes: [data:/data]
    health: redis-cli ping
    memory: 256MiB
  cache:
    build: ./cache
`, "cache/Dockerfile": "FROM masu-test/redis\nCMD [\"redis-server\", \"--protected-mode\", \"no\", \"--save\", \"\"]\n"})
	l.must("e2ealice", "up", "--no-check", dir)
	id := l.workspaces("e2ealice")[0].ID
	for _, host := range []string{"db", "cache"} {
		if got := l.asks("e2ealice", "kenkyu", host, "SET word "+host); got != "+OK\n+PONG" {
			t.Errorf("%s says %q", host, got)
		}
	}
	l.until(20*time.Second, "ls names the services", func() bool { return strings.Contains(l.must("e2ealice", "ls"), "cache, db") })
	if out := l.must("e2ealice", "logs", "--service", "db", "kenkyu"); !strings.Contains(out, "Ready to accept connections") {
		t.Errorf("the database is said to have printed %q", out)
	}

	l.must("e2ebob", "up", "--no-check", l.folder(bob, "yoso", map[string]string{"masu.yaml": "preset: python\n"}))
	hosts := []string{"db", "masu-" + id + "-db"}
	for ip := range strings.FieldsSeq(docker(t, "inspect", "-f", "{{range .NetworkSettings.Networks}}{{.IPAddress}} {{end}}", "masu-"+id+"-db")) {
		hosts = append(hosts, ip)
		if c, err := net.DialTimeout("tcp", net.JoinHostPort(ip, "6379"), 3*time.Second); err == nil {
			_ = c.Close()
			t.Errorf("the host's accounts reach the database at %s", ip)
		}
	}
	if len(hosts) != 4 {
		t.Fatalf("the database has the addresses %v", hosts[2:])
	}
	for _, host := range hosts {
		if got := l.asks("e2ebob", "yoso", host, "GET word"); got != "" {
			t.Errorf("another's box reaches the database as %s: %q", host, got)
		}
	}
	if r := l.as("e2ebob", "logs", "--service", "db", "e2ealice/kenkyu"); r.code == 0 {
		t.Errorf("and reads what it prints: %q", r.out)
	}

	l.kill()
	if got := l.asks("e2ealice", "kenkyu", "db", "GET word"); got != "" {
		t.Error("the daemon answers although it is dead")
	}
	if n := len(strings.Fields(docker(t, "ps", "-q", "--filter", "label=masu.workspace="+id))); n != 3 {
		t.Errorf("with the daemon %d/3 containers go on", n)
	}
	l.start()
	l.until(20*time.Second, "the new daemon knows the services", func() bool { return strings.Contains(l.must("e2ealice", "ls"), "cache, db") })
	if got := l.asks("e2ealice", "kenkyu", "db", "GET word"); got != "$2\ndb" {
		t.Errorf("after the daemon's death the database says %q", got)
	}

	l.asks("e2ealice", "kenkyu", "db", "SAVE")
	l.must("e2ealice", "stop", "kenkyu")
	if left := docker(t, "ps", "-q", "--filter", "label=masu.workspace="+id) + docker(t, "network", "ls", "-q", "--filter", "label=masu.workspace="+id); left != "" {
		t.Errorf("after stop there is still %q", left)
	}
	l.must("e2ealice", "up", "--no-check", "kenkyu")
	if got := l.asks("e2ealice", "kenkyu", "db", "GET word"); got != "$2\ndb" {
		t.Errorf("after a stop the database says %q", got)
	}
	l.must("e2ealice", "rm", "--yes", "kenkyu")
	if left := made(t, id); left != "" {
		t.Errorf("after rm there is still %q", left)
	}

	// A database that cannot run: the workspace does not either, and it is said why.
	l.must("e2ebob", "rm", "--yes", "yoso")
	bad := l.folder(bob, "kowareta", map[string]string{"masu.yaml": "preset: python\nservices: {db: {image: masu-test/redis, command: [redis-server, --port, nonsense]}}\n"})
	if r := l.as("e2ebob", "up", "--no-check", bad); r.code == 0 || !strings.Contains(r.errOut, "db") || !strings.Contains(r.errOut, "masu logs --service db") {
		t.Errorf("up beside a database that fails: %d %q", r.code, r.errOut)
	}
}
