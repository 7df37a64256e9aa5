package docker

import (
	"bytes"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"testing/fstest"

	"golang.org/x/sys/unix"

	"github.com/masu-lab/masu"
	"github.com/masu-lab/masu/internal/host"
)

func must(t *testing.T, argv ...string) string {
	t.Helper()
	out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v: %s", strings.Join(argv, " "), err, out)
	}
	return string(out)
}

// reaches tells whether a box gets an answer from an address, by a shell of its own.
func reaches(t *testing.T, rt *Runtime, b masu.Box, address string) bool {
	t.Helper()
	ip, port, _ := net.SplitHostPort(address)
	var out bytes.Buffer
	code, err := rt.Exec(t.Context(), b.ID, masu.Exec{Argv: []string{"timeout", "3", "bash", "-c", "exec 3<>/dev/tcp/" + ip + "/" + port + " && cat <&3"}, Stdout: &out, Stderr: &out})
	if err != nil {
		t.Fatal(err)
	}
	return code == 0 && strings.Contains(out.String(), "hello")
}

// greeter says hello to everybody on an address of the host.
func greeter(t *testing.T, address string) string {
	t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go greet(l)
	return l.Addr().String()
}

func greet(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		_, _ = c.Write([]byte("hello\n"))
		_ = c.Close()
	}
}

// lan is a network beside the host with one machine on it, which says hello at port 80.
func lan(t *testing.T) string {
	t.Helper()
	must(t, "ip", "netns", "add", "masu-lan")
	t.Cleanup(func() { _ = exec.Command("ip", "netns", "del", "masu-lan").Run() })
	must(t, "ip", "link", "add", "masu-lan0", "type", "veth", "peer", "name", "lan0", "netns", "masu-lan")
	t.Cleanup(func() { _ = exec.Command("ip", "link", "del", "masu-lan0").Run() }) // at once; a namespace takes its time
	must(t, "ip", "addr", "add", "10.213.7.1/24", "dev", "masu-lan0")
	must(t, "ip", "link", "set", "masu-lan0", "up")
	must(t, "ip", "-n", "masu-lan", "addr", "add", "10.213.7.2/24", "dev", "lan0")
	must(t, "ip", "-n", "masu-lan", "link", "set", "lan0", "up")
	must(t, "ip", "-n", "masu-lan", "route", "add", "default", "via", "10.213.7.1")
	l := listenIn(t, "/run/netns/masu-lan", "10.213.7.2:80")
	go greet(l)
	return l.Addr().String()
}

// listenIn listens in another network namespace. The thread that went there is
// not given back: it ends with its goroutine.
func listenIn(t *testing.T, ns, address string) net.Listener {
	t.Helper()
	type result struct {
		l   net.Listener
		err error
	}
	listening := make(chan result)
	go func() {
		runtime.LockOSThread()
		fd, err := unix.Open(ns, unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err == nil {
			err = unix.Setns(fd, unix.CLONE_NEWNET)
		}
		if err != nil {
			listening <- result{nil, err}
			return
		}
		l, err := net.Listen("tcp", address)
		listening <- result{l, err}
	}()
	r := <-listening
	if r.err != nil {
		t.Fatal(r.err)
	}
	t.Cleanup(func() { _ = r.l.Close() })
	return r.l
}

// TestEngineFence: from a box, the host's own services are not there, on
// whatever address, nor is what clouds answer with secrets; the world is, and
// the lab's network where the house rules let it.
func TestEngineFence(t *testing.T) {
	for _, test := range []struct {
		name  string
		noLAN bool
	}{{"open LAN", false}, {"closed LAN", true}} {
		t.Run(test.name, func(t *testing.T) {
			rt := openEngine(t, func(c *Config) {
				h, err := host.New(host.Config{Root: true, RunDir: c.RunDir, NoLAN: test.noLAN, Log: c.Log})
				if err != nil {
					t.Fatal(err)
				}
				c.Host = h
			})
			b := testBox(t, rt)
			mustStart(t, rt, b)
			bridge, err := net.InterfaceByName(bridgeName(rt.cfg.Lab))
			if err != nil {
				t.Fatal(err)
			}
			addrs, err := bridge.Addrs()
			if err != nil || len(addrs) == 0 {
				t.Fatal(addrs, err)
			}
			gateway := addrs[0].(*net.IPNet).IP.String()
			other := lan(t)
			must(t, "ip", "addr", "add", "169.254.169.254/32", "dev", "masu-lan0") // a cloud's answer, at home
			services := []string{greeter(t, gateway+":0"), greeter(t, "10.213.7.1:0"), greeter(t, "169.254.169.254:0")}
			closed := func(when string) {
				t.Helper()
				for _, at := range services {
					if reaches(t, rt, b, at) {
						t.Errorf("%s: a box reaches %s", when, at)
					}
				}
			}
			closed("at first")
			if got := reaches(t, rt, b, other); got == test.noLAN {
				t.Errorf("the lab's network is reached: %v", got)
			}
			// What somebody took away comes back with the next start, once.
			must(t, "iptables", "-w", "-D", "INPUT", "-i", bridge.Name, "-j", "MASU-IN-"+bridge.Name)
			if !reaches(t, rt, b, services[0]) {
				t.Error("without the rules nothing is reached either: the test proves nothing")
			}
			for range 2 {
				if err := rt.cfg.Host.Fence(t.Context(), bridge.Name); err != nil {
					t.Fatal(err)
				}
			}
			closed("mended")
			if n := strings.Count(must(t, "iptables", "-w", "-S", "INPUT"), bridge.Name); n != 2 { // interface and chain
				t.Errorf("the way into the rules stands there %d/2 times", n)
			}
			must(t, "iptables", "-w", "-F", "MASU-IN-"+bridge.Name)
			if err := rt.cfg.Host.Fence(t.Context(), bridge.Name); err != nil {
				t.Fatal(err)
			}
			closed("filled again")
		})
	}
}

// TestEngineBuildsAreBounded: what a Dockerfile runs cannot take every process of the host.
func TestEngineBuildsAreBounded(t *testing.T) {
	rt := openEngine(t, nil)
	if os.Getuid() != 0 {
		t.Skip("needs root")
	}
	var said strings.Builder
	// A fork bomb that counts: it ends when the kernel refuses another process.
	dockerfile := "FROM " + testImage + "\nRUN i=0; while [ $i -lt 8000 ]; do sleep 60 & i=$((i+1)); done 2>/dev/null\n"
	_, err := rt.Build(t.Context(), masu.BuildRequest{Ref: "masu-docker-test/bomb", Dockerfile: "Dockerfile", NoCache: true,
		Files: fstest.MapFS{"Dockerfile": {Data: []byte(dockerfile)}}}, func(p masu.Progress) { said.WriteString(p.Line + "\n") })
	if masu.CodeOf(err) != "build_failed" {
		t.Errorf("8000 processes: %v\n%s", err, said.String())
	}
}
