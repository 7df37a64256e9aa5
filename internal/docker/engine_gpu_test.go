package docker

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/masu-lab/masu"
)

// gpus are devices that the engine can give, of any kind: MASU_TEST_GPUS=masu.test/gpu=0,masu.test/gpu=1
func gpus(t *testing.T) []masu.GPUID {
	t.Helper()
	var out []masu.GPUID
	for g := range strings.SplitSeq(os.Getenv("MASU_TEST_GPUS"), ",") {
		if g != "" {
			out = append(out, masu.GPUID(g))
		}
	}
	if len(out) == 0 {
		t.Skip("MASU_TEST_GPUS names no devices")
	}
	return out
}

// devices is what PID 1 was given: its variables, as seen from the host, and the devices of the box.
func devices(t *testing.T, rt *Runtime, b masu.Box) string {
	t.Helper()
	c, err := rt.find(t.Context(), b.ID)
	if err != nil {
		t.Fatal(err)
	}
	environ, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", c.State.Pid))
	if err != nil {
		t.Fatal(err)
	}
	_, dev := run(t, rt, b, true, "ls /dev")
	return strings.ReplaceAll(string(environ), "\x00", "\n") + dev
}

// TestEngineGPU: a box gets exactly the devices it was lent, and the next one none.
func TestEngineGPU(t *testing.T) {
	all := gpus(t)
	rt := openEngine(t, nil)
	b := testBox(t, rt)
	b.GPUs = all[len(all)-1:]
	mustStart(t, rt, b)
	boxes, err := rt.Boxes(t.Context())
	if err != nil || len(boxes) != 1 || !slices.Equal(boxes[0].GPUs, b.GPUs) {
		t.Errorf("Boxes = %+v, %v", boxes, err)
	}
	env := devices(t, rt, b)
	uuids, cdi := split(b.GPUs)
	if len(uuids) > 0 && !strings.Contains(env, "NVIDIA_VISIBLE_DEVICES="+join(uuids)+"\n") {
		t.Errorf("the box does not have %v alone: %s", uuids, env)
	}
	if len(cdi) > 0 && strings.HasPrefix(string(cdi[0]), "masu.test/") {
		n := string(cdi[0][strings.IndexByte(string(cdi[0]), '=')+1:])
		if strings.Count(env, "MASU_TEST_GPU_") != 1 || !strings.Contains(env, "MASU_TEST_GPU_"+n+"=1\n") || !strings.Contains(env, "testgpu"+n) {
			t.Errorf("the box does not have %v alone: %s", cdi, env)
		}
	}
	b.GPUs = nil
	mustStart(t, rt, b)
	if env := devices(t, rt, b); strings.Contains(env, "TEST_GPU") || !strings.Contains(env, "NVIDIA_VISIBLE_DEVICES=void\n") {
		t.Errorf("the box without GPUs has: %s", env)
	}
	if len(cdi) > 0 {
		b.GPUs = []masu.GPUID{"masu.test/gpu=99"}
		if err := rt.Start(t.Context(), b); masu.CodeOf(err) != "gpu_missing" {
			t.Errorf("Start with a device that is not there: %v", err)
		}
	}
}
