package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// testCards describes two devices as a maker's tool would: a variable and a device node each.
const testCards = `{"cdiVersion": "0.5.0", "kind": "masu.test/gpu", "devices": [
 {"name": "0", "containerEdits": {"env": ["MASU_TEST_GPU_0=1"], "deviceNodes": [{"path": "/dev/testgpu0", "hostPath": "/dev/kmsg"}]}},
 {"name": "1", "containerEdits": {"env": ["MASU_TEST_GPU_1=1"], "deviceNodes": [{"path": "/dev/testgpu1", "hostPath": "/dev/null"}]}},
 {"name": "all", "containerEdits": {"env": ["MASU_TEST_GPU_0=1", "MASU_TEST_GPU_1=1"]}}]}
`

// testDevices lists the test devices that a box has been given: the variables of its first process, and its device nodes.
func (l *lab) testDevices(e *engine, who string) string {
	l.t.Helper()
	pid, err := exec.Command("docker", "-H", e.addr, "inspect", "-f", "{{.State.Pid}}", "masu-"+l.only(who).ID).Output()
	if err != nil {
		l.t.Fatal(err)
	}
	environ, err := os.ReadFile(filepath.Join("/proc", strings.TrimSpace(string(pid)), "environ"))
	if err != nil {
		l.t.Fatal(err)
	}
	var all []string
	for v := range strings.SplitSeq(string(environ), "\x00") {
		if strings.HasPrefix(v, "MASU_TEST_GPU") {
			all = append(all, v)
		}
	}
	for d := range strings.FieldsSeq(l.must(who, "exec", "thesis", "--", "ls", "/dev")) {
		if strings.HasPrefix(d, "testgpu") {
			all = append(all, d)
		}
	}
	return strings.Join(all, " ")
}

// TestCDI: cards of any maker are lent by name. Each box is given its own and
// no other, who comes third waits, and gets what is given back.
func TestCDI(t *testing.T) {
	e := newCDIEngine(t)
	l := newLabOn(t, e.addr)
	l.kill()
	l.config = filepath.Join(l.dir, "config.yaml")
	if err := os.WriteFile(l.config, []byte("policy: {gpus: {cdi: [masu.test/gpu]}}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	l.takeImages(e)
	l.start()
	if n := len(l.gpus().GPUs); n != 0 {
		t.Errorf("without a specification there are %d GPUs", n)
	}
	if err := os.Mkdir(filepath.Join(e.dir, "cdi"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(e.dir, "cdi", "test.json"), []byte(testCards), 0o644); err != nil {
		t.Fatal(err)
	}
	l.until(30*time.Second, "they are noticed", func() bool { return len(l.gpus().GPUs) == 2 }) // and nothing was started again
	dirs := map[string]string{}
	for _, who := range []string{"e2ealice", "e2ebob", "e2ecarol"} {
		dirs[who] = l.folder(l.member(who), "thesis", map[string]string{"masu.yaml": "preset: python\n"})
	}
	l.must("e2ealice", "up", "--no-check", "--gpus", "1", dirs["e2ealice"])
	l.must("e2ebob", "up", "--no-check", "--gpus", "1", dirs["e2ebob"])
	has := map[string]string{"e2ealice": "MASU_TEST_GPU_0=1 testgpu0", "e2ebob": "MASU_TEST_GPU_1=1 testgpu1"}
	for who, want := range has {
		if got := l.testDevices(e, who); got != want {
			t.Errorf("%s has %q, want %q", who, got, want)
		}
	}
	if r := l.as("e2ecarol", "up", "--no-check", "--gpus", "memory=1GiB", dirs["e2ecarol"]); r.code == 0 || !strings.Contains(r.errOut, "never") {
		t.Errorf("memory of cards that do not tell: %d %s", r.code, r.errOut)
	}
	up := l.command("e2ecarol", "", "up", "--no-check", "--gpus", "1", dirs["e2ecarol"])
	if err := up.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = up.Wait() })
	l.until(time.Minute, "the third waits", func() bool { return l.phase("e2ecarol", "thesis") == "waiting" })
	for _, g := range l.gpus().GPUs {
		if len(g.Holds) != 1 || g.Reading != nil || !strings.HasPrefix(g.ID, "masu.test/gpu=") {
			t.Errorf("the board says %+v", g)
		}
	}
	l.losesItsGPU(e, "e2ealice", dirs["e2ealice"])
	l.must("e2ebob", "stop", "thesis")
	l.until(time.Minute, "the third gets what was given back", func() bool { return l.phase("e2ecarol", "thesis") == "running" })
	if got := l.testDevices(e, "e2ecarol"); got != has["e2ebob"] {
		t.Errorf("the third has %q, want %q", got, has["e2ebob"])
	}
}

// devicesOf is where the kernel is told which devices a box may reach; "" where no file says so.
func (l *lab) devicesOf(e *engine, who string) string {
	l.t.Helper()
	pid, err := exec.Command("docker", "-H", e.addr, "inspect", "-f", "{{.State.Pid}}", "masu-"+l.only(who).ID).Output()
	if err != nil {
		l.t.Fatal(err)
	}
	groups, err := os.ReadFile(filepath.Join("/proc", strings.TrimSpace(string(pid)), "cgroup"))
	if err != nil {
		l.t.Fatal(err)
	}
	for line := range strings.Lines(string(groups)) {
		if _, path, ok := strings.Cut(strings.TrimSpace(line), ":devices:"); ok {
			return filepath.Join("/sys/fs/cgroup/devices", path)
		}
	}
	return ""
}

// losesItsGPU is row G8: the kernel comes to refuse a box its GPU, as after a reload
// of systemd. Its owner is told within a minute, and that all is well again; a restart mends it.
func (l *lab) losesItsGPU(e *engine, who, dir string) {
	l.t.Helper()
	const kmsg = "c 1:11 rwm" // the node that stands for the GPU
	group := l.devicesOf(e, who)
	if group == "" {
		l.t.Log("cgroup version 2 keeps its devices in a program: not tried")
		return
	}
	tell := func(file string) {
		l.t.Helper()
		if err := os.WriteFile(filepath.Join(group, file), []byte(kmsg), 0); err != nil {
			l.t.Fatal(err)
		}
	}
	lost := func() bool { return strings.Contains(l.must(who, "ls"), "lost its GPU") }
	if lost() {
		l.t.Error("what is well is called lost")
	}
	tell("devices.deny")
	begun := time.Now()
	l.until(time.Minute, "its owner is told", lost)
	l.t.Logf("told %v after the kernel refused it", time.Since(begun).Round(100*time.Millisecond))
	if got := l.must("root", "gpus"); !strings.Contains(got, who+"/thesis (its box has lost the GPU)") {
		l.t.Errorf("the admin reads %s", got)
	}
	tell("devices.allow")
	l.until(time.Minute, "it is told that all is well", func() bool { return !lost() })
	tell("devices.deny")
	l.until(time.Minute, "its owner is told again", lost)
	l.must(who, "up", "--no-check", "--restart", "--gpus", "1", dir)
	if lost() {
		l.t.Error("a restart does not mend it")
	}
	now, err := os.ReadFile(filepath.Join(l.devicesOf(e, who), "devices.list"))
	if err != nil || !strings.Contains(string(now), "c 1:11 ") {
		l.t.Errorf("after a restart it may reach %q, %v", now, err)
	}
}
