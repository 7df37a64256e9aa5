package api

import (
	"testing"

	"github.com/masu-lab/masu"
)

// TestSliceMetrics: what nobody knows of a slice is not told; least of all as nothing.
func TestSliceMetrics(t *testing.T) {
	got := map[string][]sample{}
	metricGPUs(func(name, _, _ string, samples ...sample) { got[name] = samples }, masu.Board{GPUs: []masu.BoardGPU{
		{GPU: masu.GPU{ID: "MIG-a", Parent: "GPU-0", Model: "MIG 1g.10gb"}, Reading: &masu.Reading{GPU: "MIG-a", Busy: -1, Memory: masu.GiB, Temperature: -1, Power: -1}}}})
	want := sample{`{gpu="0",uuid="MIG-a",model="MIG 1g.10gb"}`, float64(masu.GiB)}
	if m := got["masu_gpu_memory_bytes"]; len(m) != 1 || m[0] != want {
		t.Errorf("its memory: %+v", m)
	}
	for _, name := range []string{"masu_gpu_busy", "masu_gpu_temperature_celsius", "masu_gpu_power_watts"} {
		if len(got[name]) != 0 {
			t.Errorf("%s: %+v", name, got[name])
		}
	}
}
