package docker

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"github.com/masu-lab/masu"
)

// testBox describes a box that is removed after the test.
func testBox(t *testing.T, rt *Runtime) masu.Box {
	t.Helper()
	img, err := rt.Image(t.Context(), testImage)
	if err != nil {
		t.Fatal(err)
	}
	u := masu.User{Name: "dora", UID: 30998, GID: 30998, Home: "/home/dora"}
	b := masu.Box{
		ID: masu.WorkspaceID("d" + strings.TrimPrefix(rt.cfg.Lab, "dockertest")), Name: "thesis", Owner: u, Image: img.ID,
		Limits: masu.Limits{Memory: 256 * masu.MiB},
		Agent:  masu.AgentSpec{User: u, Work: "/home/dora/work", Sudo: true, Lang: masu.English},
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := rt.Remove(ctx, b.ID); err != nil {
			t.Errorf("remove the box: %v", err)
		}
	})
	return b
}

func mustStart(t *testing.T, rt *Runtime, b masu.Box) *container.InspectResponse {
	t.Helper()
	if err := rt.Start(t.Context(), b); err != nil {
		t.Fatalf("Start: %v", err)
	}
	c, err := rt.find(t.Context(), b.ID)
	if err != nil || c == nil {
		t.Fatalf("find: %v, %v", c, err)
	}
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		conn, err := rt.Dial(t.Context(), b.ID, masu.AgentPort)
		if err == nil {
			_ = conn.Close()
			return c
		}
		if time.Now().After(deadline) {
			t.Fatalf("the agent does not answer: %v", err)
		}
	}
}

func run(t *testing.T, rt *Runtime, b masu.Box, root bool, script string) (int, string) {
	t.Helper()
	var out bytes.Buffer
	code, err := rt.Exec(t.Context(), b.ID, masu.Exec{Argv: []string{"sh", "-c", script}, Root: root, Stdout: &out, Stderr: &out})
	if err != nil {
		t.Fatalf("Exec %q: %v", script, err)
	}
	return code, out.String()
}

