package e2e

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// engine is a second engine in a network namespace of its own: one beside the
// host's would tear down the first one's firewall rules.
type engine struct {
	t          *testing.T
	dir, addr  string
	env        []string // over the test's own
	cmd        *exec.Cmd
	containerd *exec.Cmd // a service of its own, as on a real host: it outlives the engine
}

func newEngine(t *testing.T, liveRestore bool, env ...string) *engine {
	t.Helper()
	return beginEngine(t, func(string) string { return `{"live-restore":` + strconv.FormatBool(liveRestore) + "}" }, env...)
}

// cdiEngine is where test/setup.sh puts an engine with CDI on hosts whose own has none.
const cdiEngine = "/var/lib/masu-test/engine/bin"

// newCDIEngine is a second engine that gives devices by the specifications in its dir/cdi.
func newCDIEngine(t *testing.T) *engine {
	t.Helper()
	return beginEngine(t, func(dir string) string {
		return fmt.Sprintf(`{"features": {"cdi": true}, "cdi-spec-dirs": [%q]}`, filepath.Join(dir, "cdi"))
	}, "PATH="+cdiEngine+":"+os.Getenv("PATH"))
}

// beginEngine starts an engine with the configuration that conf gives for its folder.
func beginEngine(t *testing.T, conf func(dir string) string, env ...string) *engine {
	t.Helper()
	dir, err := os.MkdirTemp("/var/tmp", "masu-engine-") // not a tmpfs: layers are large
	if err != nil {
		t.Fatal(err)
	}
	e := &engine{t: t, dir: dir, addr: "unix://" + filepath.Join(dir, "d.sock"), env: env}
	t.Cleanup(e.remove)
	if err := os.WriteFile(filepath.Join(dir, "daemon.json"), []byte(conf(dir)), 0o644); err != nil {
		t.Fatal(err)
	}
	// The network namespace outlives the engine, as a host's does.
	if out, err := exec.Command("ip", "netns", "add", filepath.Base(dir)).CombinedOutput(); err != nil {
		t.Fatalf("ip netns add: %v: %s", err, out)
	}
	_ = exec.Command("ip", "-n", filepath.Base(dir), "link", "set", "lo", "up").Run()
	e.startContainerd()
	e.start()
	return e
}

func (e *engine) startContainerd() {
	e.t.Helper()
	conf := filepath.Join(e.dir, "containerd.toml")
	text := fmt.Sprintf("version = 2\nroot = %q\nstate = %q\ndisabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n[grpc]\naddress = %q\n",
		filepath.Join(e.dir, "cd-root"), filepath.Join(e.dir, "cd-state"), filepath.Join(e.dir, "cd.sock"))
	if err := os.WriteFile(conf, []byte(text), 0o644); err != nil {
		e.t.Fatal(err)
	}
	log, err := os.Create(filepath.Join(e.dir, "containerd.log"))
	if err != nil {
		e.t.Fatal(err)
	}
	defer log.Close()
	e.containerd = exec.Command("nsenter", "--net=/run/netns/"+filepath.Base(e.dir), "containerd", "--config", conf)
	e.containerd.Env = append(os.Environ(), e.env...)
	e.containerd.Stdout, e.containerd.Stderr = log, log
	e.containerd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := e.containerd.Start(); err != nil {
		e.t.Fatal(err)
	}
}