// memberFolder is a folder of dora's on the host.
func memberFolder(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "thesis")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(dir, 30998, 30998); err != nil {
		t.Skipf("needs root: %v", err)
	}
	// The way to it must be open to everybody.
	for d := filepath.Dir(dir); strings.HasPrefix(d, os.TempDir()+"/"); d = filepath.Dir(d) {
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestEngineHostileImage(t *testing.T) {
	rt := openEngine(t, nil)
	ref := masu.ImageRef("masu-docker-test/hostile-" + rt.cfg.Lab)
	_, err := rt.Build(t.Context(), masu.BuildRequest{Ref: ref, Dockerfile: "Dockerfile", Files: fstest.MapFS{"Dockerfile": {Data: []byte(`FROM ` + testImage + `
ENV LD_PRELOAD=/x.so NVIDIA_VISIBLE_DEVICES=all DOCKER_RESOURCE_GPU=all CUDA_VISIBLE_DEVICES=0 NVIDIA_DRIVER_CAPABILITIES=all LD_LIBRARY_PATH=/opt/lib KEPT=yes
USER nobody
WORKDIR /srv
VOLUME /anonymous
HEALTHCHECK --interval=1s CMD touch /healthcheck-ran
STOPSIGNAL SIGKILL
LABEL masu.owner=root masu.run=true masu.gpus=GPU-1 devcontainer.metadata='[{"remoteUser":"root"}]'
ENTRYPOINT ["/bin/false"]
CMD ["x"]
`)}}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := rt.RemoveImage(context.Background(), ref); err != nil {
			t.Error(err)
		}
	})
	b := testBox(t, rt)
	img, err := rt.Image(t.Context(), ref)
	if err != nil {
		t.Fatal(err)
	}
	b.Image = img.ID
	c := mustStart(t, rt, b)
	if c.Path != masu.AgentPath || c.Config.User != "0:0" || c.Config.WorkingDir != "/" || c.Config.StopSignal != "SIGTERM" || c.State.Health != nil && c.State.Health.Status != container.NoHealthcheck {
		t.Errorf("the image has its way: path %s, user %s, dir %s, signal %s, health %+v", c.Path, c.Config.User, c.Config.WorkingDir, c.Config.StopSignal, c.State.Health)
	}
	if l := c.Config.Labels; l[labelOwner] != "dora" || l[labelRun] != "false" || l[labelGPUs] != "" || !strings.Contains(l[labelDev], "dora") {
		t.Errorf("the image's labels won: %v", l)
	}
	// From the host: nobody in the box may look into PID 1.
	environ, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", c.State.Pid))
	if err != nil {
		t.Fatal(err)
	}
	env := strings.Split(string(environ), "\x00")
	for _, kv := range env {
		if k, v, _ := strings.Cut(kv, "="); dangerous.MatchString(k) && kv != "NVIDIA_VISIBLE_DEVICES=void" {
			t.Errorf("PID 1 has %s=%s", k, v)
		}
	}
	if !slices.Contains(env, "KEPT=yes") || !slices.Contains(env, "NVIDIA_VISIBLE_DEVICES=void") {
		t.Errorf("PID 1 lacks a variable: %q", env)
	}
	if _, out := run(t, rt, b, false, "echo $LD_LIBRARY_PATH"); out != "/opt/lib\n" {
		t.Errorf("the member's programs have the library path %q", out)
	}
	volumes := len(anonymous(t, rt, c))
	if volumes != 1 {
		t.Fatalf("the image's VOLUME made %d volumes: the test is no good", volumes)
	}
	if err := rt.Remove(t.Context(), b.ID); err != nil {
		t.Fatal(err)
	}
	if n := len(anonymous(t, rt, c)); n != 0 {
		t.Errorf("%d volumes of the image are left", n)
	}
}

// anonymous lists those of the container's volumes that there still are.
func anonymous(t *testing.T, rt *Runtime, c *container.InspectResponse) (names []string) {
	t.Helper()
	for _, m := range c.Mounts {
		if m.Name == "" {
			continue
		}
		if _, err := rt.api.VolumeInspect(t.Context(), m.Name, client.VolumeInspectOptions{}); err == nil {
			names = append(names, m.Name)
		}
	}
	return names
}

func TestEngineForeignContainers(t *testing.T) {
	rt := openEngine(t, nil)
	b := testBox(t, rt)
	mine := map[string]string{labelLab: rt.cfg.Lab, labelWorkspace: string(b.ID), labelOwner: "dora"}
	create := func(name string, labels map[string]string) string {
		t.Helper()
		c, err := rt.api.ContainerCreate(t.Context(), client.ContainerCreateOptions{Name: name, Config: &container.Config{Image: b.Image, Cmd: []string{"true"}, Labels: labels}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if _, err := rt.api.ContainerRemove(context.Background(), c.ID, client.ContainerRemoveOptions{Force: true}); err != nil {
				t.Error(err)
			}
		})
		return c.ID
	}
	create("looks-like-"+string(b.ID), mine)
	if all, err := rt.Boxes(t.Context()); err != nil || len(all) != 0 {
		t.Errorf("a container with our labels under another name is a box: %+v, %v", all, err)
	}
	id := create(boxName(b.ID), nil)
	if err := rt.Start(t.Context(), b); masu.CodeOf(err) != "box_name_taken" {
		t.Errorf("Start over somebody's container: %v", err)
	}
	if err := rt.Remove(t.Context(), b.ID); err != nil {
		t.Errorf("Remove: %v", err)
	}
	if _, err := rt.api.ContainerInspect(t.Context(), id, client.ContainerInspectOptions{}); err != nil {
		t.Errorf("somebody's container is gone: %v", err)
	}
}

func TestEngineFolder(t *testing.T) {
	var host *counting
	rt := openEngine(t, func(c *Config) {
		host = &counting{Host: c.Host, staged: map[string]bool{}}
		c.Host = host
	})
	dir := memberFolder(t)
	b := testBox(t, rt)
	b.Mounts = []masu.Mount{{Volume: "masu-docker-test-" + string(b.ID), Target: "/home/dora"}, {Folder: dir, Target: "/home/dora/work"}}
	t.Cleanup(func() {
		if err := errors.Join(rt.Remove(context.Background(), b.ID), rt.RemoveVolume(context.Background(), b.Mounts[0].Volume)); err != nil {
			t.Error(err)
		}
	})
	first := mustStart(t, rt, b)
	if code, out := run(t, rt, b, false, "echo result > ~/work/out && cat ~/work/out"); code != 0 || out != "result\n" {
		t.Fatalf("writing in ~/work: %d %s", code, out)
	}
	if text, err := os.ReadFile(filepath.Join(dir, "out")); err != nil || string(text) != "result\n" {
		t.Errorf("on the host: %q, %v", text, err)
	}
	if code, out := run(t, rt, b, true, "mknod /tmp/disk b 8 0"); code == 0 {
		t.Errorf("root in the box made a device: %s", out)
	}
	if err := rt.Stop(t.Context(), b.ID, time.Minute); err != nil {
		t.Fatal(err)
	}
	if host.count() != 0 {
		t.Errorf("%d folders are staged after Stop", host.count())
	}
	if again := mustStart(t, rt, b); again.ID != first.ID {
		t.Error("an equal box was made anew")
	}
	if _, out := run(t, rt, b, false, "cat ~/work/out"); out != "result\n" {
		t.Errorf("after a restart ~/work/out says %q", out)
	}

	// What can no longer be ID-mapped must not be started with sudo.
	if err := rt.Stop(t.Context(), b.ID, time.Minute); err != nil {
		t.Fatal(err)
	}
	host.reason = "this file system cannot map IDs"
	lowered := mustStart(t, rt, b)
	if lowered.ID == first.ID || !slices.Contains(lowered.HostConfig.CapDrop, "ALL") || !slices.Contains(lowered.HostConfig.SecurityOpt, "no-new-privileges") {
		t.Errorf("the box kept its rights: %v, %v", lowered.HostConfig.CapDrop, lowered.HostConfig.SecurityOpt)
	}
	if !slices.ContainsFunc(lowered.Config.Env, func(kv string) bool {
		return strings.HasPrefix(kv, "MASU_SPEC=") && strings.Contains(kv, `"no_sudo":"this file system cannot map IDs"`)
	}) {
		t.Error("the agent is not told why there is no sudo")
	}
	before := lowered.State.StartedAt
	if again := mustStart(t, rt, b); again.State.StartedAt != before {
		t.Error("an equal box that runs was touched")
	}
}

func TestEngineFailedStart(t *testing.T) {
	var host *counting
	rt := openEngine(t, func(c *Config) {
		host = &counting{Host: c.Host, staged: map[string]bool{}}
		c.Host = host
	})
	b := testBox(t, rt)
	b.Mounts = []masu.Mount{{Folder: memberFolder(t), Target: "/home/dora/work"}}
	nothingLeft := func() {
		t.Helper()
		if c, err := rt.find(t.Context(), b.ID); c != nil || err != nil {
			t.Errorf("a container is left: %v, %v", c, err)
		}
		if host.count() != 0 {
			t.Errorf("%d folders are staged", host.count())
		}
	}
	host.fail = masu.E(masu.Denied, "folder_not_yours", "x")
	if err := rt.Start(t.Context(), b); masu.CodeOf(err) != "folder_not_yours" {
		t.Errorf("Start with a folder that is refused: %v", err)
	}
	nothingLeft()
	host.fail = nil
	if info, err := rt.Info(t.Context()); err != nil || len(info.CDI) > 0 {
		t.Skipf("how GPUs are refused is known of engines without any: %v", err)
	}
	for _, gpu := range []masu.GPUID{"GPU-00000000-0000-0000-0000-000000000000", "masu.test/gpu=99"} {
		b.GPUs = []masu.GPUID{gpu}
		if err := rt.Start(t.Context(), b); masu.CodeOf(err) != "gpu_runtime_missing" || masu.KindOf(err) != masu.Unreachable {
			t.Errorf("Start with %s: %v", gpu, err)
		}
		nothingLeft()
	}
}

func TestEngineConcurrentStarts(t *testing.T) {
	rt := openEngine(t, nil)
	other, err := New(t.Context(), rt.cfg) // as a second daemon would be
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	b := testBox(t, rt)
	if err := rt.ensureNetwork(t.Context()); err != nil { // two daemons could make two
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	errs := make([]error, 8)
	for i := range errs {
		wg.Go(func() { errs[i] = []*Runtime{rt, other}[i%2].Start(t.Context(), b) })
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Error(err)
	}
	if all, err := rt.Boxes(t.Context()); err != nil || len(all) != 1 || all[0].State != masu.BoxRunning {
		t.Errorf("Boxes = %+v, %v", all, err)
	}
}

func TestEngineLostNetwork(t *testing.T) {
	rt := openEngine(t, nil)
	b := testBox(t, rt)
	mustStart(t, rt, b)
	if err := rt.Stop(t.Context(), b.ID, time.Minute); err != nil {
		t.Fatal(err)
	}
	if _, err := rt.api.NetworkRemove(t.Context(), networkName(rt.cfg.Lab), client.NetworkRemoveOptions{}); err != nil {
		t.Fatal(err)
	}
	mustStart(t, rt, b)
}

func TestEngineSweep(t *testing.T) {
	var host *counting
	rt := openEngine(t, func(c *Config) {
		host = &counting{Host: c.Host, staged: map[string]bool{}}
		c.Host = host
	})
	b := testBox(t, rt)
	b.Mounts = []masu.Mount{{Folder: memberFolder(t), Target: "/home/dora/work"}}
	mustStart(t, rt, b)
	// As a masu leaves it that was killed between staging and creating.
	lost := rt.stagePath("lostlostlost", 0)
	if err := os.MkdirAll(lost, 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := host.Stage(b.Owner, b.Mounts[0].Folder, lost, false); err != nil {
		t.Fatal(err)
	}
	again, err := New(t.Context(), rt.cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if host.count() != 1 || !host.staged[rt.stagePath(b.ID, 0)] {
		t.Errorf("staged are now %v", host.staged)
	}
	if _, err := os.Stat(rt.stageDir("lostlostlost")); !os.IsNotExist(err) {
		t.Errorf("the folder of the lost box: %v", err)
	}
}