func (e *engine) start() {
	e.t.Helper()
	log, err := os.OpenFile(filepath.Join(e.dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		e.t.Fatal(err)
	}
	defer log.Close()
	e.cmd = exec.Command("nsenter", "--net=/run/netns/"+filepath.Base(e.dir), "dockerd",
		"--config-file", filepath.Join(e.dir, "daemon.json"), "--data-root", filepath.Join(e.dir, "data"),
		"--exec-root", filepath.Join(e.dir, "exec"), "--containerd", filepath.Join(e.dir, "cd.sock"), "-p", filepath.Join(e.dir, "pid"), "-H", e.addr)
	e.cmd.Env = append(os.Environ(), e.env...)
	e.cmd.Stdout, e.cmd.Stderr = log, log
	e.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := e.cmd.Start(); err != nil {
		e.t.Fatal(err)
	}
	deadline := time.Now().Add(30 * time.Second)
	for exec.Command("docker", "-H", e.addr, "version").Run() != nil {
		if time.Now().After(deadline) {
			b, _ := os.ReadFile(filepath.Join(e.dir, "log"))
			e.t.Fatalf("the second engine does not answer:\n%s", tail(string(b), 20))
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// kill ends the engine as a crash does.
func (e *engine) kill() {
	_ = e.cmd.Process.Signal(syscall.SIGKILL)
	_ = e.cmd.Wait()
}

func (e *engine) remove() {
	ids, _ := exec.Command("docker", "-H", e.addr, "ps", "-aq").Output()
	if list := strings.Fields(string(ids)); len(list) > 0 {
		_ = exec.Command("docker", append([]string{"-H", e.addr, "rm", "-f"}, list...)...).Run()
	}
	_ = e.cmd.Process.Signal(syscall.SIGTERM)
	_ = e.cmd.Wait()
	_ = e.containerd.Process.Signal(syscall.SIGTERM)
	_ = e.containerd.Wait()
	_ = exec.Command("ip", "netns", "del", filepath.Base(e.dir)).Run()
	_ = exec.Command("sh", "-c", "grep -o '"+e.dir+"[^ ]*' /proc/self/mounts | sort -r | xargs -r umount -l").Run()
	_ = os.RemoveAll(e.dir)
}

// take copies an image from the host's engine.
func (e *engine) take(images ...string) {
	e.t.Helper()
	ctx, cancel := context.WithTimeout(e.t.Context(), 3*time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, "sh", "-c", "docker save "+strings.Join(images, " ")+" | docker -H "+e.addr+" load").CombinedOutput()
	if err != nil {
		e.t.Fatalf("copy %v: %v: %s", images, err, out)
	}
}

// TestEngineRestart is rows F4 and F5: with live-restore the box is the same
// process afterwards; without it the workspace says why it stopped and one up
// brings it back.
func TestEngineRestart(t *testing.T) {
	for _, live := range []bool{true, false} {
		t.Run("live-restore="+strconv.FormatBool(live), func(t *testing.T) {
			e := newEngine(t, live)
			l := newLabOn(t, e.addr)
			alice := l.member("e2ealice")
			dir := l.folder(alice, "thesis", nil)
			l.takeImages(e)
			l.must("e2ealice", "up", "--no-check", dir)
			w := l.only("e2ealice")
			pid, err := exec.Command("docker", "-H", e.addr, "inspect", "-f", "{{.State.Pid}}", "masu-"+w.ID).Output()
			if err != nil {
				t.Fatal(err)
			}
			e.kill()
			e.start()
			if live {
				l.until(30*time.Second, "the workspace runs again", func() bool { return l.as("e2ealice", "exec", "thesis", "--", "true").code == 0 })
				now, err := exec.Command("docker", "-H", e.addr, "inspect", "-f", "{{.State.Pid}}", "masu-"+w.ID).Output()
				if err != nil || string(now) != string(pid) {
					t.Errorf("the box was process %s and is now %s (%v)", pid, now, err)
				}
				if p := l.phase("e2ealice", "thesis"); p != "running" {
					t.Errorf("the workspace is %s", p)
				}
				return
			}
			l.until(30*time.Second, "the workspace knows that the engine has restarted", func() bool { return l.phase("e2ealice", "thesis") == "stopped" })
			if w := l.only("e2ealice"); w.Trouble == nil || w.Trouble.Code != "engine_restarted" {
				t.Errorf("the workspace does not say why it stopped: %+v", w.Trouble)
			}
			l.must("e2ealice", "up", dir)
		})
	}
}

// takeImages gives the second engine the plain environment, which it could not
// build: it reaches no network. The host's engine has it, or makes it now.
func (l *lab) takeImages(e *engine) {
	l.t.Helper()
	host := newLab(l.t)
	dir := host.folder(host.member("e2ebuild"), "plain", map[string]string{"masu.yaml": "preset: python\n"})
	id := strings.TrimSpace(host.must("e2ebuild", "build", "--quiet", dir))
	host.kill()
	ref := strings.TrimSpace(docker(l.t, "inspect", "-f", "{{index .RepoTags 0}}", id))
	e.take(append(bases(l.t), ref)...)
}

func bases(t *testing.T) []string {
	t.Helper()
	var refs []string
	for ref := range strings.FieldsSeq(docker(t, "images", "--format", "{{.Repository}}:{{.Tag}}", "--filter", "reference=debian")) {
		if !strings.HasSuffix(ref, ":<none>") {
			refs = append(refs, ref)
		}
	}
	return refs
}
